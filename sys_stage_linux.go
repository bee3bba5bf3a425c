// sys_stage_linux.go gives a process another terminal and other capabilities before it executes a program.

package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysNoNewPrivs is prctl(2), PR_SET_NO_NEW_PRIVS.
func sysNoNewPrivs() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

// capSets are the three sets of this thread, in 32 bits each (capget(2)).
func capSets() (hdr unix.CapUserHeader, sets [2]unix.CapUserData, err error) {
	hdr = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err = unix.Capget(&hdr, &sets[0])
	return hdr, sets, err
}

// sysMissingCaps is the first of these capabilities that we do not have; -1: we have all.
func sysMissingCaps(numbers []int) int {
	_, sets, err := capSets()
	for _, n := range numbers {
		if err != nil || sets[n/32].Permitted&(1<<(n%32)) == 0 {
			return n
		}
	}
	return -1
}

// sysKeepCaps keeps the permitted capabilities of this thread when its user changes (PR_SET_KEEPCAPS).
func sysKeepCaps() error { return unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0) }

// sysAmbientCaps makes these capabilities of this thread ambient: an executed program has them whatever its user. only: it gets no others.
func sysAmbientCaps(numbers []int, only bool) error {
	hdr, sets, err := capSets()
	if err != nil {
		return err
	}
	var wanted [2]uint32
	for _, n := range numbers {
		wanted[n/32] |= 1 << (n % 32)
	}
	for i := range sets {
		sets[i].Inheritable |= wanted[i]
		if only {
			sets[i] = unix.CapUserData{Effective: wanted[i], Permitted: wanted[i], Inheritable: wanted[i]}
		}
	}
	if err := unix.Capset(&hdr, &sets[0]); err != nil {
		return err
	}
	for _, n := range numbers {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(n), 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// sysTakeControl makes a terminal the controlling one of the session that we lead (ioctl_tty(2)); root may take it from another session.
func sysTakeControl(fd int) error {
	steal := 0
	if unix.Geteuid() == 0 {
		steal = 1
	}
	return unix.IoctlSetInt(fd, unix.TIOCSCTTY, steal)
}

func sysDupTo(fd, to int) error { return unix.Dup3(fd, to, 0) }

// sysHangUp takes a terminal away from whoever has it open, and makes it ours again.
func sysHangUp(path string) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	_ = unix.Fchown(fd, unix.Geteuid(), -1)
	_ = unix.IoctlSetInt(fd, unix.TIOCVHANGUP, 0)
	unix.Close(fd)
}

// sysWriteHolding writes to a file, and the runtime starts no thread meanwhile to do something else.
func sysWriteHolding(fd int, text string) error {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(len(text)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

// sys_boot_linux.go mounts, loads modules, sets the host name, reboots: what a machine needs of its PID 1.

package main

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysMount is mount(2). It stays one function because it is called from many places.
func sysMount(source, target, kind string, flags uintptr, data string) error {
	return unix.Mount(source, target, kind, flags, data)
}

// sysUnmount unmounts; lazily: from the tree now, from the disk when nobody uses it any more (MNT_DETACH of umount(2)).
func sysUnmount(target string, lazily bool) error {
	if lazily {
		return unix.Unmount(target, unix.MNT_DETACH)
	}
	return unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
}

// sysMounted says whether something is mounted on a directory. Kernels before 5.8 do not know; there a mount is what has another device
// than the directory above.
func sysMounted(dir string) bool {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, 0, &st) == nil && st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	}
	var here, above unix.Stat_t
	return unix.Lstat(dir, &here) == nil && unix.Lstat(dir+"/..", &above) == nil && (here.Dev != above.Dev || here.Ino == above.Ino)
}

// sysVolatile says whether a directory is in memory: an initramfs (ramfs or tmpfs).
func sysVolatile(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (uint32(st.Type) == unix.RAMFS_MAGIC || st.Type == unix.TMPFS_MAGIC)
}

func sysMknod(name string, mode, major, minor uint32) error {
	return unix.Mknod(name, unix.S_IFCHR|mode, int(unix.Mkdev(major, minor)))
}

// sysLeadsNowhere says whether a descriptor is closed or open at /dev/null.
func sysLeadsNowhere(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == unix.Mkdev(1, 3)
}

// sysConsole opens a terminal as these descriptors; it does not become our controlling terminal.
func sysConsole(name string, fds []int) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	keep := false
	for _, to := range fds {
		if to == fd {
			keep = true
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
		} else {
			err = unix.Dup3(fd, to, 0)
		}
		if err != nil {
			return err
		}
	}
	if !keep {
		unix.Close(fd)
	}
	return nil
}

// moduleCompressed is MODULE_INIT_COMPRESSED_FILE of finit_module(2).
const moduleCompressed = 4

func sysLoadModule(f *os.File, options string, packed bool) error {
	flags := 0
	if packed {
		flags = moduleCompressed
	}
	return unix.FinitModule(int(f.Fd()), options, flags)
}

func sysSetHostname(name string) error { return unix.Sethostname([]byte(name)) }

// sysLoopbackUp sets IFF_UP of lo (netdevice(7)); the kernel gives it its addresses.
func sysLoopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// sysSwapOn is swapon(2), with SWAP_FLAG_PREFER for a priority that is not negative and SWAP_FLAG_DISCARD.
func sysSwapOn(name string, priority int, discard bool) error {
	flags := uintptr(0)
	if priority >= 0 {
		flags = 0x8000 | uintptr(priority)&0x7fff
	}
	if discard {
		flags |= 0x10000
	}
	return swapCall(unix.SYS_SWAPON, name, flags)
}

func sysSwapOff(name string) error { return swapCall(unix.SYS_SWAPOFF, name, 0) }

func swapCall(call uintptr, name string, flags uintptr) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(call, uintptr(unsafe.Pointer(p)), flags, 0); errno != 0 {
		return errno
	}
	return nil
}

func sysSync() { unix.Sync() }

// sysReboot is reboot(2): poweroff, reboot, halt; or cad, which has Ctrl-Alt-Del sent to PID 1.
func sysReboot(kind powerKind) error {
	cmd := uint32(unix.LINUX_REBOOT_CMD_POWER_OFF)
	switch kind {
	case "cad":
		cmd = unix.LINUX_REBOOT_CMD_CAD_OFF
	case powerReboot:
		cmd = unix.LINUX_REBOOT_CMD_RESTART
	case powerHalt:
		cmd = unix.LINUX_REBOOT_CMD_HALT
	}
	return unix.Reboot(int(cmd))
}

// sysForceDown is sync(2) and reboot(2). It returns only on error.
func sysForceDown(kind string) error {
	if os.Geteuid() != 0 {
		return &os.SyscallError{Syscall: kind, Err: unix.EPERM}
	}
	unix.Sync()
	return os.NewSyscallError(kind, sysReboot(powerKind(kind)))
}

// sysAskInit tells PID 1 by a signal to do that, if we are root and it is zinit; it says whether it did.
func sysAskInit(kind string) bool {
	offset, known := map[string]int{"halt": 3, "poweroff": 4, "reboot": 5}[kind]
	return known && os.Geteuid() == 0 && sysOurProgram(1) && unix.Kill(1, unix.Signal(sigRtmin+offset)) == nil
}

// sysSwitchRoot makes the file system on dir our /, and deletes what was in the old one if that was in memory.
func sysSwitchRoot(dir string) error {
	old, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return errors.Join(err, unix.Chdir("/"))
	}
	if err := errors.Join(unix.Chroot("."), unix.Chdir("/")); err != nil {
		return err
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	inMemory := unix.Fstatfs(old, &fs) == nil && (uint32(fs.Type) == unix.RAMFS_MAGIC || fs.Type == unix.TMPFS_MAGIC)
	if inMemory && unix.Fstat(old, &st) == nil {
		emptyTree(old, uint64(st.Dev))
	}
	return nil
}

// emptyTree deletes what is in a directory, and never goes into another file system.
func emptyTree(dir int, dev uint64) {
	var names []string
	for buf := make([]byte, 8192); ; {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	for _, name := range names {
		if unix.Unlinkat(dir, name, 0) == nil {
			continue
		}
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil && uint64(st.Dev) == dev {
			emptyTree(fd, dev)
		}
		unix.Close(fd)
		_ = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
}

// sysWatchdogTimeout asks for a time in seconds and returns the one that the device has now.
func sysWatchdogTimeout(f *os.File, seconds int) (int, error) {
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, seconds); err != nil {
		return 0, err
	}
	return unix.IoctlGetInt(int(f.Fd()), unix.WDIOC_GETTIMEOUT)
}

const oNoCtty = unix.O_NOCTTY

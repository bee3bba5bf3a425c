// sys_keeper_linux.go has the packets, files in memory and waits by which keeper and server outlive each other.

package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	sigPwr   = int(unix.SIGPWR)
	sigRtmin = 34 // as glibc, systemd and docker count: the kernel's first two are taken by threads
)

// sysSubreaper makes orphans ours also when we are not PID 1 (prctl(2)).
func sysSubreaper() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// sysPrivate keeps other processes of our user from tracing us and from opening what we have open (prctl(2)); it ends with an execve. Those of root are not kept out: they
// may do everything already, and images write their logs to /proc/1/fd/1 and read /proc/1/environ, which would be shut to a root without CAP_SYS_PTRACE.
func sysPrivate() {
	if unix.Geteuid() != 0 {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
}

func sysSocketPair() (ours, theirs int, err error) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return p[0], p[1], err
}

func sysSendPacket(fd int, data []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, data, oob, nil, unix.MSG_NOSIGNAL)
}

func sysRecvPacket(fd int, buf []byte) (int, []int, error) {
	var oob [256]byte
	n, oobn, err := sysRecvMessage(fd, buf, oob[:], unix.MSG_CMSG_CLOEXEC)
	if err != nil || oobn == 0 {
		return n, nil, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return n, nil, err
	}
	var fds []int
	for i := range msgs {
		if list, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, list...)
		}
	}
	return n, fds, nil
}

// sysRecvMessage is recvmsg(2) without the sender's address: to read that would bring in every kind of address of the kernel.
func sysRecvMessage(fd int, data, oob []byte, flags int) (n, oobn int, err error) {
	part := unix.Iovec{Base: &data[0]}
	part.SetLen(len(data))
	message := unix.Msghdr{Iov: &part, Control: unsafe.SliceData(oob)}
	message.SetIovlen(1)
	message.SetControllen(len(oob))
	got, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), uintptr(flags))
	if errno != 0 {
		return 0, 0, errno
	}
	return int(got), int(message.Controllen), nil
}

// sysMemfd is a file in memory without a name; where a sandbox has no memfd_create(2), one in a directory that may be on a disk.
func sysMemfd(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	for _, dir := range []string{"/dev/shm", "/run", "/tmp"} {
		if err == nil {
			break
		}
		if other, e := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600); e == nil {
			return other, nil
		}
	}
	return fd, err
}

// sysMemfdWith is a memfd that holds data.
func sysMemfdWith(name string, data []byte) (int, error) {
	fd, err := sysMemfd(name)
	if err != nil {
		return -1, err
	}
	if _, err := unix.Pwrite(fd, data, 0); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// sysReadAll reads a whole file by its descriptor, from the start.
func sysReadAll(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	data := make([]byte, st.Size)
	for at := 0; at < len(data); {
		n, err := unix.Pread(fd, data[at:], int64(at))
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return data[:at], nil
		}
		at += n
	}
	return data, nil
}

func sysCloexec(fd int) { unix.CloseOnExec(fd) }

func sysOpenProgram(path string) (int, error) {
	if fd, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
		return fd, nil
	}
	return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
}

// sysSameFile says whether path is the file that fd is open on.
func sysSameFile(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// sysWaitAny takes one end or stop of a child; pid 0 or less when there is none. leader: it led a session, which can be asked only as
// long as it has not been waited for.
func sysWaitAny() (pid int, status uint32, leader bool) {
	var info unix.Siginfo
	err := error(syscall.EINTR)
	for err == syscall.EINTR {
		info = unix.Siginfo{}
		err = unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT, nil)
	}
	// si_pid stands behind three ints, on 64 bits after a fourth that fills up (sigaction(2)).
	pid = int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 8+unsafe.Sizeof(uintptr(0)))))
	switch {
	case err == unix.ENOSYS || err == unix.EPERM: // a sandbox without waitid(2)
		pid = -1
	case err != nil || pid <= 0:
		return 0, 0, false
	default:
		leader = sysLeads(pid)
	}
	var st syscall.WaitStatus
	got, err := syscall.Wait4(pid, &st, syscall.WNOHANG|syscall.WUNTRACED, nil)
	for err == syscall.EINTR {
		got, err = syscall.Wait4(pid, &st, syscall.WNOHANG|syscall.WUNTRACED, nil)
	}
	return max(got, 0), uint32(st), leader
}

// sysAnyChild says whether we have a child at all, ended or not.
func sysAnyChild() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != unix.ECHILD
}

// sysPwrite writes all of data at an offset of a file.
func sysPwrite(fd int, data []byte, at int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, at)
		if err != nil {
			return err
		}
		data, at = data[n:], at+int64(n)
	}
	return nil
}

// sysBootID names this boot of the kernel; "" where that cannot be learned.
func sysBootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// sysMemoryName is a path on a file system in memory that goes with an open file and no other, in whatever namespace; "" where there is none.
func sysMemoryName(fd int) string {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs("/dev/shm", &fs) != nil || fs.Type != unix.TMPFS_MAGIC || unix.Fstat(fd, &st) != nil {
		return ""
	}
	return "/dev/shm/zinit-" + strconv.FormatUint(uint64(st.Dev), 16) + "-" + strconv.FormatUint(st.Ino, 16)
}

// sysOwnDir says whether path is a directory that only we can write to, and no link.
func sysOwnDir(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&(unix.S_IFMT|0o077) == unix.S_IFDIR && int(st.Uid) == os.Geteuid()
}

// sysOpenState opens the file of a state, which must be ours and a plain file.
func sysOpenState(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		unix.Close(fd)
		return -1, errors.New(path + " is not a file of ours")
	}
	return fd, nil
}

// sysIsFile says whether fd is open on a plain file.
func sysIsFile(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// sysListenAgain calls listen(2) again, so that clients see this process as their peer (SO_PEERCRED).
func sysListenAgain(fd int) error { return os.NewSyscallError("listen", unix.Listen(fd, 1<<16-1)) } // the kernel knows the limit

// sysHungUp says whether a pipe has no writer.
func sysHungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLHUP != 0
}

// sysUnread says whether fd is a pipe or a socket that nobody reads any more.
func sysUnread(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
}

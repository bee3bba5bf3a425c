// sys_unix.go holds the calls that all Unix systems have in the same form; no decisions are made here.

//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Signals have other numbers on MIPS and on macOS.
const (
	sigHup   = int(unix.SIGHUP)
	sigInt   = int(unix.SIGINT)
	sigKill  = int(unix.SIGKILL)
	sigUsr1  = int(unix.SIGUSR1)
	sigQuit  = int(unix.SIGQUIT)
	sigWinch = int(unix.SIGWINCH)
	sigUsr2  = int(unix.SIGUSR2)
	sigPipe  = int(unix.SIGPIPE)
	sigTerm  = int(unix.SIGTERM)
	sigChld  = int(unix.SIGCHLD)
	sigCont  = int(unix.SIGCONT)
	sigStop  = int(unix.SIGSTOP)
	sigTstp  = int(unix.SIGTSTP)
	sigTtin  = int(unix.SIGTTIN)
	sigTtou  = int(unix.SIGTTOU)
	sigUrg   = int(unix.SIGURG)
	sigProf  = int(unix.SIGPROF)
)

// sysSignals are the names of the signals by number, without SIG; the first is none.
func sysSignals() []string {
	names := []string{"-"}
	for {
		name := unix.SignalName(syscall.Signal(len(names)))
		if name == "" {
			return names
		}
		names = append(names, strings.TrimPrefix(name, "SIG"))
	}
}

const logOpenFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// logAppend sets or clears O_APPEND of an open log file.
func logAppend(fd int, on bool) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err == nil {
		if flags &^= unix.O_APPEND; on {
			flags |= unix.O_APPEND
		}
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
	}
	return os.NewSyscallError("fcntl of a log file", err)
}

// logSetNonblock changes the open file behind fd; the other end of a pipe is not touched.
func logSetNonblock(fd int) error {
	return os.NewSyscallError("fcntl of a log pipe", unix.SetNonblock(fd, true))
}

// sysBlocking has reads and writes of a descriptor wait, or not.
func sysBlocking(fd int, wait bool) error {
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, !wait))
}

// sysReadRegular is readRegular for the common case, with a third of its calls and allocations: a boot reads thousands of files.
// Whatever is unusual is not ok, and left to the one that can explain it.
func sysReadRegular(path string, limit int64) (data []byte, ok bool) {
	var st unix.Stat_t
	plain := func(err error) bool {
		return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size <= limit
	}
	if !plain(unix.Stat(path, &st)) {
		return nil, false
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	if !plain(unix.Fstat(fd, &st)) {
		return nil, false
	}
	for data = make([]byte, 0, st.Size+1); ; {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		data = data[:len(data)+max(n, 0)]
		switch {
		case err == unix.EINTR:
		case err != nil || len(data) == cap(data):
			return nil, false // it cannot be read, or grows
		case n == 0 || int64(len(data)) == st.Size:
			return data, true
		}
	}
}

// logRead reads what is there; n is 0 when nothing is. eof: nothing will ever come.
func logRead(fd int, b []byte) (n int, eof bool) {
	for {
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, false
		case err != nil || n == 0:
			return 0, true
		}
		return n, false
	}
}

// logWrite writes all of b, and waits for that also if fd is non-blocking. n is what was written before an error.
func logWrite(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		k, err := unix.Write(fd, b[n:])
		if k > 0 {
			n += k
			continue
		}
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
			if err != nil && err != unix.EINTR {
				return n, err
			}
		case nil:
			return n, unix.EIO
		default:
			return n, err
		}
	}
	return n, nil
}

// logSameFile says whether two descriptors lead to the same pipe, terminal or file.
func logSameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// logLinks is the number of names of a file.
func logLinks(fi os.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 0
}

// sysBind tries to take a TCP port on all addresses of both families, without listening, so that no client ever meets us there.
func sysBind(port int) error {
	try := func(family int, addr unix.Sockaddr) error {
		syscall.ForkLock.RLock()
		fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
		if err == nil {
			unix.CloseOnExec(fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return nil // a family that this machine does not have
		}
		defer unix.Close(fd)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if family == unix.AF_INET6 {
			_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
		}
		return unix.Bind(fd, addr)
	}
	return errors.Join(try(unix.AF_INET, &unix.SockaddrInet4{Port: port}), try(unix.AF_INET6, &unix.SockaddrInet6{Port: port}))
}

// kernelName is what uname(2) says.
func kernelName() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

// readNow reads from a descriptor in non-blocking mode.
func readNow(fd uintptr, b []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(int(fd), b); err != syscall.EINTR {
			return n, err
		}
	}
}

// writeNow writes to a descriptor in non-blocking mode.
func writeNow(fd uintptr, b []byte) (n int, err error) {
	for {
		if n, err = syscall.Write(int(fd), b); err != syscall.EINTR {
			return n, err
		}
	}
}

// hungUp says whether the peer has closed both directions (POLLHUP of poll(2)), not only its own.
func hungUp(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	_, err := unix.Poll(p, 0)
	return err != nil && err != unix.EINTR || p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// lockDir keeps other servers from binding in the same directory at the same time, for at most two seconds: anybody who may read a
// directory may also lock it, so a lock that does not come is done without.
func lockDir(dir string) (unlock func()) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	for range 40 {
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return func() { f.Close() }
}

func sysReaperEnd(events chan os.Signal) { signal.Stop(events) }

// sysWait reaps one child that ended, any; pid 0 or less when there is none now. It never blocks.
func sysWait() (pid int, status uint32) { return sysWaitFor(-1) }

// sysKeepOwner gives a file the owner and group of the one at path, which it is to replace.
func sysKeepOwner(f *os.File, path string) error {
	var was, is unix.Stat_t
	err := unix.Stat(path, &was)
	if err == nil {
		err = unix.Fstat(int(f.Fd()), &is)
	}
	if err == nil && (is.Uid != was.Uid || is.Gid != was.Gid) {
		err = f.Chown(int(was.Uid), int(was.Gid))
	}
	if err != nil {
		return fmt.Errorf("cannot keep its owner: %w", err)
	}
	return nil
}

// sysReadable says whether there is something to read, or to accept.
func sysReadable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}

// sysDup copies a descriptor; the copy is closed by an exec.
func sysDup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// sysFileID tells a file from every other that there is at the same time, and follows no link; "" if there is none.
func sysFileID(path string) string {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil {
		return ""
	}
	return strconv.FormatUint(uint64(st.Dev), 16) + ":" + strconv.FormatUint(uint64(st.Ino), 16)
}

// sysFileSize is the size of an open file.
func sysFileSize(fd int) (int, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return int(st.Size), os.NewSyscallError("fstat", err)
}

// sysMap maps the first size bytes of a file, shared and writable.
func sysMap(fd, size int) ([]byte, error) {
	data, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return data, os.NewSyscallError("mmap", err)
}

// sysForget takes the pages of a shared map out of our memory; the file has them.
func sysForget(data []byte) {
	if data != nil {
		_ = unix.Madvise(data, unix.MADV_DONTNEED)
	}
}

func sysUnmap(data []byte) {
	if data != nil {
		_ = unix.Munmap(data)
	}
}

// sysTruncate empties a file.
func sysTruncate(fd int) error { return os.NewSyscallError("ftruncate", unix.Ftruncate(fd, 0)) }

// sys_logs_linux.go makes the pipes, FIFOs and sockets that lines come through, and opens a console again.

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// logGive makes uid and gid (-1: leave) own the write end of a pipe, so that they may open /dev/stdout again. Where that is not
// permitted it stays ours: the service may still write to it, or cannot become that user anyway and the spawn says so.
func logGive(w, uid, gid int) error {
	if uid < 0 && gid < 0 {
		return nil
	}
	if err := unix.Fchown(w, uid, gid); err != unix.EPERM {
		return os.NewSyscallError("fchown of a log pipe", err)
	}
	return nil
}

// logNewPipe makes a pipe with a non-blocking read end and a blocking write end that belongs to uid and gid (-1: leave).
func logNewPipe(uid, gid int) (r, w int, err error) {
	var fds [2]int
	if err = unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, os.NewSyscallError("pipe2", err)
	}
	r, w = fds[0], fds[1]
	if err = logSetNonblock(r); err == nil {
		err = logGive(w, uid, gid)
	}
	if err != nil {
		unix.Close(r)
		unix.Close(w)
		return -1, -1, err
	}
	return r, w, nil
}

// logGrow asks for a larger pipe; a refusal does not matter.
func logGrow(fd, size int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size) }

// logReopen opens the terminal of fd again after a hang-up, in the place of fd and without making it the controlling one.
func logReopen(fd int) error {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return err
	}
	var old, now unix.Stat_t
	if unix.Fstat(fd, &old) != nil || unix.Stat(path, &now) != nil || old.Mode&unix.S_IFMT != unix.S_IFCHR || old.Rdev != now.Rdev {
		return unix.ENOTTY
	}
	n, err := unix.Open(path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(n)
	return unix.Dup3(n, fd, 0)
}

// sysOpenDir opens a directory, and follows no link to it, for names in it.
func sysOpenDir(path string) (int, error) {
	return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// sysNewFifo makes a FIFO with a name in a directory, and opens both ends: a non-blocking one to read, and a blocking one for a child, which uid and gid
// (-1: leave) own. That one is open for reading too, so that its owner never gets SIGPIPE while no server reads (fifo(7)).
func sysNewFifo(dir int, name string, uid, gid int) (r, w int, err error) {
	err = unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0)
	if err == unix.EEXIST { // of a server whose state was lost
		_ = unix.Unlinkat(dir, name, 0)
		err = unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0)
	}
	if err != nil {
		return -1, -1, os.NewSyscallError("mkfifo", err)
	}
	if r, err = sysOpenFifo(dir, name); err != nil {
		return -1, -1, os.NewSyscallError("open of a log pipe", err)
	}
	if w, err = unix.Openat(dir, name, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0); err == nil {
		if err = logGive(w, uid, gid); err == nil {
			return r, w, nil
		}
		unix.Close(w)
	}
	unix.Close(r)
	return -1, -1, os.NewSyscallError("open of a log pipe", err)
}

func sysRemoveAt(dir int, name string) { _ = unix.Unlinkat(dir, name, 0) }

func sysOpenFifo(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
}

// sysWriteFifo opens our end of a FIFO that is the stdin of a service; it is an error where nobody has the other end.
func sysWriteFifo(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	return fd, os.NewSyscallError("open of the stdin of a service", err)
}

// sysListenSyslog makes the socket of syslog(3), open to all, which tells who sends. One that nobody listens on any more is replaced.
func sysListenSyslog(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	addr := &unix.SockaddrUnix{Name: path}
	err = unix.Bind(fd, addr)
	var st unix.Stat_t
	if err == unix.EADDRINUSE && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK && unix.Connect(fd, addr) == unix.ECONNREFUSED {
		_ = unix.Unlink(path)
		err = unix.Bind(fd, addr)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}
	if err == nil {
		err = unix.Chmod(path, 0o666)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// sysWatchDir tells when a file comes to a path or goes from it (inotify(7)); nil: it cannot be told.
func sysWatchDir(path string) <-chan struct{} {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	dir, name := filepath.Split(path)
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO); err != nil {
		unix.Close(fd)
		return nil
	}
	changed := make(chan struct{}, 1)
	background("watch "+dir, func() {
		file := os.NewFile(uintptr(fd), "inotify")
		defer file.Close()
		for buf := make([]byte, 4096); ; {
			n, err := file.Read(buf)
			if err != nil {
				return
			}
			if !bytes.Contains(buf[:n], []byte(name+"\x00")) {
				continue
			}
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	})
	return changed
}

// sysDropMessage takes the next datagram away.
func sysDropMessage(fd int) { _, _, _ = sysRecvMessage(fd, make([]byte, 1), nil, unix.MSG_DONTWAIT) }

// sys_notify_linux.go makes, waits for and looks into the sockets and pipes over which services say that they are ready.

package main

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sysPoll waits for any number of descriptors with one epoll instance, which itself is watched by the runtime's poller.
type sysPoll struct {
	ep   int
	file *os.File
	raw  syscall.RawConn
}

func newSysPoll() (*sysPoll, error) {
	ep, file, err := newEpoll("readiness")
	if err != nil {
		return nil, err
	}
	p := &sysPoll{ep: ep, file: file}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

func (p *sysPoll) add(fd int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}))
}

func (p *sysPoll) remove(fd int) { _ = unix.EpollCtl(p.ep, unix.EPOLL_CTL_DEL, fd, nil) }

// wait returns some of the descriptors that can be read, at least one.
func (p *sysPoll) wait() (fds []int, err error) {
	var events [64]unix.EpollEvent
	err = p.raw.Read(func(uintptr) bool {
		n, _ := unix.EpollWait(p.ep, events[:], 0)
		for _, e := range events[:max(n, 0)] {
			fds = append(fds, int(e.Fd))
		}
		return n > 0
	})
	return fds, err
}

// sysListenNotify makes a datagram socket at a path (or, with a leading @, an abstract name) that tells who sends. Anybody may who knows the path: programs
// take on another user before they say that they are ready.
func sysListenNotify(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	named := path[0] != '@'
	if named {
		_ = unix.Unlink(path) // of a server that was killed
	}
	err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	if err == nil && named {
		err = os.Chmod(path, 0o666) // whatever our umask is
	}
	if err == nil {
		err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// sysPeekMessage copies the next datagram, which stays, and says how long it is, who sent it (pid 0: nobody that we can see) and how many descriptors came with it.
func sysPeekMessage(fd int, buf []byte) (n, pid, uid, fds int, err error) {
	var oob [1280]byte // of credentials and 253 descriptors (SCM_MAX_FD)
	n, oobn, err := sysRecvMessage(fd, buf, oob[:], unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	uid = -1
	msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range msgs {
		if cred, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			pid, uid = int(cred.Pid), int(cred.Uid)
		} else if passed, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds += len(passed)
			closeAll(passed)
		}
	}
	return n, pid, uid, fds, nil
}

// sysPeekPipe copies what lies in a pipe, which stays, as far as it fits; eof: it is empty and has no writer. Where tee(2) is refused the bytes are taken out.
func sysPeekPipe(fd int, buf []byte) (b []byte, eof bool, err error) {
	var inner [2]int
	if err := unix.Pipe2(inner[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, false, os.NewSyscallError("pipe2", err)
	}
	defer closeAll(inner[:])
	n, err := unix.Tee(fd, inner[1], len(buf), unix.SPLICE_F_NONBLOCK)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil, false, nil
	case err != nil:
		n, eof := logRead(fd, buf)
		return buf[:n], eof, nil
	case n == 0:
		return nil, true, nil
	}
	got, _ := logRead(inner[0], buf[:n])
	return buf[:got], false, nil
}

// sysOwnedDir says whether path is a directory of ours, no link, that nobody else may write to.
func sysOwnedDir(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&(unix.S_IFMT|0o022) == unix.S_IFDIR && int(st.Uid) == os.Geteuid()
}

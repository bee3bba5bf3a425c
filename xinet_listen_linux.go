// xinet_listen_linux.go sets up and accepts on listening sockets in ways that only Linux has.

package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watchedFile is what the runtime's poller watches for a listener: the socket itself, or, where its mode is not ours to change, an epoll set around it.
func watchedFile(l *listener) (*os.File, error) {
	if !l.pass {
		return os.NewFile(uintptr(l.fd), l.address), nil
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, l.fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err == nil {
		err = unix.SetNonblock(ep, true)
	}
	if err != nil {
		unix.Close(ep)
		return nil, err
	}
	return os.NewFile(uintptr(ep), l.address), nil
}

// acceptNow takes a client that is there.
func acceptNow(fd int) (int, error) {
	n, _, err := syscall.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return n, err
}

// tuneListener sets what accepted TCP sockets inherit: no delay for small packets, and the end of connections whose client has vanished, after some minutes.
func tuneListener(fd int) {
	for _, o := range [][3]int{{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1}, {unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 300}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 30}} {
		_ = unix.SetsockoptInt(fd, o[0], o[1], o[2])
	}
}

// connectionLimit is how many connections may be there at once: each has two descriptors, and a quarter of what is allowed is for others.
func connectionLimit() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 1000
	}
	return max(1, int64(min(limit.Cur, 1<<30))*3/8)
}

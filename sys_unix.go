// sys_unix.go holds the calls that all Unix systems have in the same form; no decisions are made here.

//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const logOpenFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// logSetNonblock changes the open file behind fd; the other end of a pipe is not touched.
func logSetNonblock(fd int) error {
	return os.NewSyscallError("fcntl of a log pipe", unix.SetNonblock(fd, true))
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

func logClose(fd int) { _ = unix.Close(fd) }

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

// sock is a non-blocking socket that the runtime's poller waits for: deadlines work, and Close ends a call that waits.
type sock struct{ *os.File }

// newSock hands fd over to the poller. A socket must be connected, on its way there, or listening: before, it would count as ready.
func newSock(fd int) (*sock, error) {
	s := &sock{os.NewFile(uintptr(fd), "socket")}
	if err := s.SetDeadline(time.Time{}); err != nil { // the poller could not take it
		s.Close()
		return nil, err
	}
	return s, nil
}

// sockAddr gives an endpoint the form that the kernel takes.
func sockAddr(e endpoint) (family int, addr syscall.Sockaddr, err error) {
	switch len(e.ip) {
	case 0:
		if e.path == "" { // the kernel would choose a name
			err = syscall.EINVAL
		}
		return syscall.AF_UNIX, &syscall.SockaddrUnix{Name: e.path}, err
	case 4:
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: e.port, Addr: [4]byte(e.ip)}, nil
	}
	v6 := &syscall.SockaddrInet6{Port: e.port, Addr: [16]byte(e.ip)}
	if e.zone != "" {
		v6.ZoneId, err = zoneIndex(e.zone)
	}
	return syscall.AF_INET6, v6, err
}

// endpointOf is the opposite of sockAddr; addresses of IPv4 that came in by IPv6 look like what they are.
func endpointOf(addr syscall.Sockaddr) endpoint {
	switch a := addr.(type) {
	case *syscall.SockaddrInet4:
		return endpoint{ip: a.Addr[:], port: a.Port}
	case *syscall.SockaddrInet6:
		e := endpoint{ip: bytes.TrimPrefix(a.Addr[:], v4Mapped), port: a.Port}
		if a.ZoneId != 0 {
			e.zone = strconv.Itoa(int(a.ZoneId))
		}
		return e
	case *syscall.SockaddrUnix:
		return endpoint{path: a.Name}
	}
	return endpoint{}
}

// sockFor makes a socket that can go to e, with the options that proxies and checks want: small messages go at once, dead peers are found.
func sockFor(e endpoint, kind int) (fd int, addr syscall.Sockaddr, err error) {
	family, addr, err := sockAddr(e)
	if err != nil {
		return -1, nil, err
	}
	if fd, err = newSocket(family, kind); err != nil {
		return -1, nil, os.NewSyscallError("socket", err)
	}
	if family != syscall.AF_UNIX && kind == syscall.SOCK_STREAM {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1)
	}
	return fd, addr, nil
}

// sysListen listens at e for stream connections; all addresses of IPv6 are those of IPv4 too. What it accepts inherits its options.
func sysListen(e endpoint) (*sock, error) {
	fd, addr, err := sockFor(e, syscall.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	if len(e.ip) > 0 {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}
	if len(e.ip) == 16 {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0)
	}
	if err = os.NewSyscallError("bind", syscall.Bind(fd, addr)); err == nil {
		err = os.NewSyscallError("listen", syscall.Listen(fd, 1<<16-1)) // the kernel knows the limit
	}
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	return newSock(fd)
}

// sysDial connects to e: network is tcp, udp or unix.
func sysDial(network string, e endpoint, due time.Time) (*sock, error) {
	kind := syscall.SOCK_STREAM
	if network == "udp" {
		kind = syscall.SOCK_DGRAM
	}
	fd, addr, err := sockFor(e, kind)
	if err != nil {
		return nil, err
	}
	err = syscall.Connect(fd, addr)
	if err != nil && err != syscall.EINPROGRESS && err != syscall.EINTR {
		syscall.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	s, pollErr := newSock(fd)
	if err == nil || pollErr != nil {
		return s, pollErr
	}
	if err := s.connected(due); err != nil {
		s.Close()
		return nil, os.NewSyscallError("connect", err)
	}
	return s, nil
}

// connected waits for the end of a connect(2) that goes on: its error is in SO_ERROR, and success shows by the peer's address.
func (s *sock) connected(due time.Time) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	_ = s.SetWriteDeadline(due)
	waitErr := raw.Write(func(fd uintptr) bool {
		var code int
		code, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		if err == nil && code != 0 {
			err = syscall.Errno(code)
		}
		if err == nil {
			_, err = syscall.Getpeername(int(fd))
		}
		return err != syscall.ENOTCONN && err != syscall.EINPROGRESS && err != syscall.EALREADY && err != syscall.EINTR
	})
	if waitErr != nil {
		return waitErr
	}
	_ = s.SetWriteDeadline(time.Time{})
	return err
}

// accept waits for the next connection. EMFILE and ENFILE come as they are, os.ErrClosed after Close.
func (s *sock) accept() (*sock, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	waitErr := raw.Read(func(l uintptr) bool {
		for {
			fd, err = acceptNow(int(l))
			if err != syscall.EINTR && err != syscall.ECONNABORTED {
				return err != syscall.EAGAIN
			}
		}
	})
	if errors.Is(waitErr, os.ErrDeadlineExceeded) {
		return nil, waitErr
	}
	if waitErr != nil {
		return nil, os.ErrClosed
	}
	if err != nil {
		return nil, os.NewSyscallError("accept", err)
	}
	return newSock(fd)
}

// closeWrite ends our direction, so that the peer reads the end of the stream; closeRead ends the other.
func (s *sock) closeWrite() error { return s.shutdown(syscall.SHUT_WR) }
func (s *sock) closeRead() error  { return s.shutdown(syscall.SHUT_RD) }

func (s *sock) shutdown(how int) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := raw.Control(func(fd uintptr) { err = os.NewSyscallError("shutdown", syscall.Shutdown(int(fd), how)) })
	return errors.Join(ctlErr, err)
}

// localAddr and remoteAddr are for people and comparison: a path, "@name" or host:port; "" when there is none.
func (s *sock) localAddr() string  { return s.addr(syscall.Getsockname) }
func (s *sock) remoteAddr() string { return s.addr(syscall.Getpeername) }

func (s *sock) addr(get func(fd int) (syscall.Sockaddr, error)) (text string) {
	raw, err := s.SyscallConn()
	if err != nil {
		return ""
	}
	_ = raw.Control(func(fd uintptr) {
		if addr, err := get(int(fd)); err == nil {
			text = endpointOf(addr).String()
		}
	})
	return text
}

func sysLookup(host string, due time.Time) ([]endpoint, error) {
	return systemResolver.lookup(host, due)
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

// termState is how a terminal treats what is typed and written.
type termState = unix.Termios

// waitReadable waits until there is something to read, or the end of it; false after so many milliseconds. Less than 0 is for ever.
func waitReadable(fd, ms int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
		if err != unix.EINTR {
			return n != 0
		}
	}
}

// terminalSignals tells of a new size, and of a continuation by job control.
func terminalSignals(ch chan os.Signal) { signal.Notify(ch, unix.SIGWINCH, unix.SIGCONT) }

// suspend stops our process group as Ctrl-Z does, until somebody continues it. The system does not where nobody could.
func suspend() { _ = unix.Kill(0, unix.SIGTSTP) }

// sysForeground runs a program on our terminal until it ends, and says how it failed, if so.
func sysForeground(path string, argv []string) (failure string, err error) {
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return "", &os.PathError{Op: "fork/exec", Path: path, Err: err}
	}
	var status syscall.WaitStatus
	for err = syscall.EINTR; err == syscall.EINTR; {
		_, err = syscall.Wait4(pid, &status, 0, nil)
	}
	switch {
	case status.Signaled():
		failure = "signal: " + status.Signal().String()
	case status != 0:
		failure = "exit status " + strconv.Itoa(status.ExitStatus())
	}
	return failure, err
}

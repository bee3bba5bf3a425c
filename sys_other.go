//go:build !linux && !windows

// sys_other.go holds what macOS and other unixes do in the place of sys_linux.go, and nothing that decides.

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// --- logs ---

// logSplices is false: bytes for a raw file pass through its queue.
const logSplices = false

const logOpenFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// logNewPipe makes a pipe with a non-blocking read end and a blocking write end that belongs to uid and gid (-1: leave).
func logNewPipe(uid, gid int) (r, w int, err error) {
	var fds [2]int
	syscall.ForkLock.RLock()
	if err = unix.Pipe(fds[:]); err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, -1, os.NewSyscallError("pipe", err)
	}
	r, w = fds[0], fds[1]
	if uid >= 0 || gid >= 0 {
		_ = unix.Fchown(w, uid, gid) // not every system lets a pipe change its owner
	}
	if err = logSetNonblock(r); err != nil {
		unix.Close(r)
		unix.Close(w)
		return -1, -1, err
	}
	return r, w, nil
}

// logSetNonblock changes the open file behind fd; the other end of a pipe is not touched.
func logSetNonblock(fd int) error {
	return os.NewSyscallError("fcntl of a log pipe", unix.SetNonblock(fd, true))
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

// logGrow does nothing: pipes here grow by themselves.
func logGrow(int, int) {}

// logSameFile says whether two descriptors lead to the same pipe, terminal or file.
func logSameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// logReopen knows no path of a terminal here.
func logReopen(int) error { return unix.ENOTTY }

// logLinks is the number of names of a file.
func logLinks(fi os.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 0
}

// logInner is nothing where there is no tee(2).
type logInner struct{}

func (*logInner) close() {}

func (*scratch) peek(int) ([]byte, bool, error) { return nil, false, errUnspliced }

func logSplice(int, *os.File, int) (int, error) { return 0, errUnspliced }

// logPoller waits for each pipe on a goroutine of its own, which takes a buffer only when there is something to read.
type logPoller struct {
	scratches sync.Pool
	mu        sync.Mutex
	files     map[int]*os.File // duplicates of the watched descriptors
	ready     func(fd int, sc *scratch) bool
	ended     chan struct{}
	started   chan struct{}
}

func newLogPoller() (*logPoller, error) {
	return &logPoller{
		scratches: sync.Pool{New: func() any { return newScratch() }},
		files:     map[int]*os.File{}, ended: make(chan struct{}), started: make(chan struct{}),
	}, nil
}

// watch calls ready whenever fd is readable, until ignore.
func (lp *logPoller) watch(fd int) error {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(dup), "log pipe")
	lp.mu.Lock()
	lp.files[fd] = f
	lp.mu.Unlock()
	background("log pipe", func() {
		<-lp.started
		rc, err := f.SyscallConn()
		if err != nil {
			return
		}
		_ = rc.Read(func(uintptr) bool {
			sc := lp.scratches.Get().(*scratch)
			for lp.watches(fd, f) && lp.ready(fd, sc) {
			}
			lp.scratches.Put(sc)
			return !lp.watches(fd, f)
		})
	})
	return nil
}

func (lp *logPoller) watches(fd int, f *os.File) bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.files[fd] == f
}

func (lp *logPoller) ignore(fd int) {
	lp.mu.Lock()
	f := lp.files[fd]
	delete(lp.files, fd)
	lp.mu.Unlock()
	if f != nil {
		background("log pipe", func() { f.Close() }) // a close waits for the reader, who may be the caller
	}
}

// run gives the goroutines their function and returns when the poller is closed.
func (lp *logPoller) run(ready func(fd int, sc *scratch) bool) {
	lp.ready = ready
	close(lp.started)
	<-lp.ended
}

func (lp *logPoller) close() { close(lp.ended) }

// --- sockets ---

func newSocket(family, kind int) (fd int, err error) {
	syscall.ForkLock.RLock()
	fd, err = syscall.Socket(family, kind, 0)
	return closeOnExec(fd, err)
}

func acceptNow(listener int) (fd int, err error) {
	syscall.ForkLock.RLock()
	fd, _, err = syscall.Accept(listener)
	return closeOnExec(fd, err)
}

// closeOnExec finishes a new socket: no child inherits it, no call on it blocks. It ends the hold on ForkLock.
func closeOnExec(fd int, err error) (int, error) {
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// zoneIndex is the number of a network interface; its name would need a walk over the routing tables.
func zoneIndex(zone string) (uint32, error) {
	n, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, errors.New("the zone of an address is the number of the interface here")
	}
	return uint32(n), nil
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

// --- rpc ---

// peerOf asks the kernel who is at the other end of a Unix socket: LOCAL_PEERCRED and LOCAL_PEERPID of unix(4).
func peerOf(sock *sock) (p peer) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return p
	}
	raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			return
		}
		p = peer{known: true, uid: int(cred.Uid)}
		for _, g := range cred.Groups[:min(int(cred.Ngroups), len(cred.Groups))] {
			p.groups = append(p.groups, int(g))
		}
		p.pid, _ = unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	})
	return p
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

// --- proc ---

func sysChildDefaults() {}

// sysReaper has SIGCHLD reported to events. Orphans go to launchd: there is no subreaper here.
func sysReaper(events chan os.Signal) { signal.Notify(events, unix.SIGCHLD) }

func sysReaperEnd(events chan os.Signal) { signal.Stop(events) }

// sysFork executes sp in a new session; sibling is for Linux.
func sysFork(sp *spec, _ bool) (pid, pidfd int, err error) {
	sys := syscall.SysProcAttr{Setsid: true}
	if uid, gid, groups, switched := sp.ids(); switched {
		sys.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	}
	pid, err = syscall.ForkExec(sp.Path, sp.Argv, &syscall.ProcAttr{Dir: sp.Dir, Env: sp.Env, Files: sp.files(), Sys: &sys})
	return pid, -1, err
}

// sysWait reaps one child that ended, any; pid 0 or less when there is none now. It never blocks.
func sysWait() (pid int, status uint32) { return sysWaitFor(-1) }

// sysWaitFor is sysWait for one pid: 0 it runs, negative it is no child.
func sysWaitFor(pid int) (int, uint32) {
	var status syscall.WaitStatus
	for {
		got, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		switch err {
		case nil:
			return got, uint32(status)
		case syscall.EINTR:
		default:
			return -1, 0
		}
	}
}

func sysKill(pid, sig int) error { return syscall.Kill(pid, syscall.Signal(sig)) }

func sysClose(fd int) error { return syscall.Close(fd) }

func sysKillGroup(pgid, _, sig int) error { return syscall.Kill(-pgid, syscall.Signal(sig)) }

// sysKillOne signals one process if it is still the one we know.
func sysKillOne(k kin, sig int) error {
	if st, err := readStat(k.pid); err != nil || st.Start != k.start {
		return syscall.ESRCH
	}
	return syscall.Kill(k.pid, syscall.Signal(sig))
}

func sysPidfd(int) (int, error) { return -1, errNotSupported }

func sysPidfdAlive(int) bool { return false }

// pidWatch would wait for processes that are no children of ours.
type pidWatch struct{}

func newPidWatch(func(int)) (*pidWatch, error) { return nil, errNotSupported }

func (*pidWatch) add(int) error { return errNotSupported }

func (*pidWatch) close() {}

// sysChildren appends the children of pid.
func sysChildren(dst []int, pid int) []int {
	all, _ := unix.SysctlKinfoProcSlice("kern.proc.all")
	for i := range all {
		if int(all[i].Eproc.Ppid) == pid {
			dst = append(dst, int(all[i].Proc.P_pid))
		}
	}
	return dst
}

// sysOrphans is empty: orphans go to launchd.
func sysOrphans(int) []int { return nil }

func sysAllPids() []int {
	all, _ := unix.SysctlKinfoProcSlice("kern.proc.all")
	pids := make([]int, 0, len(all))
	for i := range all {
		pids = append(pids, int(all[i].Proc.P_pid))
	}
	return pids
}

// szomb is SZOMB of sys/proc.h.
const szomb = 5

// readStat asks the kernel; CPU time, threads and memory are not to be had without libproc and stay 0.
func readStat(pid int) (procStat, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return procStat{}, err
	}
	if int(info.Proc.P_pid) != pid {
		return procStat{}, syscall.ESRCH
	}
	comm, _, _ := bytes.Cut(info.Proc.P_comm[:], []byte{0})
	st := procStat{
		PID: pid, PPID: int(info.Eproc.Ppid), PGID: int(info.Eproc.Pgid), Comm: string(comm), State: 'R',
		Start: uint64(info.Proc.P_starttime.Sec)*1e6 + uint64(info.Proc.P_starttime.Usec),
	}
	if info.Proc.P_stat == szomb {
		st.State = 'Z'
	}
	return st, nil
}

// sysTicks knows nothing beforehand: ask readStat.
func sysTicks() uint64 { return 0 }

// sysReadHead reads the beginning of a file. What cannot be read is empty.
func sysReadHead(name string, buf []byte) (int, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, _ := io.ReadFull(f, buf)
	return n, nil
}

// sysAge is the time since a start time of readStat: microseconds since 1970.
func sysAge(start uint64) time.Duration {
	return max(0, time.Since(time.UnixMicro(int64(start))))
}

// procArgs reads argc, the program, the arguments and the environment of a process of ours (KERN_PROCARGS2).
func procArgs(pid int) (args, env []byte) {
	data, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil || len(data) < 4 {
		return nil, nil
	}
	count := int(binary.LittleEndian.Uint32(data))
	_, data, _ = bytes.Cut(data[4:], []byte{0})
	data = bytes.TrimLeft(data, "\x00")
	rest := data
	for range count {
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	return data[:len(data)-len(rest)], rest
}

func sysEnviron(pid int) []byte {
	_, env := procArgs(pid)
	return env
}

func sysCmdline(pid int) []byte {
	args, _ := procArgs(pid)
	return args
}

func sysFDs(int) int { return 0 }

func sysOtherNamespace(int) bool { return false }

func sysOurProgram(int) bool { return false }

func sysOpenNull() (int, error) {
	return syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
}

// sysBind tries to take a TCP port on all addresses of both families, without listening, so that no client ever meets us there.
func sysBind(port int) error {
	try := func(family int, addr unix.Sockaddr) error {
		fd, err := newSocket(family, unix.SOCK_STREAM)
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

// --- terminal ---

// terminalSize gives the size of the terminal that fd is, 80×24 where it does not know its own; ok is false when it is none.
func terminalSize(fd int) (cols, rows int, ok bool) {
	if _, err := unix.IoctlGetTermios(fd, unix.TIOCGETA); err != nil {
		return 0, 0, false
	}
	ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24, true
	}
	return int(ws.Col), int(ws.Row), true
}

// termState is how a terminal treats what is typed and written.
type termState = unix.Termios

// terminalRaw makes a terminal hand over each key at once, unchanged and not shown (cfmakeraw of termios(3)), and returns how it was.
func terminalRaw(fd int) (*termState, error) {
	before, err := unix.IoctlGetTermios(fd, unix.TIOCGETA)
	if err != nil {
		return nil, err
	}
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	return before, unix.IoctlSetTermios(fd, unix.TIOCSETA, &raw)
}

// terminalSet puts a terminal into a state that it had before.
func terminalSet(fd int, state *termState) error {
	return unix.IoctlSetTermios(fd, unix.TIOCSETA, state)
}

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

// --- keeper ---

const (
	sysHasKeeper = false
	sigPwr       = 30
	sigRtmin     = 34
)

func sysSubreaper() {}

func sysSocketPair() (int, int, error) { return -1, -1, errNotSupported }

func sysSendPacket(int, []byte, []int) error { return errNotSupported }

func sysRecvPacket(int, []byte) (int, []int, error) { return 0, nil, errNotSupported }

func sysMemfd(string) (int, error) { return -1, errNotSupported }

func sysMemfdWith(string, []byte) (int, error) { return -1, errNotSupported }

func sysReadAll(int) ([]byte, error) { return nil, errNotSupported }

func sysCloexec(int) {}

func sysOpenProgram(string) (int, error) { return -1, errNotSupported }

func sysSameFile(int, string) bool { return true }

func sysForkServer(string, []string, []int) (int, error) { return 0, errNotSupported }

func sysForkCommand(string, []string, int) (int, bool, error) { return 0, false, errNotSupported }

func sysTakeTerminal() {}

func sysGiveTerminal(int) {}

func sysWaitAny() (int, uint32) { return 0, 0 }

func sysAnyChild() bool { return false }

func sysKillAll(bool, int) {}

func sysTryBinary(string, int, time.Duration) (string, error) { return "", errNotSupported }

func sysExecKeeping(string, []string, []string, []int) error { return errNotSupported }

var monoStart = time.Now()

// sysMono is a clock that only this process knows: there is no adoption here.
func sysMono() int64 { return int64(time.Since(monoStart)) }

func sysPwrite(int, []byte, int64) error { return errNotSupported }

func sysPunch(int, int64, int64) {}

func sysBootID() string { return "" }

func sysMemoryName(int) string { return "" }

func sysOwnDir(string) bool { return false }

func sysNewFifo(string, int, int) (int, int, error) { return -1, -1, errNotSupported }

func sysOpenFifo(string) (int, error) { return -1, errNotSupported }

func sysOpenState(string) (int, error) { return -1, errNotSupported }

func sysIsOpen(int) bool { return false }

// --- boot ---

const oNoCtty = 0

func sysMount(source, target, kind string, flags uintptr, data string) error { return errNotSupported }

func sysUnmount(string, bool) error { return errNotSupported }

func sysMounted(string) bool { return false }

func sysVolatile(string) bool { return false }

func sysMknod(name string, mode, major, minor uint32) error { return errNotSupported }

func sysLeadsNowhere(int) bool { return false }

func sysConsole(string, []int) error { return errNotSupported }

func sysLoadModule(*os.File, string, bool) error { return errNotSupported }

func sysSetHostname(string) error { return errNotSupported }

func sysLoopbackUp() error { return errNotSupported }

func sysSwapOn(string, int, bool) error { return errNotSupported }

func sysSwapOff(string) error { return errNotSupported }

func sysSync() {}

func sysReboot(string) error { return errNotSupported }

func sysSwitchRoot(string) error { return errNotSupported }

func sysExec(string, []string, []string) error { return errNotSupported }

func sysStartOn(*os.File, string, []string, []string) (int, error) { return 0, errNotSupported }

func sysWatchdogTimeout(*os.File, int) (int, error) { return 0, errNotSupported }

// sys_linux.go holds the calls that only Linux has, and nothing that decides.

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// --- logs ---

// logSplices says that bytes can go from a pipe into a file without passing through us.
const logSplices = true

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

// sysMakeRoom has the kernel enlarge the table of descriptors for n more, at once and ahead of time: each time that it doubles the table
// of a process with threads, whoever needed the next descriptor waits some 10 ms (expand_fdtable in fs/file.c, synchronize_rcu).
func sysMakeRoom(n int) {
	const others = 1000
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	if fd, err := unix.FcntlInt(uintptr(nullFile()), unix.F_DUPFD_CLOEXEC, int(min(uint64(n+others), limit.Cur-1))); err == nil {
		unix.Close(fd)
	}
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

// logInner is the pipe into which tee(2) copies what lies in a service's pipe. It is empty between uses.
type logInner struct{ r, w int }

func (in *logInner) close() {
	if in.w > 0 {
		unix.Close(in.r)
		unix.Close(in.w)
	}
	*in = logInner{}
}

// peek shows the first bytes in the pipe fd without taking them out, at sc.buf[maxLine:]. eof: it is empty and has no writer.
func (sc *scratch) peek(fd int) (b []byte, eof bool, err error) {
	if sc.inner.w == 0 {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
			return nil, false, os.NewSyscallError("pipe2", err)
		}
		sc.inner = logInner{fds[0], fds[1]}
		logGrow(sc.inner.w, 4*batchMax)
	}
	var n int64
	for {
		n, err = unix.Tee(fd, sc.inner.w, batchMax, unix.SPLICE_F_NONBLOCK)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EAGAIN:
		return nil, false, nil
	case unspliceable(err):
		return nil, false, errUnspliced
	case err != nil:
		return nil, false, os.NewSyscallError("tee", err)
	}
	b = sc.buf[maxLine : maxLine+int(n)]
	for got := 0; got < len(b); {
		k, _ := logRead(sc.inner.r, b[got:])
		if k == 0 {
			sc.inner.close()
			return nil, false, errors.New("the inner pipe lost bytes")
		}
		got += k
	}
	return b, n == 0, nil
}

// unspliceable says whether tee(2) or splice(2) failed because the kernel, the file system or a sandbox does not have it. Whatever else
// such an error means, a write to the file says it again.
func unspliceable(err error) bool {
	return err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM || err == unix.EACCES
}

// logSplice moves the first n bytes of a pipe to the end of a file. Each byte is in one of the two at any time, see splice(2).
func logSplice(pipe int, file *os.File, n int) (done int, err error) {
	fd := int(file.Fd())
	for done < n {
		k, err := unix.Splice(pipe, nil, fd, nil, n-done, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		switch {
		case k > 0:
			done += int(k)
		case err == unix.EINTR:
		case unspliceable(err) && done == 0:
			return 0, errUnspliced
		case err == nil || err == unix.EAGAIN:
			return done, errSuperseded // somebody took the bytes
		default:
			return done, err
		}
	}
	return done, nil
}

// logPoller waits for all pipes in one epoll set, which itself is watched by the runtime's poller: no thread, no wake-up when idle.
type logPoller struct {
	fd   int
	file *os.File
}

func newLogPoller() (*logPoller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile polls non-blocking descriptors only
		unix.Close(fd)
		return nil, err
	}
	return &logPoller{fd, os.NewFile(uintptr(fd), "log pipes")}, nil
}

func (lp *logPoller) watch(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(lp.fd, unix.EPOLL_CTL_ADD, fd, &ev))
}

func (lp *logPoller) ignore(fd int) { _ = unix.EpollCtl(lp.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// run calls ready for each readable pipe, in turns, until the poller is closed.
func (lp *logPoller) run(ready func(fd int, sc *scratch) bool) {
	rc, err := lp.file.SyscallConn()
	if err != nil {
		return
	}
	sc := newScratch()
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		if err := rc.Read(func(uintptr) bool {
			n, _ = unix.EpollWait(lp.fd, events, 0)
			return n > 0
		}); err != nil {
			return
		}
		for _, ev := range events[:n] {
			for turns := 0; turns < 16 && ready(int(ev.Fd), sc); turns++ { // reading again is cheaper than asking, and the others wait not long
			}
		}
	}
}

func (lp *logPoller) close() { lp.file.Close() }

// --- sockets ---

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

// sysPeekMessage copies the next datagram, which stays, and says how long it is and which process sent it (0: one that we cannot see).
func sysPeekMessage(fd int, buf []byte) (n, pid int, err error) {
	var oob [64]byte
	n, oobn, err := sysRecvMessage(fd, buf, oob[:], unix.MSG_PEEK|unix.MSG_TRUNC|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, 0, err
	}
	msgs, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range msgs {
		if cred, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			pid = int(cred.Pid)
		} else if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			closeFDs(fds)
		}
	}
	return n, pid, nil
}

// sysDropMessage takes the next datagram away.
func sysDropMessage(fd int) { _, _, _ = sysRecvMessage(fd, make([]byte, 1), nil, unix.MSG_DONTWAIT) }

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// --- rpc ---

// peerOf asks the kernel who is at the other end of a Unix socket: SO_PEERCRED and SO_PEERGROUPS of socket(7).
func peerOf(sock syscall.Conn) (p peer) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return p
	}
	raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		p = peer{known: true, pid: int(cred.Pid), uid: int(cred.Uid), groups: []int{int(cred.Gid)}}
		var groups [1024]uint32
		size := uint32(unsafe.Sizeof(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return
		}
		for _, g := range groups[:size/4] {
			p.groups = append(p.groups, int(g))
		}
	})
	return p
}

// --- proc ---

// maskedAtStart says that whoever started us blocked signals: then the mask must be emptied around each fork.
var maskedAtStart atomic.Bool

// sysChildDefaults makes sure that children get default signal dispositions, an empty mask and none of our descriptors, whatever we
// inherited ourselves. Go resets in a child only what it handles, so a signal that came to us ignored must be handled first.
func sysChildDefaults() {
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	swallow := make(chan os.Signal, 1)
	for sig := 1; sig <= 64; sig++ {
		// struct sigaction of the kernel: handler first; its other three fields fit in what follows.
		var action [8]uintptr
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&action)), 8, 0, 0)
		if errno != 0 || action[0] != sigIgn {
			continue
		}
		if sig >= firstPrivate && sig <= lastPrivate {
			continue
		}
		signal.Notify(swallow, syscall.Signal(sig))
	}
	setPrivate(sigIgn, sigDfl)
	sysKeepMask()
}

// Signals of the C library, which Notify does not know. Go needs one of them, and leaves the others at their default, which is to kill.
const firstPrivate, lastPrivate = 32, 34

const sigDfl, sigIgn = 0, 1

// setPrivate changes what these signals do, where they do what is given first.
func setPrivate(from, to uintptr) {
	for sig := uintptr(firstPrivate); sig <= lastPrivate; sig++ {
		var old [8]uintptr // struct sigaction of the kernel: handler first
		next := [8]uintptr{to}
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
		if errno == 0 && old[0] == from {
			_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&next)), 0, 8, 0, 0)
		}
	}
}

var (
	shielded atomic.Bool
	shield   sync.Mutex // held during a fork without it
)

// sysShield has those signals ignored, but not by what is forked or executed from here. The kernel drops what would kill a PID 1, yet not while the main
// thread happens to block it, as the runtime does in each fork and for each new thread (sig_ignored and complete_signal in kernel/signal.c).
func sysShield() {
	shielded.Store(true)
	setPrivate(sigDfl, sigIgn)
}

// unshielded forks or executes with the default.
func unshielded(do func()) {
	if !shielded.Load() {
		do()
		return
	}
	shield.Lock()
	defer shield.Unlock()
	setPrivate(sigIgn, sigDfl)
	defer setPrivate(sigDfl, sigIgn)
	do()
}

// sysReaper makes us the parent of orphans (prctl(2), PR_SET_CHILD_SUBREAPER) and has SIGCHLD reported to events.
func sysReaper(events chan os.Signal) {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	signal.Notify(events, unix.SIGCHLD)
}

// sysFork executes sp in a new session. sibling: as a child of our own parent (CLONE_PARENT), with a pidfd; else the pidfd is -1.
func sysFork(sp *spec, sibling bool) (pid, pidfd int, err error) {
	pidfd = -1
	sys := syscall.SysProcAttr{Setsid: true}
	if sibling {
		sys.Cloneflags, sys.PidFD = unix.CLONE_PARENT, &pidfd
		if sp.helper { // only services lead sessions: that tells them apart when the server that started them is no more
			sys.Setsid, sys.Setpgid = false, true
		}
	}
	if uid, gid, groups, switched := sp.ids(); switched {
		sys.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	}
	pid, err = forkExec(sp.Path, sp.Argv, &syscall.ProcAttr{Dir: sp.Dir, Env: sp.Env, Files: sp.files(), Sys: &sys})
	return pid, pidfd, err
}

// sysProcessLimit is how many processes and threads are allowed here: for the user (setrlimit(2), RLIMIT_NPROC, which does not bind root), and in our cgroup
// (pids.max). A very large number where nothing limits them.
func sysProcessLimit() int {
	limit := int64(1 << 30)
	var r unix.Rlimit
	if os.Geteuid() != 0 && unix.Getrlimit(unix.RLIMIT_NPROC, &r) == nil && r.Cur < uint64(limit) {
		limit = int64(r.Cur)
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		kinds, dir, _ := strings.Cut(strings.TrimSpace(line[strings.IndexByte(line, ':')+1:]), ":")
		root := "/sys/fs/cgroup"
		switch kinds {
		case "":
		case "pids":
			root += "/pids"
		default:
			continue
		}
		text, err := os.ReadFile(root + dir + "/pids.max")
		if err != nil { // of a container that sees its own as the root
			text, _ = os.ReadFile(root + "/pids.max")
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
			limit = min(limit, n)
		}
	}
	return int(limit)
}

// sysOwnTable gives the calling thread a table of descriptors of its own (unshare(2), CLONE_FILES), with what is in it now, and keeps the goroutine on it. False: a sandbox
// refuses that. A fork copies the table and the exec after it closes the copies, which at some thousand descriptors takes longer than all the rest.
//
// The runtime's epoll and event descriptors must be open by now, so that both tables have them under the same numbers. The main thread's table stays the one that others see as ours.
func sysOwnTable() bool {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		runtime.UnlockOSThread()
		return false
	}
	if unix.Unshare(unix.CLONE_FILES) != nil {
		runtime.UnlockOSThread()
		return false
	}
	return true
}

// forkExec is syscall.ForkExec whose child blocks no signal.
func forkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	withMask := func(do func()) { do() }
	if maskedAtStart.Load() {
		withMask = func(do func()) { masked(unix.SIG_SETMASK, &unix.Sigset_t{}, do) }
	}
	unshielded(func() { withMask(func() { pid, err = syscall.ForkExec(path, argv, attr) }) })
	return pid, err
}

// masked does something with another mask of signals in the thread that does it.
func masked(how int, mask *unix.Sigset_t, do func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old unix.Sigset_t
	if unix.PthreadSigmask(how, mask, &old) == nil {
		defer func() { _ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) }()
	}
	do()
}

// sysKeepMask notes whether this image was executed with signals blocked: then the mask must be emptied around each fork.
func sysKeepMask() {
	var mask unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_BLOCK, nil, &mask) == nil && mask != (unix.Sigset_t{}) {
		maskedAtStart.Store(true)
	}
}

// sysExecHolding executes another image of this process with signals blocked. What comes before that image asks for them waits in the
// kernel, but for those that the runtime unblocks at once (blockableSig in its signal_unix.go): HUP, INT, QUIT, TERM.
// It is syscall.Exec, and not that of package unix, because the runtime then gives the limits back that it raised. It returns only on error.
func sysExecHolding(path string, argv, env []string) (err error) {
	var held unix.Sigset_t
	for i := range held.Val {
		held.Val[i] = ^held.Val[i]
	}
	held.Val[0] &^= 1<<(unix.SIGURG-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGBUS-1) // the runtime's own, and faults
	masked(unix.SIG_BLOCK, &held, func() { err = syscall.Exec(path, argv, env) })
	return err
}

// sysWaitFor is sysWait for one pid: 0 it runs, negative it is no child.
func sysWaitFor(pid int) (int, uint32) {
	var status uint32
	for {
		got, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
		switch errno {
		case 0:
			return int(got), status
		case unix.EINTR:
		default:
			return -1, 0
		}
	}
}

func sysKill(pid, sig int) error { return unix.Kill(pid, syscall.Signal(sig)) }

func sysClose(fd int) error { return unix.Close(fd) }

// pidfdGroup is PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9): the signal goes to the group, and to no later one with the same number.
const pidfdGroup = 1 << 2

// sysKillGroup signals the process group pgid. With the pidfd of its leader it cannot meet a reused number.
func sysKillGroup(pgid, pidfd, sig int) error {
	if pidfd >= 0 {
		err := unix.PidfdSendSignal(pidfd, syscall.Signal(sig), nil, pidfdGroup)
		if err == nil || err == unix.ESRCH {
			return err
		}
		if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err == unix.ESRCH {
			return err
		}
	}
	return unix.Kill(-pgid, syscall.Signal(sig))
}

// sysKillOne signals one process if it is still the one we know; kernels without pidfd leave a window of microseconds.
func sysKillOne(k kin, sig int) error {
	fd, err := unix.PidfdOpen(k.pid, 0)
	if err == unix.ESRCH {
		return err
	}
	if err == nil {
		defer unix.Close(fd)
	}
	st, statErr := readStat(k.pid)
	if statErr != nil || st.Start != k.start {
		return unix.ESRCH
	}
	if err == nil {
		return unix.PidfdSendSignal(fd, syscall.Signal(sig), nil, 0)
	}
	return unix.Kill(k.pid, syscall.Signal(sig))
}

// sysLeads says whether a process leads a session.
func sysLeads(pid int) bool { return sysSession(pid) == pid }

// sysMaxPid is above every pid (PID_MAX_LIMIT).
const sysMaxPid = 4 << 20

// sysHasOpen says whether a descriptor of a process is one of these files, without /proc; false also where we may not know.
func sysHasOpen(pid, number int, files []int) bool {
	pidfd, err := sysPidfd(pid)
	if err != nil {
		return false
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, number, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st, own unix.Stat_t
	return unix.Fstat(fd, &st) == nil && slices.ContainsFunc(files, func(file int) bool {
		return unix.Fstat(file, &own) == nil && own.Dev == st.Dev && own.Ino == st.Ino
	})
}

// sysSession and sysGroup ask for the session and the process group of a process, without /proc; 0: there is no such process.
func sysSession(pid int) int { sid, _ := unix.Getsid(pid); return max(sid, 0) }
func sysGroup(pid int) int   { pgid, _ := unix.Getpgid(pid); return max(pgid, 0) }

// sysOutOfMemory counts how often the kernel has killed a process for want of memory: in our control group, or on the whole machine.
func sysOutOfMemory() int {
	for _, name := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"} {
		text, _ := os.ReadFile(name)
		if _, rest, found := strings.Cut("\n"+string(text), "\noom_kill "); found {
			line, _, _ := strings.Cut(rest, "\n")
			n, _ := strconv.Atoi(line)
			return n
		}
	}
	return 0
}

// sysLeaders lists the children of ours that run and lead a session, of the pids up to last, 8 bytes each: without /proc.
func sysLeaders(last int) (list []byte) {
	for pid := 2; pid <= last; pid++ {
		if sysLeads(pid) && unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil {
			list = binary.LittleEndian.AppendUint64(list, uint64(pid))
		}
	}
	return list
}

// sysHungUp says whether a pipe has no writer.
func sysHungUp(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLHUP != 0
}

// sysPidfd opens a descriptor that means this process and no later one with its pid.
func sysPidfd(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // before Linux 5.10
		fd, err = unix.PidfdOpen(pid, 0)
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// sysPidfdAlive says whether the process has not ended.
func sysPidfdAlive(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 0
}

// pidWatch waits for the end of any number of processes with one descriptor: an epoll instance that the Go poller waits for, so that no thread does.
type pidWatch struct {
	ep   int
	file *os.File
}

// newPidWatch reports each pidfd whose process ended once, from one goroutine.
func newPidWatch(ended func(pidfd int)) (*pidWatch, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(ep, true); err != nil {
		return nil, errors.Join(err, unix.Close(ep))
	}
	w := &pidWatch{ep: ep, file: os.NewFile(uintptr(ep), "pidfds")}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	background("pidfds", func() {
		events := make([]unix.EpollEvent, 64)
		_ = raw.Read(func(uintptr) bool {
			for {
				n, err := unix.EpollWait(ep, events, 0)
				if n <= 0 && err != unix.EINTR {
					return false // wait for more, until the file is closed
				}
				for _, e := range events[:max(n, 0)] {
					ended(int(e.Fd))
				}
			}
		})
	})
	return w, nil
}

func (w *pidWatch) add(pidfd int) error {
	return unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, pidfd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(pidfd)})
}

func (w *pidWatch) close() { _ = w.file.Close() }

// procPath is /proc/PID/… without the formatting machinery: it is on the way of every stop.
func procPath(pid int, rest string) string {
	b := make([]byte, 0, 40)
	b = append(b, "/proc/"...)
	b = strconv.AppendInt(b, int64(pid), 10)
	return string(append(b, rest...))
}

// readSmall reads a file of /proc without the poller and allocations of package os.
func readSmall(name string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		got, err := unix.Read(fd, buf[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case got == 0:
			return buf[:n], nil
		default:
			n += got
		}
	}
}

// sysReadHead reads the beginning of a file without the poller and allocations of package os. What cannot be read is empty.
func sysReadHead(name string, buf []byte) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if err != unix.EINTR {
			return max(n, 0), nil
		}
	}
}

// childrenFile says whether the kernel has /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN).
var childrenFile = sync.OnceValue(func() bool {
	return unix.Access(procPath(os.Getpid(), "/task/"+strconv.Itoa(os.Getpid())+"/children"), unix.R_OK) == nil
})

// sysChildren appends the children of pid, of all its threads. One thread is the common case and costs four calls.
func sysChildren(dst []int, pid int) []int {
	if !childrenFile() {
		return childrenByScan(dst, pid)
	}
	var stack [512]byte
	task := procPath(pid, "/task/")
	var st unix.Stat_t
	if unix.Stat(task, &st) != nil {
		return dst
	}
	if st.Nlink == 3 { // ., .. and one thread: the first
		data, _ := readSmall(task+strconv.Itoa(pid)+"/children", stack[:])
		return appendInts(dst, data)
	}
	for _, tid := range numericNames(task) {
		data, _ := readSmall(task+strconv.Itoa(tid)+"/children", stack[:])
		dst = appendInts(dst, data)
	}
	return dst
}

// sysOrphans lists the children of pid among which are all that it inherited: the kernel gives orphans to the first living thread
// (find_alive_thread in kernel/exit.c), which in a Go program is the main one. One file instead of one per thread, after every end of a service.
func sysOrphans(pid int) []int {
	if !childrenFile() {
		return childrenByScan(nil, pid)
	}
	data, _ := readSmall(procPath(pid, "/task/"+strconv.Itoa(pid)+"/children"), make([]byte, 1024))
	return appendInts(nil, data)
}

// childrenByScan looks through all processes, for kernels without the children file.
func childrenByScan(dst []int, pid int) []int {
	for _, other := range sysAllPids() {
		if st, err := readStat(other); err == nil && st.PPID == pid {
			dst = append(dst, other)
		}
	}
	return dst
}

func appendInts(dst []int, data []byte) []int {
	n, in := 0, false
	for _, c := range data {
		switch {
		case c >= '0' && c <= '9':
			n, in = n*10+int(c-'0'), true
		case in:
			dst, n, in = append(dst, n), 0, false
		}
	}
	return dst
}

// numericNames lists the entries of a directory of /proc that are numbers.
func numericNames(dir string) []int {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var numbers []int
	var names []string
	for buf := make([]byte, 4096); ; {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return numbers
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
}

func sysAllPids() []int { return numericNames("/proc") }

const (
	userHZ      = 100        // ticks per second in /proc, the same on all systems of ours
	flagKthread = 0x00200000 // PF_KTHREAD of linux/sched.h
)

// readStat reads /proc/PID/stat (proc_pid_stat(5)). The name in parentheses may contain anything, also parentheses.
func readStat(pid int) (procStat, error) {
	var stack [1024]byte
	data, err := readSmall(procPath(pid, "/stat"), stack[:])
	if err != nil {
		return procStat{}, err
	}
	return parseStat(pid, data)
}

func parseStat(pid int, data []byte) (procStat, error) {
	left, right := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if left < 0 || right < left || right+2 >= len(data) {
		return procStat{}, unix.EINVAL
	}
	st := procStat{PID: pid, Comm: string(data[left+1 : right]), State: data[right+2]}
	var field [24]uint64 // field[0] is number 3 of the manual
	rest := data[right+2:]
	for i := range field {
		word, after, _ := bytes.Cut(rest, []byte{' '})
		rest = after
		for _, c := range word {
			if c >= '0' && c <= '9' {
				field[i] = field[i]*10 + uint64(c-'0')
			}
		}
	}
	st.PPID, st.PGID, st.Session = int(field[1]), int(field[2]), int(field[3])
	st.Kernel = field[6]&flagKthread != 0
	st.CPU = time.Duration(field[11]+field[12]) * (time.Second / userHZ)
	st.Threads, st.Start = int(field[17]), field[19]
	st.Memory = int64(field[21]) * int64(os.Getpagesize())
	return st, nil
}

// sysTicks is the start time that a process made now would have in readStat: a fork between two equal answers has it.
func sysTicks() uint64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return uint64(now.Nano()) / uint64(time.Second/userHZ)
}

// sysAge is the time since a start time of readStat, which counts from boot, suspension included.
func sysAge(start uint64) time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return max(0, time.Duration(now.Nano())-time.Duration(start)*(time.Second/userHZ))
}

// sysEnviron reads the environment that a process was executed with; it blocks on the lock of its memory.
func sysEnviron(pid int) []byte {
	data, _ := readSmall(procPath(pid, "/environ"), make([]byte, 8192))
	return data
}

// sysCmdline reads the arguments of a process, NUL-separated; it blocks like sysEnviron.
func sysCmdline(pid int) []byte {
	data, _ := readSmall(procPath(pid, "/cmdline"), make([]byte, 1024))
	return data
}

// sysSmapsRollup reads the sums over all mappings of a process; it blocks like sysEnviron.
func sysSmapsRollup(pid int) []byte {
	data, _ := readSmall(procPath(pid, "/smaps_rollup"), make([]byte, 1024))
	return data
}

// sysStatmExact says whether statm adds up what each processor keeps back, as it does since Linux 6.16.
var sysStatmExact = sync.OnceValue(func() bool {
	var major, minor int
	_, _ = fmt.Sscanf(kernelName(), "Linux %d.%d", &major, &minor)
	return major > 6 || major == 6 && minor >= 16
})

// sysStatmResident is the resident memory of statm.
func sysStatmResident(pid int) int64 {
	data, _ := readSmall(procPath(pid, "/statm"), make([]byte, 128))
	if words := strings.Fields(string(data)); len(words) > 1 {
		pages, _ := strconv.ParseInt(words[1], 10, 64)
		return pages * int64(os.Getpagesize())
	}
	return 0
}

// sysFDs counts the open descriptors; 0 when we may not look.
func sysFDs(pid int) int { return len(numericNames(procPath(pid, "/fd"))) }

// sysOtherNamespace says whether a process lives in a pid namespace below ours: NSpid of its status has then more than one number.
func sysOtherNamespace(pid int) bool {
	data, _ := readSmall(procPath(pid, "/status"), make([]byte, 2048))
	_, line, found := strings.Cut(string(data), "\nNSpid:")
	line, _, _ = strings.Cut(line, "\n")
	return found && len(strings.Fields(line)) > 1
}

// sysOurProgram says whether a process runs the same binary as we do.
func sysOurProgram(pid int) bool {
	var mine, theirs unix.Stat_t
	return unix.Stat("/proc/self/exe", &mine) == nil && unix.Stat(procPath(pid, "/exe"), &theirs) == nil &&
		mine.Dev == theirs.Dev && mine.Ino == theirs.Ino
}

func sysOpenNull() (int, error) { return unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0) }

// --- terminal ---

// terminalSize gives the size of the terminal that fd is, 80×24 where it does not know its own; ok is false when it is none.
func terminalSize(fd int) (cols, rows int, ok bool) {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return 0, 0, false
	}
	ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24, true
	}
	return int(ws.Col), int(ws.Row), true
}

// terminalRaw makes a terminal hand over each key at once, unchanged and not shown (cfmakeraw of termios(3)), and returns how it was.
func terminalRaw(fd int) (*termState, error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	return before, unix.IoctlSetTermios(fd, unix.TCSETS, &raw)
}

// terminalSet puts a terminal into a state that it had before.
func terminalSet(fd int, state *termState) error { return unix.IoctlSetTermios(fd, unix.TCSETS, state) }

// --- keeper ---

const (
	sysHasKeeper = true
	sigPwr       = int(unix.SIGPWR)
	sigRtmin     = 34 // as glibc, systemd and docker count: the kernel's first two are taken by threads
)

// sigRtmax is the last real-time signal (signal(7)).
var sigRtmax = func() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 127
	}
	return 64
}()

// sysSubreaper makes orphans ours also when we are not PID 1 (prctl(2)).
func sysSubreaper() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// sysPrivate keeps other processes of our user from tracing us and from opening what we have open (prctl(2)); it ends with an execve.
func sysPrivate() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

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

// sysUnread says whether fd is a pipe or a socket that nobody reads any more.
func sysUnread(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
}

// sysForkServer runs the server in a session of its own, so that a terminal's signals reach it through us only.
func sysForkServer(path string, argv []string, fds []int) (int, error) {
	return forkExec(path, argv, &syscall.ProcAttr{Env: os.Environ(), Files: descriptors(fds), Sys: &syscall.SysProcAttr{Setsid: true}})
}

func descriptors(fds []int) []uintptr {
	var list []uintptr
	for _, fd := range fds {
		if fd >= 0 {
			list = append(list, uintptr(fd))
		}
	}
	return list
}

// sysParentSignal has the kernel send us sig when our parent dies (prctl(2), PR_SET_PDEATHSIG).
func sysParentSignal(sig int) {
	background("parent signal", func() { // the setting belongs to a thread: this one stays
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0)
		select {}
	})
}

// sysForkCommand runs CMD with our standard streams, as the foreground process group of our terminal if there is one.
// In a container's session only that works: a new session would lose the terminal.
func sysForkCommand(path string, argv []string) (pid int, tty bool, err error) {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if _, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		attr.Sys.Foreground, attr.Sys.Ctty = true, 0
		if pid, err := forkExec(path, argv, attr); err == nil || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOTTY) {
			return pid, true, err
		}
		attr.Sys.Foreground = false
	}
	pid, err = forkExec(path, argv, attr)
	return pid, false, err
}

// sysTakeTerminal makes our own process group the foreground one again.
func sysTakeTerminal() { sysGiveTerminal(unix.Getpgrp()) }

// sysGiveTerminal makes pgid the foreground group of our terminal. SIGTTOU, which a background group gets for asking, is held back (tcsetpgrp(3)).
func sysGiveTerminal(pgid int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, pgid)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
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

// sysKillAll signals everything that is not us: all processes as PID 1, else all that descend from us.
func sysKillAll(one bool, sig int) {
	if one {
		_ = unix.Kill(-1, syscall.Signal(sig))
		return
	}
	for _, k := range kinOf(os.Getpid()) {
		_ = unix.Kill(k.pid, syscall.Signal(sig))
	}
}

// sysTryBinary runs a binary with descriptors from 3 on, and returns what it prints: so many lines, or what comes in time.
func sysTryBinary(path string, argv []string, fds []int, lines int, limit time.Duration) (string, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return "", err
	}
	out := os.NewFile(uintptr(p[0]), "trial")
	defer out.Close()
	null, err := sysOpenNull()
	if err != nil {
		null = 0
	}
	pid, err := forkExec(path, argv, &syscall.ProcAttr{Env: os.Environ(),
		Files: descriptors(append([]int{null, p[1], 2}, fds...)), Sys: &syscall.SysProcAttr{Setsid: true}})
	unix.Close(p[1])
	if null != 0 {
		unix.Close(null)
	}
	if err != nil {
		return "", err
	}
	_ = out.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, 1024)
	n, err := 0, error(nil)
	for n < len(buf) && err == nil && bytes.Count(buf[:n], []byte("\n")) < lines {
		var m int
		m, err = out.Read(buf[n:])
		n += m
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	return string(buf[:n]), nil
}

// sysComputed is the processor time that a process has used; below 0 where nobody may know. The clock of another process is made of its
// pid (CPUCLOCK_SCHED of linux/posix-timers.h), so that no /proc is needed.
func sysComputed(pid int) time.Duration {
	var ts unix.Timespec
	if pid <= 0 || unix.ClockGettime(int32(^pid<<3|2), &ts) != nil {
		return -1
	}
	return time.Duration(ts.Nano())
}

// sysExecKeeping executes another image of this process; only these descriptors stay open. It returns only on error.
func sysExecKeeping(path string, argv, env []string, keep []int) error {
	for _, fd := range keep {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	err := sysExecHolding(path, argv, env)
	for _, fd := range keep {
		unix.CloseOnExec(fd)
	}
	return err
}

// sysMono is CLOCK_MONOTONIC in nanoseconds: it goes on over a restart of ours, not over one of the machine.
func sysMono() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
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

func sysOpenFifo(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
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

// --- boot ---

const oNoCtty = unix.O_NOCTTY

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

// sysExec executes a foreign program in our place, which begins with no signal blocked.
func sysExec(name string, argv, env []string) (err error) {
	unshielded(func() { masked(unix.SIG_SETMASK, &unix.Sigset_t{}, func() { err = syscall.Exec(name, argv, env) }) })
	return err
}

// sysStartOn executes a program as the leader of a new session whose terminal is the console; or without job control, if that cannot be had.
func sysStartOn(console *os.File, name string, argv, env []string) (pid int, err error) {
	fd := console.Fd()
	attr := syscall.ProcAttr{Dir: "/", Env: env, Files: []uintptr{fd, fd, fd}, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: true}}
	if pid, err = forkExec(name, argv, &attr); err == unix.EPERM || err == unix.ENOTTY || err == unix.EIO {
		attr.Sys = &syscall.SysProcAttr{Setsid: true}
		pid, err = forkExec(name, argv, &attr)
	}
	return pid, err
}

// sysWatchdogTimeout asks for a time in seconds and returns the one that the device has now.
func sysWatchdogTimeout(f *os.File, seconds int) (int, error) {
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, seconds); err != nil {
		return 0, err
	}
	return unix.IoctlGetInt(int(f.Fd()), unix.WDIOC_GETTIMEOUT)
}

// sysListenAgain makes us the one whom clients of a listening socket see (SO_PEERCRED): whoever called listen(2) last.
func sysListenAgain(fd int) error { return os.NewSyscallError("listen", unix.Listen(fd, 1<<16-1)) } // the kernel knows the limit

// sysReadable says whether there is something to read, or to accept.
func sysReadable(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}

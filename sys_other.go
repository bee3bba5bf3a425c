//go:build !linux && !windows

// sys_other.go holds what macOS and other unixes do in the place of sys_linux.go, and nothing that decides.

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// --- logs ---

// logSplices is false: bytes for a raw file pass through its queue.
const logSplices = false

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

// logGrow does nothing: pipes here grow by themselves.
func logGrow(int, int) {}

// logReopen knows no path of a terminal here.
func logReopen(int) error { return unix.ENOTTY }

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

// --- rpc ---

// peerOf asks the kernel who is at the other end of a Unix socket: LOCAL_PEERCRED and LOCAL_PEERPID of unix(4).
func peerOf(sock syscall.Conn) (p peer) {
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

// --- proc ---

func sysChildDefaults() {}

// sysReaper has SIGCHLD reported to events. Orphans go to launchd: there is no subreaper here.
func sysReaper(events chan os.Signal) { signal.Notify(events, unix.SIGCHLD) }

func sysMakeRoom(int) {}

func sysShield() {}

// sysFork executes sp in a new session; sibling is for Linux.
func sysFork(sp *spec, _ bool) (pid, pidfd int, err error) {
	sys := syscall.SysProcAttr{Setsid: true}
	if uid, gid, groups, switched := sp.ids(); switched {
		sys.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	}
	pid, err = syscall.ForkExec(sp.Path, sp.Argv, &syscall.ProcAttr{Dir: sp.Dir, Env: sp.Env, Files: sp.files(), Sys: &sys})
	return pid, -1, err
}

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

func sysSmapsRollup(int) []byte { return nil }

func sysStatmResident(int) int64 { return 0 }

func sysStatmExact() bool { return true }

func sysOtherNamespace(int) bool { return false }

func sysOurProgram(int) bool { return false }

func sysOpenNull() (int, error) {
	return syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
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

// --- keeper ---

const (
	sysHasKeeper = false
	sigPwr       = 30
	sigRtmin     = 0 // there are no real-time signals
	sigRtmax     = 0
)

func sysSubreaper() {}

func sysPrivate() {}

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

func sysParentSignal(int) {}

func sysLeads(int) bool { return false }

const sysMaxPid = 1

func sysHasOpen(int, int, []int) bool { return false }

func sysOutOfMemory() int { return 0 }

func sysLeaders(int) []byte { return nil }

func sysHungUp(int) bool { return false }

func sysSession(int) int { return 0 }

func sysGroup(int) int { return 0 }

func sysListenSyslog(string) (int, error) { return -1, errNotSupported }

func sysPeekMessage(int, []byte) (int, int, error) { return 0, 0, errNotSupported }

func sysDropMessage(int) {}

func sysForkCommand(string, []string) (int, bool, error) { return 0, false, errNotSupported }

func sysTakeTerminal() {}

func sysGiveTerminal(int) {}

func sysWaitAny() (int, uint32, bool) { return 0, 0, false }

func sysAnyChild() bool { return false }

func sysKillAll(bool, int) {}

func sysTryBinary(string, []string, []int, int, time.Duration) (string, error) {
	return "", errNotSupported
}

func sysComputed(int) time.Duration { return -1 }

func sysExecKeeping(string, []string, []string, []int) error { return errNotSupported }

var monoStart = time.Now()

// sysMono is a clock that only this process knows: there is no adoption here.
func sysMono() int64 { return int64(time.Since(monoStart)) }

func sysPwrite(int, []byte, int64) error { return errNotSupported }

func sysBootID() string { return "" }

func sysMemoryName(int) string { return "" }

func sysOwnDir(string) bool { return false }

func sysOpenDir(string) (int, error) { return -1, errNotSupported }

func sysNewFifo(int, string, int, int) (int, int, error) { return -1, -1, errNotSupported }

func sysRemoveAt(int, string) {}

func sysOpenFifo(int, string) (int, error) { return -1, errNotSupported }

func sysOpenState(string) (int, error) { return -1, errNotSupported }

func sysIsFile(int) bool { return false }

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

func sysReboot(powerKind) error { return errNotSupported }

func sysSwitchRoot(string) error { return errNotSupported }

func sysExec(string, []string, []string) error { return errNotSupported }

func sysStartOn(*os.File, string, []string, []string) (int, error) { return 0, errNotSupported }

func sysWatchdogTimeout(*os.File, int) (int, error) { return 0, errNotSupported }

func sysKeepMask() {}

func sysUnread(int) bool { return false }

func sysOwnTable() bool { return false }

func sysListenAgain(int) error { return errNotSupported }

func sysReadable(int) bool { return false }

func sysProcessLimit() int { return 1 << 30 }

// sys_other.go has what macOS and other Unix systems do in the place of sys_linux.go and its parts; no decisions are made there.

//go:build !linux && !windows

package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

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

func sysChildDefaults() {}

// sysReaper has SIGCHLD reported to events. Orphans go to launchd: there is no subreaper here.
func sysReaper(events chan os.Signal) { signal.Notify(events, unix.SIGCHLD) }

func sysMakeRoom(int) {}

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

func sysKillMain(pid, _, sig int) error { return syscall.Kill(pid, syscall.Signal(sig)) }

// sysKillOne signals one process if it is still the one we know.
func sysKillOne(k procID, sig int) error {
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

// sysReadHead reads the beginning of a file. A file that cannot be opened is an error; one that cannot be read counts as empty.
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

const (
	sigPwr   = 30
	sigRtmin = 0 // there are no real-time signals
	sigRtmax = 0
)

func sysPrivate() {}

func sysSocketPair() (int, int, error) { return -1, -1, errNotSupported }

func sysSendPacket(int, []byte, []int) error { return errNotSupported }

func sysRecvPacket(int, []byte) (int, []int, error) { return 0, nil, errNotSupported }

// sysReadAll reads a whole file by its descriptor, from the start.
func sysReadAll(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	data := make([]byte, st.Size)
	n, err := unix.Pread(fd, data, 0)
	return data[:max(n, 0)], err
}

// sysMemfdWith is a file with data and without a name.
func sysMemfdWith(name string, data []byte) (int, error) {
	f, err := os.CreateTemp("", name)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, err
	}
	if _, err := f.Write(data); err != nil {
		return -1, err
	}
	return sysDup(int(f.Fd()))
}

// sysTakeControl makes a terminal the controlling one of the session that we lead.
func sysTakeControl(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0) }

func sysDupTo(fd, to int) error { return unix.Dup2(fd, to) }

// sysHangUp makes a terminal ours again, and takes it away from whoever has it open (revoke(2)).
func sysHangUp(path string) {
	_ = os.Chown(path, os.Geteuid(), -1)
	_ = unix.Revoke(path)
}

// sysExec executes a program in our place.
func sysExec(name string, argv, env []string) error { return syscall.Exec(name, argv, env) }

// sysNoNewPrivs and the next ones are for what other systems do not have.
func sysNoNewPrivs() error { return errNotSupported }

func sysCgroup(int) string { return "" }

func sysExists(string) bool { return false }

func sysWriteHolding(int, string) error { return errNotSupported }

func sysMissingCaps([]int) int { return -1 }

func sysKeepCaps() error { return errNotSupported }

func sysAmbientCaps([]int, bool) error { return errNotSupported }

func sysCloexec(fd int) { unix.CloseOnExec(fd) }

func sysLeads(int) bool { return false }

const sysMaxPid = 1

func sysHasOpen(int, int, []int) bool { return false }

func sysHungUp(int) bool { return false }

func sysSession(int) int { return 0 }

func sysGroup(int) int { return 0 }

func sysListenSyslog(string) (int, error) { return -1, errNotSupported }

func sysWatchDir(string) <-chan struct{} { return nil }

func sysDropMessage(int) {}

func sysTryBinary(string, []string, []int, int, time.Duration) (string, error) {
	return "", errNotSupported
}

func sysExecKeeping(string, []string, []string, []int) error { return errNotSupported }

var monoStart = time.Now()

// sysMono is a clock that only this process knows: there is no adoption here.
func sysMono() int64 { return int64(time.Since(monoStart)) }

func sysSuspended() time.Duration { return 0 }

func sysPwrite(int, []byte, int64) error { return errNotSupported }

func sysBootID() string { return "" }

func sysMemoryName(int) string { return "" }

func sysOwnDir(string) bool { return false }

func sysOpenDir(string) (int, error) { return -1, errNotSupported }

func sysNewFifo(int, string, int, int) (int, int, error) { return -1, -1, errNotSupported }

func sysRemoveAt(int, string) {}

func sysOpenFifo(int, string) (int, error) { return -1, errNotSupported }

func sysWriteFifo(int, string) (int, error) { return -1, errNotSupported }

func sysOpenState(string) (int, error) { return -1, errNotSupported }

func sysIsFile(int) bool { return false }

func sysTrySiblings() bool { return false }

func sysSessionTerminals() []string { return nil }

func sysTellTerminal(string, string) error { return errNotSupported }

func sysForceDown(string) error { return errNotSupported }

func sysAskInit(string) bool { return false }

func sysOwnTable() bool { return false }

func sysListenAgain(int) error { return errNotSupported }

func sysProcessLimit() int { return 1 << 30 }

// The calls by which the state of a terminal is read and set (termios(3)).
const ioctlGetTermios, ioctlSetTermios = unix.TIOCGETA, unix.TIOCSETA

// sysMountPoints lists where something is mounted (getfsstat(2)). It touches none of them.
func sysMountPoints() ([]string, error) {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return nil, os.NewSyscallError("getfsstat", err)
	}
	all := make([]unix.Statfs_t, n)
	if n, err = unix.Getfsstat(all, unix.MNT_NOWAIT); err != nil {
		return nil, os.NewSyscallError("getfsstat", err)
	}
	points := make([]string, n)
	for i := range points {
		points[i] = unix.ByteSliceToString(all[i].Mntonname[:])
	}
	return points, nil
}

// sysPoll would wait for what services say of their readiness.
type sysPoll struct{}

func newSysPoll() (*sysPoll, error) { return nil, errNotSupported }

func (*sysPoll) add(int) error { return errNotSupported }

func (*sysPoll) remove(int) {}

func (*sysPoll) wait() ([]int, error) { return nil, errNotSupported }

func sysListenNotify(string) (int, error) { return -1, errNotSupported }

func sysPeekMessage(int, []byte) (n, pid, uid, fds int, err error) {
	return 0, 0, 0, 0, errNotSupported
}

func sysPeekPipe(int, []byte) ([]byte, bool, error) { return nil, false, errNotSupported }

func sysOwnedDir(string) bool { return false }

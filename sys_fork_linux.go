// sys_fork_linux.go forks and executes programs, with the signals that they should begin with.

package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

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

// setPrivate changes the disposition of these signals to `to` where it is `from`.
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

// sysFork executes sp in a new session. sibling: as a child of our own parent (CLONE_PARENT), with a pidfd where that can be had; else the pidfd is -1.
func sysFork(sp *spec, sibling bool) (pid, pidfd int, err error) {
	pidfd = -1
	sys := syscall.SysProcAttr{Setsid: true}
	if sibling {
		sys.Cloneflags = unix.CLONE_PARENT
		if !noPidfdAtFork.Load() {
			sys.PidFD = &pidfd
		}
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

// noPidfdAtFork says that the kernel refuses a pidfd with a fork (CLONE_PIDFD).
var noPidfdAtFork atomic.Bool

// sysTrySiblings says whether the kernel makes children of our own parent (CLONE_PARENT); QEMU's user emulation and some sandboxes refuse it. Where only a pidfd with
// it is refused (old gVisor), none is asked for from now on. What is forked has no name to execute: no program runs.
func sysTrySiblings() bool {
	for _, without := range []bool{false, true} {
		pidfd := -1
		sys := syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}
		if !without {
			sys.PidFD = &pidfd
		}
		if _, err := forkExec("", []string{""}, &syscall.ProcAttr{Sys: &sys}); err == syscall.ENOENT {
			noPidfdAtFork.Store(without)
			return true
		}
	}
	return false
}

// sysOwnTable gives the calling thread a table of descriptors of its own (unshare(2), CLONE_FILES), with what is in it now, and keeps the goroutine on it. False: a sandbox
// refuses that, or this is the main thread. A fork copies the table and the exec after it closes the copies, which at some thousand descriptors takes longer than all the rest.
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
	unshielded(func() {
		if spared != nil {
			defer sysSpare()
			_ = os.WriteFile(oomScore, spared, 0)
		}
		withMask(func() { pid, err = syscall.ForkExec(path, argv, attr) })
	})
	return pid, err
}

const oomScore = "/proc/self/oom_score_adj"

// spared is the oom_score_adj of children while this process is excluded from the OOM killer; nil: it is not excluded. A process that forks on several threads at once must not use it.
var spared []byte

// sysSpare excludes this process, but not its children, from the OOM killer (proc_pid_oom_score_adj(5)). Without the privilege it does nothing.
func sysSpare() {
	before, err := os.ReadFile(oomScore)
	if err != nil || os.WriteFile(oomScore, []byte("-1000"), 0) != nil {
		return
	}
	if spared == nil {
		if spared = before; string(before) == "-1000\n" { // of the image before us
			spared = []byte("0")
		}
	}
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
	var block unix.Sigset_t
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	masked(unix.SIG_BLOCK, &block, func() { _ = unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, pgid) })
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

// sysExecKeeping executes another image of this process; only these descriptors stay open. It returns only on error.
func sysExecKeeping(path string, argv, env []string, keep []int) error {
	for _, fd := range keep {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	// The next image starts with SIGHUP and SIGINT ignored. The runtime keeps that (sigInstallGoHandler in its signal_unix.go), where
	// otherwise such a signal would kill it before it calls Notify. For SIGTERM this is not possible.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT)
	err := sysExecHolding(path, argv, env)
	for _, fd := range keep {
		unix.CloseOnExec(fd)
	}
	return err
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

// sysParentSignal has the kernel send us sig when our parent dies (prctl(2), PR_SET_PDEATHSIG).
func sysParentSignal(sig int) {
	background("parent signal", func() { // the setting belongs to a thread: this one stays
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(sig), 0, 0, 0)
		select {}
	})
}

// init.go is the keeper: PID 1, from its first instruction to power-off; it parses no configuration and serves no client.

//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// keeper is the parent of the server, of every service and of CMD. One goroutine owns it. Times are deadlines; zero is none.
type keeper struct {
	opts keeperOptions
	args []string // behind `zinit init`, as the next image of this process reads them
	one  bool     // we are PID 1
	self string   // our program, absolute
	prog int      // our program, open; -1: none
	memo int      // the server's state, a memfd; -1: none

	signals  chan os.Signal
	children chan os.Signal // SIGCHLD: apart, since a storm of them must not fill the room of the others
	packets  chan from
	results  chan trial
	waiting  chan struct{} // clients are not accepted
	queue    *os.File      // the control socket, as far as we look at it; nil: none
	broken   chan struct{} // a goroutine of ours has panicked
	panics   int           // in a row …
	brokeAt  int64         // … and when the first of them was, by sysMono

	server  serverChild
	tries   int       // servers in a row that never came up
	downAt  time.Time // since when there has been none that was up
	quick   int       // servers in a row that died within quickDeath of adopting
	startAt time.Time // when to start the next server

	store map[string][]int // descriptors that outlive a server
	procs map[string]int   // processes that belong to them
	exits []exitRecord
	bound int // how many of them there may be before some are dropped
	seq   uint64
	told  uint64 // up to which exit the present server has been told

	closing    *keeperClosing
	later      *laterShutdown // nil: none is planned
	cmd        mainProgram
	emergency  bool
	leftBehind bool
	winched    bool // what SIGWINCH does has been said

	watchdog *watchdog         // nil: none
	feedAt   time.Time         // when to ask the server for a sign of life for it
	console  *emergencyConsole // made when first needed

	trying  bool      // a new binary is being tried
	newPath string    // the binary that we go over to
	newBy   time.Time // until when its server must be live
}

// from is a record with the server that sent it; without a link it is the end of the emergency.
type from struct {
	link *link
	p    packet
}

const (
	quickDeath   = 2 * time.Second
	maxTries     = 10
	maxDown      = time.Minute
	handoverTime = 2 * time.Second
	maxExits     = 1 << 16
	exitLost     = 70 // the keeper cannot have a server, or has a defect itself (see its last lines)
)

// initMain is the role of `zinit init`, with the words after that name and the flags that they may be. It returns the exit code; a machine's PID 1 never returns.
func initMain(args []string, flags []*commandFlag) (code int) {
	one := os.Getpid() == 1
	container := !one
	if one {
		afterPanic = func() {} // go on without the goroutine: the kernel panics when PID 1 ends; run sets another handler
	}
	defer func() {
		if r := recover(); r != nil {
			panicked("PID 1", r)
			code = exitLost
			if !container {
				code = emergencyForEver(fmt.Sprintf("a defect of PID 1 itself: %v", r))
			}
		}
	}()
	o, err := parseInit(args, flags, !one)
	container = container || o.container
	if err != nil {
		errorf("%v", err)
		hint("zinit help init")
		if !container && (len(o.cmd) == 0 || onMachine()) {
			return emergencyForEver(err.Error())
		}
		return exitUsage
	}
	if err := o.setOwnLog(); err != nil {
		errorf("%v", err)
		if container {
			return exitUsage
		}
	}
	if o.dryRun {
		return printBoot(o)
	}
	if next := os.Getenv(downVar); one && next != "" {
		goOnDown(next)
	}
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", defaultPath)
	}
	if !one && !mayRunBeside(o) {
		return exitRefused
	}
	k := newKeeper(o, one)
	k.args = args
	if o.container && os.Getenv("ZINIT_CONFIG_DIR") == "" && !slices.Contains(o.server, "--config-dir") {
		if _, err := os.Stat(containerDir); err == nil {
			k.opts.server = append(k.opts.server, "--config-dir", containerDir)
		} else if len(o.cmd) > 0 && o.logLevel == "" { // CMD has the terminal to itself as long as all is well
			k.opts.logLevel = logWarn.String()
			_ = setLogLevel(k.opts.logLevel)
		}
	}
	if !o.container {
		if err := guarded(func() error { k.bootMachine(); return nil }); err != nil {
			logf(logError, "boot: %v; going on with what there is", err)
		}
	}
	return k.run()
}

// mayRunBeside says whether a keeper that is not PID 1 may run, and says why not: a machine has one PID 1, and a server that lives at the socket
// runs the same services already.
func mayRunBeside(o keeperOptions) bool {
	if !o.container {
		errorf("zinit init without -c is for PID 1 of a machine; this is pid %d", os.Getpid())
		hint("`zinit server` runs services under another init; `zinit init -c` is for containers")
		return false
	}
	if os.Getenv(resumeVar) != "" {
		return true // the server at the socket is ours
	}
	paths := keeperSockets()
	if p := cmp.Or(o.socket, os.Getenv("ZINIT_SOCKET")); p != "" {
		paths = []string{p}
	}
	for _, p := range paths {
		conn, err := dialUnix(p, 2*time.Second)
		if err != nil {
			continue
		}
		pid := peerOf(conn).pid
		conn.Close()
		if pid > 0 && errors.Is(sysKill(pid, 0), syscall.ESRCH) {
			continue // it has died; a child that it was just starting holds the socket until it executes
		}
		errorf("a server is live at %s: pid %d; its services would run twice", p, pid)
		hint("stop it with `zinit --socket %s shutdown`, or choose another --socket", p)
		return false
	}
	return true
}

// containerDir is where an image has its services, for whatever user the container runs as.
const containerDir = "/etc/zinit/services"

func newKeeper(o keeperOptions, one bool) *keeper {
	spareThreads(8)
	k := &keeper{opts: o, one: one, self: ownProgram(), prog: -1, memo: -1, store: map[string][]int{}, procs: map[string]int{},
		signals: make(chan os.Signal, 256), children: make(chan os.Signal, 1), packets: make(chan from), results: make(chan trial, 1), waiting: make(chan struct{}, 1), broken: make(chan struct{}, 1), downAt: time.Now()}
	k.catch()
	sysKeepMask()
	if fd, err := sysOpenProgram(k.self); err == nil {
		k.prog = fd
	}
	if fd, err := sysMemfd("zinit-state"); err == nil {
		k.memo = fd
	} else {
		logf(logWarn, "no memory for the state of the server (%v): if it dies, running services are stopped and started anew", err)
	}
	sysSubreaper()
	sysPrivate()
	return k
}

// program is the path by which our own binary can be executed: where it was, or, when another file is there now, the open one.
func (k *keeper) program() string {
	if open := fmt.Sprintf("/proc/self/fd/%d", k.prog); k.prog >= 0 && !sysSameFile(k.prog, k.self) {
		if _, err := os.Stat(open); err == nil {
			return open
		}
	}
	return k.self
}

// run is the keeper's loop.
func (k *keeper) run() (code int) {
	defer k.flush()
	afterPanic = func() {
		select {
		case k.broken <- struct{}{}:
		default:
		}
	}
	defer func() {
		if r := recover(); r != nil {
			panicked("PID 1", r)
			code = k.survive()
		}
	}()
	if len(k.opts.cmd) > 0 {
		k.cmd.startAt = time.Now().Add(k.opts.cmdWait + time.Second)
	}
	if k.opts.parentSig != 0 {
		sysParentSignal(k.opts.parentSig)
	}
	k.resume()
	k.reap()
	if k.server.pid == 0 && k.startAt.IsZero() {
		k.startServer()
	}
	timer := time.NewTimer(time.Hour)
	for {
		if d := k.nextDue(); d.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(d))
		}
		select {
		case <-k.children:
			k.reap()
		case s := <-k.signals:
			k.onSignal(int(s.(syscall.Signal)))
		case f := <-k.packets:
			k.onPacket(f)
		case r := <-k.results:
			k.onTried(r)
		case <-k.waiting:
			k.ask()
		case <-k.broken:
			return k.survive()
		case <-timer.C:
		}
		if code, over := k.onTime(time.Now()); over {
			return code
		}
	}
}

func (k *keeper) flush() { serverLog.flush(300 * time.Millisecond) }

// nextDue is the earliest deadline.
func (k *keeper) nextDue() time.Time {
	all := []time.Time{k.startAt, k.server.killAt, k.server.answer.next, k.server.askAt, k.cmd.startAt, k.newBy, k.feedAt}
	if k.server.pid != 0 && !k.server.live {
		all = append(all, k.downAt.Add(maxDown))
	}
	if k.later != nil {
		all = append(all, k.later.at)
	}
	if c := k.closing; c != nil {
		if !c.taken {
			all = append(all, c.at.Add(-k.ownTime()))
		}
		all = append(all, c.killAt)
	}
	var t time.Time
	for _, d := range all {
		if !d.IsZero() && (t.IsZero() || d.Before(t)) {
			t = d
		}
	}
	return t
}

func over(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// onTime handles every deadline that has passed. done says that the keeper ends, with code.
func (k *keeper) onTime(now time.Time) (code int, done bool) {
	if over(k.startAt, now) {
		k.startAt = time.Time{}
		k.startServer()
	}
	if over(k.server.killAt, now) && k.server.pid != 0 {
		logf(logWarn, "the server (pid %d) does not hand over; it is killed", k.server.pid)
		k.server.killAt = time.Time{}
		_ = sysKill(k.server.pid, sigKill)
	}
	k.lookForLife(now)
	if k.server.pid != 0 && !k.server.live && over(k.downAt.Add(maxDown), now) && !k.leftBehind {
		k.giveUp("it does not come up")
	}
	if over(k.newBy, now) {
		k.upgradeLate(now)
	}
	if over(k.feedAt, now) {
		k.feed()
	}
	if over(k.cmd.startAt, now) {
		k.startCommand()
	}
	k.shutdownIfDue(now)
	return k.onClosing(now)
}

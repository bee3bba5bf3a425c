// proc.go starts, signals and reaps processes, and holds the table of them; it knows no graph, no states and no restart policy.

//go:build !windows

package main

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// reapBatch is how many exits are taken in one hold of the lock, so that a storm of exits leaves room for starts and signals.
const reapBatch = 64

var errGone = errors.New("it has no process")

// process is one started or adopted main process and what is left of it. It leads its own session and process group.
type process struct {
	t          *procs
	name       string // for whoever reads a dump
	invocation string
	pid        int
	started    time.Time
	adopted    bool // taken over from an earlier server: it and its orphans may be children of somebody else
	mode       killMode
	gone       func(exit)
	leaf       leaf // its control group

	// guarded by t.mu
	pidfd    int    // -1: none: the pid is safe where only we reap it, else it goes with the start time
	start    uint64 // start time in ticks; 0 = not asked for yet
	ended    bool   // reaped, or seen to be gone
	stopping bool   // stop was called: what is left may take its time
	asked    bool   // the group has got the stop signal …
	stopSig  int    // … which is this one
	killed   bool   // whatever is left gets SIGKILL
	killedAt time.Time
	queued   bool // the sweeper has it, or had it
	reported bool // gone was called
	result   exit
	asking   bool   // succession is being asked whether the service has ended
	group    procID // the process group, by its leader, where the main process does not lead it; zero: it does

	// the sweeper's own
	seen   sweepLook
	behind []string // what was left when it ended by itself, and was killed

	relativesMu sync.Mutex
	relatives   []relative
}

// relative is a process that belongs to a service and may have left its process group.
type relative struct {
	procID
	asked bool // it has got the stop signal
}

// procs is the table of the processes that we started or adopted, with the only reaper.
//
// A main process is signalled only under mu and while it is in live: it has not been reaped yet, so the kernel cannot have given
// the number away. Exits come in through reaped alone, from our own wait loop or (parent false) from the process that is our parent and theirs.
type procs struct {
	parent     bool // we are the parent of what we start, and reap; false: our own parent is, and reports through reaped
	root       int  // whose children services and orphans are
	parentDied bool // that parent has died; under mu

	reaping atomic.Bool  // run was called, and we reap
	forkMu  sync.Mutex   // held from a fork until its child is in live, and while reaping: no exit comes before its process is known
	forking atomic.Int32 // forks under way

	mu      sync.Mutex
	live    map[int]*process
	leaving []*process // their main process has ended; it is not decided yet whether that is the end of the service
	pending []*process // ended or killed, something may be left

	wake    chan struct{}
	events  chan os.Signal
	closed  chan struct{}
	watch   *pidWatch // adopted processes that are no children of root
	watched map[int]*process
	polled  []*process // those for which there is no pidfd
	toClose []int      // pidfds to close

	execute func(p *process, sp *spec) error // begin, on the thread that forks; nil: here
	handOff func(pid, pidfd int) bool        // brings a pidfd of that thread to our table; nil: it is there

	// succession is called on the goroutine of the reaper, which it must not block, when the main process of a service has ended. True:
	// another one may become the main process; become or conclude is called soon. nil: none ever does.
	succession func(p *process) bool
}

// newProcs makes an empty table and registers for SIGCHLD, but reaps only from run (or the first start) on: in between,
// whoever took over the children of an earlier image can adopt them without losing an exit.
// With parent false the processes are children of our own parent, which reaps them and reports through reaped.
func newProcs(parent bool) *procs {
	t := &procs{
		parent: parent, root: os.Getpid(),
		live: map[int]*process{}, watched: map[int]*process{},
		wake: make(chan struct{}, 1), events: make(chan os.Signal, 1), closed: make(chan struct{}),
	}
	if !parent {
		t.root = os.Getppid()
	}
	sysChildDefaults()
	if parent {
		sysReaper(t.events)
	}
	background("reaper", t.loop)
	return t
}

// run begins to reap. It is called by the first start; a process that starts nothing (PID 1 with orphans only) calls it itself.
func (t *procs) run() {
	if t.parent && !t.reaping.Swap(true) {
		t.wakeLoop()
	}
}

// close ends the reaper and leaves the processes alone. Only tests call it.
func (t *procs) close() {
	close(t.closed)
	sysReaperEnd(t.events)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watch != nil {
		t.watch.close()
	}
	for _, p := range t.live {
		p.closePidfd()
	}
	closeAll(t.toClose)
	t.toClose = nil
}

// loop reaps when a child has ended, and looks after what is left of those that ended: at once then, else every leftoverPace while there is something.
func (t *procs) loop() {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	for more := false; ; {
		if !more {
			select {
			case <-t.events:
			case <-t.wake:
			case <-timer.C:
			case <-t.closed:
				return
			}
		}
		more = t.reaping.Load() && t.reapSome()
		t.closePidfds()
		polls := t.poll()
		t.inherit()
		switch {
		case t.sweep(time.Now()):
			timer.Reset(leftoverPace)
		case polls:
			timer.Reset(adoptedPace)
		}
	}
}

// reapSome takes the exits that there are, up to reapBatch, and says whether there may be more: SIGCHLD is one bit, however many children ended.
func (t *procs) reapSome() (more bool) {
	t.forkMu.Lock()
	defer t.forkMu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for range reapBatch {
		pid, status := sysWait()
		if pid <= 0 {
			return false
		}
		t.recordExit(pid, status)
	}
	return true
}

// reaped is told that pid was waited for with this status (as wait(2) encodes it). Unknown pids are orphans.
func (t *procs) reaped(pid int, status uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recordExit(pid, status)
}

// recordExit records one exit, under mu.
func (t *procs) recordExit(pid int, status uint32) {
	if p := t.live[pid]; p != nil {
		t.end(p, decodeStatus(status))
	}
}

// end notes, under mu, that the main process is no more. From here on its number may belong to anybody.
func (t *procs) end(p *process, how exit) {
	delete(t.live, p.pid)
	p.ended, p.result = true, how
	p.closePidfd()
	if t.succession != nil && p.name != "" {
		t.leaving = append(t.leaving, p)
		t.wakeLoop()
		return
	}
	t.conclude(p)
}

// conclude has what is left of p removed, under mu, and then its end reported.
func (t *procs) conclude(p *process) {
	t.decided(p)
	if !p.stopping || p.mode == killMixed {
		p.markKilled()
	}
	t.queue(p)
}

// markKilled notes, under mu, that whatever is left of p gets SIGKILL from now on.
func (p *process) markKilled() {
	if !p.killed {
		p.killed, p.killedAt = true, time.Now()
	}
}

// queue hands p to the sweeper, under mu.
func (t *procs) queue(p *process) {
	if !p.queued {
		p.queued = true
		t.pending = append(t.pending, p)
	}
	t.wakeLoop()
}

func (t *procs) wakeLoop() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// process makes the record of a process that is about to be started or adopted. gone is called exactly once, from a goroutine of ours that it must not hold up, when
// the main process has ended and nothing is left of it (but for mode process, where nobody looks). invocation is the value of ZINIT_INVOCATION_ID by which strays are
// found; "" = do not look for any.
func (t *procs) process(name, invocation string, mode killMode, gone func(exit)) *process {
	return &process{t: t, name: name, invocation: invocation, mode: mode, gone: gone, pidfd: -1}
}

// start is process and begin, for whoever is not the thread that forks.
func (t *procs) start(sp *spec, name, invocation string, gone func(exit)) (*process, error) {
	p := t.process(name, invocation, killGroup, gone)
	begin := t.begin
	if t.execute != nil {
		begin = t.execute
	}
	if err := sp.stage.open(sp); err != nil {
		return nil, err
	}
	err := begin(p, sp)
	sp.stage.passed()
	if err != nil {
		sp.stage.close()
		return nil, err
	}
	if sp.stage != nil {
		if err := sp.stage.wait(stageLimit); err != nil {
			p.kill()
			return nil, err
		}
	}
	return p, nil
}

// begin executes sp as the leader of a new session and returns once the kernel has (so a program that cannot be executed is an error
// here, with errno, never an exit code). With a stage it is that one which is executed, and which says what becomes of the program.
func (t *procs) begin(p *process, sp *spec) error {
	t.run()
	t.forking.Add(1)
	defer t.forking.Add(-1)
	t.forkMu.Lock()
	defer t.forkMu.Unlock()
	run := sp
	if sp.stage != nil {
		run = sp.stage.program(sp)
	}
	ticks := sysTicks()
	pid, pidfd, err := sysFork(run, !t.parent)
	if err != nil {
		return explainExec(run, err)
	}
	if !t.parent && pidfd < 0 {
		pidfd, _ = sysPidfd(pid)
	}
	if ticks != sysTicks() {
		ticks = 0 // it could be either: ask when needed
	}
	t.mu.Lock()
	p.started, p.pid, p.start = time.Now(), pid, ticks
	t.live[pid] = p
	if pidfd >= 0 && (t.handOff == nil || !t.handOff(pid, pidfd)) {
		p.pidfd = pidfd
	}
	if t.parentDied && !t.parent {
		t.follow(p)
	}
	t.mu.Unlock()
	return nil
}

// pidfdOf takes the pidfd of a process that the thread that forks has started.
func (t *procs) pidfdOf(pid, fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.live[pid]; p != nil && p.pidfd < 0 {
		p.pidfd = fd
		return
	}
	_ = sysClose(fd)
}

// closePidfd gives the pidfd up, under mu. The loop closes it: the caller may be the thread that forks, in whose table the number belongs to something else.
func (p *process) closePidfd() {
	if p.pidfd >= 0 {
		delete(p.t.watched, p.pidfd)
		p.t.toClose = append(p.t.toClose, p.pidfd)
		p.pidfd = -1
		p.t.wakeLoop()
	}
}

func (t *procs) closePidfds() {
	t.mu.Lock()
	spent := t.toClose
	t.toClose = nil
	t.mu.Unlock()
	closeAll(spent)
}

// hasEnded says whether the main process is no more.
func (p *process) hasEnded() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.ended
}

// ticks is the start time of the main process as the kernel counts it, for adopt; 0 when it has gone, or another one is it.
func (p *process) ticks(pid int) uint64 {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.pid != pid {
		return 0
	}
	if p.start == 0 && !p.ended {
		if st, err := readStat(p.pid); err == nil {
			p.start = st.Start
		}
	}
	return p.start
}

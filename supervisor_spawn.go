// supervisor_spawn.go brings starts to the kernel: goroutines prepare what can hang or wait, and the owner forks what is ready, one start between two turns.

//go:build !windows

package main

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// start is one process that is being started: of a service, or a helper that a goroutine waits for.
type start struct {
	name       string // "": a helper
	gen        uint64
	cfg        *config
	invocation string

	sp    *spec      // once prepared, with …
	pipes *logPipes  // … the pipes of its output …
	stdin *stdinPipe // … and our end of its stdin; nil: none
	err   error      // why it cannot be started
	unmet string     // the condition that does not hold: it is skipped
	id    uint64     // of its descriptors in the forking table

	since time.Time              // when its preparation began, or should have
	at    atomic.Pointer[string] // the path that is looked at
	slow  bool                   // its preparation takes long: others do not wait for it
	over  bool                   // called back, or given up: what was prepared is undone

	proc *process      // of a helper
	done chan struct{} // closed when a helper is started, or err says why not
}

// startQueue is where starts are on their way. It belongs to the owner.
type startQueue struct {
	waiting []*start
	looking []*start // being prepared, each on a goroutine of its own
	behind  []*start // wait for an earlier look at the program of the same service
	ready   []*start
	ids     atomic.Uint64
}

const (
	fewLooks  = 2                     // preparations at once that get on
	maxLooks  = 64                    // … and with those that do not
	maxReady  = 16                    // more would only hold descriptors
	slowLook  = 50 * time.Millisecond // a preparation that takes longer makes room for another
	lookLimit = 30 * time.Second      // for a program that does not answer, where start_timeout_ms sets no other
)

func doesNotAnswer(path string) string {
	return visible(path) + " does not answer: is it on a mount that hangs?"
}

// limit is how long the preparation of a start may take.
func (st *start) limit() time.Duration {
	if t := st.cfg.Lifecycle.StartTimeout; t > 0 && t < lookLimit {
		return t
	}
	return lookLimit
}

// path is what its preparation looks at.
func (st *start) path() string {
	if p := st.at.Load(); p != nil {
		return *p
	}
	return "the program of " + st.name
}

// spawn takes a start of the graph.
func (s *supervisor) spawn(e *effect) {
	if s.isMain(e.name) {
		s.keeper.send(packet{op: opCommand})
		return
	}
	s.starts.waiting = append(s.starts.waiting, &start{name: e.name, gen: e.gen, cfg: e.cfg, invocation: e.text})
}

// callBack cancels a start that has not been forked yet. One that has been forked is stopped by the graph when it learns of it; the stage of such a start is told to hurry.
func (s *supervisor) callBack(gen uint64) {
	q := &s.starts
	is := func(st *start) bool { return st.gen == gen && st.name != "" }
	var st *start
	for _, list := range []*[]*start{&q.waiting, &q.behind, &q.ready} {
		if i := slices.IndexFunc(*list, is); i >= 0 {
			st = (*list)[i]
			*list = slices.Delete(*list, i, i+1)
		}
	}
	if st != nil {
		s.abandon(st)
	} else if i := slices.IndexFunc(q.looking, is); i >= 0 && !q.looking[i].over {
		st = q.looking[i]
		st.over = true
	}
	if st != nil {
		s.submit(st.failed("called back"))
	} else if l := s.lives[gen]; l != nil && l.stage != nil {
		l.stage.hurry()
	}
}

// failed says that there will be no process. It does not look at err, which is the preparation's as long as that runs.
func (st *start) failed(text string) event {
	return event{kind: eventSpawnFailed, name: st.name, gen: st.gen, text: text}
}

// refused is failed for the reason in err.
func (st *start) refused() event {
	ev := st.failed(st.err.Error())
	ev.missing = errors.Is(st.err, syscall.ENOENT)
	return ev
}

// prepareMore begins to prepare what waits, as far as few are at it and little is ready.
func (s *supervisor) prepareMore(now time.Time) {
	q := &s.starts
	busy := 0
	for _, st := range q.looking {
		if !st.slow {
			busy++
		}
	}
	n := 0
	for ; n < len(q.waiting) && busy < fewLooks && len(q.looking) < maxLooks && len(q.ready) < maxReady; n++ {
		st := q.waiting[n]
		q.waiting[n] = nil
		st.since = now
		if q.lookFor(st.name) != nil {
			q.behind = append(q.behind, st)
			continue
		}
		busy++
		q.looking = append(q.looking, st)
		st.id = q.ids.Add(1)
		background("prepare a start", func() {
			s.prepare(st)
			s.inbox.put(note{start: st})
		})
	}
	if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
		q.waiting = nil // a boot leaves thousands behind
	}
}

// lookFor is the preparation of a service that has not come back yet; nil: there is none.
func (q *startQueue) lookFor(name string) *start {
	if i := slices.IndexFunc(q.looking, func(st *start) bool { return st.name == name }); i >= 0 {
		return q.looking[i]
	}
	return nil
}

// prepare does all for a start that can hang or wait: it looks at the conditions and the program, makes the pipes of its output, and has the keeper hold them, before the process: were
// this server killed in between, its pipes would have no reader and it would die of that. It runs on a goroutine of its own and touches nothing of the owner.
func (s *supervisor) prepare(st *start) {
	at := func(path string) { st.at.Store(&path) }
	if st.unmet, st.err = unmetCondition(st.cfg, st.invocation, at); st.err != nil || st.unmet != "" {
		return
	}
	st.sp, st.err = resolve(st.cfg, st.cfg.Service.Exec, st.invocation, at)
	if st.err != nil {
		return
	}
	if st.err = makeRuntimeDirs(st.cfg.Service.RuntimeDirs, st.sp.UID, st.sp.GID, func(path string) { st.at.Store(&path) }); st.err != nil {
		return
	}
	if st.cfg.isExpanded(st.cfg.Logging.File) {
		if st.err = s.configureLogs(st.cfg); st.err != nil {
			return
		}
	}
	if file := st.cfg.Service.PIDFile; file != "" {
		at(file)
		removeStale(file)
	}
	if st.pipes, st.err = s.logs.pipes(st.name, st.gen, st.sp.UID, st.sp.GID); st.err != nil {
		return
	}
	st.sp.Stdout, st.sp.Stderr = st.pipes.Out, st.pipes.Err
	if st.cfg.Service.Stdin == stdinFromPipe {
		if st.sp.Stdin, st.stdin, st.err = s.newStdin(st.name, st.gen, st.sp.UID, st.sp.GID); st.err != nil {
			st.pipes.closeWriteEnds()
			return
		}
		defer sysClose(st.sp.Stdin)
	}
	if st.err = s.equip(st); st.err != nil {
		st.pipes.closeWriteEnds()
		return
	}
	defer closeAll(present(st.sp.Extra))
	if s.keeper != nil {
		s.keeper.sendNow(packet{op: opStore, text: logKey(st.name, st.gen), fds: append(st.pipes.readFDs(), st.stdin.fds()...)}, linkTime)
	}
	sockets := s.passTo(st)
	s.giveCgroup(st)
	if st.err == nil {
		st.err = st.sp.stage.open(st.sp)
	}
	if st.err == nil {
		st.err = s.table.give(st.id, st.sp.lend())
		st.sp.stage.passed()
	}
	closeAll(sockets)
	st.pipes.closeWriteEnds()
}

// giveCgroup makes the control group of a service that is to have one. What cannot be had of it keeps nothing from starting.
func (s *supervisor) giveCgroup(st *start) {
	if !st.cfg.wantsCgroup() || st.err != nil {
		return
	}
	group, problems := s.cgroups.make(st.cfg)
	for _, text := range problems {
		logf(logWarn, "%s: %s", st.name, text)
	}
	if group == "" {
		return
	}
	if st.sp.stage == nil {
		st.sp.stage = &stageStart{}
	}
	st.sp.stage.order.Cgroup = string(group)
}

// prepared takes what a preparation has come to, and returns what the graph is to be told of one that becomes no process.
func (s *supervisor) prepared(st *start) (over []event) {
	q := &s.starts
	q.looking = slices.DeleteFunc(q.looking, func(other *start) bool { return other == st })
	q.behind = slices.DeleteFunc(q.behind, func(other *start) bool {
		if other.name == st.name {
			q.waiting = slices.Insert(q.waiting, 0, other)
		}
		return other.name == st.name
	})
	switch {
	case st.over:
		s.abandon(st)
	case st.err != nil:
		s.abandon(st)
		return []event{st.refused()}
	case st.unmet != "":
		s.abandon(st)
		return []event{{kind: eventSkipped, name: st.name, gen: st.gen, text: st.unmet}}
	default:
		q.ready = append(q.ready, st)
	}
	return nil
}

// late gives up the preparations whose time is over, and makes room beside those that take long.
func (q *startQueue) late(now time.Time) (failed []event) {
	for _, st := range q.looking {
		st.slow = st.slow || now.Sub(st.since) >= slowLook
		if !st.over && now.Sub(st.since) >= st.limit() {
			st.over = true
			failed = append(failed, st.failed(doesNotAnswer(st.path())))
		}
	}
	q.behind = slices.DeleteFunc(q.behind, func(st *start) bool {
		over := now.Sub(st.since) >= st.limit()
		if other := q.lookFor(st.name); over && other != nil {
			failed = append(failed, st.failed(doesNotAnswer(other.path())))
		}
		return over
	})
	return failed
}

// nextDue is when late has something to do; zero when it has not.
func (q *startQueue) nextDue() (due time.Time) {
	by := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	for _, st := range q.looking {
		switch {
		case !st.slow && len(q.waiting) > 0:
			by(st.since.Add(slowLook))
		case !st.over:
			by(st.since.Add(st.limit()))
		}
	}
	for _, st := range q.behind {
		by(st.since.Add(st.limit()))
	}
	return due
}

// abandon undoes what was prepared for a start that becomes no process.
func (s *supervisor) abandon(st *start) {
	if st.id != 0 {
		closeAll(s.table.take(st.id))
	}
	if st.pipes != nil {
		background("log pipes", st.pipes.drain)
	}
	s.closeStdin(st.stdin, st.name, st.gen)
	if st.sp != nil {
		st.sp.stage.close()
	}
	s.release(st.name, st.gen)
}

// forkNext has the kernel execute the first start that is ready, and tells the graph.
func (s *supervisor) forkNext() {
	q := &s.starts
	if len(q.ready) == 0 {
		return
	}
	st := q.ready[0]
	q.ready[0] = nil
	if q.ready = q.ready[1:]; len(q.ready) == 0 {
		q.ready = nil
	}
	if st.name == "" {
		s.forkHelper(st)
		return
	}
	s.decide(time.Now(), s.fork(st))
}

// fork executes the program of a service, or the stage before it, and returns what the graph is to be told: of a stage nothing yet.
func (s *supervisor) fork(st *start) []event {
	fds := s.table.take(st.id)
	st.id = 0
	if !st.sp.borrow(fds) {
		closeAll(fds)
		s.abandon(st)
		return []event{st.failed("its pipes got lost")}
	}
	s.saveStart(st.name, st.gen)
	l := newLife(st.name, st.gen, st.cfg, st.pipes)
	l.stdin = st.stdin
	s.expectFork(l, st.invocation)
	l.proc = s.procs.process(st.name, st.invocation, st.cfg.Lifecycle.KillMode, func(e exit) { s.ended(l, e) })
	if st.sp.stage != nil { // before the process is there, which may end at once
		l.proc.leaf = leaf(st.sp.stage.order.Cgroup)
		l.stage, l.staged = st.sp.stage, make(chan struct{})
	}
	s.listenTo(l)
	st.err = s.procs.begin(l.proc, st.sp)
	closeAll(fds)
	if st.err != nil {
		s.forking.Delete(st.invocation)
		s.abandon(st)
		return []event{st.refused()}
	}
	s.lives[st.gen] = l
	if st.sp.stage != nil {
		s.awaitProgram(st, l)
		return nil
	}
	return []event{{kind: eventSpawned, name: st.name, gen: st.gen, pid: l.proc.mainPID()}}
}

// awaitProgram has the graph told, on a goroutine of its own, when the stage of a service has executed the program. When it could not, its end is the failure of the start.
// The pid is saved at once: several starts may be so far, and the next server must find them all.
func (s *supervisor) awaitProgram(st *start, l *life) {
	if u := s.g.units[st.name]; u != nil && u.gen == st.gen {
		s.save([]*unit{u})
	}
	background("start of a service", func() {
		if st.err = l.stage.wait(st.limit()); st.err != nil {
			ev := st.refused()
			ev.pid = l.proc.mainPID()
			l.refused = &ev
			l.proc.kill() // one that answers has ended
		} else {
			s.submit(event{kind: eventSpawned, name: st.name, gen: st.gen, pid: l.proc.mainPID()})
		}
		close(l.staged)
	})
}

// execute has the owner start a helper, and waits for that. It is for goroutines of the server; the descriptors in sp stay theirs.
func (s *supervisor) execute(p *process, sp *spec) error {
	mine := *sp
	st := &start{sp: &mine, proc: p, done: make(chan struct{}), id: s.starts.ids.Add(1)}
	if err := s.table.give(st.id, sp.lend()); err != nil {
		return err
	}
	s.inbox.put(note{start: st})
	<-st.done
	return st.err
}

func (s *supervisor) forkHelper(st *start) {
	fds := s.table.take(st.id)
	if st.sp.borrow(fds) {
		st.err = s.procs.begin(st.proc, st.sp)
	} else {
		st.err = errors.New("the pipe for its output got lost")
	}
	closeAll(fds)
	close(st.done)
}

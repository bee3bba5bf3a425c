// supervisor_spawn.go brings starts to the kernel: goroutines prepare what can hang or wait, and the owner forks what is ready, one start between two turns.

package main

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// start is one process on its way: of a service, or a helper that somebody waits for.
type start struct {
	name       string // "": a helper
	gen        uint64
	cfg        *config
	invocation string

	sp    *spec     // once prepared, with …
	pipes *logPipes // … the pipes of its output
	err   error     // why it cannot be started
	id    uint64    // of its descriptors in the forking table

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

// callBack takes a start back that has not been forked yet. One that has is brought down by the graph when it hears of it.
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

// prepare does all for a start that can hang or wait: it looks at the program, makes the pipes of its output, and has the keeper hold them, before the process: were
// this server killed in between, its pipes would have no reader and it would die of that. It runs on a goroutine of its own and touches nothing of the owner.
func (s *supervisor) prepare(st *start) {
	st.sp, st.err = resolve(st.cfg, st.cfg.Service.Exec, st.invocation, func(path string) { st.at.Store(&path) })
	if st.err != nil {
		return
	}
	if st.pipes, st.err = s.logs.pipes(st.name, st.gen, st.sp.UID, st.sp.GID); st.err != nil {
		return
	}
	if s.keeper != nil {
		s.keeper.sendNow(packet{op: opStore, text: logKey(st.name, st.gen), fds: st.pipes.readFDs()}, linkTime)
	}
	st.err = s.table.give(st.id, []int{st.pipes.Out, st.pipes.Err})
	st.pipes.closeWriteEnds()
}

// prepared takes what a preparation has come to.
func (s *supervisor) prepared(st *start) (failed []event) {
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
	s.decide(time.Now(), []event{s.fork(st)})
}

// fork executes the program of a service, and returns what the graph is to be told.
func (s *supervisor) fork(st *start) event {
	fds := s.table.take(st.id)
	st.id = 0
	if len(fds) != 2 {
		closeAll(fds)
		s.abandon(st)
		return st.failed("the pipes for its output got lost")
	}
	st.sp.Stdout, st.sp.Stderr = fds[0], fds[1]
	s.saveStart(st.name, st.gen)
	l := newLife(st.name, st.gen, st.cfg, st.pipes)
	l.proc = s.procs.process(st.name, st.invocation, func(e exit) { s.ended(l, e) })
	st.err = s.procs.begin(l.proc, st.sp)
	closeAll(fds)
	if st.err != nil {
		s.abandon(st)
		return st.refused()
	}
	s.lives[st.gen] = l
	return event{kind: eventSpawned, name: st.name, gen: st.gen, pid: l.proc.pid}
}

// execute has the owner start a helper, and waits for that. It is for goroutines of the server; the descriptors in sp stay theirs.
func (s *supervisor) execute(p *process, sp *spec) error {
	mine := *sp
	st := &start{sp: &mine, proc: p, done: make(chan struct{}), id: s.starts.ids.Add(1)}
	if err := s.table.give(st.id, []int{sp.Stdout, sp.Stderr}); err != nil {
		return err
	}
	s.inbox.put(note{start: st})
	<-st.done
	return st.err
}

func (s *supervisor) forkHelper(st *start) {
	fds := s.table.take(st.id)
	if len(fds) == 2 {
		st.sp.Stdout, st.sp.Stderr = fds[0], fds[1]
		st.err = s.procs.begin(st.proc, st.sp)
	} else {
		st.err = errors.New("the pipe for its output got lost")
	}
	closeAll(fds)
	close(st.done)
}

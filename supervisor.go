// supervisor.go is the owner: one goroutine holds the graph, takes events, performs their effects and forks; nothing in its turn ever waits.

//go:build !windows

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// supervisor ties the graph to real processes, logs and clients. Other goroutines change the graph only with submit or a note in inbox, and read it only with view; fields without a lock of their own belong to the owner.
type supervisor struct {
	opts    serverOptions
	mode    serverMode
	begun   time.Time
	procs   *procs
	logs    *logHub
	events  *eventHub
	inbox   queue[note]
	alarm   *time.Timer // when the next turn is due …
	alarmAt time.Time   // … at the latest; zero: not at all

	mu sync.Mutex // the only lock around the graph: held during a step, and by view
	g  *graph

	starts     startQueue
	loops      map[string]*saidLoop // what the log leaves out, by service
	table      *forkTable
	lives      map[uint64]*life         // by generation
	undos      map[uint64]chan struct{} // stop_execs of exited oneshots, by generation; closing one kills it
	saver      saver
	acks       ackList
	signalJobs queue[signalJob]

	signals  chan os.Signal
	finished chan effect
	do       func(*effect) // perform; tests put something else here

	bootID    string
	keeper    *link         // nil: standalone
	abandoned chan struct{} // closed when the keeper has died
	early     []packet      // of the keeper, for follow
	withCmd   bool
	loaded    bool                 // the directories have been read once; under mu
	memory    *burst               // nil: not looked after
	answered  chan struct{}        // closed when who asked for an upgrade has been answered; under mu
	upgrading chan packet          // who waits for the keeper's word; under mu
	partial   map[logSource][]byte // beginnings of lines that the last server had read
	booted    atomic.Bool
	ending    atomic.Bool  // nothing starts again
	forking   sync.Map     // by invocation: the *life of each start whose pid_file has not named the main process yet
	plannedAt atomic.Int64 // when the shutdown that is planned begins, ms since the epoch; 0: none is
	syslog    syslogSocket // the socket of syslog(3)
	ear       *ear
	speaking  sync.Map // generation -> *life, of services that say of themselves how they are
	degraded  []string // what does not work here, and what that means
	cgroups   *cgroups
	socket    *controlSocket // the control socket; nil: none
	proxies   proxyTable
}

// note is what the owner is told: an event of the graph, a start that is prepared, ends that the keeper reports, a proxy to save, or that it is to rest.
type note struct {
	ev    *event
	start *start
	exits []exitRecord
	begun *life // of CMD, which the keeper has started
	ask   bool  // a sign of life
	idle  bool  // little happens: what is not needed at once may go
	proxy *proxyNote
	rest  *restRequest
	said  []event       // what services say of themselves …
	saved chan struct{} // … closed when that is saved
}

// restRequest has the owner do nothing from when it closes resting until over is closed.
type restRequest struct{ resting, over chan struct{} }

// life is one start of a service: its process and the pipes of its output.
type life struct {
	proc  *process
	pipes *logPipes
	stdin *stdinPipe // nil: none
	cfg   *config
	name  string
	gen   uint64
	stuck atomic.Bool // its last health check has not come back

	stage   *stageStart   // nil: none
	staged  chan struct{} // closed when the stage has executed the program, or could not
	refused *event        // why it could not, once staged is closed

	over     chan struct{}                 // closed when the process and all that was left of it is gone; nil: no health check wants to know
	checking atomic.Pointer[chan struct{}] // closed when the last health check has come back
	asking   atomic.Pointer[chan struct{}] // closed when its stop_exec has ended; nil: none was run
}

func newLife(name string, gen uint64, c *config, pipes *logPipes) *life {
	l := &life{name: name, gen: gen, cfg: c, pipes: pipes}
	if c.Health.asked() {
		l.over = make(chan struct{})
	}
	return l
}

// queue is an unbounded list that producers never wait for. One consumer waits on wake.
type queue[T any] struct {
	mu   sync.Mutex
	list []T
	wake chan struct{}
}

func (q *queue[T]) init() { q.wake = make(chan struct{}, 1) }

func (q *queue[T]) put(x ...T) {
	q.mu.Lock()
	q.list = append(q.list, x...)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all that is there.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.list
	q.list = nil
	return l
}

func newSupervisor(opts serverOptions, mode serverMode) *supervisor {
	s := &supervisor{opts: opts, mode: mode, begun: time.Now(), lives: map[uint64]*life{}, undos: map[uint64]chan struct{}{}, loops: map[string]*saidLoop{}, finished: make(chan effect, 1), signals: make(chan os.Signal, 16),
		g: newGraph(opts.shutdownTimeout), events: newEventHub(), alarm: time.NewTimer(time.Hour), table: &forkTable{held: map[uint64][]int{}}}
	s.g.newInvocation = newInvocation
	s.g.pause = func() {
		s.mu.Unlock()
		s.mu.Lock()
	}
	if opts.keeper { // kill before the keeper takes over
		s.g.reserve = min(3*ownTime/2, opts.shutdownTimeout/8)
	}
	if !opts.limitSet { // the container engine has a limit of its own
		s.g.mainAlone = noLimit
	}
	s.cgroups = newCgroups(opts.socket, opts.keeper, opts.container)
	s.acks.byPID = map[int]uint64{}
	s.saver.places, s.saver.proxies = map[string]*savedPlace{}, map[string]proxyPlace{}
	s.proxies.list, s.proxies.backs = map[string]*proxyEntry{}, map[string]*backing{}
	s.abandoned = make(chan struct{})
	s.inbox.init()
	s.signalJobs.init()
	s.do = s.perform
	s.ear = newEar(s.heardOf)
	return s
}

// submit hands an event to the owner. It never waits.
func (s *supervisor) submit(ev event) { s.inbox.put(note{ev: &ev}) }

// view runs f while the graph changes nothing: between two steps, or two units of a long one. f copies what it needs, keeps no pointer and does nothing slow.
func (s *supervisor) view(f func(g *graph, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.g, time.Now())
}

// post submits an event whose answer settle waits for. Requests take effect in the order in which they are posted.
func (s *supervisor) post(ev event) *ticket {
	ev.to = &ticket{done: make(chan reply, 1)}
	s.submit(ev)
	return ev.to
}

// settle waits for the answer to an event that was posted for a unit. A nil cancel never cancels.
func (s *supervisor) settle(name string, t *ticket, cancel <-chan struct{}) (answer, error) {
	select {
	case r := <-t.done:
		if r.err != nil {
			return r.answer, r.err
		}
		return r.answer, nil
	case <-cancel:
		s.submit(event{kind: eventCancel, name: name, to: t})
		return answer{}, refuse(kindTimeout, "the client went away")
	}
}

// ask submits an event and waits for the step that settles it.
func (s *supervisor) ask(ev event, cancel <-chan struct{}) (answer, error) {
	return s.settle(ev.name, s.post(ev), cancel)
}

// slowTurn is when a turn of the loop is worth a line in the log.
const slowTurn = 100 * time.Millisecond

// run is the owner's loop: a turn for all that it was told, then one start, and so on; it waits when there is neither. It returns when quit is closed; with a nil quit never.
func (s *supervisor) run(quit <-chan struct{}) {
	for {
		if len(s.starts.ready) == 0 {
			select {
			case <-s.inbox.wake:
			case <-s.alarm.C:
			case <-quit:
				return
			}
		}
		now := time.Now()
		s.turn(now, s.inbox.take())
		if took := time.Since(now); took > slowTurn {
			logf(logDebug, "one turn of the supervisor took %s", span(took))
		}
		s.prepareMore(now) // while the kernel executes what is ready
		s.forkNext()
		s.prepareMore(time.Now())
		s.wind()
	}
}

// wind sets the alarm for the next deadline. One that comes later than the alarm leaves it alone: waking once too early is cheaper than setting it for each start.
func (s *supervisor) wind() {
	next := s.g.nextDue()
	if due := s.starts.nextDue(); next.IsZero() || !due.IsZero() && due.Before(next) {
		next = due
	}
	now := time.Now()
	switch {
	case next.IsZero():
		s.alarm.Stop()
		s.alarmAt = time.Time{}
	case s.alarmAt.IsZero() || next.Before(s.alarmAt) || !s.alarmAt.After(now):
		s.alarm.Reset(next.Sub(now))
		s.alarmAt = next
	}
}

// turn takes what the owner was told.
func (s *supervisor) turn(now time.Time, notes []note) {
	batch := make([]event, 0, len(notes))
	var saved []chan struct{}
	for i := range notes {
		switch n := &notes[i]; {
		case n.ev != nil:
			batch = append(batch, *n.ev)
		case n.said != nil:
			batch = append(batch, n.said...)
			saved = append(saved, n.saved)
		case n.exits != nil:
			s.exited(n.exits)
		case n.begun != nil:
			s.lives[n.begun.gen] = n.begun
			batch = append(batch, event{kind: eventSpawned, name: n.begun.name, gen: n.begun.gen, pid: n.begun.proc.mainPID()})
		case n.ask:
			s.keeper.send(packet{op: opAsk})
		case n.idle:
			if j := s.saver.journal; j != nil {
				j.rest()
			}
		case n.proxy != nil:
			s.saveProxy(n.proxy)
		case n.rest != nil:
			s.rest(n.rest)
		case n.start.name == "":
			s.starts.ready = append(s.starts.ready, n.start)
		default:
			batch = append(batch, s.prepared(n.start)...)
		}
	}
	batch = append(batch, s.starts.late(now)...)
	s.decide(now, batch)
	for _, c := range saved {
		close(c)
	}
}

// decide steps the graph with events, then with the deadlines that have passed, saves what that changed, and performs what results.
func (s *supervisor) decide(now time.Time, batch []event) {
	s.memory.add(len(batch))
	var work []effect
	s.mu.Lock()
	for _, ev := range batch {
		switch u := s.g.units[ev.name]; {
		case u == nil:
		case ev.ends() && s.saver.journal != nil:
			s.saver.place(u).exit = s.acks.byPID[ev.pid]
		case ev.kind == eventMainPID: // the end of the former one, which may have come before, is no end of the service
			s.acks.settled = append(s.acks.settled, settledEnd{u.pid, ev.name})
			s.forking.Delete(u.invocation)
		}
		work = append(work, s.g.step(now, ev)...)
		s.loaded = s.loaded || ev.kind == eventReload
	}
	if due := s.g.nextDue(); !due.IsZero() && !due.After(now) {
		work = append(work, s.g.step(now, event{kind: eventTick})...)
	}
	changed := s.g.takeChanged()
	s.mu.Unlock()
	s.save(changed) // others may look meanwhile: nobody but us changes anything
	for i := range batch {
		if ev := &batch[i]; ev.kind == eventUndone {
			delete(s.undos, ev.gen)
		} else if ev.ends() {
			delete(s.lives, ev.gen)
			s.acks.settled = append(s.acks.settled, settledEnd{ev.pid, ev.name})
			s.release(ev.name, ev.gen)
		}
	}
	s.sendAcks()
	for i := range work {
		s.do(&work[i])
	}
}

// rest keeps the owner from its work until the request is over.
func (s *supervisor) rest(r *restRequest) {
	s.mu.Lock()
	s.saver.said = savedServer{} // save it as it is now
	s.save(nil)
	s.mu.Unlock()
	close(r.resting)
	<-r.over
}

// perform does one effect, or has it done on another goroutine when it might take time.
func (s *supervisor) perform(e *effect) {
	switch e.kind {
	case effectSpawn:
		s.spawn(e)
	case effectCancelSpawn:
		s.callBack(e.gen)
	case effectUndo:
		s.undo(e)
	case effectStop, effectKill, effectSignal, effectSend:
		if over := s.undos[e.gen]; over != nil {
			delete(s.undos, e.gen)
			close(over)
			break
		}
		s.signalJobs.put(signalJob{*e, s.lives[e.gen]})
	case effectCheck:
		if l := s.lives[e.gen]; l != nil {
			background("health check", func() { s.check(l) })
		}
	case effectGuard:
		name, gen, cfg := e.name, e.gen, e.cfg
		background("guard", func() { s.guard(name, gen, cfg) })
	case effectReply:
		e.ticket.done <- e.reply()
	case effectMoved:
		s.moved(e)
	case effectConfigure:
		s.events.tell(e)
		if !e.cfg.isExpanded(e.cfg.Logging.File) { // else by the start that it counts for
			s.logs.configure(e.name, e.cfg.Logging, s.mode == modeContainer)
		}
	case effectForget:
		delete(s.loops, e.name)
		s.events.tell(e)
		s.logs.forget(e.name)
		s.tellProxies(e.name, true)
	case effectClosing:
		s.ending.Store(true)
		background("proxies", s.shutProxies)
		s.memory.add(burstEvents)
		if s.keeper != nil {
			s.keeper.send(packet{op: opClosing, a: int64(e.sig), b: e.limit.Milliseconds(), text: e.text})
		}
	case effectCritical:
		s.critical(e)
	case effectFinished:
		s.finished <- *e
	}
}

// critical is the end of a service that everything depends on: the end of a container, the emergency of a machine.
func (s *supervisor) critical(e *effect) {
	logf(logError, "the critical service %s: %s", e.name, e.text)
	switch s.mode {
	case modeContainer:
		s.keeper.send(packet{op: opClosing, a: int64(e.sig), b: s.opts.shutdownTimeout.Milliseconds(), text: string(powerExit) + " " + becauseCritical})
		s.submit(event{kind: eventShutdown, power: powerExit, sig: e.sig})
	case modeSystem:
		s.keeper.send(packet{op: opDo, text: "emergency the critical service " + e.name + ": " + e.text})
	}
}

// newInvocation is 128 random bits in hex: the name of one start.
func newInvocation() string {
	return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
}

// ended has the end of a service reported: at once, but on a goroutine of its own where that may have to wait for a log file or a health check.
func (s *supervisor) ended(l *life, e exit) {
	if l.cfg.Logging.File != "" || l.over != nil || l.stage != nil || l.cfg.Service.TTY != "" || l.asking.Load() != nil {
		background("end of a service", func() { s.submit(s.gone(l, e)) })
		return
	}
	s.submit(s.gone(l, e))
}

// gone is the end of a service for the graph, after the last of what it wrote has been read.
func (s *supervisor) gone(l *life, e exit) event {
	if l.stage != nil {
		<-l.staged
	}
	if l.over != nil {
		close(l.over)
	}
	if check := l.checking.Load(); check != nil { // what it runs belongs to the service, and nothing is left of that
		waitFor(*check, slowRead)
	}
	if asking := l.asking.Load(); asking != nil {
		waitFor(*asking, l.cfg.Lifecycle.StopTimeout)
	}
	l.pipes.drain()
	s.logs.removeFifos(l.name, l.gen)
	if l.cfg.Service.TTY != "" {
		sysHangUp(l.cfg.Service.TTY)
	}
	s.closeStdin(l.stdin, l.name, l.gen)
	if e.Left > 0 {
		logf(logError, "%s: %d processes survived SIGKILL; they are left behind", l.name, e.Left)
	}
	if e.OOM {
		logf(logWarn, "%s ran out of memory: the kernel killed a process of its control group", l.name)
	}
	if text := l.proc.leftBehind(); text != "" {
		logf(logWarn, "%s left %s", l.name, text)
	}
	if l.refused != nil {
		return *l.refused
	}
	return event{kind: eventExited, name: l.name, gen: l.gen, exit: e, pid: l.proc.mainPID()}
}

// supervisor.go is the owner: one goroutine holds the graph, takes events, performs their effects and forks; nothing in its turn ever waits.

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// supervisor ties the graph to real processes, logs and clients. There are two doors: submit to change, view to look. Everything else belongs to the owner.
type supervisor struct {
	opts    serverOptions
	mode    serverMode
	begun   time.Time
	procs   *procs
	logs    *logHub
	moves   *moveHub
	inbox   queue[note]
	alarm   *time.Timer // when the next turn is due …
	alarmAt time.Time   // … at the latest; zero: not at all

	mu sync.Mutex // the only lock: held during a step, and by view
	g  *graph

	starts startQueue
	table  *forkTable
	lives  map[uint64]*life // by generation
	saver  saver
	acks   ackList
	hands  queue[signalJob]

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
	syslog    int          // the socket of syslog(3); 0: none
	degraded  []string     // what does not work here, and what that means
	door      *rpcListener // the control socket; nil: none
}

// note is what the owner is told: an event of the graph, a start that is prepared, ends that the keeper reports, or that it is to rest.
type note struct {
	ev    *event
	start *start
	exits []exitRecord
	begun *life // of CMD, which the keeper has started
	ask   bool  // a sign of life
	calm  bool  // little happens: what is not needed at once may go
	rest  *restRequest
}

// restRequest has the owner do nothing from when it closes resting until over is closed.
type restRequest struct{ resting, over chan struct{} }

// life is one start of a service: its process and the pipes of its output.
type life struct {
	proc  *process
	pipes *logPipes
	cfg   *config
	name  string
	gen   uint64
	stuck atomic.Bool // its last health check has not come back

	over     chan struct{}                 // closed when the process and all that was left of it is gone; nil: no health check wants to know
	checking atomic.Pointer[chan struct{}] // closed when the last health check has come back
}

func newLife(name string, gen uint64, c *config, pipes *logPipes) *life {
	l := &life{name: name, gen: gen, cfg: c, pipes: pipes}
	if c.Health != nil {
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
	s := &supervisor{opts: opts, mode: mode, begun: time.Now(), lives: map[uint64]*life{}, finished: make(chan effect, 1), signals: make(chan os.Signal, 16),
		g: newGraph(opts.shutdownTimeout), moves: newMoveHub(), alarm: time.NewTimer(time.Hour), table: &forkTable{held: map[uint64][]int{}}}
	s.g.mint = newInvocation
	if opts.keeper { // before the keeper loses its patience
		s.g.reserve = min(3*ownTime/2, opts.shutdownTimeout/8)
	}
	s.acks.byPID = map[int]uint64{}
	s.saver.places = map[string]*savedPlace{}
	s.abandoned = make(chan struct{})
	s.inbox.init()
	s.hands.init()
	s.do = s.perform
	return s
}

// submit hands an event to the owner. It never waits.
func (s *supervisor) submit(ev event) { s.inbox.put(note{ev: &ev}) }

// view runs f with the graph at rest. f copies what it needs, keeps no pointer and does nothing slow.
func (s *supervisor) view(f func(g *graph, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.g, time.Now())
}

// ask submits an event and waits for the step that settles it. A nil cancel never cancels.
func (s *supervisor) ask(ev event, cancel <-chan struct{}) (answer, error) {
	ev.to = &ticket{done: make(chan reply, 1)}
	s.submit(ev)
	select {
	case r := <-ev.to.done:
		if r.err != nil {
			return r.answer, r.err
		}
		return r.answer, nil
	case <-cancel:
		s.submit(event{kind: eventCancel, name: ev.name, to: ev.to})
		return answer{}, refuse(kindTimeout, "the client went away")
	}
}

// A supervisor is small and idle most of its life, and then its memory is a promise: half the garbage that Go allows by default, and
// what a burst of work left behind goes back to the kernel. During a burst less collecting leaves time for the work.
const (
	idleGarbage  = 50 // percent of what is in use, as for GOGC
	burstGarbage = 400
	burstEvents  = 50 // so many events, with no pause of burstOver, make a burst
	burstOver    = time.Second
)

// burst knows whether there is one. The start is.
type burst struct {
	events atomic.Int64
	over   *time.Timer
}

// newBurst begins with one; calm is told when it is over.
func newBurst(calm func()) *burst {
	b := &burst{}
	debug.SetGCPercent(burstGarbage)
	b.over = later(burstOver, "end of a burst", func() {
		b.events.Store(0)
		debug.SetGCPercent(idleGarbage)
		debug.FreeOSMemory()
		calm()
	})
	return b
}

// add counts events.
func (b *burst) add(n int) {
	if b == nil || n == 0 {
		return
	}
	all := b.events.Add(int64(n))
	if all < burstEvents {
		return
	}
	if all-int64(n) < burstEvents {
		debug.SetGCPercent(burstGarbage)
	}
	b.over.Reset(burstOver)
}

// slowTurn is when a turn of the loop is worth a line in the log.
const slowTurn = 100 * time.Millisecond

// run is the owner's loop: a turn for all that it was told, then one start, and so on; it waits when there is neither. It ends when quit is closed; a nil quit never is.
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
	for i := range notes {
		switch n := &notes[i]; {
		case n.ev != nil:
			batch = append(batch, *n.ev)
		case n.exits != nil:
			s.exited(n.exits)
		case n.begun != nil:
			s.lives[n.begun.gen] = n.begun
			batch = append(batch, event{kind: eventSpawned, name: n.begun.name, gen: n.begun.gen, pid: n.begun.proc.pid})
		case n.ask:
			s.keeper.send(packet{op: opAsk})
		case n.calm:
			if j := s.saver.journal; j != nil {
				j.rest()
			}
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
}

// decide steps the graph with events, then with the deadlines that have passed, saves what that changed, and performs what results.
func (s *supervisor) decide(now time.Time, batch []event) {
	s.memory.add(len(batch))
	var work []effect
	s.mu.Lock()
	for _, ev := range batch {
		if u := s.g.units[ev.name]; ev.kind == eventExited && u != nil && s.saver.journal != nil {
			s.saver.place(u).exit = s.acks.byPID[ev.pid]
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
		if ev := &batch[i]; ev.kind == eventExited {
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
	case effectStop, effectKill, effectSignal:
		s.hands.put(signalJob{*e, s.lives[e.gen]})
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
		s.moves.tell(e)
		s.logs.configure(e.name, e.cfg.Logging, s.mode == modeContainer)
	case effectForget:
		s.moves.tell(e)
		s.logs.forget(e.name)
	case effectClosing:
		s.ending.Store(true)
		s.memory.add(burstEvents)
		if s.keeper != nil {
			s.keeper.send(packet{op: opClosing, a: int64(e.sig), b: s.opts.shutdownTimeout.Milliseconds(), text: e.text})
		}
	case effectCritical:
		s.critical(e)
	case effectFinished:
		s.finished <- *e
	}
}

// moved tells the log and the subscribers of a change of state.
func (s *supervisor) moved(e *effect) {
	switch e.to {
	case running:
		logf(logInfo, "%s is running", e.name)
	case exited:
		logf(logInfo, "%s has exited", e.name)
	case failed:
		text := ""
		if e.restartIn > 0 {
			text = "; restarts in " + span(e.restartIn)
		}
		logf(logWarn, "%s failed: %s%s", e.name, e.reason, text)
	default:
		logf(logDebug, "%s: %s -> %s", e.name, e.from, e.to)
	}
	s.moves.tell(e)
}

// signalJob is an effect that signals, with the life that it means; nil: that is over.
type signalJob struct {
	effect
	life *life
}

// work performs signals in order, away from the loop: looking at /proc takes time. Stops and kills that come together are one look.
func (s *supervisor) work() {
	for range s.hands.wake {
		for todo := s.hands.take(); len(todo) > 0; {
			kind, n := todo[0].kind, 0
			var all []*process
			var sigs []int
			for ; n < len(todo) && todo[n].kind == kind && s.plain(&todo[n]); n++ {
				if l := todo[n].life; l != nil {
					all, sigs = append(all, l.proc), append(sigs, l.cfg.Lifecycle.StopSignal)
				}
			}
			switch {
			case n == 0:
				s.touch(&todo[0])
				n = 1
			case kind == effectStop:
				s.procs.stop(all, sigs)
			default:
				s.procs.kill(all)
			}
			todo = todo[n:]
		}
	}
}

// plain says whether a job is a stop or a kill of a service by its signal, which can be done together with others.
func (s *supervisor) plain(j *signalJob) bool {
	return j.kind == effectKill || j.kind == effectStop && !s.isMain(j.name) && (j.life == nil || j.life.cfg.Lifecycle.StopExec.none())
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

// touch signals the process of one generation. When it is gone already, its end is under way to the graph and nothing is to do.
func (s *supervisor) touch(j *signalJob) {
	l := j.life
	if l == nil {
		if j.ticket != nil {
			j.ticket.done <- reply{err: refuse(kindServiceIsDown, "cannot signal %s: it has no process", j.name)}
		}
		return
	}
	if j.kind == effectStop {
		if s.isMain(j.name) && !s.isAbandoned() {
			s.keeper.send(packet{op: opDo, text: fmt.Sprintf("signal %d", sigTerm)})
			return
		}
		s.stop(l)
		return
	}
	r := reply{}
	if err := l.proc.signal(j.sig); errors.Is(err, errGone) {
		r.err = refuse(kindServiceIsDown, "cannot signal %s: it has no process", j.name)
	} else if err != nil {
		r.err = refuse(kindProcessError, "cannot send %s to %s: %v", signalName(j.sig), j.name, err)
	}
	j.ticket.done <- r
}

// stop asks a service to end: by its stop_exec where it has one, and by its stop signal where it has none or that one failed.
func (s *supervisor) stop(l *life) {
	c := &l.cfg.Lifecycle
	if c.StopExec.none() {
		l.proc.stop(c.StopSignal)
		return
	}
	background("stop_exec", func() {
		told := *l.cfg
		told.Service.Env = maps.Clone(told.Service.Env)
		if told.Service.Env == nil {
			told.Service.Env = map[string]string{}
		}
		told.Service.Env["MAINPID"] = strconv.Itoa(l.proc.pid)
		l.proc.addKin(l.proc.descendants()) // they were not asked: they go when the main process has gone
		if err := s.procs.probe(&told, c.StopExec, l.proc.invocation, c.StopTimeout, nil); err != nil {
			logf(logWarn, "stop_exec of %s: %v; sending %s instead", l.name, err, signalName(c.StopSignal))
			l.proc.stop(c.StopSignal)
		}
	})
}

// checkGrace is how much longer than its timeout a check may take before it counts as stuck: to kill a command, and to read what it said.
const checkGrace = time.Second

var errStuck = errors.New("the check itself hangs: is its target on a mount that does not answer?")

// check runs one health check and reports it. One that hangs in the kernel is a failure, and so is the next one as long as it does.
func (s *supervisor) check(l *life) {
	c := l.cfg
	probe := func(cmd execDef, timeout time.Duration) error { // with its name, so that what is left of a check ends with its service
		return s.procs.probe(c, cmd, l.proc.invocation, timeout, l.over)
	}
	err := errStuck
	if !l.stuck.Swap(true) {
		done, ended := make(chan error, 1), make(chan struct{})
		l.checking.Store(&ended)
		background("health check", func() {
			err := check(c.Health, probe)
			l.stuck.Store(false)
			close(ended)
			done <- err
		})
		limit := time.NewTimer(c.Health.Timeout + checkGrace)
		defer limit.Stop()
		select {
		case err = <-done:
		case <-limit.C:
		}
	}
	ev := event{kind: eventHealth, name: l.name, gen: l.gen, ok: err == nil}
	if err != nil {
		ev.text = err.Error()
	}
	s.submit(ev)
}

// guard looks at what outside the graph may hinder a start: ports in use, and foreign processes, which it ends where the file says so.
func (s *supervisor) guard(name string, gen uint64, c *config) {
	ev := event{kind: eventGuard, name: name, gen: gen}
	ev.hindrance, ev.ok = s.hindered(c)
	s.submit(ev)
}

func (s *supervisor) hindered(c *config) (hindrance, bool) {
	if f := c.Service.ProcessFilter; f != "" {
		pids := s.procs.foreign(f)
		if len(pids) > 0 && c.Service.KillOthers {
			logf(logWarn, "%s: ending %s, which process_filter %q matches", c.Service.Name, pidNames(pids), f)
			pids = removeForeign(pids, c.Lifecycle.StopTimeout)
		}
		if len(pids) > 0 {
			return hindrance{kind: whyProcessFilter, service: fmt.Sprintf("process %d", pids[0]), needsPerson: true,
				detail: fmt.Sprintf("the foreign %s matches process_filter %q", pidNames(pids[:1]), f)}, false
		}
	}
	for _, port := range c.Service.Ports {
		if !portFree(port) {
			return hindrance{kind: whyPort, service: fmt.Sprintf("port %d", port), detail: fmt.Sprintf("port %d is in use", port), needsPerson: true}, false
		}
	}
	return hindrance{}, true
}

// pidNames names processes for people: process 12 (sleep 9).
func pidNames(pids []int) string {
	var names []string
	for _, pid := range pids {
		name := fmt.Sprintf("process %d", pid)
		if st, err := readStat(pid); err == nil {
			name += " (" + visible(commandOf(&st)) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// newInvocation is 128 random bits in hex: the name of one start.
func newInvocation() string {
	return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
}

// serverInfo is what the server knows of itself.
type serverInfo struct {
	Version    string
	Mode       serverMode
	PID        int
	Started    time.Time
	ConfigDirs []string
	SystemDir  string
	Socket     string
	Degraded   []string
}

func (s *supervisor) info() serverInfo {
	return serverInfo{version, s.mode, os.Getpid(), s.begun, s.opts.configDirs, s.opts.systemDir, s.opts.socket, s.degraded}
}

// load reads the directories.
func (s *supervisor) load() *loadResult {
	l := loadDirs(s.opts.systemDir, s.opts.configDirs)
	const each = 2 // pipes that a service has
	background("room for descriptors", func() { sysMakeRoom(each * len(l.configs)) })
	return l
}

// boot loads the services and starts what is to be started. Problems are said, and keep nothing else from starting.
func (s *supervisor) boot() {
	defer s.booted.Store(true)
	a, err := s.ask(event{kind: eventReload, name: s.opts.target, load: s.load()}, nil)
	if err != nil {
		return
	}
	s.complain(a.Reload)
	units := 0
	s.view(func(g *graph, _ time.Time) { units = len(g.units) })
	if units == 0 && s.mode == modeSystem {
		s.keeper.send(packet{op: opDo, text: "emergency nothing could be loaded from " + strings.Join(s.opts.configDirs, ", ")})
	}
}

// reload is SIGHUP.
func (s *supervisor) reload() {
	a, err := s.ask(event{kind: eventReload, load: s.load()}, nil)
	if err != nil {
		logf(logWarn, "reload: %v", err)
		return
	}
	s.complain(a.Reload)
	logf(logInfo, "reloaded: %d added, %d removed, %d changed, %d unchanged", len(a.Reload.Added), len(a.Reload.Removed), len(a.Reload.Changed), len(a.Reload.Unchanged))
}

func (s *supervisor) complain(r *reloadResult) {
	for _, p := range r.Errors {
		logf(logError, "%s", p)
	}
	for _, p := range r.Warnings {
		logf(logWarn, "%s", p)
	}
}

// loadPatience is how long clients wait in the queue of the socket for the first load, so that the first one already finds every service.
const loadPatience = 2 * time.Second

// serverMain is `zinit server`: the daemon, until a signal, a client or the keeper ends it. It returns the exit code.
//
// It keeps the main thread for itself, which does nothing but wait. The kernel prefers that thread for the signals of a process (complete_signal in
// kernel/signal.c), and one that hangs on a dead mount takes none: no end of a service would be seen any more.
func serverMain(opts serverOptions) int {
	if opts.checkState {
		return checkState(opts.checkKeeper)
	}
	if err := setLogLevel(opts.logLevel); err != nil {
		logf(logError, "%v", err)
		serverLog.flush(time.Second)
		return exitUsage
	}
	for i, d := range opts.configDirs {
		if abs, err := filepath.Abs(d); err == nil {
			opts.configDirs[i] = abs
		}
	}
	spareThreads(16) // before services can have taken all that the user or container may have
	nullFile()       // in both tables of descriptors under one number
	s := newSupervisor(opts, modeOf(opts))
	s.catch() // from here on a SIGTERM must clean up
	s.procs = newProcsOf(!opts.keeper)
	own := s.begetOwner()
	sysPrivate()
	s.memory = newBurst(func() { s.inbox.put(note{calm: true}) })
	s.logs = newLogHub(1)
	s.logs.mark = func() { s.submit(event{kind: eventCancel}) }
	var foreign []kin // what a shell that executed us had begun
	if os.Getenv(ringsVar) == "" {
		foreign = kinOf(os.Getpid())
	}
	h, err := s.greet()
	if err == nil {
		s.door, err = s.open(h)
	}
	if err != nil {
		logf(logError, "%v", err)
		serverLog.flush(time.Second)
		return exitRefused
	}
	door := s.door
	st, h, err := s.inherit(h)
	if err != nil {
		logf(logError, "%v", err)
		serverLog.flush(time.Second)
		return exitRefused
	}
	if st != nil {
		s.adoptAll(st, h)
	}
	if s.withCmd {
		s.addMain(h.cmd)
	}
	own()
	background("hands", s.work)
	s.procs.run()
	s.serveSyslog()
	loaded := s.begin(st, h)
	var r *rpcServer
	if door != nil {
		select {
		case <-loaded:
		case <-time.After(loadPatience):
			logf(logWarn, "the services directory does not answer; clients are served without what is in it")
		}
		r = serveRPC(s, door)
		logf(logInfo, "zinit %s is listening on %s", version, s.opts.socket)
	}
	e := s.waitForEnd()
	if s.keeper == nil {
		s.procs.killOrphans(foreign)
	}
	if e.incomplete {
		logf(logError, "some processes did not end even after SIGKILL")
	}
	logf(logInfo, "all services are stopped")
	s.logs.flushLogs(time.Second)
	if r != nil {
		r.close() // as late as this: clients want to see the last service end
	}
	s.forgetState()
	if s.keeper != nil {
		s.keeper.send(packet{op: opDone, a: int64(e.sig), text: e.text})
		<-s.abandoned // the keeper ends us
	}
	return exitDone
}

// catch has the signals reported that mean something to a server.
func (s *supervisor) catch() {
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
}

// begetOwner makes the goroutine of the owner, on a thread with a table of descriptors of its own, while little is open. It begins its work when what is returned
// is called; until then all that is the owner's belongs to the caller.
func (s *supervisor) begetOwner() (own func()) {
	made, begin := make(chan struct{}), make(chan struct{})
	passed := passedOn()
	for _, fd := range passed {
		sysCloexec(fd)
	}
	background("supervisor", func() {
		debug.SetPanicOnFault(true) // a page of the state that the disk does not give is an error, not the end
		s.table = newForkTable(s.procs.pidfdOf)
		if s.table.apart {
			closeAll(passed) // the copies in our table
		}
		close(made)
		<-begin
		if j := s.saver.journal; j != nil {
			if fds := s.table.take(0); len(fds) == 1 {
				j.fd = fds[0]
			}
		}
		s.run(nil)
	})
	<-made
	s.procs.execute, s.procs.handOff = s.execute, s.table.giveBack
	return func() {
		if j := s.saver.journal; j != nil {
			if err := s.table.give(0, []int{j.fd}); err != nil {
				logf(logError, "the state cannot grow: %v", err)
			}
		}
		close(begin)
	}
}

func modeOf(o serverOptions) serverMode {
	switch {
	case o.keeper && o.container:
		return modeContainer
	case o.keeper:
		return modeSystem
	}
	return modeStandalone
}

// greet takes what the keeper, or an earlier image of this process, hands over.
func (s *supervisor) greet() (handed, error) {
	if !s.opts.keeper {
		h := handed{store: map[string][]int{}}
		number, key, _ := strings.Cut(os.Getenv(socketVar), " ")
		os.Unsetenv(socketVar)
		if fd, err := strconv.Atoi(number); err == nil {
			h.store[key] = []int{fd}
		}
		return h, nil
	}
	l, err := newLink(keeperLink)
	if err != nil {
		return handed{}, fmt.Errorf("cannot talk to the keeper: %w", err)
	}
	h, err := greet(l)
	if err != nil {
		return h, fmt.Errorf("the keeper does not say what there is: %w", err)
	}
	s.keeper = l
	return h, nil
}

// passedOn lists the descriptors that an earlier image of this process left open for us.
func passedOn() (fds []int) {
	for _, name := range []string{ringsVar, socketVar} {
		number, _, _ := strings.Cut(os.Getenv(name), " ")
		if fd, err := strconv.Atoi(number); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds
}

// socketVar names the descriptor of the control socket, and its key, for the next image of this process.
const socketVar = "ZINIT_CONTROL"

// open takes the control socket that was handed over, or makes one. Under the keeper the services matter more than the socket: without one they
// run all the same.
func (s *supervisor) open(h handed) (*rpcListener, error) {
	for key, fds := range h.store {
		if !strings.HasPrefix(key, socketKey) || len(fds) != 1 {
			continue
		}
		delete(h.store, key)
		door, err := takeRPC(s.opts, key, fds[0])
		if err == nil {
			s.opts.socket = door.path
			return door, nil
		}
		logf(logWarn, "the control socket of the last server cannot be used any more (%v); making a new one", err)
		if s.keeper != nil {
			s.keeper.send(packet{op: opDrop, text: key})
		}
	}
	paths := []string{s.opts.socket}
	if s.opts.keeper && !s.opts.socketSet {
		paths = keeperSockets()
	}
	var firstErr error
	for _, p := range paths {
		o := s.opts
		o.socket = p
		door, err := listenRPC(o)
		if err == nil {
			s.opts.socket = p
			if firstErr != nil {
				s.degraded = append(s.degraded, fmt.Sprintf("the socket is %s (%v)", p, firstErr))
			}
			s.keepSocket(door)
			return door, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	if s.opts.keeper {
		logf(logWarn, "%v; the services run, but nobody can ask or command", firstErr)
		return nil, nil
	}
	return nil, firstErr
}

// keepSocket has the keeper hold the socket for the next server.
func (s *supervisor) keepSocket(door *rpcListener) {
	if s.keeper == nil {
		return
	}
	fd, err := door.descriptor()
	if err != nil {
		logf(logWarn, "the control socket cannot be kept for the next server: %v", err)
		return
	}
	s.keeper.sendNow(packet{op: opStore, text: door.key(), fds: []int{fd}}, linkTime)
	_ = sysClose(fd)
}

// inherit takes over what an earlier server left: from the keeper, or from the files beside the socket. A nil state is a fresh start.
func (s *supervisor) inherit(h handed) (*savedState, handed, error) {
	s.bootID = sysBootID()
	if _, err := readStat(os.Getpid()); err != nil {
		s.degraded = append(s.degraded, "there is no /proc: CPU and memory of services are unknown, and what leaves the process group of a service is not found")
	}
	if !s.opts.keeper {
		st := s.keepState()
		if st != nil {
			h.store = s.fifoStore(st)
			s.takeRings(nil)
		}
		return st, h, nil
	}
	s.withCmd = s.opts.withCmd
	var st *savedState
	if fd := keeperState; sysIsFile(fd) {
		if s.opts.discardState {
			logf(logError, "servers died again and again with the saved state: what it describes is stopped, and everything is started anew")
		}
		st = s.openState(fd, s.opts.discardState)
	} else {
		s.discard()
	}
	s.takeRings(h.store[ringsKey])
	delete(h.store, ringsKey)
	s.keeper.send(packet{op: opDrop, text: ringsKey})
	s.openSyslog(h.store[syslogKey])
	delete(h.store, syslogKey)
	if st == nil {
		for key, fds := range h.store {
			closeAll(fds)
			s.keeper.send(packet{op: opDrop, text: key})
		}
		for _, e := range h.exits {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
	}
	return st, h, nil
}

// Descriptors that the keeper gives the server.
const (
	keeperLink  = 3
	keeperState = 4
)

// syslogKey names the socket of syslog(3) in the keeper's store.
const syslogKey, syslogPath = "syslog", "/dev/log"

// openSyslog takes the socket over from the last server, or makes it where nobody else has one.
func (s *supervisor) openSyslog(fds []int) {
	if len(fds) == 1 {
		s.syslog = fds[0]
		return
	}
	if s.mode == modeSystem { // so many messages may wait while a server is replaced; the kernel's 10 are few
		_ = os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("512"), 0)
	}
	fd, err := sysListenSyslog(syslogPath)
	if err == nil {
		s.syslog = fd
		s.keeper.sendNow(packet{op: opStore, text: syslogKey, fds: []int{fd}}, linkTime)
		return
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		s.degraded = append(s.degraded, fmt.Sprintf("%s is not served (%v): messages of syslog(3) are lost", syslogPath, err))
	}
}

// serveSyslog reads it from when it is known which service has which process.
func (s *supervisor) serveSyslog() {
	if s.syslog == 0 {
		return
	}
	s.view(func(g *graph, _ time.Time) {
		if g.units[syslogName] == nil {
			s.logs.configure(syslogName, newConfig().Logging, s.mode == modeContainer)
		}
	})
	background("syslog", func() {
		if err := s.logs.serveSyslog(s.syslog, s.procs.owner); err != nil {
			logf(logError, "cannot read %s any more: %v", syslogPath, err)
		}
	})
}

// takeRings takes the log lines of the last server: from the keeper, or from the image that executed us.
func (s *supervisor) takeRings(fds []int) {
	fd := -1
	if len(fds) == 1 {
		fd = fds[0]
	} else if n, err := strconv.Atoi(os.Getenv(ringsVar)); err == nil {
		fd = n
	} else if data, err := os.ReadFile(s.ringsFile()); err == nil && s.keeper == nil {
		s.partial = s.loadRings(data)
		_ = os.Remove(s.ringsFile())
		return
	} else {
		return
	}
	os.Unsetenv(ringsVar)
	data, _ := sysReadAll(fd)
	_ = sysClose(fd)
	s.partial = s.loadRings(data)
}

// begin starts what is to be started, or lets what was adopted go on. What it returns is closed when the services are loaded.
func (s *supervisor) begin(st *savedState, h handed) <-chan struct{} {
	loaded := make(chan struct{})
	if s.withCmd {
		background("wait for CMD", s.waitForMain)
	}
	if s.keeper != nil {
		background("keeper", s.follow)
		if c := h.closing; c != nil {
			s.submit(event{kind: eventShutdown, power: powerKind(c.text), sig: int(c.a), timeout: time.Duration(max(c.b, 1)) * time.Millisecond})
		}
		s.keeper.send(packet{op: opLive})
	}
	if st == nil || s.keeper == nil || !st.server.Loaded {
		background("boot", func() { s.boot(); close(loaded) })
		return loaded
	}
	s.booted.Store(true)
	s.submit(event{kind: eventCancel})
	close(loaded)
	return loaded
}

// waitForMain starts CMD once nothing that is wanted is on its way any more, at the latest after --cmd-wait-ms.
func (s *supervisor) waitForMain() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(s.opts.cmdWait); time.Now().Before(end); <-tick.C {
		settled := false
		s.view(func(g *graph, _ time.Time) { settled = s.booted.Load() && g.settled() })
		if settled {
			break
		}
	}
	fresh := false
	s.view(func(g *graph, _ time.Time) { fresh = g.units[mainName].lastStart.IsZero() })
	if fresh {
		s.startMain()
	}
}

// waitForEnd takes signals until the shutdown that one of them, or a client, began is complete. A second SIGTERM or SIGINT kills at once.
func (s *supervisor) waitForEnd() effect {
	asked := false
	for {
		select {
		case e := <-s.finished:
			return e
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGHUP:
				background("reload", s.reload)
			case syscall.SIGTERM, syscall.SIGINT:
				if s.keeper != nil {
					if sig == syscall.SIGTERM {
						s.handover()
					}
					continue
				}
				kind := eventShutdown
				if asked {
					kind = eventShutdownNow
				}
				asked = true
				logf(logInfo, "stopping all services")
				s.submit(event{kind: kind, power: powerExit})
			}
		}
	}
}

// ended has the end of a service reported: at once, but on a goroutine of its own where that may have to wait for a log file or a health check.
func (s *supervisor) ended(l *life, e exit) {
	if l.cfg.Logging.File != "" || l.over != nil {
		background("end of a service", func() { s.submit(s.gone(l, e)) })
		return
	}
	s.submit(s.gone(l, e))
}

// gone is the end of a service for the graph, after the last of what it wrote has been read.
func (s *supervisor) gone(l *life, e exit) event {
	if l.over != nil {
		close(l.over)
	}
	if check := l.checking.Load(); check != nil { // what it runs belongs to the service, and nothing is left of that
		limit := time.NewTimer(slowRead)
		select {
		case <-*check:
		case <-limit.C:
		}
		limit.Stop()
	}
	l.pipes.drain()
	s.logs.removeFifos(l.name, l.gen)
	if e.Left > 0 {
		logf(logError, "%s: %d processes survived SIGKILL; they are left behind", l.name, e.Left)
	}
	return event{kind: eventExited, name: l.name, gen: l.gen, exit: e, pid: l.proc.pid}
}

// release gives up what outlives a server of one start: the keeper's copies of its pipes. That waits until the end is saved: pipes
// without an end say that the process may be there.
func (s *supervisor) release(name string, gen uint64) {
	if s.keeper != nil {
		s.keeper.send(packet{op: opDrop, text: logKey(name, gen)})
	}
}

// --- the keeper's other half: the server under `zinit init`

// ackList remembers which exit records of the keeper wait to be saved. It belongs to the owner.
type ackList struct {
	byPID   map[int]uint64 // of our services, until the graph has saved their end
	settled []settledEnd   // the graph has taken the end; its record may be unsaved yet
	ready   []uint64
	last    uint64 // the newest that came
}

type settledEnd struct {
	pid  int
	name string
}

// handed is what the keeper gives a new server before "live".
type handed struct {
	store   map[string][]int
	procs   map[string]int // processes by the key of their pipes in store
	exits   []exitRecord
	cmd     packet
	closing *packet
}

// greet reads what the keeper has for us.
func greet(l *link) (handed, error) {
	h := handed{store: map[string][]int{}, procs: map[string]int{}}
	for {
		p, err := l.recv()
		if err != nil {
			return h, err
		}
		switch p.op {
		case opStore:
			h.store[p.text] = append(h.store[p.text], p.fds...)
		case opStarted:
			h.procs[p.text] = int(p.a)
		case opExits:
			h.exits = append(h.exits, parseExits(p.text)...)
		case opCommand:
			h.cmd = p
		case opClosing:
			h.closing = &p
		case opLive:
			return h, nil
		}
	}
}

// logKey names the pipes of one start in the keeper's store.
func logKey(name string, gen uint64) string { return fmt.Sprintf("log %s %d", name, gen) }

// follow takes what the keeper says, for ever. Without a keeper (it was no PID 1 and died) all services are stopped.
func (s *supervisor) follow() {
	for _, p := range s.early {
		s.heard(p)
	}
	s.early = nil
	for {
		p, err := s.keeper.recv()
		if err != nil {
			logf(logError, "the keeper has gone: stopping all services")
			close(s.abandoned)
			s.procs.orphaned()
			s.submit(event{kind: eventShutdown, power: powerExit})
			return
		}
		s.heard(p)
	}
}

func (s *supervisor) heard(p packet) {
	switch p.op {
	case opExits:
		s.inbox.put(note{exits: parseExits(p.text)})
	case opAsk:
		s.inbox.put(note{ask: true})
	case opCommand:
		s.command(p)
	case opUpgrade:
		s.upgradeTold(p)
	case opDo:
		s.obey(p.text)
	}
}

func (s *supervisor) isAbandoned() bool {
	select {
	case <-s.abandoned:
		return true
	default:
		return false
	}
}

// exited hands exits to the table of processes. Those of services are acknowledged when the graph has saved what follows.
func (s *supervisor) exited(list []exitRecord) {
	for _, e := range list {
		s.acks.last = e.seq
		if s.procs.has(e.pid) {
			s.acks.byPID[e.pid] = e.seq
		} else {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
		s.procs.reaped(e.pid, e.status&^leaderBit)
	}
}

// sendAcks acknowledges the ends that are saved.
func (s *supervisor) sendAcks() {
	if s.keeper == nil {
		return
	}
	a := &s.acks
	a.settled = slices.DeleteFunc(a.settled, func(e settledEnd) bool {
		if s.saver.unsaved(e.name) {
			return false
		}
		if seq, ok := a.byPID[e.pid]; ok {
			delete(a.byPID, e.pid)
			a.ready = append(a.ready, seq)
		}
		return true
	})
	for len(a.ready) > 0 {
		n := min(len(a.ready), 3000)
		var b []byte
		for _, seq := range a.ready[:n] {
			b = binary.LittleEndian.AppendUint64(b, seq)
		}
		a.ready = a.ready[n:]
		s.keeper.send(packet{op: opAck, text: string(b)})
	}
}

// obey does what the keeper asks for on behalf of a signal.
func (s *supervisor) obey(what string) {
	word, rest, _ := strings.Cut(what, " ")
	switch word {
	case "reload":
		background("reload", s.reload)
	case "shutdown":
		s.submit(event{kind: eventShutdown, power: powerKind(rest)})
	case "kill":
		s.submit(event{kind: eventShutdownNow, power: powerExit})
	}
}

// command takes what the keeper says of CMD, the service `cmd`.
func (s *supervisor) command(p packet) {
	how, _, _ := strings.Cut(p.text, "\x00")
	pid := int(p.a)
	var u struct {
		gen     uint64
		waiting bool
		inv     string
		cfg     *config
	}
	s.view(func(g *graph, _ time.Time) {
		if c := g.units[mainName]; c != nil {
			u.gen, u.waiting, u.inv, u.cfg = c.gen, c.state.live() && !c.spawned, c.invocation, c.cfg
		}
	})
	if !u.waiting || how == "" {
		return
	}
	if pid == 0 {
		s.submit(event{kind: eventSpawnFailed, name: mainName, gen: u.gen, text: "CMD could not be started, or has ended"})
		return
	}
	l := newLife(mainName, u.gen, u.cfg, &logPipes{Out: -1, Err: -1})
	l.proc = s.procs.adoptReported(pid, mainName, u.inv, nil, func(e exit) { s.ended(l, e) })
	s.inbox.put(note{begun: l})
}

// mainName is the reserved name of CMD.
const mainName = "cmd"

// mainUnit is the configuration of CMD as a service.
func mainUnit(argv []string) *config {
	c := newConfig()
	c.Kind = unitService
	c.Service.Name, c.Service.Exec, c.Service.Status, c.Service.Class = mainName, execDef{Argv: argv}, statusStop, classSystem
	c.Service.Description = "the main program of the container"
	c.Lifecycle.Restart = restartNever
	c.Lifecycle.StartTimeout = 0
	c.Lifecycle.StopTimeout = time.Hour // the shutdown's time is what bounds it
	return c
}

// addMain makes CMD a unit, where an earlier server has not.
func (s *supervisor) addMain(cmd packet) {
	s.g.main = mainName
	if s.g.units[mainName] == nil {
		_, argv, _ := strings.Cut(cmd.text, "\x00")
		s.g.now = time.Now()
		s.g.add(mainUnit(strings.Split(argv, "\x00"))).boots = true
	}
}

// startMain has the keeper start CMD once no wanted service is on its way any more.
func (s *supervisor) startMain() {
	s.submit(event{kind: eventStart, name: mainName})
}

// upgradeTold answers the upgrade that waits for the keeper's word.
func (s *supervisor) upgradeTold(p packet) {
	s.mu.Lock()
	wait := s.upgrading
	s.upgrading = nil
	s.mu.Unlock()
	if wait != nil {
		wait <- p
	}
}

// upgrade goes over to another binary ("": the one on disk); nothing has happened when it returns an error. after is to be called
// once the answer is on its way.
func (s *supervisor) upgrade(binary string) (ver string, after func(), err error) {
	if s.keeper == nil {
		return s.upgradeInPlace(binary)
	}
	wait, answered := make(chan packet, 1), make(chan struct{})
	s.mu.Lock()
	busy := s.upgrading != nil
	if !busy {
		s.upgrading, s.answered = wait, answered
	}
	s.mu.Unlock()
	if busy {
		return "", nil, refuse(kindInvalidState, "another upgrade is under way")
	}
	s.keeper.send(packet{op: opUpgrade, text: binary})
	select {
	case p := <-wait:
		if p.a != 0 {
			close(answered)
			return "", nil, refuse(kindProcessError, "cannot go over to the new binary: %s", p.text)
		}
		return p.text, func() { close(answered) }, nil
	case <-time.After(upgradeTime + 2*time.Second):
		s.upgradeTold(packet{})
		close(answered)
		return "", nil, refuse(kindTimeout, "PID 1 does not answer")
	}
}

// upgradeInPlace is the upgrade of a standalone server: the same process executes the new binary, and adopts what it left.
func (s *supervisor) upgradeInPlace(binary string) (string, func(), error) {
	path := firstSet(binary, ownProgram())
	if s.saver.journal == nil {
		return "", nil, refuse(kindNotSupported, "the state of this server cannot be saved, so that a new binary could not adopt the services")
	}
	state, err := sysOpenState(s.statePath())
	if err != nil {
		return "", nil, refuse(kindProcessError, "cannot read the state: %v", err)
	}
	out, err := sysTryBinary(path, []string{"zinit", "server", "--check-state"}, []int{state}, 1, upgradeTime)
	_ = sysClose(state)
	ver := ""
	if err == nil {
		ver, err = provenVersion(out, false)
	}
	if err != nil {
		return "", nil, refuse(kindProcessError, "cannot go over to %s: %v", visible(path), err)
	}
	return ver, func() { background("upgrade", func() { s.goOver(path) }) }, nil
}

// goOver executes the new binary in this process. It returns only when that failed, and then all goes on as before.
func (s *supervisor) goOver(path string) {
	s.door.pause()
	thaw := s.freeze()
	env, keep := os.Environ(), []int(nil)
	if rings, err := sysMemfdWith("zinit-logs", s.packRings()); err == nil {
		env, keep = append(env, ringsVar+"="+fmt.Sprint(rings)), append(keep, rings)
	}
	if fd, err := s.door.descriptor(); err == nil {
		env, keep = append(env, fmt.Sprintf("%s=%d %s", socketVar, fd, s.door.key())), append(keep, fd)
	}
	ignoreForExec()
	err := sysExecKeeping(path, os.Args, env, keep)
	closeAll(keep)
	s.catch()
	logf(logError, "cannot execute %s: %v; going on with the present version", visible(path), err)
	thaw()
	s.door.goOn()
}

// ringsVar names the descriptor with the log lines that an earlier image of this process kept.
const ringsVar = "ZINIT_RINGS"

// freeze stops the owner and the reading of logs: from here on nothing changes until thaw is called. An owner that hangs is not waited for.
func (s *supervisor) freeze() (thaw func()) {
	r := &restRequest{make(chan struct{}), make(chan struct{})}
	s.inbox.put(note{rest: r})
	select {
	case <-r.resting:
	case <-time.After(time.Second):
		logf(logWarn, "the supervisor does not come to rest")
	}
	s.logs.freeze()
	s.logs.flushLogs(300 * time.Millisecond)
	return func() {
		s.logs.thaw()
		close(r.over)
	}
}

// logSource is one stream of a service.
type logSource struct {
	service string
	stream  logStream
}

// savedLog is one line of the text in which log lines go to the next server: a line of a service, or the beginning of one.
type savedLog struct {
	Line    *logLine  `json:"line,omitempty"`
	Service string    `json:"service,omitempty"`
	Stream  logStream `json:"stream,omitempty"`
	Partial []byte    `json:"partial,omitempty"`
}

// packRings puts all log lines, and the beginnings of lines, into one text for the next server.
func (s *supervisor) packRings() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	end := time.Now().Add(time.Second)
	for _, n := range s.logs.names() {
		for _, l := range s.logs.snapshot(n) {
			_ = enc.Encode(savedLog{Line: &l})
		}
		for _, e := range s.logs.readEnds(n) {
			if len(e.Partial) > 0 {
				_ = enc.Encode(savedLog{Service: n, Stream: e.Stream, Partial: e.Partial})
			}
		}
		if time.Now().After(end) {
			break
		}
	}
	return b.Bytes()
}

// ringsFile is where a standalone server that ends as planned leaves its log lines: among its pipes, which are in memory if possible.
func (s *supervisor) ringsFile() string { return filepath.Join(s.logs.fifos, ".rings") }

// loadRings puts saved log lines back and returns the beginnings of lines.
func (s *supervisor) loadRings(data []byte) map[logSource][]byte {
	partial := map[logSource][]byte{}
	lines := map[string][]logLine{}
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var l savedLog
		if dec.Decode(&l) != nil {
			break
		}
		if l.Line != nil {
			lines[l.Line.Service] = append(lines[l.Line.Service], *l.Line)
		} else {
			partial[logSource{l.Service, l.Stream}] = l.Partial
		}
	}
	for _, n := range slices.Sorted(maps.Keys(lines)) {
		s.logs.restore(n, lines[n])
	}
	return partial
}

// handover ends this server for the next one: under the keeper, which keeps everything.
func (s *supervisor) handover() {
	if s.door != nil {
		s.door.pause()
	}
	s.mu.Lock()
	answered := s.answered
	s.mu.Unlock()
	if answered != nil {
		select {
		case <-answered:
		case <-time.After(200 * time.Millisecond):
		}
	}
	s.freeze()
	if rings, err := sysMemfdWith("zinit-logs", s.packRings()); err == nil {
		s.keeper.send(packet{op: opStore, text: ringsKey, fds: []int{rings}})
	}
	s.keeper.flush(500 * time.Millisecond)
	os.Exit(0)
}

const ringsKey = "rings"

// prepareRestart saves the state; after ends this server and leaves the services to the next one.
func (s *supervisor) prepareRestart() (file *string, names []string, after func(), err error) {
	s.view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			if u := g.units[n]; u.state.live() && u.kind() == unitService {
				names = append(names, n)
			}
		}
	})
	if s.keeper != nil {
		return nil, names, func() { s.keeper.send(packet{op: opDo, text: "handover"}) }, nil
	}
	if s.saver.journal == nil {
		return nil, nil, nil, refuse(kindNotSupported, "the state of this server cannot be saved")
	}
	path := s.statePath()
	return &path, names, func() {
		background("restart", func() {
			s.freeze()
			_ = os.WriteFile(s.ringsFile(), s.packRings(), 0o600) // without it the rings are empty
			logf(logInfo, "ending; the services go on, and the next server adopts them")
			s.logs.flushLogs(time.Second)
			os.Exit(0)
		})
	}, nil
}

func (s *supervisor) statePath() string { return s.opts.socket + ".state" }

// makeFifoDir makes the directory of the log pipes, or finds that of an earlier server. It is in memory if possible, since on a disk
// a FIFO costs more than the spawn that it is for; else beside the socket. state is the open state file, whose identity is in the name.
func (s *supervisor) makeFifoDir(state int) (string, error) {
	beside := s.opts.socket + ".pipes"
	if fi, err := os.Lstat(beside); err == nil && fi.IsDir() {
		return beside, nil
	}
	if dir := sysMemoryName(state); dir != "" {
		if err := os.Mkdir(dir, 0o700); err == nil || os.IsExist(err) && sysOwnDir(dir) {
			return dir, nil
		}
	}
	return beside, os.Mkdir(beside, 0o700)
}

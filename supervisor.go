// supervisor.go is the owner: one goroutine at a time holds the graph, takes events and has their effects performed; nothing in its turn ever waits.

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// supervisor ties the graph to real processes, logs and clients. There are two doors: submit to change, view to look.
type supervisor struct {
	opts    serverOptions
	mode    string
	begun   time.Time
	procs   *procs
	logs    *logHub
	spawner *spawner
	hands   queue[effect]
	ends    endList
	moves   *moveHub

	mu sync.Mutex // held during a step, and by view
	g  *graph

	events  queue[event]
	turning sync.Mutex   // held during a turn, which whoever has an event may take
	alarm   *time.Timer  // when the next turn is due
	lastEnd atomic.Int64 // of a service, as time.UnixNano counts
	memory  *burst       // nil: not looked after

	lifeMu sync.Mutex
	lives  map[uint64]*life // by generation

	finished chan effect
	do       func(*effect) // perform; tests put something else here

	bootID      string
	journal     *journal // nil: nothing is saved
	unsaved     bool     // the journal lacks something: write it anew
	saidUnsaved bool
	savedServer savedServer   // what the last record of that said, roughly
	keeper      *link         // nil: standalone
	abandoned   chan struct{} // closed when the keeper has died
	early       []packet      // of the keeper, for follow
	acks        ackList
	withCmd     bool
	loaded      bool              // the directories have been read once; under mu
	ahead       chan *loadResult  // what they held when the server began; nil: look when it is needed
	answered    chan struct{}     // closed when who asked for an upgrade has been answered; under lifeMu
	upgrading   chan packet       // who waits for the keeper's word; under lifeMu
	partial     map[string][]byte // beginnings of lines that the last server had read
	booted      atomic.Bool
	ending      atomic.Bool // nothing starts again
	endSaved    bool        // … and the journal says so; under mu
	catch       func()      // has signals reported
	syslog      int         // the socket of syslog(3); 0: none
	degraded    []string    // what does not work here, and what that means
}

// life is one start of a service: its process and the pipes of its output.
type life struct {
	proc  *process
	pipes *logPipes
	cfg   *config
	told  chan struct{} // closed when the graph has been told of the process
	name  string
	gen   uint64
	stuck atomic.Bool // its last health check has not come back

	over     chan struct{}                 // closed when the process and all that was left of it is gone; nil: no health check wants to know
	checking atomic.Pointer[chan struct{}] // closed when the last health check has come back
}

func newLife(name string, gen uint64, c *config, pipes *logPipes) *life {
	l := &life{name: name, gen: gen, cfg: c, pipes: pipes, told: make(chan struct{})}
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
	q.leave(x...)
	q.rouse()
}

// leave is put without waking the consumer.
func (q *queue[T]) leave(x ...T) {
	q.mu.Lock()
	q.list = append(q.list, x...)
	q.mu.Unlock()
}

// rouse wakes the consumer.
func (q *queue[T]) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all that is there.
func (q *queue[T]) take() []T { return q.takeAll(func(T) bool { return true }) }

// takeAll returns all that is there, where all of it is as wanted, else nothing.
func (q *queue[T]) takeAll(wanted func(T) bool) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.list
	for _, x := range l {
		if !wanted(x) {
			return nil
		}
	}
	q.list = nil
	return l
}

func (q *queue[T]) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) == 0
}

func newSupervisor(opts serverOptions, mode string) *supervisor {
	s := &supervisor{opts: opts, mode: mode, begun: time.Now(), lives: map[uint64]*life{}, finished: make(chan effect, 1),
		g: newGraph(opts.shutdownTimeout), moves: newMoveHub(), alarm: time.NewTimer(time.Hour)}
	s.g.mint = newInvocation
	if opts.keeper { // before the keeper loses its patience
		s.g.reserve = min(3*ownTime/2, opts.shutdownTimeout/8)
	}
	s.acks.byPID = map[int]uint64{}
	s.abandoned = make(chan struct{})
	s.events.init()
	s.hands.init()
	s.spawner = newSpawner(s)
	s.do = s.perform
	return s
}

// submit hands an event to the owner. It never waits.
func (s *supervisor) submit(ev event) { s.events.put(ev) }

// view runs f with the graph at rest. f copies what it needs, keeps no pointer and does nothing slow.
func (s *supervisor) view(f func(g *graph, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.g, time.Now())
}

// ask submits an event and waits for the step that settles it. A nil cancel never cancels.
func (s *supervisor) ask(ev event, cancel <-chan struct{}) (answer, error) {
	ev.to = &ticket{done: make(chan reply, 1)}
	s.events.leave(ev)
	s.turnHere(ev.kind)
	select {
	case r := <-ev.to.done:
		if r.err != nil {
			return r.answer, r.err
		}
		return r.answer, nil
	case <-cancel:
		s.submit(event{kind: eventCancel, name: ev.name, to: ev.to})
		return answer{}, refuse("timeout", "the client went away")
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

func newBurst() *burst {
	b := &burst{}
	debug.SetGCPercent(burstGarbage)
	b.over = time.AfterFunc(burstOver, func() {
		b.events.Store(0)
		debug.SetGCPercent(idleGarbage)
		debug.FreeOSMemory()
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

// run is the owner's loop: it takes the turns that nobody else does. It ends when quit is closed; a nil quit never is.
func (s *supervisor) run(quit <-chan struct{}) {
	for {
		select {
		case <-s.events.wake:
		case <-s.alarm.C:
		case <-quit:
			return
		}
		runtime.Gosched() // whoever is about to submit more goes first: one turn for a hundred ends is cheaper than a hundred turns
		s.turning.Lock()
		s.take(s.events.take())
		s.turning.Unlock()
	}
}

// turnHere has the caller take the turn of the event that it left, where that is of one kind with all that wait and nobody else has a turn; else it
// calls the owner. So from a fork to the next that waited for it no thread has to be woken, which takes longer than the turn.
//
// The caller may have a table of descriptors of its own: the turn of a start or an end touches none but the journal's, which all tables have.
func (s *supervisor) turnHere(kind eventKind) {
	if s.turning.TryLock() {
		if batch := s.events.takeAll(func(ev event) bool { return ev.kind == kind }); batch != nil {
			s.take(batch)
		}
		s.turning.Unlock()
	}
	if !s.events.empty() {
		s.events.rouse()
	}
}

// take is a turn for these events, under turning, and sets the alarm for the next.
func (s *supervisor) take(batch []event) {
	now := time.Now()
	next := s.turn(now, batch)
	if took := time.Since(now); took > slowTurn {
		logf(logDebug, "one turn of the supervisor took %s", span(took))
	}
	if next.IsZero() {
		s.alarm.Stop()
		return
	}
	s.alarm.Reset(time.Until(next))
}

// turn takes events, then the deadlines that have passed, and performs what results. It returns when the next deadline is.
func (s *supervisor) turn(now time.Time, batch []event) time.Time {
	s.memory.add(len(batch))
	var work []effect
	s.mu.Lock()
	for _, ev := range batch {
		if ev.kind == eventShutdown && s.procs != nil {
			n := len(s.g.units)
			background("look", func() { s.procs.lookAhead(n) })
		}
		if u := s.g.units[ev.name]; ev.kind == eventExited && u != nil {
			u.exitSeq = s.acks.of(ev.pid)
		}
		if out := s.g.step(now, ev); work == nil {
			work = out
		} else {
			work = append(work, out...)
		}
		s.loaded = s.loaded || ev.kind == eventReload
	}
	next := s.g.nextDue()
	if !next.IsZero() && !next.After(now) {
		work = append(work, s.g.step(now, event{kind: eventTick})...)
		next = s.g.nextDue()
	}
	changed := s.g.takeChanged()
	var early []*spawnJob
	if s.spawner.wantsMore() {
		early = s.next(work)
	}
	if s.keeper == nil && len(changed) > savePiece/4 && len(batch) == 1 && (batch[0].kind == eventReload || batch[0].kind == eventShutdown) {
		s.mu.Unlock()
		s.performInPieces(work, changed)
		s.spawner.expect(early)
		return next
	}
	s.saveAsNeeded(changed)
	s.mu.Unlock()
	s.spawner.expect(early)
	for i := range batch {
		if batch[i].kind == eventExited {
			s.saw(batch[i].pid)
			s.release(batch[i].name, batch[i].gen)
		}
	}
	if s.keeper != nil {
		s.sendAcks()
	}
	for i := range work {
		s.do(&work[i])
	}
	return next
}

// firstStarts lists some of what a boot starts first, as it seems.
func firstStarts(cs []*config) (jobs []*spawnJob) {
	for _, c := range cs {
		d := &c.Dependencies
		if c.Kind == "service" && c.Service.Status == "start" && len(d.Requires)+len(d.After)+len(d.Conflicts)+len(c.Service.Ports) == 0 && len(jobs) < maxEarly {
			jobs = append(jobs, &spawnJob{name: c.Service.Name, cfg: c})
		}
	}
	return jobs
}

// next lists the starts that follow at once upon those of a turn, where those are few.
func (s *supervisor) next(work []effect) (jobs []*spawnJob) {
	if s.g.closing != nil {
		return nil
	}
	for i, starts := 0, 0; i < len(work) && starts < maxEarly; i++ {
		u := s.g.units[work[i].name]
		if work[i].kind != effectSpawn || u == nil {
			continue
		}
		starts++
		for _, d := range s.g.next(u, maxEarly-len(jobs)) {
			jobs = append(jobs, &spawnJob{name: d.name, cfg: d.newest()})
		}
	}
	return jobs
}

// saveAsNeeded is save. The end of a standalone server needs no more than that it has begun.
func (s *supervisor) saveAsNeeded(changed []*unit) {
	if s.keeper == nil && s.ending.Load() {
		if s.endSaved {
			return
		}
		s.endSaved = true
		changed = nil
	}
	s.save(changed)
}

// savePiece is how many units are saved at once at a boot or an end.
const savePiece = 64

// performInPieces saves a boot or an end by and by, each piece before the effects that need it, does what none needs after them, and has the
// units that no effect needs saved after the turn: so the first starts or stops are under way meanwhile. The effects of one unit keep
// their order.
func (s *supervisor) performInPieces(work []effect, changed []*unit) {
	unsaved := make(map[string]*unit, len(changed))
	for _, u := range changed {
		unsaved[u.name] = u
	}
	var piece []*unit
	with := func(name string) {
		if u := unsaved[name]; u != nil {
			delete(unsaved, name)
			piece = append(piece, u)
		}
	}
	save := func() {
		if len(piece) > 0 {
			s.mu.Lock()
			s.saveAsNeeded(piece)
			s.mu.Unlock()
			piece = nil
		}
	}
	waiting := map[string][]*effect{} // what may be done later, by unit
	do := func(name string) {
		for _, e := range waiting[name] {
			s.do(e)
		}
		delete(waiting, name)
	}
	mayWait := func(e *effect) bool { return e.kind == effectConfigure || e.kind == effectMoved }
	for i := range work {
		name := work[i].name
		switch {
		case mayWait(&work[i]):
			waiting[name] = append(waiting[name], &work[i])
			continue
		case work[i].kind == effectReply: // who asked may count on it
			for k := range i {
				do(work[k].name)
			}
		}
		if unsaved[name] != nil {
			for k := i; k < len(work) && len(piece) < savePiece; k++ {
				if !mayWait(&work[k]) {
					with(work[k].name)
				}
			}
			save()
		}
		do(name)
		s.do(&work[i])
	}
	for i := range work {
		do(work[i].name)
	}
	if len(unsaved) > 0 {
		background("save", func() {
			for _, u := range changed {
				if with(u.name); len(piece) == savePiece {
					save()
				}
			}
			save()
		})
	}
}

// perform does one effect, or has it done on another goroutine when it might take time.
func (s *supervisor) perform(e *effect) {
	switch e.kind {
	case effectSpawn:
		if s.isMain(e.name) {
			s.keeper.send(packet{op: opCommand})
			return
		}
		s.spawner.add(&spawnJob{name: e.name, gen: e.gen, cfg: e.cfg, invocation: e.text})
	case effectCancelSpawn:
		s.spawner.cancel(e.name, e.gen)
	case effectStop, effectKill, effectSignal:
		w := *e
		s.hands.put(w)
	case effectCheck:
		name, gen, cfg := e.name, e.gen, e.cfg
		background("health check", func() { s.check(name, gen, cfg) })
	case effectGuard:
		name, gen, cfg := e.name, e.gen, e.cfg
		background("guard", func() { s.guard(name, gen, cfg) })
	case effectReply:
		e.ticket.done <- e.reply()
	case effectMoved:
		s.moved(e)
	case effectConfigure:
		s.moves.tell(e)
		s.logs.configure(e.name, e.cfg.Logging, s.mode == "container")
	case effectForget:
		s.moves.tell(e)
		s.logs.forget(e.name)
		s.logs.removeFifos(e.name)
	case effectClosing:
		s.ending.Store(true)
		s.logs.ending.Store(true)
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

// work performs signals in order, away from the loop: looking at /proc takes time.
func (s *supervisor) work() {
	const most = 1024 // at once, so that what is known of their descendants is not old
	for range s.hands.wake {
		for todo := s.hands.take(); len(todo) > 0; todo = todo[min(most, len(todo)):] {
			now := todo[:min(most, len(todo))]
			s.procs.lookAhead(len(now))
			for len(now) > 0 {
				n := s.stopTogether(now)
				if n == 0 {
					s.touch(&now[0])
					n = 1
				}
				now = now[n:]
			}
		}
	}
}

// stopTogether sends the stop signals with which a list begins, and says how many effects that were.
func (s *supervisor) stopTogether(es []effect) (n int) {
	var all []*process
	var sigs []int
	for ; n < len(es) && es[n].kind == effectStop && !s.isMain(es[n].name); n++ {
		l := s.life(es[n].gen)
		if l == nil {
			continue // gone already
		}
		if !l.cfg.Lifecycle.StopExec.none() {
			break
		}
		all, sigs = append(all, l.proc), append(sigs, l.cfg.Lifecycle.StopSignal)
	}
	s.procs.stop(all, sigs)
	return n
}

// critical is the end of a service that everything depends on: the end of a container, the emergency of a machine.
func (s *supervisor) critical(e *effect) {
	logf(logError, "the critical service %s: %s", e.name, e.text)
	switch s.mode {
	case "container":
		s.keeper.send(packet{op: opClosing, a: int64(e.sig), b: s.opts.shutdownTimeout.Milliseconds(), text: "exit " + becauseCritical})
		s.submit(event{kind: eventShutdown, power: "exit", sig: e.sig})
	case "system":
		s.keeper.send(packet{op: opDo, text: "emergency the critical service " + e.name + ": " + e.text})
	}
}

func (s *supervisor) life(gen uint64) *life {
	s.lifeMu.Lock()
	defer s.lifeMu.Unlock()
	return s.lives[gen]
}

// touch signals the process of one generation. When it is gone already, its end is under way to the graph and nothing is to do.
func (s *supervisor) touch(e *effect) {
	l := s.life(e.gen)
	if l == nil {
		if e.ticket != nil {
			e.ticket.done <- reply{err: refuse("service_is_down", "cannot signal %s: it has no process", e.name)}
		}
		return
	}
	switch e.kind {
	case effectKill:
		l.proc.kill()
	case effectStop:
		if s.isMain(e.name) && !s.isAbandoned() {
			s.keeper.send(packet{op: opDo, text: fmt.Sprintf("signal %d", sigTerm)})
			return
		}
		s.stop(l)
	case effectSignal:
		r := reply{}
		if err := l.proc.signal(e.sig); err != nil {
			r.err = refuse("process_error", "cannot send %s to %s: %v", signalName(e.sig), e.name, err)
		}
		e.ticket.done <- r
	}
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
func (s *supervisor) check(name string, gen uint64, c *config) {
	l := s.life(gen)
	if l == nil {
		return
	}
	invocation := ""
	if l.proc != nil {
		invocation = l.proc.invocation // so that what is left of a check ends with its service
	}
	probe := func(cmd execDef, timeout time.Duration) error {
		return s.procs.probe(c, cmd, invocation, timeout, l.over)
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
	ev := event{kind: eventHealth, name: name, gen: gen, ok: err == nil}
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
			return hindrance{kind: "process_filter", service: fmt.Sprintf("process %d", pids[0]), needsPerson: true,
				detail: fmt.Sprintf("the foreign %s matches process_filter %q", pidNames(pids[:1]), f)}, false
		}
	}
	for _, port := range c.Service.Ports {
		if !portFree(port) {
			return hindrance{kind: "port", service: fmt.Sprintf("port %d", port), detail: fmt.Sprintf("port %d is in use", port), needsPerson: true}, false
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
	Mode       string
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

// load reads the directories; the result goes to eventReload.
func (s *supervisor) load() *loadResult {
	l := loadDirs(s.opts.systemDir, s.opts.configDirs)
	const each = 2 // pipes that a service has
	background("room for descriptors", func() { sysMakeRoom(each * len(l.configs)) })
	return l
}

// boot loads the services and starts what is to be started. Problems are said, and keep nothing else from starting.
func (s *supervisor) boot() {
	defer s.booted.Store(true)
	ev := event{kind: eventReload, name: s.opts.target}
	if s.ahead != nil {
		ev.load = <-s.ahead
		s.spawner.expect(firstStarts(ev.load.configs))
		if n := len(ev.load.configs); s.journal != nil { // it is open, so that the room has it too
			background("fork room", func() { sysMakeRoomFor(n) })
		}
	} else {
		ev.load = s.load()
	}
	a, err := s.ask(ev, nil)
	if err != nil {
		return
	}
	s.complain(a.Reload)
	units := 0
	s.view(func(g *graph, _ time.Time) { units = len(g.units) })
	if units == 0 && s.mode == "system" {
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
	s := newSupervisor(opts, serverMode(opts))
	sigs := make(chan os.Signal, 16)
	s.catch = func() { signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE) }
	caught := make(chan struct{})
	background("signals", func() { // each is an exchange with another thread (ensureSigM in the runtime)
		s.catch()
		s.procs = newProcsOf(!opts.keeper)
		close(caught)
	})
	if !opts.keeper { // under the keeper this may be a server that adopts all, and needs no files
		s.ahead = make(chan *loadResult, 1)
		background("load", func() { s.ahead <- s.load() })
		// A thread that waits for an exec, or for the kernel, holds its P, and leaves its processor to others.
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	sysPrivate()
	s.memory = newBurst()
	s.spawner.foresight = true
	background("room for descriptors", func() { sysMakeRoom(0) })
	s.logs = newLogHub(1)
	s.logs.mark = func() { s.submit(event{kind: eventCancel}) }
	var foreign []kin // what a shell that executed us had begun
	if os.Getenv(ringsVar) == "" {
		foreign = kinOf(os.Getpid())
	}
	<-caught // from here on a SIGTERM must clean up
	door, err := s.open()
	if err != nil {
		logf(logError, "%v", err)
		serverLog.flush(time.Second)
		return exitRefused
	}
	st, h, err := s.inherit()
	if err != nil {
		logf(logError, "%v", err)
		serverLog.flush(time.Second)
		return exitRefused
	}
	if st != nil {
		s.adoptAll(st, h)
	} else {
		s.save(nil) // an empty beginning, so that the first services need not wait until all others are saved
	}
	background("supervisor", func() { s.run(nil) })
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
	e := s.waitForEnd(sigs)
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

func serverMode(o serverOptions) string {
	switch {
	case o.keeper && o.container:
		return "container"
	case o.keeper:
		return "system"
	}
	return "standalone"
}

// open makes the control socket. Under the keeper the services matter more than the socket: without one they run all the same.
func (s *supervisor) open() (*rpcListener, error) {
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

// inherit takes over what an earlier server left: from the keeper, or from the files beside the socket. A nil state is a fresh start.
func (s *supervisor) inherit() (*savedState, handed, error) {
	s.bootID = sysBootID()
	if _, err := readStat(os.Getpid()); err != nil {
		s.degraded = append(s.degraded, "there is no /proc: CPU and memory of services are unknown, and what leaves the process group of a service is not found")
	}
	if !s.opts.keeper {
		st := s.keepState()
		h := handed{}
		if st != nil {
			h.store = s.fifoStore(st)
			s.takeRings(nil)
		}
		return st, h, nil
	}
	l, err := newLink(keeperLink)
	if err != nil {
		return nil, handed{}, fmt.Errorf("cannot talk to the keeper: %w", err)
	}
	h, err := greet(l)
	if err != nil {
		return nil, h, fmt.Errorf("the keeper does not say what there is: %w", err)
	}
	s.keeper = l
	s.withCmd = s.opts.withCmd
	var st *savedState
	if fd := keeperState; sysIsFile(fd) {
		s.journal = newJournal(fd)
		if s.opts.discardState {
			logf(logError, "servers died again and again with the saved state: what it describes is stopped, and everything is started anew")
			s.discard()
			s.unsaved = true
		} else {
			st = s.readJournal()
		}
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
	if s.mode == "system" { // so many messages may wait while a server is replaced; the kernel's 10 are few
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
			s.logs.configure(syslogName, newConfig().Logging, s.mode == "container")
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
		s.view(func(g *graph, _ time.Time) {
			g.main = mainName
			if g.units[mainName] == nil {
				_, argv, _ := strings.Cut(h.cmd.text, "\x00")
				g.now = time.Now()
				g.add(mainUnit(strings.Split(argv, "\x00"))).boots = true
			}
		})
		background("wait for CMD", s.waitForMain)
	}
	if s.keeper != nil {
		background("keeper", s.follow)
		if c := h.closing; c != nil {
			s.submit(event{kind: eventShutdown, power: c.text, sig: int(c.a), timeout: time.Duration(max(c.b, 1)) * time.Millisecond})
		}
		s.sendAcks()
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
func (s *supervisor) waitForEnd(sigs <-chan os.Signal) effect {
	asked := false
	for {
		select {
		case e := <-s.finished:
			return e
		case sig := <-sigs:
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
				s.submit(event{kind: kind, power: "exit"})
			}
		}
	}
}

// spawnJob is one start on its way to the kernel. phase says who may still stop it.
type spawnJob struct {
	name       string
	gen        uint64
	cfg        *config
	invocation string
	phase      int // under spawner.mu: jobWaiting … jobOver
	limit      *time.Timer
	at         string      // under spawner.mu: the path that is looked at
	sp         *spec       // from jobReady on
	pipes      *logPipes   // from jobReady on
	rooms      []*forkRoom // where it is to be forked; none: here
}

const (
	jobWaiting = iota
	jobLooking // reading the program's file, which may hang
	jobReady   // with all that a fork needs
	jobForking
	jobOver
)

// spawner turns spawn effects into processes, in two stages. A few workers prepare starts: they look at the program and make the pipes;
// more, up to maxLookers, come only when programs on mounts that do not answer hold them. What is ready is forked by one at a time, for the
// kernel executes one at a time anyway: by the worker that made it ready, or by the thread of a forkRoom.
type spawner struct {
	s         *supervisor
	mu        sync.Mutex
	jobs      []*spawnJob
	ready     []*spawnJob
	forking   int                  // how many fork what is ready
	inRoom    map[*forkRoom]bool   // … and in which rooms
	looking   map[string]*spawnJob // by unit: whose file is being read
	byGen     map[uint64]*spawnJob
	early     map[string]*spawnJob // by unit: made ready before it is asked for
	expected  []*spawnJob          // … and what else may be
	foresight bool                 // starts are made ready early
	foresees  bool                 // somebody is at it
	workers   int
	busy      int
	moves     int // jobs that left a worker, to see whether the workers hang
	grow      *time.Timer
}

const (
	fewWorkers = 2
	maxLookers = 64
	maxReady   = 64               // more would only hold descriptors; a quarter of it is left when workers are called again
	lookLimit  = 30 * time.Second // for a program that does not answer, where start_timeout_ms sets no other
	growAfter  = 50 * time.Millisecond
	maxEarly   = 8
	earlyAge   = 50 * time.Millisecond // so long counts what was seen of a program ahead of time
)

func newSpawner(s *supervisor) *spawner {
	return &spawner{s: s, looking: map[string]*spawnJob{}, byGen: map[uint64]*spawnJob{}, early: map[string]*spawnJob{}, inRoom: map[*forkRoom]bool{}}
}

func (p *spawner) add(j *spawnJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.looking[j.name]; other != nil {
		text := doesNotAnswer(other.at)
		background("spawn", func() { p.fail(j, text) })
		return
	}
	p.byGen[j.gen] = j
	p.expected = slices.DeleteFunc(p.expected, func(e *spawnJob) bool { return e.name == j.name })
	if e := p.early[j.name]; e != nil {
		delete(p.early, j.name)
		if e.phase == jobReady && e.cfg == j.cfg && e.limit.Stop() {
			e.sp.Env = setEnv(e.sp.Env, "ZINIT_INVOCATION_ID="+j.invocation)
			j.sp, j.pipes, j.phase = e.sp, e.pipes, jobReady
			j.place(0)
			p.ready = append(p.ready, j)
			p.callForker()
			return
		}
	}
	p.jobs = append(p.jobs, j)
	p.hire(fewWorkers)
}

// callForker has what is ready forked, where nobody is at it, under mu.
func (p *spawner) callForker() {
	p.useRooms()
	if len(p.ready) > 0 && p.ready[0].rooms == nil && p.forking == 0 {
		p.workers++ // all may have gone
		background("spawn", p.worker)
	}
}

// expect has made ready what is likely to be asked for next, while the kernel executes what that waits for. What is not asked for is given
// up soon: nobody learns of it, and what hinders such a start is found when it is asked for.
func (p *spawner) expect(jobs []*spawnJob) {
	if len(jobs) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = jobs
	if !p.foresees {
		p.foresees = true
		background("prepare", p.prepareEarly)
	}
}

// wantsMore says that few are ready early: several at once are made with less effort than one by one.
func (p *spawner) wantsMore() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.foresight && len(p.early) <= maxEarly/4
}

// prepareEarly makes ready what is expected, up to maxEarly. A program that does not answer holds only this: what is asked for is prepared by workers.
func (p *spawner) prepareEarly() {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.foresees = false }()
	for len(p.expected) > 0 && len(p.early) < maxEarly && len(p.jobs) <= fewWorkers {
		j := pop(&p.expected)
		if p.early[j.name] != nil {
			continue
		}
		p.early[j.name] = j
		p.mu.Unlock()
		sp, err := resolve(j.cfg, j.cfg.Service.Exec, "", func(string) {})
		if err == nil {
			err = p.equip(j, sp, 0)
		}
		p.mu.Lock()
		switch {
		case err != nil:
			p.forget(j)
		case p.early[j.name] != j: // it was asked for meanwhile, and is made ready otherwise
			j.pipes.discard()
		default:
			j.phase = jobReady
			j.limit = time.AfterFunc(earlyAge, func() {
				p.mu.Lock()
				p.forget(j)
				p.mu.Unlock()
				j.pipes.discard()
			})
		}
	}
}

// forget drops what was made ready early, unless it is something newer, under mu.
func (p *spawner) forget(j *spawnJob) {
	if p.early[j.name] == j {
		delete(p.early, j.name)
	}
}

// hire adds a worker when there is more to prepare than the workers there are, up to most.
func (p *spawner) hire(most int) {
	if len(p.ready) > maxReady/4 && p.forking > 0 {
		return // who forks calls again
	}
	if p.workers < most && p.workers-p.busy < len(p.jobs) {
		p.workers++
		background("spawn", p.worker)
		return
	}
	p.watch()
}

// watch looks in a while whether the workers get on. While none of them does, and something waits for them, their number doubles.
func (p *spawner) watch() {
	if p.grow != nil || len(p.jobs) == 0 || p.workers >= maxLookers {
		return
	}
	seen := p.moves
	p.grow = time.AfterFunc(growAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.grow = nil
		if p.moves != seen {
			p.hire(fewWorkers)
		} else {
			for range p.workers {
				p.hire(maxLookers)
			}
		}
		p.watch()
	})
}

// worker forks what is ready, where nobody else does, and prepares jobs, until there is nothing to do.
func (p *spawner) worker() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case len(p.ready) > 0 && p.forking == 0 && p.ready[0].rooms == nil:
			p.forkReady(nil)
		case len(p.jobs) > 0 && len(p.ready) < maxReady:
			p.prepareNext()
		default:
			p.workers--
			return
		}
	}
}

// pop takes the first job and keeps nothing of it: a boot leaves thousands behind.
func pop(list *[]*spawnJob) *spawnJob {
	j := (*list)[0]
	(*list)[0] = nil
	if *list = (*list)[1:]; len(*list) == 0 {
		*list = nil
	}
	return j
}

// prepareNext takes a job through the first stage, under mu, which it gives up meanwhile.
func (p *spawner) prepareNext() {
	j := pop(&p.jobs)
	if j.phase == jobOver {
		return
	}
	j.phase = jobLooking
	p.looking[j.name] = j
	p.busy++
	waiting := len(p.jobs)
	p.mu.Unlock()
	ready := p.prepare(j, waiting)
	p.mu.Lock()
	p.busy--
	p.moves++
	if p.looking[j.name] == j {
		delete(p.looking, j.name)
	}
	if ready {
		p.ready = append(p.ready, j)
		p.useRooms()
		return
	}
	delete(p.byGen, j.gen)
}

// useRooms has what is ready forked in the rooms that it is for, under mu.
func (p *spawner) useRooms() {
	if len(p.ready) == 0 || p.forking > len(p.inRoom) {
		return
	}
	for _, room := range p.ready[0].rooms {
		if !p.inRoom[room] && len(p.inRoom) < len(p.ready) {
			p.inRoom[room] = true
			room.todo <- func() {
				p.mu.Lock()
				p.forkReady(room)
				delete(p.inRoom, room)
				p.mu.Unlock()
			}
		}
	}
}

// forkReady takes what is ready through the second stage, under mu, which it gives up meanwhile: in a room, or with nil outside.
// It ends where the next job is for the other place.
func (p *spawner) forkReady(room *forkRoom) {
	p.forking++
	here := 0
	if room == nil {
		here = 1
	}
	var lives []*life // whose output is not watched yet
	told := 0         // of how many of them the graph knows
	next := func() bool { return len(p.ready) > 0 && (p.ready[0].rooms == nil) == (room == nil) }
	for next() {
		j := pop(&p.ready)
		p.busy += here
		p.hire(fewWorkers)
		p.mu.Unlock()
		if l := p.fork(j); l != nil {
			lives = append(lives, l)
		}
		p.mu.Lock()
		p.busy -= here
		delete(p.byGen, j.gen)
		full := len(lives) == maxReady/4
		if room != nil && !full && next() {
			continue
		}
		last := len(p.ready)+len(p.jobs)+len(p.looking) == 0
		p.mu.Unlock()
		p.s.started(lives[told:], last)
		if told = len(lives); full || room == nil {
			p.s.watch(lives, room)
			lives, told = nil, 0
		}
		p.mu.Lock()
	}
	p.s.watch(lives, room)
	if p.forking--; p.forking == 0 {
		p.callForker()
	}
}

// started tells the graph of new processes, several in one turn where starts follow upon each other. Where nothing else is to be started
// what follows is decided here and now.
func (s *supervisor) started(lives []*life, last bool) {
	if len(lives) == 0 {
		return
	}
	evs := make([]event, len(lives))
	for i, l := range lives {
		evs[i] = event{kind: eventSpawned, name: l.name, gen: l.gen, pid: l.proc.pid}
	}
	s.events.leave(evs...)
	for _, l := range lives {
		close(l.told)
	}
	if last {
		s.turnHere(eventSpawned)
		return
	}
	s.events.rouse()
}

// watch has the output of new processes read. The descriptors of a room are not those of the pipes.
func (s *supervisor) watch(lives []*life, room *forkRoom) {
	watch := func() {
		for _, l := range lives {
			l.pipes.watch()
		}
	}
	if room == nil {
		watch()
	} else if len(lives) > 0 {
		background("log pipes", watch)
	}
}

// idle says that no start is under way.
func (p *spawner) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy == 0 && len(p.jobs) == 0 && len(p.ready) == 0 && p.forking == 0
}

func doesNotAnswer(path string) string {
	return visible(path) + " does not answer: is it on a mount that hangs?"
}

// prepare looks at the program and makes the pipes: all that can be done before the fork. False: there will be none, and the graph was told.
func (p *spawner) prepare(j *spawnJob, waiting int) bool {
	limit := lookLimit
	if t := j.cfg.Lifecycle.StartTimeout; t > 0 && t < limit {
		limit = t
	}
	j.limit = time.AfterFunc(limit, func() {
		if p.leave(j, jobOver) {
			p.mu.Lock()
			text := doesNotAnswer(j.at)
			p.mu.Unlock()
			p.fail(j, text)
		}
	})
	sp, err := resolve(j.cfg, j.cfg.Service.Exec, j.invocation, func(path string) {
		p.mu.Lock()
		j.at = path
		p.mu.Unlock()
	})
	j.limit.Stop()
	if !p.leave(j, jobReady) {
		return false
	}
	if err == nil {
		err = p.equip(j, sp, waiting)
	}
	if err != nil {
		p.failed(j, err)
		return false
	}
	return true
}

// equip gives a job what it is forked with, and says where.
func (p *spawner) equip(j *spawnJob, sp *spec, waiting int) error {
	pipes, err := p.s.logs.pipes(j.name, sp.UID, sp.GID)
	if err != nil {
		return fmt.Errorf("cannot make the pipes for its output: %v", err)
	}
	j.sp, j.pipes = sp, pipes
	j.place(waiting)
	return nil
}

// place says where a job is to be forked.
func (j *spawnJob) place(waiting int) {
	if j.pipes.fifos {
		j.rooms = sysForkRooms(waiting, j.pipes.err.fd)
		j.sp.here = j.rooms != nil
	}
}

// leave moves a job on to a later phase; false when it was called back, or given up, before.
func (p *spawner) leave(j *spawnJob, phase int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.phase >= jobForking {
		return false
	}
	j.phase = phase
	return true
}

// fork has the kernel execute a job that is ready. Without a life nothing was started, and the graph is told why. In a room it touches no
// descriptor but those that it opens.
func (p *spawner) fork(j *spawnJob) *life {
	s := p.s
	if !p.leave(j, jobForking) {
		background("spawn", func() { p.abandon(j) })
		return nil
	}
	if err := j.pipes.openWriteEnds(); err != nil {
		background("spawn", func() {
			p.abandon(j)
			p.fail(j, "cannot open the pipes for its output: "+err.Error())
		})
		return nil
	}
	j.sp.Stdout, j.sp.Stderr = j.pipes.Out, j.pipes.Err
	key := ""
	if s.keeper != nil {
		key = logKey(j.name, j.gen)
		// Before the process: were we killed in between, its pipes would have no reader and it would die of that. And one after the
		// other: so there is at most one start of which the next server sees the pipes and does not hear the pid.
		s.keeper.sendNow(packet{op: opStore, text: key, fds: j.pipes.readFDs()}, linkTime)
	}
	l := newLife(j.name, j.gen, j.cfg, j.pipes)
	proc, err := s.procs.start(j.sp, j.name, j.invocation, func(e exit) {
		s.ended(l, e)
	})
	j.pipes.closeWriteEnds()
	if err != nil {
		background("spawn", func() {
			p.abandon(j)
			p.failed(j, err)
		})
		return nil
	}
	l.proc = proc
	if s.keeper != nil {
		s.keeper.send(packet{op: opStarted, text: key, a: int64(proc.pid)})
		s.claim(proc.pid)
	}
	s.lifeMu.Lock()
	s.lives[j.gen] = l
	s.lifeMu.Unlock()
	return l
}

// abandon gives up the pipes of a start that became no process.
func (p *spawner) abandon(j *spawnJob) {
	if j.rooms == nil {
		j.pipes.closeWriteEnds()
	}
	j.pipes.drain()
	p.s.release(j.name, j.gen)
}

// endList is what s.ended was told and s.gone was not.
type endList struct {
	mu      sync.Mutex
	list    []func() event
	workers int
}

// ended has the end of a service reported: at once, but on a goroutine of its own where that may have to wait for a log file or a health
// check. When everything ends a few goroutines do it.
func (s *supervisor) ended(l *life, e exit) {
	switch {
	case l.cfg.Logging.File != "" || l.over != nil:
		background("end of a service", func() { s.submit(s.gone(l, e)) })
		return
	case !s.ending.Load():
		s.events.leave(s.gone(l, e))
		const apart = time.Millisecond // ends that come together are one turn
		if now := time.Now().UnixNano(); now-s.lastEnd.Swap(now) > int64(apart) {
			s.turnHere(eventExited)
		} else {
			s.events.rouse()
		}
		return
	}
	const few = 2
	q := &s.ends
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, func() event { return s.gone(l, e) })
	if q.workers < few {
		q.workers++
		background("end of services", func() { q.work(&s.events) })
	}
}

func (q *endList) work(events *queue[event]) {
	const share = 32 // at once, so that the others have something too
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) > 0 {
		mine := q.list[:min(share, len(q.list))]
		if q.list = q.list[len(mine):]; len(q.list) == 0 {
			q.list = nil
		}
		q.mu.Unlock()
		evs := make([]event, len(mine))
		for i, f := range mine {
			evs[i] = f()
		}
		events.put(evs...)
		q.mu.Lock()
	}
	q.workers--
}

// gone is the end of a service for the graph, after the last of what it wrote has been read.
func (s *supervisor) gone(l *life, e exit) event {
	<-l.told
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
	if s.ending.Load() {
		s.logs.removeLater(l.name)
	}
	if e.Left > 0 {
		logf(logError, "%s: %d processes survived SIGKILL; they are left behind", l.name, e.Left)
	}
	s.lifeMu.Lock()
	delete(s.lives, l.gen)
	s.lifeMu.Unlock()
	return event{kind: eventExited, name: l.name, gen: l.gen, exit: e, pid: l.proc.pid}
}

// release gives up what outlives a server of one start: the keeper's copies of its pipes. That waits until the end is saved: pipes
// without an end say that the process may be there.
func (s *supervisor) release(name string, gen uint64) {
	if s.keeper != nil {
		s.keeper.send(packet{op: opDrop, text: logKey(name, gen)})
	}
}

func (p *spawner) fail(j *spawnJob, text string) {
	p.s.submit(event{kind: eventSpawnFailed, name: j.name, gen: j.gen, text: text})
}

// failed is fail with the reason as an error, which may say that the program is not there.
func (p *spawner) failed(j *spawnJob, err error) {
	p.s.submit(event{kind: eventSpawnFailed, name: j.name, gen: j.gen, text: err.Error(), missing: errors.Is(err, syscall.ENOENT)})
}

// cancel calls a spawn back. When the kernel has it already, its result comes and the graph brings it down.
func (p *spawner) cancel(name string, gen uint64) {
	p.mu.Lock()
	j := p.byGen[gen]
	p.mu.Unlock()
	if j != nil && p.leave(j, jobOver) {
		p.fail(j, "called back")
	}
}

// --- state: what must outlive a server

// journal is the saved state: records appended to a memfd that the keeper holds, or to a file. One write a turn, no fsync: it is void
// after a restart of the machine. A record that was cut by a kill fails its sum and counts as not written. When what is outdated
// outgrows what counts, everything is written anew behind the end, the head is pointed there, and the old space is given back.
type journal struct {
	fd    int
	base  int64 // where the records that count begin
	end   int64
	whole int64 // size of the last complete copy
	buf   []byte
}

const (
	journalMagic = "zinit-state 1\n"
	journalHead  = 64
	journalSlack = 1 << 20
	maxRecord    = 1 << 22
)

func newJournal(fd int) *journal {
	return &journal{fd: fd, base: journalHead, end: journalHead}
}

// appendRecord appends a record of a kind, with what text appends to it.
func appendRecord(dst []byte, kind byte, text func(dst []byte) []byte) []byte {
	at := len(dst)
	dst = text(append(dst, 0, 0, 0, 0, 0, 0, 0, 0, kind))
	payload := dst[at+8:]
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(dst[at+4:], crc32.ChecksumIEEE(payload))
	return dst
}

// appendJSONRecord appends a record of a kind with v.
func appendJSONRecord(dst []byte, kind byte, v any) []byte {
	return appendRecord(dst, kind, func(dst []byte) []byte { return appendJSON(dst, v) })
}

func (j *journal) writeHead() error {
	head := make([]byte, 0, journalHead)
	head = append(head, journalMagic...)
	head = binary.LittleEndian.AppendUint64(head, uint64(j.base))
	head = binary.LittleEndian.AppendUint32(head, crc32.ChecksumIEEE(head))
	return sysPwrite(j.fd, head, 0)
}

// append writes a batch of records behind the others.
func (j *journal) append(batch []byte) error {
	if err := sysPwrite(j.fd, batch, j.end); err != nil {
		return err
	}
	j.end += int64(len(batch))
	return nil
}

// outgrown says that it is time for a complete copy.
func (j *journal) outgrown() bool { return j.end-j.base > 2*j.whole+journalSlack }

// renew writes a complete copy and lets only that count.
func (j *journal) renew(all []byte) error {
	old := j.base
	at := j.end
	if err := j.append(all); err != nil {
		return err
	}
	j.base, j.whole = at, int64(len(all))
	if err := j.writeHead(); err != nil {
		j.base = old
		return err
	}
	sysPunch(j.fd, journalHead, at-journalHead)
	return nil
}

// read returns the records that count, in the order they were written.
func (j *journal) read() ([][]byte, error) {
	data, err := sysReadAll(j.fd)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	n := len(journalMagic) + 8
	if len(data) < journalHead || string(data[:len(journalMagic)]) != journalMagic || crc32.ChecksumIEEE(data[:n]) != binary.LittleEndian.Uint32(data[n:]) {
		return nil, fmt.Errorf("the saved state has another form than version %s writes", version)
	}
	j.base = int64(binary.LittleEndian.Uint64(data[len(journalMagic):]))
	if j.base < journalHead || j.base > int64(len(data)) {
		return nil, errors.New("the saved state is damaged")
	}
	records := splitRecords(data[j.base:])
	j.end = j.base
	for _, r := range records {
		j.end += 8 + int64(len(r))
	}
	j.whole = j.end - j.base
	return records, nil
}

// splitRecords returns the records at the beginning of data, up to one that is not whole.
func splitRecords(data []byte) [][]byte {
	var records [][]byte
	for len(data) >= 8 {
		size := int(binary.LittleEndian.Uint32(data))
		if size == 0 || size > maxRecord || 8+size > len(data) || crc32.ChecksumIEEE(data[8:8+size]) != binary.LittleEndian.Uint32(data[4:]) {
			break
		}
		records = append(records, data[8:8+size])
		data = data[8+size:]
	}
	return records
}

// savedUnit is one unit in the journal. Times are CLOCK_MONOTONIC nanoseconds, 0 for none.
type savedUnit struct {
	Name         string         `json:"name"`
	State        int            `json:"state"`
	Up           bool           `json:"up,omitempty"`
	Leave        int            `json:"leave,omitempty"`
	Again        bool           `json:"again,omitempty"`
	Forced       bool           `json:"forced,omitempty"`
	ByItself     bool           `json:"by_itself,omitempty"`
	Cause        *failureReason `json:"cause,omitempty"`
	Reason       *failureReason `json:"reason,omitempty"`
	Gen          uint64         `json:"gen,omitempty"`
	PID          int            `json:"pid,omitempty"`
	Ticks        uint64         `json:"ticks,omitempty"`
	Invocation   string         `json:"invocation,omitempty"`
	Started      int64          `json:"started,omitempty"`
	RunningAt    int64          `json:"running_at,omitempty"`
	LastStart    int64          `json:"last_start,omitempty"`
	LastStop     int64          `json:"last_stop,omitempty"`
	ExitCode     *int           `json:"exit_code,omitempty"`
	Tries        int            `json:"tries,omitempty"`
	RestartCount int            `json:"restart_count,omitempty"`
	Pending      bool           `json:"pending,omitempty"`
	Intent       int64          `json:"intent,omitempty"`      // since when a start has been under way …
	IntentExit   uint64         `json:"intent_exit,omitempty"` // … and the last exit record of the keeper before it
	Exit         uint64         `json:"exit,omitempty"`        // the record of its last end
	RestartDue   int64          `json:"restart_due,omitempty"`
	StartDue     int64          `json:"start_due,omitempty"`
	StopDue      int64          `json:"stop_due,omitempty"`
	HealthOK     bool           `json:"health_ok,omitempty"`
	HealthError  string         `json:"health_error,omitempty"`
	Checks       int            `json:"checks,omitempty"`
	Failures     int            `json:"failures,omitempty"`
	BootBlocked  int64          `json:"boot_blocked,omitempty"`
	BootStarting int64          `json:"boot_starting,omitempty"`
	BootReady    int64          `json:"boot_ready,omitempty"`
}

// savedConfig is the configuration of one unit in the journal, as text of a service file.
type savedConfig struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"`
	System  bool   `json:"system,omitempty"`
	Persist bool   `json:"persist,omitempty"`
	Text    string `json:"text"`
}

// savedServer is what is not of one unit.
type savedServer struct {
	Boot    string `json:"boot"` // boot id: the state is void on another one
	Loaded  bool   `json:"loaded,omitempty"`
	Gen     uint64 `json:"gen"`
	Seq     uint64 `json:"seq"`
	Started int64  `json:"started"`
	Closing string `json:"closing,omitempty"`
	Code    int    `json:"code,omitempty"`
	Began   int64  `json:"began,omitempty"`
	Asked   bool   `json:"asked,omitempty"`
	Killed  bool   `json:"killed,omitempty"`
}

// seqGap is how far the numbers of log lines jump when a server died: more than can have come since the last save.
const seqGap = 1 << 21

// monoClock turns times into CLOCK_MONOTONIC nanoseconds and back.
type monoClock struct {
	now  time.Time
	mono int64
}

func clockNow() monoClock { return monoClock{time.Now(), sysMono()} }

func (c monoClock) save(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, c.mono-int64(c.now.Sub(t)))
}

func (c monoClock) load(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return c.now.Add(time.Duration(n - c.mono))
}

func (u *unit) saved(c monoClock, ticks uint64) savedUnit {
	s := savedUnit{Name: u.name, State: int(u.state), Up: u.up, Leave: int(u.leave), Again: u.restartAfterStop, Forced: u.forced, ByItself: u.byItself,
		Cause: u.cause, Reason: u.reason, Gen: u.gen, Invocation: u.invocation, ExitCode: u.exitCode, Tries: u.tries,
		Exit: u.exitSeq, RestartCount: u.restartCount, Pending: u.pending, HealthOK: u.health.ok, HealthError: u.health.lastError,
		Checks: u.health.checks, Failures: u.health.failures,
		Started: c.save(u.started), RunningAt: c.save(u.runningAt), LastStart: c.save(u.lastStart), LastStop: c.save(u.lastStop),
		StartDue: c.save(u.startDue), StopDue: c.save(u.stopDue),
		BootBlocked: c.save(u.bootBlocked), BootStarting: c.save(u.bootStarting), BootReady: c.save(u.bootReady)}
	if u.spawned {
		s.PID, s.Ticks = u.pid, ticks
	} else {
		s.Intent, s.IntentExit = u.intent, u.intentExit
	}
	if u.pending {
		s.RestartDue = c.save(u.restartDue)
	}
	return s
}

// configRecord is a record with the configuration in force ('c') or the changed one ('n').
func configRecord(dst []byte, kind byte, c *config) []byte {
	text := savedConfig{Name: c.Service.Name, Path: c.path, System: c.system, Persist: c.persist, Text: c.source}
	if c.source == "" {
		text.Text = string(c.toml())
	}
	c.source = "" // it has served; memory is a promise
	return appendJSONRecord(dst, kind, &text)
}

// saveUnits appends the records of units to dst.
func (s *supervisor) saveUnits(dst []byte, us []*unit, c monoClock) []byte {
	for _, u := range us {
		if s.g.units[u.name] != u {
			if s.g.units[u.name] == nil {
				dst = appendRecord(dst, 'd', func(dst []byte) []byte { return append(dst, u.name...) })
			}
			continue
		}
		if u.savedCfg != u.cfg || u.savedNext != u.next {
			dst = configRecord(dst, 'c', u.cfg)
			if u.next != nil {
				dst = configRecord(dst, 'n', u.next)
			}
			u.savedCfg, u.savedNext = u.cfg, u.next
		}
		if u.state.live() && !u.spawned && u.intentGen != u.gen {
			u.intent, u.intentExit, u.intentGen = c.mono, s.acks.seen(), u.gen
		}
		text := u.saved(c, s.ticksOf(u))
		dst = appendJSONRecord(dst, 'u', &text)
	}
	return dst
}

// ticksOf is the start time of a unit's process, asked for once.
func (s *supervisor) ticksOf(u *unit) uint64 {
	if !u.spawned {
		return 0
	}
	l := s.life(u.gen)
	if l == nil || l.proc == nil {
		return 0
	}
	return l.proc.ticks()
}

// serverRecord appends what is not of one unit. Not always: while nothing of it has changed it suffices to be near the numbers of
// generations and lines.
func (s *supervisor) serverRecord(dst []byte, c monoClock, always bool) []byte {
	v := savedServer{Boot: s.bootID, Loaded: s.loaded, Gen: s.g.gen, Seq: s.logs.lastSeq(), Started: c.save(s.begun)}
	if cl := s.g.closing; cl != nil {
		v.Closing, v.Code, v.Began, v.Asked, v.Killed = cl.kind, cl.code, c.save(cl.began), cl.asked, cl.killed
	}
	now := v
	now.Gen, now.Seq, now.Started, now.Began = v.Gen>>6, v.Seq>>seqMark, 0, 0
	if now == s.savedServer && !always {
		return dst
	}
	s.savedServer = now
	return appendJSONRecord(dst, 'g', &v)
}

// save writes what the last steps changed. It runs before their effects: a process never exists without a record that it was to be.
func (s *supervisor) save(changed []*unit) {
	if s.journal == nil {
		return
	}
	c := clockNow()
	j := s.journal
	var err error
	if j.outgrown() || s.unsaved {
		all := make([]*unit, 0, len(s.g.units))
		for _, n := range s.g.names() {
			u := s.g.units[n]
			u.savedCfg = nil
			all = append(all, u)
		}
		err = j.renew(s.saveUnits(s.serverRecord(nil, c, true), all, c))
	} else {
		j.buf = s.saveUnits(s.serverRecord(j.buf[:0], c, len(changed) == 0), changed, c)
		err = j.append(j.buf)
	}
	s.unsaved = err != nil
	if err != nil && !s.saidUnsaved {
		s.saidUnsaved = true
		logf(logError, "cannot save the state: %v; if this server dies now, services may be started anew", err)
	}
}

// saved is a journal that was read.
type savedState struct {
	server savedServer
	units  map[string]savedUnit
	cfg    map[string]*config
	next   map[string]*config
}

// readState understands the records of a journal; later ones replace earlier ones.
func readState(records [][]byte) (*savedState, error) {
	st := &savedState{units: map[string]savedUnit{}, cfg: map[string]*config{}, next: map[string]*config{}}
	for _, r := range records {
		body := r[1:]
		switch r[0] {
		case 'g':
			st.server = savedServer{}
			if err := decodeJSON(body, &st.server); err != nil {
				return nil, err
			}
		case 'c', 'n':
			var sc savedConfig
			if err := decodeJSON(body, &sc); err != nil {
				return nil, err
			}
			c, errs, _ := parseTOML([]byte(sc.Text), sc.Path, sc.Name)
			if c == nil {
				return nil, fmt.Errorf("the saved configuration of %s: %v", sc.Name, errs)
			}
			c.path, c.system, c.persist = sc.Path, sc.System, sc.Persist
			if c.system {
				c.Service.Class = "system"
			}
			if r[0] == 'c' {
				st.cfg[sc.Name] = c
				delete(st.next, sc.Name)
				continue
			}
			st.next[sc.Name] = c
		case 'u':
			var su savedUnit
			if err := decodeJSON(body, &su); err != nil {
				return nil, err
			}
			st.units[su.Name] = su
		case 'd':
			delete(st.units, string(body))
		}
	}
	for n := range st.units {
		if st.cfg[n] == nil {
			return nil, fmt.Errorf("the saved state has no configuration for %s", n)
		}
	}
	return st, nil
}

// restore puts saved units back as they were, links and counts included, and returns those that have, or may have, a process.
func (g *graph) restore(st *savedState, c monoClock) []*unit {
	g.now, g.out = c.now, nil
	g.gen = st.server.Gen
	if st.server.Closing != "" {
		g.closing = &closing{kind: st.server.Closing, code: st.server.Code, began: c.load(st.server.Began), asked: st.server.Asked, killed: st.server.Killed}
	}
	var live []*unit
	for _, n := range slices.Sorted(maps.Keys(st.units)) {
		u := g.add(st.cfg[n])
		if next := st.next[n]; next != nil {
			g.setNext(u, next)
		}
		u.restoreFrom(st.units[n], c)
		g.gen = max(g.gen, u.gen)
		if u.state.live() && u.cfg.Kind != "target" {
			live = append(live, u)
		}
	}
	for _, n := range g.names() {
		g.reface(g.units[n])
	}
	g.booted = len(g.units) > 0
	return live
}

func (u *unit) restoreFrom(s savedUnit, c monoClock) {
	u.state, u.up, u.leave, u.restartAfterStop, u.forced, u.byItself = state(s.State), s.Up, leave(s.Leave), s.Again, s.Forced, s.ByItself
	u.cause, u.reason, u.gen, u.invocation, u.exitCode = s.Cause, s.Reason, s.Gen, s.Invocation, s.ExitCode
	u.pid, u.spawned = s.PID, s.PID != 0
	u.intent, u.intentExit, u.intentGen, u.exitSeq = s.Intent, s.IntentExit, s.Gen, s.Exit
	u.started, u.runningAt, u.lastStart, u.lastStop = c.load(s.Started), c.load(s.RunningAt), c.load(s.LastStart), c.load(s.LastStop)
	u.tries, u.restartCount, u.pending, u.restartDue = s.Tries, s.RestartCount, s.Pending, c.load(s.RestartDue)
	u.startDue, u.stopDue = c.load(s.StartDue), c.load(s.StopDue)
	u.health.ok, u.health.lastError, u.health.checks, u.health.failures = s.HealthOK, s.HealthError, s.Checks, s.Failures
	u.bootBlocked, u.bootStarting, u.bootReady = c.load(s.BootBlocked), c.load(s.BootStarting), c.load(s.BootReady)
	u.boots = s.BootBlocked != 0 || s.BootStarting != 0
	if u.spawned && u.cfg.Health != nil && (u.state == starting || u.state == running) {
		u.probeDue = c.now
	}
}

// --- the keeper's other half: the server under `zinit init`

// ackList remembers which exit records of the keeper wait to be saved.
type ackList struct {
	mu    sync.Mutex
	byPID map[int]uint64 // of our services, until the graph has saved their end
	ready []uint64
	held  []exitRecord // of unknown pids, until no start is under way
	last  uint64       // the newest that came
}

// seen is the number of the newest exit record that came.
func (a *ackList) seen() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// of is the exit record of a service's process; 0: none.
func (a *ackList) of(pid int) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byPID[pid]
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

// adoptAll goes on with the services of an earlier server.
func (s *supervisor) adoptAll(st *savedState, h handed) {
	c := clockNow()
	s.logs.seqAtLeast(st.server.Seq + seqGap)
	if st.server.Started != 0 {
		s.begun = c.load(st.server.Started)
	}
	s.mu.Lock()
	live := s.g.restore(st, c)
	for _, e := range s.g.out {
		if e.kind == effectConfigure {
			s.logs.configure(e.name, e.cfg.Logging, s.mode == "container")
		}
	}
	s.mu.Unlock()
	s.adoptLogs(h.store, live)
	s.adoptLive(st, live, h)
	if g := s.g; g.closing != nil && h.closing == nil && s.keeper != nil {
		s.perform(&effect{kind: effectClosing, text: g.closing.kind, sig: g.closing.code})
	}
	if len(live) > 0 {
		logf(logInfo, "adopted %d running services", len(live))
	}
}

// adoptLive goes on with the units that have, or may have, a process. The order matters: first it is seen which processes there are,
// then the keeper is asked for every end until now, so that what was not seen has ended with a known status or has never been.
func (s *supervisor) adoptLive(st *savedState, live []*unit, h handed) {
	a := adoption{st: st, known: map[int]bool{}, dead: map[int]exitRecord{}, missing: map[int]bool{}, found: map[string]kin{}, saved: map[uint64]bool{}, doubtful: map[string]bool{}, cmd: h.cmd}
	for _, u := range st.units {
		a.saved[u.Exit] = true
	}
	for _, u := range live {
		if u.spawned {
			a.known[u.pid] = true
			a.missing[u.pid] = sysKill(u.pid, 0) == syscall.ESRCH
		}
	}
	for _, u := range live {
		if u.spawned || s.isMain(u.name) {
			continue
		}
		key := logKey(u.name, u.gen)
		k, ok := kin{pid: h.procs[key]}, h.procs[key] != 0
		switch {
		case ok:
			a.missing[k.pid] = sysKill(k.pid, 0) == syscall.ESRCH
		case s.keeper == nil || h.store[key] != nil:
			a.doubtful[u.name] = true
			if _, err := readStat(os.Getpid()); err == nil || s.keeper == nil {
				k, ok = s.findStarted(u, a.known)
			} else {
				k, ok = s.findBlindly(h.store[key], a.known, &h.exits)
			}
			if ok {
				s.tellStarted(u, k.pid)
			}
		}
		if ok {
			a.known[k.pid], a.found[u.name] = true, k
		}
	}
	exits := h.exits
	if s.keeper != nil {
		s.askKeeper(opSync, &exits) // all that have happened until now and were not handed over yet
	}
	for _, e := range exits {
		a.dead[e.pid] = e
		s.acks.last = e.seq
	}
	var again []*unit
	for _, u := range live {
		if !s.adoptUnit(&a, u) {
			again = append(again, u)
		}
	}
	for _, e := range exits {
		if !a.known[e.pid] {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
	}
	for _, u := range again {
		s.perform(&effect{kind: effectSpawn, name: u.name, gen: u.gen, cfg: u.cfg, text: u.invocation})
	}
}

// tellStarted has the keeper remember what has just been found out, for the next server: so only one start is ever in doubt.
func (s *supervisor) tellStarted(u *unit, pid int) {
	if s.keeper != nil {
		s.keeper.send(packet{op: opStarted, text: logKey(u.name, u.gen), a: int64(pid)})
	}
}

// adoption is what is known while the services of an earlier server are adopted.
type adoption struct {
	st       *savedState
	known    map[int]bool       // pids of units
	missing  map[int]bool       // those that were gone when we looked
	dead     map[int]exitRecord // by pid, whose ever
	saved    map[uint64]bool    // the records of ends that the state has already
	found    map[string]kin     // processes of starts that were under way, by unit
	doubtful map[string]bool    // starts under way of which nobody knows how far they got
	cmd      packet             // what the keeper says of CMD
}

// askKeeper waits for the answer to a question. Exits that come before it go to exits; whatever else comes is kept for follow.
func (s *supervisor) askKeeper(op byte, exits *[]exitRecord) packet {
	s.keeper.send(packet{op: op})
	for {
		p, err := s.keeper.recv()
		switch {
		case err != nil, p.op == op:
			return p // without a keeper follow finds the same error
		case p.op == opExits:
			*exits = append(*exits, parseExits(p.text)...)
		default:
			s.early = append(s.early, p)
		}
	}
}

// findBlindly is findStarted without /proc: when somebody still writes into the pipes of the start, it is the youngest child of the keeper that leads
// a session and that nobody knows. (A child that has been forked once the pids have begun anew from 2 is not the youngest; then an older one is taken for it.)
// A child that on a busy machine does not lead one yet has the pipes already, and is waited for.
func (s *supervisor) findBlindly(pipes []int, known map[int]bool, exits *[]exitRecord) (kin, bool) {
	const pause, patience = 5 * time.Millisecond, time.Second
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		if !slices.ContainsFunc(pipes, func(fd int) bool { return !sysHungUp(fd) }) {
			return kin{}, false
		}
		youngest := 0
		for b := []byte(s.askKeeper(opFind, exits).text); len(b) >= 8; b = b[8:] {
			if pid := int(binary.LittleEndian.Uint64(b)); !known[pid] && pid != os.Getpid() {
				youngest = pid
			}
		}
		if youngest != 0 || time.Now().After(end) {
			return kin{pid: youngest}, youngest != 0
		}
	}
}

func (s *supervisor) isMain(name string) bool { return s.withCmd && name == mainName }

// adoptLogs takes the read ends of the services' pipes over, also those of starts that have ended: what is in them still counts.
func (s *supervisor) adoptLogs(store map[string][]int, live []*unit) {
	for _, key := range slices.Sorted(maps.Keys(store)) {
		words := strings.Fields(key)
		if len(words) != 3 || words[0] != "log" {
			continue
		}
		name := words[1]
		gen, _ := strconv.ParseUint(words[2], 10, 64)
		fds := store[key]
		if len(fds) != 2 {
			closeAll(fds)
			continue
		}
		pipes, err := s.logs.adopt(name, []logEnd{{"stdout", fds[0], s.partial[name+" stdout"]}, {"stderr", fds[1], s.partial[name+" stderr"]}})
		if err != nil {
			logf(logError, "cannot go on with the output of %s: %v", name, err)
			continue
		}
		i := slices.IndexFunc(live, func(u *unit) bool { return u.name == name && u.gen == gen })
		if i < 0 {
			background("drain", func() {
				pipes.drain()
				s.release(name, gen)
			})
			continue
		}
		s.lives[gen] = newLife(name, gen, live[i].cfg, pipes)
	}
}

// adoptUnit goes on with one unit that has a process, or whose start was under way when the last server died. False: that start
// never happened and is to be done now.
func (s *supervisor) adoptUnit(a *adoption, u *unit) bool {
	l := s.lives[u.gen]
	if l == nil {
		l = newLife(u.name, u.gen, u.cfg, &logPipes{Out: -1, Err: -1})
		s.lives[u.gen] = l
	}
	pid, ticks, found := u.pid, a.st.units[u.name].Ticks, u.spawned
	if k, ok := a.found[u.name]; ok {
		pid, ticks, found = k.pid, k.start, true
	}
	if s.isMain(u.name) && !found && a.cmd.a > 0 {
		pid, found = int(a.cmd.a), true
	}
	if !found {
		return s.adoptStart(a, u, l)
	}
	a.known[pid] = true
	var status *uint32
	if e, ok := a.dead[pid]; ok {
		code := e.status &^ leaderBit
		status = &code
		s.acks.byPID[pid] = e.seq
	}
	gone := func(e exit) { s.ended(l, e) }
	if s.keeper != nil {
		l.proc = s.procs.adoptReported(pid, u.name, u.invocation, status, gone)
		if status == nil && a.missing[pid] {
			logf(logError, "%s: process %d has gone, and nobody knows how it ended", u.name, pid)
			s.procs.lost(l.proc)
		}
	} else {
		p, err := s.procs.adopt(pid, ticks, u.invocation, gone)
		if err != nil {
			logf(logError, "%s: %v", u.name, err)
			close(l.told)
			s.submit(event{kind: eventExited, name: u.name, gen: u.gen})
			return true
		}
		l.proc = p
	}
	if !u.spawned {
		s.submit(event{kind: eventSpawned, name: u.name, gen: u.gen, pid: pid})
	}
	close(l.told)
	if u.spawned && u.state == stopping {
		kind := effectStop
		if u.forced {
			kind = effectKill
		}
		e := effect{kind: kind, name: u.name, gen: u.gen, cfg: u.cfg}
		s.hands.put(e)
	}
	return true
}

// adoptStart decides what became of a start under way of which there is no process: it ran and has ended, it was called back, or it
// never happened and the result is false.
func (s *supervisor) adoptStart(a *adoption, u *unit, l *life) bool {
	close(l.told)
	delete(s.lives, u.gen)
	l.pipes.drain() // nobody writes any more: it does not wait
	e, n := s.exitOfStart(a, u)
	switch {
	case u.state == stopping:
		s.release(u.name, u.gen)
		s.submit(event{kind: eventSpawnFailed, name: u.name, gen: u.gen, text: "called back"})
		return true
	case s.isMain(u.name) || n == 0 || !a.doubtful[u.name]:
		s.release(u.name, u.gen) // the start to come makes pipes of its own
		return false
	}
	var how exit // of several nobody knows which it was
	if n == 1 {
		how = decodeStatus(e.status &^ leaderBit)
	}
	a.known[e.pid] = true
	s.acks.byPID[e.pid] = e.seq
	s.tellStarted(u, e.pid)
	s.submit(event{kind: eventSpawned, name: u.name, gen: u.gen, pid: e.pid})
	s.submit(event{kind: eventExited, name: u.name, gen: u.gen, pid: e.pid, exit: how})
	return true
}

// exitOfStart is the first exit that can be that of a start under way, and how many such there are: later than the intent, of a process that
// nobody knows and that led a session, as services do and as orphans and helpers do not.
func (s *supervisor) exitOfStart(a *adoption, u *unit) (one exitRecord, n int) {
	for pid, e := range a.dead {
		if !a.known[pid] && e.seq > u.intentExit && !a.saved[e.seq] && e.status&leaderBit != 0 && decodeStatus(e.status&^leaderBit).Code != execFailed {
			if n++; n == 1 || e.seq < one.seq {
				one = e
			}
		}
	}
	return one, n
}

// execFailed is the exit code of a fork whose execve failed, before anybody could be told (the Go runtime's).
const execFailed = 253

// findStarted looks for the process of a start that was under way: a process younger than the intent, with the start's name in its
// environment. Under the keeper an environment that cannot be read is no hindrance: a single unknown child that leads a session must be
// it; of several, none may live on.
func (s *supervisor) findStarted(u *unit, known map[int]bool) (kin, bool) {
	var unreadable []kin
	for range 20 {
		unreadable = nil
		for _, p := range sysAllPids() {
			st, err := readStat(p)
			if known[p] || p == os.Getpid() || err != nil || s.keeper != nil && st.PPID != s.procs.root || sysMono()-int64(st.Age()) < u.intent-int64(intentSlack) {
				continue
			}
			env, _ := foreignMemory(p, sysEnviron)
			switch id := envValue(env, "ZINIT_INVOCATION_ID"); {
			case id == u.invocation:
				return kin{p, st.Start}, true
			case id == "" && s.keeper != nil && envValue(env, "ZINIT_SERVICE") == "":
				unreadable = append(unreadable, kin{p, st.Start})
			}
		}
		if len(unreadable) == 0 {
			return kin{}, false
		}
		time.Sleep(5 * time.Millisecond) // a fork that has not executed yet gets its environment in a moment
	}
	unreadable = slices.DeleteFunc(unreadable, func(k kin) bool { return !sysLeads(k.pid) })
	if len(unreadable) == 1 {
		return unreadable[0], true
	}
	for _, k := range unreadable {
		logf(logWarn, "killing process %d: it may be a half-started %s", k.pid, u.name)
		_ = sysKill(-k.pid, sigKill)
		_ = sysKillOne(k, sigKill)
	}
	return kin{}, false
}

// intentSlack is how much earlier than the intent a start may seem to be: the kernel counts start times in hundredths of a second.
const intentSlack = 30 * time.Millisecond

// discard kills what an unreadable state left running: all processes below our parent that carry the name of a start. After a
// standalone server they are children of somebody else; ours are those that write to our pipes.
func (s *supervisor) discard() {
	var left []int
	for _, p := range sysAllPids() {
		if st, err := readStat(p); err != nil || p == os.Getpid() || s.keeper != nil && st.PPID != os.Getppid() {
			continue
		}
		if s.keeper == nil && !writesBelow(p, s.logs.fifos) {
			continue
		}
		env, _ := foreignMemory(p, sysEnviron)
		if envValue(env, "ZINIT_INVOCATION_ID") != "" {
			logf(logWarn, "stopping process %d: it belongs to a service of a server whose state cannot be read", p)
			left = append(left, p)
		}
	}
	removeForeign(left, 2*time.Second)
}

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
			s.submit(event{kind: eventShutdown, power: "exit"})
			return
		}
		s.heard(p)
	}
}

func (s *supervisor) heard(p packet) {
	switch p.op {
	case opExits:
		s.exited(parseExits(p.text))
	case opAsk: // about the owner, not about us
		s.view(func(*graph, time.Time) {})
		s.keeper.send(packet{op: opAsk})
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
		s.acks.mu.Lock()
		s.acks.last = e.seq
		if s.procs.has(e.pid) {
			s.acks.byPID[e.pid] = e.seq
		} else {
			s.acks.held = append(s.acks.held, e)
		}
		s.acks.mu.Unlock()
		s.procs.reaped(e.pid, e.status&^leaderBit)
	}
	s.sendAcks()
}

// claim says that pid is the main process of a service: an exit that came before anybody knew is not forgotten until it is saved.
func (s *supervisor) claim(pid int) {
	s.acks.mu.Lock()
	defer s.acks.mu.Unlock()
	s.acks.held = slices.DeleteFunc(s.acks.held, func(e exitRecord) bool {
		if e.pid == pid {
			s.acks.byPID[pid] = e.seq
		}
		return e.pid == pid
	})
}

// saw notes that the end of a process is saved.
func (s *supervisor) saw(pid int) {
	s.acks.mu.Lock()
	if seq, ok := s.acks.byPID[pid]; ok {
		delete(s.acks.byPID, pid)
		s.acks.ready = append(s.acks.ready, seq)
	}
	s.acks.mu.Unlock()
}

func (s *supervisor) sendAcks() {
	s.acks.mu.Lock()
	defer s.acks.mu.Unlock()
	if s.spawner.idle() {
		for _, e := range s.acks.held {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
		s.acks.held = nil
	}
	for len(s.acks.ready) > 0 {
		n := min(len(s.acks.ready), 3000)
		var b []byte
		for _, seq := range s.acks.ready[:n] {
			b = binary.LittleEndian.AppendUint64(b, seq)
		}
		s.acks.ready = s.acks.ready[n:]
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
		s.submit(event{kind: eventShutdown, power: rest})
	case "kill":
		s.submit(event{kind: eventShutdownNow, power: "exit"})
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
	l.proc = s.procs.adoptReported(pid, mainName, u.inv, nil, func(e exit) { background("end of CMD", func() { s.submit(s.gone(l, e)) }) })
	s.lifeMu.Lock()
	s.lives[u.gen] = l
	s.lifeMu.Unlock()
	s.submit(event{kind: eventSpawned, name: mainName, gen: u.gen, pid: pid})
	close(l.told)
}

// mainName is the reserved name of CMD.
const mainName = "cmd"

// mainUnit is the configuration of CMD as a service.
func mainUnit(argv []string) *config {
	c := newConfig()
	c.Kind = "service"
	c.Service.Name, c.Service.Exec, c.Service.Status, c.Service.Class = mainName, execDef{Argv: argv}, "stop", "system"
	c.Service.Description = "the main program of the container"
	c.Lifecycle.Restart = "never"
	c.Lifecycle.StartTimeout = 0
	c.Lifecycle.StopTimeout = time.Hour // the shutdown's time is what bounds it
	return c
}

// startMain has the keeper start CMD once no wanted service is on its way any more.
func (s *supervisor) startMain() {
	s.submit(event{kind: eventStart, name: mainName})
}

// upgradeTold answers the upgrade that waits for the keeper's word.
func (s *supervisor) upgradeTold(p packet) {
	s.lifeMu.Lock()
	wait := s.upgrading
	s.upgrading = nil
	s.lifeMu.Unlock()
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
	s.lifeMu.Lock()
	busy := s.upgrading != nil
	if !busy {
		s.upgrading, s.answered = wait, answered
	}
	s.lifeMu.Unlock()
	if busy {
		return "", nil, refuse("invalid_state", "another upgrade is under way")
	}
	s.keeper.send(packet{op: opUpgrade, text: binary})
	select {
	case p := <-wait:
		if p.a != 0 {
			close(answered)
			return "", nil, refuse("process_error", "cannot go over to the new binary: %s", p.text)
		}
		return p.text, func() { close(answered) }, nil
	case <-time.After(upgradeTime + 2*time.Second):
		s.upgradeTold(packet{})
		close(answered)
		return "", nil, refuse("timeout", "PID 1 does not answer")
	}
}

// upgradeInPlace is the upgrade of a standalone server: the same process executes the new binary, and adopts what it left.
func (s *supervisor) upgradeInPlace(binary string) (string, func(), error) {
	path := firstSet(binary, ownProgram())
	if s.journal == nil {
		return "", nil, refuse("not_supported", "the state of this server cannot be saved, so that a new binary could not adopt the services")
	}
	out, err := sysTryBinary(path, []string{"zinit", "server", "--check-state"}, []int{s.journal.fd}, 1, upgradeTime)
	ver := ""
	if err == nil {
		ver, err = provenVersion(out, false)
	}
	if err != nil {
		return "", nil, refuse("process_error", "cannot go over to %s: %v", visible(path), err)
	}
	return ver, func() {
		background("upgrade", func() {
			s.freeze()
			rings, err := sysMemfdWith("zinit-logs", s.packRings())
			env := os.Environ()
			if err == nil {
				env = append(env, ringsVar+"="+fmt.Sprint(rings))
			}
			ignoreForExec()
			err = sysExecKeeping(path, os.Args, env, []int{rings})
			_ = sysClose(rings)
			s.catch()
			logf(logError, "cannot execute %s: %v; going on with the present version", visible(path), err)
			s.thaw()
		})
	}, nil
}

// ringsVar names the descriptor with the log lines that an earlier image of this process kept.
const ringsVar = "ZINIT_RINGS"

// freeze stops the loop and the reading of logs: from here on nothing changes until thaw.
func (s *supervisor) freeze() {
	s.mu.Lock()
	s.logs.freeze()
	s.logs.flushLogs(300 * time.Millisecond)
	s.unsaved = true
	s.save(s.g.takeChanged())
}

func (s *supervisor) thaw() {
	s.logs.thaw()
	s.mu.Unlock()
}

// packRings puts all log lines, and the beginnings of lines, into one text for the next server.
func (s *supervisor) packRings() []byte {
	var b []byte
	end := time.Now().Add(time.Second)
	for _, n := range s.logs.names() {
		for _, l := range s.logs.snapshot(n) {
			b = appendJSONRecord(b, 'l', &l)
		}
		for _, e := range s.logs.readEnds(n) {
			if len(e.Partial) > 0 {
				b = appendRecord(b, 'p', func(b []byte) []byte { return append(b, n+"\x00"+e.Stream+"\x00"+string(e.Partial)...) })
			}
		}
		if time.Now().After(end) {
			break
		}
	}
	return b
}

// ringsFile is where a standalone server that ends as planned leaves its log lines: among its pipes, which are in memory if possible.
func (s *supervisor) ringsFile() string { return filepath.Join(s.logs.fifos, ".rings") }

// loadRings puts saved log lines back and returns the beginnings of lines by "service stream".
func (s *supervisor) loadRings(data []byte) map[string][]byte {
	partial := map[string][]byte{}
	lines := map[string][]logLine{}
	for _, r := range splitRecords(data) {
		switch r[0] {
		case 'l':
			var l logLine
			if decodeJSON(r[1:], &l) == nil {
				lines[l.Service] = append(lines[l.Service], l)
			}
		case 'p':
			if f := strings.SplitN(string(r[1:]), "\x00", 3); len(f) == 3 {
				partial[f[0]+" "+f[1]] = []byte(f[2])
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(lines)) {
		s.logs.restore(n, lines[n])
	}
	return partial
}

// handover ends this server for the next one: under the keeper, which keeps everything.
func (s *supervisor) handover() {
	s.lifeMu.Lock()
	answered := s.answered
	s.lifeMu.Unlock()
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
			if u := g.units[n]; u.state.live() && u.kind() == "service" {
				names = append(names, n)
			}
		}
	})
	if s.keeper != nil {
		return nil, names, func() { s.keeper.send(packet{op: opDo, text: "handover"}) }, nil
	}
	if s.journal == nil {
		return nil, nil, nil, refuse("not_supported", "the state of this server cannot be saved")
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

// keepState opens the journal of a standalone server beside its socket, and returns what an earlier one left there, if that still counts.
func (s *supervisor) keepState() *savedState {
	if strings.HasPrefix(s.opts.socket, "@") {
		return nil
	}
	fifos := ""
	fd, err := sysOpenState(s.statePath())
	if err == nil {
		if fifos, err = s.makeFifoDir(fd); err == nil {
			err = s.logs.keepFifos(fifos)
		}
	}
	if err != nil {
		if err != errNotSupported {
			logf(logWarn, "the state cannot be kept beside the socket (%v): if this server dies, its services are not adopted", err)
		}
		return nil
	}
	s.journal = newJournal(fd)
	return s.readJournal()
}

// readJournal reads what an earlier server saved; nil when there is nothing or it is of another boot.
func (s *supervisor) readJournal() *savedState {
	records, err := s.journal.read()
	var st *savedState
	if err == nil && len(records) > 0 {
		st, err = readState(records)
	}
	s.unsaved = true
	if err != nil {
		logf(logError, "%v: what it describes is stopped, and everything is started anew", err)
		s.discard()
		return nil
	}
	if st == nil || st.server.Boot != s.bootID {
		return nil
	}
	return st
}

// forgetState removes what only the next server after a crash would need.
func (s *supervisor) forgetState() {
	if s.syslog != 0 {
		_ = os.Remove(syslogPath)
	}
	if s.keeper == nil && s.journal != nil {
		_ = os.Remove(s.statePath())
		_ = os.RemoveAll(s.logs.fifos)
	}
}

// fifoStore lists the pipes that an earlier standalone server left, as the keeper would hand them.
func (s *supervisor) fifoStore(st *savedState) map[string][]int {
	store := map[string][]int{}
	for n, u := range st.units {
		if u.PID == 0 {
			continue
		}
		out, err1 := sysOpenFifo(s.logs.fifoAt, fifoName(n, "stdout"))
		err, err2 := sysOpenFifo(s.logs.fifoAt, fifoName(n, "stderr"))
		if err1 != nil || err2 != nil {
			logf(logWarn, "the output of %s cannot be read any more: %v", n, firstError(err1, err2))
			continue
		}
		store[logKey(n, u.Gen)] = []int{out, err}
	}
	return store
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkState is `zinit server --check-state`: it proves that this binary reads the state on descriptor 3, and says its version. With --check-keeper
// it proves the same of what the keeper holds, on descriptor 4.
func checkState(keeper bool) int {
	records, err := newJournal(3).read()
	if err == nil {
		_, err = readState(records)
	}
	if err == nil && keeper {
		err = checkRecord(4)
	}
	if err != nil {
		fmt.Println("state bad", err)
		return exitRefused
	}
	if keeper {
		fmt.Println(keeperProven)
	}
	fmt.Println(stateProven + version)
	return exitDone
}

// supervisor.go is the owner: one goroutine holds the graph, takes events and has their effects performed; nothing in its loop ever waits.

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
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
	hands   queue[func()]
	moves   *moveHub

	mu sync.Mutex // held by the owner during a step, and by view
	g  *graph

	events queue[event]

	lifeMu sync.Mutex
	lives  map[uint64]*life // by generation

	finished chan effect
}

// life is one start of a service: its process and the pipes of its output.
type life struct {
	proc  *process
	pipes *logPipes
	cfg   *config
	told  chan struct{} // closed when the graph has been told of the process
	name  string
	gen   uint64
}

// queue is an unbounded list that producers never wait for. One consumer waits on wake.
type queue[T any] struct {
	mu   sync.Mutex
	list []T
	wake chan struct{}
}

func (q *queue[T]) init() { q.wake = make(chan struct{}, 1) }

func (q *queue[T]) put(x T) {
	q.mu.Lock()
	q.list = append(q.list, x)
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

func newSupervisor(opts serverOptions, mode string) *supervisor {
	s := &supervisor{opts: opts, mode: mode, begun: time.Now(), lives: map[uint64]*life{}, finished: make(chan effect, 1),
		g: newGraph(opts.shutdownTimeout), moves: newMoveHub()}
	s.events.init()
	s.hands.init()
	s.spawner = newSpawner(s)
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
	s.submit(ev)
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

// slowTurn is when a turn of the loop is worth a line in the log.
const slowTurn = 100 * time.Millisecond

// run is the owner's loop: it returns never.
func (s *supervisor) run() {
	timer := time.NewTimer(time.Hour)
	for {
		select {
		case <-s.events.wake:
		case <-timer.C:
		}
		now := time.Now()
		next := s.turn(now)
		if took := time.Since(now); took > slowTurn {
			logf(logDebug, "one turn of the supervisor took %s", span(took))
		}
		if next.IsZero() {
			timer.Stop()
			continue
		}
		timer.Reset(time.Until(next))
	}
}

// turn takes all events that are there, then the deadlines that have passed, and performs what results.
func (s *supervisor) turn(now time.Time) time.Time {
	batch := s.events.take()
	var work []effect
	s.mu.Lock()
	for _, ev := range batch {
		work = append(work, s.g.step(now, ev)...)
	}
	next := s.g.nextDue()
	if !next.IsZero() && !next.After(now) {
		work = append(work, s.g.step(now, event{kind: eventTick})...)
		next = s.g.nextDue()
	}
	s.mu.Unlock()
	for i := range work {
		s.perform(&work[i])
	}
	return next
}

// perform does one effect, or has it done on another goroutine when it might take time.
func (s *supervisor) perform(e *effect) {
	switch e.kind {
	case effectSpawn:
		s.spawner.add(&spawnJob{name: e.name, gen: e.gen, cfg: e.cfg})
	case effectCancelSpawn:
		s.spawner.cancel(e.name, e.gen)
	case effectStop, effectKill, effectSignal:
		w := *e
		s.hands.put(func() { s.touch(&w) })
	case effectCheck:
		name, gen, cfg := e.name, e.gen, e.cfg
		background("health check", func() { s.check(name, gen, cfg) })
	case effectGuard:
		name, gen, cfg := e.name, e.gen, e.cfg
		background("guard", func() { s.guard(name, gen, cfg) })
	case effectReply:
		e.ticket.done <- reply{e.answer, e.err}
	case effectMoved:
		s.moved(e)
	case effectConfigure:
		s.moves.tell(e)
		s.logs.configure(e.name, e.cfg.Logging, s.mode == "container")
	case effectForget:
		s.moves.tell(e)
		s.logs.forget(e.name)
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
	for range s.hands.wake {
		for _, f := range s.hands.take() {
			f()
		}
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
		if err := s.procs.probe(l.cfg, c.StopExec, l.proc.invocation, c.StopTimeout); err != nil {
			logf(logWarn, "stop_exec of %s: %v; sending %s instead", l.name, err, signalName(c.StopSignal))
			l.proc.stop(c.StopSignal)
		}
	})
}

// check runs one health check and reports it.
func (s *supervisor) check(name string, gen uint64, c *config) {
	err := check(c.Health, func(cmd execDef, timeout time.Duration) error { return s.procs.probe(c, cmd, "", timeout) })
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
			return hindrance{kind: "process_filter", service: fmt.Sprintf("process %d", pids[0]), person: true,
				detail: fmt.Sprintf("the foreign %s matches process_filter %q", pidNames(pids[:1]), f)}, false
		}
	}
	for _, port := range c.Service.Ports {
		if !portFree(port) {
			return hindrance{kind: "port", service: fmt.Sprintf("port %d", port), detail: fmt.Sprintf("port %d is in use", port), person: true}, false
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
}

func (s *supervisor) info() serverInfo {
	return serverInfo{version, s.mode, os.Getpid(), s.begun, s.opts.configDirs, s.opts.systemDir, s.opts.socket}
}

// load reads the directories; the result goes to eventReload.
func (s *supervisor) load() loadResult { return loadDirs(s.opts.systemDir, s.opts.configDirs) }

// boot loads the services and starts what is to be started. Problems are said, and keep nothing else from starting.
func (s *supervisor) boot() {
	a, err := s.ask(event{kind: eventReload, load: s.load()}, nil)
	if err != nil {
		return
	}
	s.complain(a.Reload)
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

// serverMain is `zinit server`: the daemon in the foreground, until a signal or a client ends it. It returns the exit code.
func serverMain(opts serverOptions) int {
	if err := setLogLevel(opts.logLevel); err != nil {
		logf(logError, "%v", err)
		return 2
	}
	// Half the default garbage: a supervisor is small and idle, and its memory is a promise (see the budget).
	debug.SetGCPercent(50)
	for i, d := range opts.configDirs {
		if abs, err := filepath.Abs(d); err == nil {
			opts.configDirs[i] = abs
		}
	}
	s := newSupervisor(opts, "standalone")
	door, err := listenRPC(opts)
	if err != nil {
		logf(logError, "%v", err)
		serverLog.flush(time.Second)
		return 1
	}
	s.procs = newProcs()
	s.logs = newLogHub(1)
	sigs := make(chan os.Signal, 16)
	signal.Notify(sigs, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	background("supervisor", s.run)
	background("hands", s.work)
	r := serveRPC(s, door)
	background("boot", s.boot)
	logf(logInfo, "zinit %s is listening on %s", version, opts.socket)
	e := s.waitForEnd(sigs)
	r.close()
	if e.incomplete {
		logf(logError, "some processes did not end even after SIGKILL")
	}
	logf(logInfo, "all services are stopped")
	s.logs.flushLogs(time.Second)
	return 0
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
	name  string
	gen   uint64
	cfg   *config
	phase int // under spawner.mu: jobWaiting, jobLooking, jobForking, jobOver
	limit *time.Timer
}

const (
	jobWaiting = iota
	jobLooking // reading the program's file, which may hang
	jobForking
	jobOver
)

// spawner turns spawn effects into processes. A few workers are enough; more, up to maxLookers, come only when programs on
// mounts that do not answer hold them.
type spawner struct {
	s       *supervisor
	mu      sync.Mutex
	jobs    []*spawnJob
	looking map[string]*spawnJob // by unit: whose file is being read
	byGen   map[uint64]*spawnJob
	workers int
	busy    int
	moves   int // jobs that left a worker, to see whether the workers hang
	grow    *time.Timer
}

const (
	fewWorkers = 3
	maxLookers = 64
	lookLimit  = 30 * time.Second // for a program that does not answer, where start_timeout_ms sets no other
	growAfter  = 50 * time.Millisecond
)

func newSpawner(s *supervisor) *spawner {
	return &spawner{s: s, looking: map[string]*spawnJob{}, byGen: map[uint64]*spawnJob{}}
}

func (p *spawner) add(j *spawnJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looking[j.name] != nil {
		background("spawn", func() { p.fail(j, doesNotAnswer(j)) })
		return
	}
	p.byGen[j.gen] = j
	p.jobs = append(p.jobs, j)
	p.hire(fewWorkers)
}

// hire adds a worker when there is more to do than the workers there are, up to most.
func (p *spawner) hire(most int) {
	if p.workers < most && p.workers-p.busy < len(p.jobs) {
		p.workers++
		background("spawn", p.worker)
		return
	}
	if p.grow == nil && len(p.jobs) > 0 && p.workers < maxLookers {
		seen := p.moves
		p.grow = time.AfterFunc(growAfter, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.grow = nil
			most := fewWorkers
			if p.moves == seen {
				most = maxLookers
			}
			if len(p.jobs) > 0 {
				p.hire(most)
			}
		})
	}
}

// worker takes jobs until there are none.
func (p *spawner) worker() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.jobs) > 0 {
		j := p.jobs[0]
		p.jobs = p.jobs[1:]
		if j.phase == jobOver {
			continue
		}
		j.phase = jobLooking
		p.looking[j.name] = j
		p.busy++
		p.mu.Unlock()
		p.start(j)
		p.mu.Lock()
		p.busy--
		p.moves++
		if p.looking[j.name] == j {
			delete(p.looking, j.name)
		}
		delete(p.byGen, j.gen)
	}
	p.workers--
}

func doesNotAnswer(j *spawnJob) string {
	e := j.cfg.Service.Exec
	name := e.Line
	if len(e.Argv) > 0 {
		name = e.Argv[0]
	}
	if i := strings.IndexByte(name, ' '); i > 0 {
		name = name[:i]
	}
	return name + " does not answer: is it on a mount that hangs?"
}

// start looks at the program, makes the pipes, has the kernel execute it, and tells the graph how that went.
func (p *spawner) start(j *spawnJob) {
	limit := lookLimit
	if t := j.cfg.Lifecycle.StartTimeout; t > 0 && t < limit {
		limit = t
	}
	j.limit = time.AfterFunc(limit, func() {
		if p.leave(j, jobOver) {
			p.fail(j, doesNotAnswer(j))
		}
	})
	invocation := newInvocation()
	sp, err := resolve(j.cfg, j.cfg.Service.Exec, invocation)
	j.limit.Stop()
	if !p.leave(j, jobForking) {
		return
	}
	if err != nil {
		p.fail(j, err.Error())
		return
	}
	p.execute(j, sp, invocation)
}

// leave moves a job on from looking; false when it was called back, or given up, before.
func (p *spawner) leave(j *spawnJob, phase int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.phase != jobLooking && j.phase != jobWaiting {
		return false
	}
	j.phase = phase
	return true
}

func (p *spawner) execute(j *spawnJob, sp *spec, invocation string) {
	s := p.s
	pipes, err := s.logs.pipes(j.name, sp.UID, sp.GID)
	if err != nil {
		p.fail(j, "cannot make the pipes for its output: "+err.Error())
		return
	}
	sp.Stdout, sp.Stderr = pipes.Out, pipes.Err
	l := &life{pipes: pipes, cfg: j.cfg, name: j.name, gen: j.gen, told: make(chan struct{})}
	proc, err := s.procs.start(sp, j.name, invocation, func(e exit) {
		background("end of a service", func() { s.gone(l, e) })
	})
	pipes.closeWriteEnds()
	if err != nil {
		pipes.drain()
		p.fail(j, err.Error())
		return
	}
	l.proc = proc
	s.lifeMu.Lock()
	s.lives[j.gen] = l
	s.lifeMu.Unlock()
	s.submit(event{kind: eventSpawned, name: j.name, gen: j.gen, pid: proc.pid, invocation: invocation})
	close(l.told)
}

// gone reports the end of a service, after the last of what it wrote has been read.
func (s *supervisor) gone(l *life, e exit) {
	<-l.told
	l.pipes.drain()
	if e.Left > 0 {
		logf(logError, "%s: %d processes survived SIGKILL; they are left behind", l.name, e.Left)
	}
	s.lifeMu.Lock()
	delete(s.lives, l.gen)
	s.lifeMu.Unlock()
	s.submit(event{kind: eventExited, name: l.name, gen: l.gen, exit: e})
}

func (p *spawner) fail(j *spawnJob, text string) {
	p.s.submit(event{kind: eventSpawnFailed, name: j.name, gen: j.gen, text: text})
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

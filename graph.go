// graph.go is the whole truth about services as a pure function of events: it holds no clock, goroutine, file or log, and it does nothing itself, it returns the work to do.

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// state is one of seven. Only enter assigns it.
type state uint8

const (
	inactive state = iota
	blocked
	starting
	running
	stopping
	exited
	failed
)

var stateNames = [...]string{"inactive", "blocked", "starting", "running", "stopping", "exited", "failed"}

func (s state) String() string { return stateNames[s] }

func (s state) MarshalText() ([]byte, error) { return []byte(stateNames[s]), nil }

func (s *state) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%q is no state of a service", text)
	}
	*s = state(i)
	return nil
}

// live says whether a unit in this state has, or may have, a process.
func (s state) live() bool { return s == starting || s == running || s == stopping }

// reasonType says why a unit failed.
type reasonType string

const (
	reasonExitCode          reasonType = "exit_code"
	reasonSignal            reasonType = "signal"
	reasonStartTimeout      reasonType = "start_timeout"
	reasonStopTimeout       reasonType = "stop_timeout"
	reasonHealth            reasonType = "health_check_failed"
	reasonDependencyFailed  reasonType = "dependency_failed"
	reasonSpawnError        reasonType = "spawn_error"
	reasonMissingDependency reasonType = "missing_dependency"
)

// failureReason is why a unit is failed. Type names which of the other fields count.
type failureReason struct {
	Type       reasonType
	Code       int
	CodeKnown  bool // false: adopted, and nobody could learn its exit status
	Signal     int
	Core       bool
	Attempts   int
	LastError  string
	Service    string
	Message    string
	NotFound   bool // of spawn_error: the program is not there
	Dependency string
}

// leave is why a live unit is to stop. It is decided at once and carried out when the units that depend on it are gone.
type leave uint8

const (
	staying leave = iota
	leaveCascade
	leaveStop
	leaveRestart
	leaveDelete
	leaveShutdown
)

// unit is one service or target: its configuration, its state, and the deadlines of that state.
type unit struct {
	name string
	cfg  *config // in force
	next *config // changed, counts from the next start; nil: none

	state            state
	up               bool // the wish
	startPending     bool // a start is due and not yet looked at
	leave            leave
	retired          bool           // leaves because its file is gone; it stays when that comes back in time
	restartAfterStop bool           // while stopping: a later start or restart was asked for
	cause            *failureReason // while stopping: the fault that began it; nil: a request
	forced           bool           // while stopping: the stop timeout has passed
	byItself         bool           // exited without having been stopped

	gen        uint64 // of the present or last spawn; results of older ones are dropped
	pid        int
	invocation string
	spawned    bool
	started    time.Time // spawn of the present process
	runningAt  time.Time
	exitCode   *int
	reason     *failureReason
	lastStart  time.Time
	lastStop   time.Time

	tries        int // automatic restarts since the last stable period
	restartCount int // automatic restarts since the last start request
	pending      bool
	restartDue   time.Time

	startDue  time.Time // start timeout
	stopDue   time.Time // stop timeout
	probeDue  time.Time // next health check
	probing   bool
	guardDue  time.Time // next look at ports and foreign processes
	guarding  bool
	cleared   bool
	guardGen  uint64
	guardWait time.Duration
	hindered  hindrance // what the last look found; type "" is nothing

	health struct {
		ok        bool
		lastError string
		checks    int
		failures  int
	}
	boots                                bool // what it does first is part of the boot
	bootBlocked, bootStarting, bootReady time.Time

	waiters                  []*waiter
	face                     face
	needsPerson              bool // while blocked: only a person can clear it
	needs                    neighbours
	bulk                     []*bulkWait
	liveRequiring, liveAfter int       // live units that require it, or are ordered after it
	due                      time.Time // place in the timer heap
	heapAt                   int       // index there, -1: not in it
	queued                   bool

	changed bool // since takeChanged
}

// kind is service or target.
func (u *unit) kind() unitKind { return u.cfg.Kind }

// eventKind names the triggers of the machine.
type eventKind uint8

const (
	eventStart eventKind = iota
	eventStop
	eventRestart
	eventKill
	eventWait
	eventSpawned
	eventSpawnFailed
	eventExited
	eventHealth
	eventReady
	eventGuard
	eventTick
	eventStartAll
	eventStopAll
	eventDeleteAll
	eventPut
	eventDelete
	eventReload
	eventShutdown
	eventShutdownNow
	eventCancel
)

var eventNames = [...]string{"start", "stop", "restart", "kill", "wait", "spawned", "spawn failed", "exited", "health", "ready", "guard", "tick",
	"start all", "stop all", "delete all", "put", "delete", "reload", "shutdown", "shutdown now", "cancel"}

func (k eventKind) String() string { return eventNames[k] }

// event is one thing that happened, with what is known of it. gen is the generation of the spawn that a result belongs to.
type event struct {
	kind      eventKind
	name      string
	gen       uint64
	to        *ticket
	tree      bool
	wait      bool
	force     bool
	restart   bool
	replace   bool
	timeout   time.Duration
	until     state
	sig       int
	pid       int
	exit      exit
	ok        bool
	text      string
	hindrance hindrance
	cfg       *config
	load      *loadResult
	power     powerKind
	missing   bool // of eventSpawnFailed: the program is not there
}

// effectKind names the work that a step hands to its caller.
type effectKind uint8

const (
	effectSpawn effectKind = iota
	effectCancelSpawn
	effectStop   // the stop signal or stop_exec
	effectKill   // SIGKILL to all that is left
	effectSignal // a person's signal
	effectCheck
	effectGuard
	effectReply
	effectMoved
	effectConfigure // logs of a new or changed unit
	effectForget
	effectFinished
	effectClosing  // a shutdown begins: text is its kind, sig the exit code
	effectCritical // a critical unit is no more: sig is the exit code of a container
)

// effect is one piece of work. The fields are copies: it may be performed after the graph has gone on.
type effect struct {
	kind       effectKind
	name       string
	gen        uint64
	cfg        *config
	sig        int
	from, to   state
	reason     *failureReason
	ticket     *ticket
	answer     *answer // nil: none
	err        *refusal
	text       string
	restartIn  time.Duration
	at         time.Time
	incomplete bool
}

// ticket identifies one request; the core never looks inside.
type ticket struct{ done chan reply }

// reply is what a ticket gets, exactly once.
type reply struct {
	answer answer
	err    *refusal
}

// answer is the result of a request that the core accepted.
type answer struct {
	State     state
	BlockedBy []string
	Names     []string
	Skipped   []string
	Errs      []nameError
	Reload    *reloadResult
	Warnings  []problem
}

// nameError is what a bulk operation could not do to one unit.
type nameError struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// refusal is an answer that says no: kind is one of the error kinds of the RPC.
type refusal struct {
	kind      errorKind
	text      string
	names     []string
	notLoaded string // why the file of the name that is unknown is not loaded
}

func (r *refusal) Error() string { return r.text }

func refuse(kind errorKind, format string, args ...any) *refusal {
	return &refusal{kind: kind, text: fmt.Sprintf(format, args...)}
}

// waiter is a request parked in its unit until the step that settles it.
type waiter struct {
	to    *ticket
	kind  eventKind // eventStart, eventStop, eventRestart, eventWait or eventDelete
	until state
	due   time.Time
	began time.Time
}

// graph holds all units. It belongs to one goroutine at a time.
type graph struct {
	units  map[string]*unit
	order  []string                  // sorted names; nil after a change
	users  map[string]map[string]tie // name -> units that name it in requires or after
	foes   map[string]map[string]int // name -> units that conflict with it, both ways, with how often one names the other
	nexts  map[string]*unit          // units with a changed configuration that does not count yet
	live   int
	gen    uint64
	now    time.Time
	out    []effect
	dirty  dirtyHeap
	timer  timerHeap
	looked int // units and neighbours looked at so far: what steps cost, for tests

	dirs      map[string]bool   // directories of service files that were there once
	restoring bool              // units are put back as an earlier server had them
	booted    bool              // what is added from now on is no part of the boot
	refused   map[string]string // why the last reload did not take a file, by its stem
	changed   []*unit           // for the saver
	mint      func() string     // makes the name of one start; nil: none are made
	main      string            // the unit that a shutdown stops before all others (CMD); "": none
	onWays    int               // units that are on their way
	reserve   time.Duration     // how long before the end of a shutdown's time all is killed
	closing   *closing
	limit     time.Duration // shutdown timeout
}

// closing is a shutdown in progress.
type closing struct {
	kind     powerKind
	code     int // exit code of the container
	began    time.Time
	asked    bool // three quarters have passed
	killed   bool
	finished bool
}

// bulkWait is a delete_all that waits for its units to be gone.
type bulkWait struct {
	to     *ticket
	left   int
	answer answer
}

// takeChanged returns the units that may have changed since the last call, also those that were removed.
func (g *graph) takeChanged() []*unit {
	us := g.changed
	g.changed = nil
	for _, u := range us {
		u.changed = false
	}
	return us
}

func (g *graph) mark(u *unit) {
	if !u.changed {
		u.changed = true
		g.changed = append(g.changed, u)
	}
}

func newGraph(shutdownTimeout time.Duration) *graph {
	return &graph{units: map[string]*unit{}, users: map[string]map[string]tie{}, foes: map[string]map[string]int{}, nexts: map[string]*unit{}, limit: shutdownTimeout}
}

func (g *graph) unit(name string) *unit { return g.units[name] }

// names returns all names, sorted. The caller must not change the slice.
func (g *graph) names() []string {
	if g.order == nil {
		g.order = make([]string, 0, len(g.units))
		for n := range g.units {
			g.order = append(g.order, n)
		}
		slices.Sort(g.order)
	}
	return g.order
}

// step takes one event and then everything that follows from it, and returns the work that results, in order.
func (g *graph) step(now time.Time, ev event) []effect {
	g.now, g.out = now, nil
	switch ev.kind {
	case eventTick:
		g.tick()
	case eventStartAll, eventStopAll, eventDeleteAll:
		g.all(ev)
	case eventPut:
		g.put(ev)
	case eventReload:
		g.reload(ev)
	case eventShutdown, eventShutdownNow:
		g.shutdown(ev)
	default:
		g.one(ev)
	}
	g.settleAll()
	return g.out
}

// one hands an event to the unit that it names.
func (g *graph) one(ev event) {
	u := g.units[ev.name]
	if u == nil {
		if ev.to != nil {
			g.refuse(ev.to, g.unknown(ev.name))
		}
		return
	}
	g.on(u, ev)
	g.mark(u)
	g.reface(u)
	g.push(u)
}

func (g *graph) unknown(name string) *refusal {
	r := refuse(kindServiceNotFound, "no service %s", shortened(name))
	if why := g.refused[name]; why != "" {
		r.text += ": its file is not loaded: " + why
		r.notLoaded = why
		return r
	}
	if near := nearest(name, g.names()); near != "" {
		r.text += "; did you mean " + near + "?"
		r.names = []string{near}
	}
	return r
}

// reply is what the one who waits gets.
func (e *effect) reply() reply {
	r := reply{err: e.err}
	if e.answer != nil {
		r.answer = *e.answer
	}
	return r
}

func (g *graph) emit(e effect) { g.out = append(g.out, e) }

func (g *graph) answer(to *ticket, a answer) {
	if to != nil {
		g.emit(effect{kind: effectReply, ticket: to, answer: &a})
	}
}

func (g *graph) refuse(to *ticket, r *refusal) {
	if to != nil {
		g.emit(effect{kind: effectReply, ticket: to, err: r})
	}
}

// on is the machine: by state, then by event. A request means much the same in every state; wish and unwish say what. A result of an earlier life, or of
// something that is not under way, is dropped.
func (g *graph) on(u *unit, ev event) {
	if g.request(u, ev) || !u.expects(ev) {
		return
	}
	switch u.state {
	case blocked:
		g.onGuard(u, ev)
	case starting:
		g.onStarting(u, ev)
	case running:
		g.onRunning(u, ev)
	case stopping:
		g.onStopping(u, ev)
	}
}

// request takes what somebody asks of a unit, and says whether the event was that.
func (g *graph) request(u *unit, ev event) bool {
	if u.name == g.main && g.main != "" && g.onMain(u, ev) {
		return true
	}
	switch ev.kind {
	case eventStart, eventRestart:
		g.onStart(u, ev)
	case eventStop, eventDelete:
		g.onStop(u, ev)
	case eventWait:
		g.park(u, ev)
	case eventCancel:
		u.drop(ev.to)
	case eventKill:
		if u.pid == 0 {
			g.refuse(ev.to, refuse(kindServiceIsDown, "cannot signal %s: it has no process (it is %s)", u.name, u.state))
			return true
		}
		g.emit(effect{kind: effectSignal, name: u.name, gen: u.gen, sig: ev.sig, ticket: ev.to})
	default:
		return false
	}
	return true
}

func (g *graph) onStarting(u *unit, ev event) {
	switch ev.kind {
	case eventSpawned:
		g.onSpawned(u, ev)
		if !u.cfg.Service.Oneshot && u.cfg.Health == nil {
			g.enter(u, running)
		}
	case eventSpawnFailed:
		u.reason = &failureReason{Type: reasonSpawnError, Message: ev.text, NotFound: ev.missing}
		g.end(u, failed)
	case eventExited:
		u.noteExit(ev.exit)
		if u.cfg.Service.Oneshot && u.success(ev.exit) {
			g.end(u, exited)
			return
		}
		u.reason = exitReason(ev.exit)
		g.end(u, failed)
	case eventHealth:
		u.noteCheck(ev)
		if ev.ok {
			g.enter(u, running)
			return
		}
		u.probeDue = g.now.Add(u.cfg.Health.StartInterval)
	case eventReady:
		g.enter(u, running)
	}
}

func (g *graph) onRunning(u *unit, ev event) {
	switch ev.kind {
	case eventExited:
		u.noteExit(ev.exit)
		if u.success(ev.exit) {
			g.end(u, exited)
			return
		}
		u.reason = exitReason(ev.exit)
		g.end(u, failed)
	case eventHealth:
		u.noteCheck(ev)
		if u.health.failures >= u.cfg.Health.Retries {
			u.cause = &failureReason{Type: reasonHealth, Attempts: u.health.failures, LastError: u.health.lastError}
			g.enter(u, stopping)
			return
		}
		u.probeDue = g.now.Add(u.cfg.Health.Interval)
	}
}

func (g *graph) onStopping(u *unit, ev event) {
	switch ev.kind {
	case eventSpawned:
		g.onSpawned(u, ev)
		g.bringDown(u)
	case eventSpawnFailed:
		g.onGone(u)
	case eventExited:
		u.noteExit(ev.exit)
		g.onGone(u)
	}
}

// onMain takes what CMD does not let be done to it: a stop is a shutdown; it is started once, and neither restarted nor deleted.
func (g *graph) onMain(u *unit, ev event) bool {
	switch {
	case ev.kind == eventStop && u.state.live():
		if ev.wait {
			g.park(u, ev)
		} else {
			g.answer(ev.to, g.answerOf(u))
		}
		g.shutdown(event{kind: eventShutdown, power: powerExit})
		return true
	case ev.kind == eventRestart, ev.kind == eventDelete, ev.kind == eventStart && ev.to != nil && u.lastStart != (time.Time{}) && !u.state.live():
		g.refuse(ev.to, refuse(kindInvalidState, "cannot %s %s: it is the main program of this container", ev.kind, u.name))
		return true
	}
	return false
}

// expects says whether a result belongs to the present life of a unit and to something that is under way.
func (u *unit) expects(ev event) bool {
	if ev.kind == eventGuard {
		return u.guarding && ev.gen == u.guardGen
	}
	if ev.gen != u.gen || !u.state.live() || u.cfg.Kind == unitTarget {
		return false
	}
	switch ev.kind {
	case eventSpawned, eventSpawnFailed:
		return !u.spawned
	case eventHealth:
		return u.probing
	}
	return u.spawned
}

// onStart takes a start or restart: the wish is up and a later request wins over an earlier one.
func (g *graph) onStart(u *unit, ev event) {
	if g.closing != nil {
		g.refuse(ev.to, refuse(kindShuttingDown, "cannot start %s: the system is shutting down", u.name))
		return
	}
	if u.leave == leaveDelete {
		g.refuse(ev.to, refuse(kindInvalidState, "cannot start %s: it is being deleted", u.name))
		return
	}
	if ev.tree {
		for _, n := range g.closure(u.name) {
			if n != u.name {
				g.wish(g.units[n], false)
			}
		}
	}
	g.wish(u, ev.kind == eventRestart)
	if !ev.wait {
		g.settleAll()
		g.answer(ev.to, g.answerOf(u))
		return
	}
	g.park(u, ev)
}

// wish sets a unit's wish to up and does what that means in its state. again asks for a new process where there is one.
func (g *graph) wish(u *unit, again bool) {
	if u.leave == leaveDelete {
		return
	}
	fresh := !u.up
	u.up = true
	switch u.state {
	case inactive, exited, failed:
		u.startPending, u.pending = true, false
		fresh = true
	case starting, running:
		if again {
			u.leave, fresh = leaveRestart, true
		} else if u.leave == leaveStop {
			u.leave = staying
		}
	case stopping:
		u.restartAfterStop, fresh = true, true
	}
	if fresh {
		u.restartCount, u.tries = 0, 0
	}
	g.mark(u)
	g.reface(u)
	g.push(u)
}

// onStop takes a stop, or a delete, which is a stop that ends in the unit's removal.
func (g *graph) onStop(u *unit, ev event) {
	if ev.kind == eventDelete {
		if !ev.force && !g.mayDelete(u, ev.to) {
			return
		}
		g.park(u, ev)
	}
	g.unwish(u)
	if ev.kind == eventDelete {
		g.leaveFor(u, leaveDelete)
		return
	}
	if !ev.wait {
		g.settleAll()
		g.answer(ev.to, g.answerOf(u))
		return
	}
	g.park(u, ev)
}

func (g *graph) mayDelete(u *unit, to *ticket) bool {
	users := g.dependents(u.name)
	if len(users) == 0 {
		return true
	}
	more := ""
	if n := len(users) - maxNamed; n > 0 {
		users, more = users[:maxNamed], fmt.Sprintf(" and %d more", n)
	}
	r := refuse(kindDependencyError, "cannot delete %s: required by %s%s", u.name, strings.Join(users, ", "), more)
	r.names = users
	g.refuse(to, r)
	return false
}

// unwish sets a unit's wish to down and does what that means in its state.
func (g *graph) unwish(u *unit) {
	u.up, u.startPending, u.pending, u.restartAfterStop = false, false, false, false
	switch u.state {
	case blocked:
		g.enter(u, inactive)
	case starting, running, stopping:
		if u.leave < leaveDelete {
			u.leave = leaveStop
		}
	}
	g.mark(u)
	g.reface(u)
	g.push(u)
}

// leaveFor notes why a unit is to stop, or that it stays.
func (g *graph) leaveFor(u *unit, why leave) {
	u.leave = why
	g.mark(u)
	g.reface(u)
	g.push(u)
}

// onSpawned notes that the kernel executes the program.
func (g *graph) onSpawned(u *unit, ev event) {
	u.pid, u.started, u.lastStart, u.spawned = ev.pid, g.now, g.now, true
	if u.state != starting {
		return
	}
	if t := u.cfg.Lifecycle.StartTimeout; t > 0 {
		u.startDue = g.now.Add(t)
	}
	if h := u.cfg.Health; h != nil && h.Type != healthNotify {
		u.probeDue = g.now
	}
}

func (u *unit) noteExit(e exit) {
	u.exitCode = nil
	if e.Known && e.Signal == 0 {
		code := e.Code
		u.exitCode = &code
	}
}

func (u *unit) noteCheck(ev event) {
	u.probing = false
	u.health.checks++
	u.health.ok = ev.ok
	if ev.ok {
		u.health.failures, u.health.lastError = 0, ""
		return
	}
	u.health.failures++
	u.health.lastError = ev.text
}

func (u *unit) success(e exit) bool {
	return e.Known && e.Signal == 0 && slices.Contains(u.cfg.Lifecycle.SuccessCodes, e.Code)
}

func exitReason(e exit) *failureReason {
	if e.Signal != 0 {
		return &failureReason{Type: reasonSignal, Signal: e.Signal, Core: e.Core}
	}
	return &failureReason{Type: reasonExitCode, Code: e.Code, CodeKnown: e.Known}
}

// end is the end of a process by itself: the new state, and the restart that the policy wants.
func (g *graph) end(u *unit, s state) {
	ranFor := time.Duration(0)
	if u.state == running {
		ranFor = g.now.Sub(u.runningAt)
	}
	u.byItself = s == exited
	g.gone(u)
	g.rest(u, s, ranFor)
}

// rest enters exited or failed after a life of its own, and plans the restart.
func (g *graph) rest(u *unit, s state, ranFor time.Duration) {
	l := &u.cfg.Lifecycle
	if ranFor > 0 && ranFor >= l.StabilityPeriod {
		u.tries = 0
	}
	wanted := u.leave == leaveRestart || u.leave == leaveCascade && !(s == exited && u.cfg.Service.Oneshot)
	deleted := u.leave == leaveDelete
	u.leave = staying
	if deleted {
		u.leave = leaveDelete
	}
	u.pending = false
	if u.up && !wanted && g.closing == nil && u.restarts(s) && (l.MaxRestarts == 0 || u.tries < l.MaxRestarts) {
		u.pending = true
		u.restartDue = g.now.Add(backoff(l.RestartDelay, l.RestartDelayMax, u.tries))
	}
	u.startPending = wanted && u.up && g.closing == nil
	g.enter(u, s)
}

// restarts says whether the policy restarts a unit that ended in this state by itself.
func (u *unit) restarts(s state) bool {
	if u.cfg.Service.Status == statusIgnore {
		return false
	}
	switch u.cfg.Lifecycle.Restart {
	case restartAlways:
		return true
	case restartOnFailure:
		return s == failed
	}
	return false
}

// backoff is the delay before restart number n (from 0): it doubles every time, up to most.
func backoff(first, most time.Duration, n int) time.Duration {
	d := first
	for ; n > 0 && d > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, max(most, first))
}

// gone clears what belongs to the process that ended, and lets a changed configuration count.
func (g *graph) gone(u *unit) {
	if u.spawned {
		u.lastStop = g.now
	}
	u.pid, u.spawned, u.probing, u.started = 0, false, false, time.Time{}
	u.startDue, u.stopDue, u.probeDue = time.Time{}, time.Time{}, time.Time{}
	if u.next != nil {
		g.adoptConfig(u)
	}
}

// onGone is the end of a unit that was stopping.
func (g *graph) onGone(u *unit) {
	cause, forced, why, again := u.cause, u.forced, u.leave, u.restartAfterStop
	u.cause, u.forced, u.restartAfterStop, u.byItself = nil, false, false, false
	g.gone(u)
	if cause != nil {
		u.reason = cause
		u.leave = staying
		switch {
		case why == leaveDelete:
			u.leave = leaveDelete
		case again && u.up, why == leaveRestart && u.up:
			u.leave = leaveRestart
		}
		g.rest(u, failed, 0)
		return
	}
	if why != leaveDelete {
		u.leave = staying
	}
	switch {
	case why == leaveDelete, why == leaveShutdown:
		g.rested(u, forced)
	case u.up && (again || why == leaveRestart || why == leaveCascade):
		u.reason, u.exitCode = nil, nil
		g.launch(u)
	default:
		g.rested(u, forced)
	}
}

// rested enters the state of a unit that was stopped by request.
func (g *graph) rested(u *unit, forced bool) {
	u.pending = false
	if forced {
		u.reason = &failureReason{Type: reasonStopTimeout}
		g.enter(u, failed)
		return
	}
	u.reason = nil
	g.enter(u, exited)
}

// launch starts a unit that is not live, or blocks it, or fails it, by what it waits for.
func (g *graph) launch(u *unit) {
	u.startPending, u.pending = false, false
	n := &u.needs
	u.needsPerson = u.hindered.needsPerson || n.missing+n.failed+n.stuck+n.firm > 0
	if f := g.fatal(u); f != nil {
		u.needsPerson = false // it is blocked in passing only: who waits hears of the failure
		if u.state != blocked {
			g.enter(u, blocked)
		}
		u.reason = f
		g.enter(u, failed)
		return
	}
	if n.met() && (u.cleared || !u.guarded()) {
		g.enter(u, starting)
		return
	}
	if u.state != blocked {
		g.enter(u, blocked)
	}
	if n.met() && !u.guarding && u.guardDue.IsZero() {
		g.guard(u)
	}
}

// guarded says whether something outside the graph must be looked at before a start.
func (u *unit) guarded() bool {
	return len(u.cfg.Service.Ports) > 0 || u.cfg.Service.ProcessFilter != ""
}

func (g *graph) guard(u *unit) {
	g.gen++
	u.guardGen, u.guarding, u.guardDue = g.gen, true, time.Time{}
	g.emit(effect{kind: effectGuard, name: u.name, gen: u.guardGen, cfg: u.cfg})
}

// onGuard takes the result of a look at ports and foreign processes: a start, or another look after 100 ms, doubling to 5 s.
func (g *graph) onGuard(u *unit, ev event) {
	u.guarding = false
	if ev.ok {
		u.cleared, u.hindered, u.guardWait = true, hindrance{}, 0
		return
	}
	u.hindered = ev.hindrance
	u.guardWait = min(max(100*time.Millisecond, 2*u.guardWait), 5*time.Second)
	u.guardDue = g.now.Add(u.guardWait)
}

// enter is the only place that assigns a state. It sets what the state needs and tells the world; of a unit that is restored, all that is known already.
func (g *graph) enter(u *unit, s state) {
	from := u.state
	u.state = s
	if g.restoring {
		return
	}
	switch s {
	case inactive, blocked:
		u.reason, u.exitCode = nil, nil
		if u.boots && u.bootBlocked.IsZero() && s == blocked {
			u.bootBlocked = g.now
		}
	case starting:
		g.enterStarting(u)
	case running:
		u.runningAt, u.startDue = g.now, time.Time{}
		if u.boots && u.bootReady.IsZero() {
			u.bootReady = g.now
		}
		if h := u.cfg.Health; h != nil && h.Type != healthNotify {
			u.probeDue = g.now.Add(h.Interval)
		}
	case exited:
		if u.boots && u.byItself && u.bootReady.IsZero() {
			u.bootReady = g.now
		}
	}
	if u.isLost() && g.closing == nil {
		defer g.lost(u)
	}
	if s != blocked {
		u.guarding, u.guardDue, u.guardWait, u.hindered = false, time.Time{}, 0, hindrance{}
	}
	e := effect{kind: effectMoved, name: u.name, from: from, to: s, reason: u.reason, at: g.now}
	if u.pending {
		e.restartIn = u.restartDue.Sub(g.now)
	}
	g.emit(e)
	switch s {
	case starting:
		g.afterStarting(u)
	case stopping:
		g.enterStopping(u)
	}
	g.mark(u)
	g.reface(u)
	g.wake(u)
	g.push(u)
}

// isLost says whether a critical unit has failed permanently or ended by itself, with no restart to come: neither by policy nor by request.
func (u *unit) isLost() bool {
	over := u.state == failed || u.state == exited && u.byItself && !u.cfg.Service.Oneshot
	return u.cfg.Service.Critical && over && u.up && !u.pending && !u.startPending
}

// lost says that a critical unit is lost, with the exit code of a container that ends for it.
func (g *graph) lost(u *unit) {
	code, text := 0, "has ended"
	if u.exitCode != nil {
		code = *u.exitCode
	}
	if r := u.reason; r != nil {
		text = r.String()
		switch {
		case r.Type == reasonSignal:
			code = 128 + r.Signal
		case r.Type == reasonSpawnError && r.NotFound:
			code = 127
		case r.Type == reasonSpawnError:
			code = 126
		case r.Type != reasonExitCode || !r.CodeKnown:
			code = 1
		}
	}
	g.emit(effect{kind: effectCritical, name: u.name, text: text, sig: code})
}

func (g *graph) enterStarting(u *unit) {
	g.gen++
	u.gen, u.pid, u.spawned, u.cleared = g.gen, 0, false, false
	if g.mint != nil {
		u.invocation = g.mint()
	}
	u.reason, u.exitCode, u.cause, u.leave = nil, nil, nil, staying
	u.forced, u.restartAfterStop, u.byItself, u.probing, u.probeDue = false, false, false, false, time.Time{}
	u.health.ok, u.health.lastError, u.health.checks, u.health.failures = false, "", 0, 0
	if u.boots && u.bootStarting.IsZero() {
		u.bootStarting = g.now
	}
}

// afterStarting asks for the process of a service; a target has none and is running at once.
func (g *graph) afterStarting(u *unit) {
	if u.cfg.Kind == unitTarget {
		g.reface(u)
		g.wake(u)
		g.enter(u, running)
		return
	}
	g.emit(effect{kind: effectSpawn, name: u.name, gen: u.gen, cfg: u.cfg, text: u.invocation})
}

// enterStopping brings the process down, or calls back the spawn that is still under way.
func (g *graph) enterStopping(u *unit) {
	u.startDue, u.probeDue = time.Time{}, time.Time{}
	u.forced = false
	if u.cfg.Kind == unitTarget {
		g.onGone(u)
		return
	}
	u.stopDue = g.now.Add(u.cfg.Lifecycle.StopTimeout)
	if !u.spawned {
		g.emit(effect{kind: effectCancelSpawn, name: u.name, gen: u.gen})
		return
	}
	g.bringDown(u)
}

func (g *graph) bringDown(u *unit) {
	kind := effectStop
	if u.forced || g.closing != nil && g.closing.killed {
		kind = effectKill
	}
	g.emit(effect{kind: kind, name: u.name, gen: u.gen, cfg: u.cfg})
}

// tick takes every deadline that has passed, in name order of the units.
func (g *graph) tick() {
	var due []*unit
	for len(g.timer) > 0 && !g.timer[0].due.After(g.now) {
		u := g.timer[0]
		g.unschedule(u)
		due = append(due, u)
	}
	slices.SortFunc(due, func(a, b *unit) int { return cmp.Compare(a.name, b.name) })
	for _, u := range due {
		g.onDue(u)
		g.mark(u)
		g.reface(u)
		g.push(u)
	}
	g.tickClosing()
}

func (g *graph) passed(t time.Time) bool { return !t.IsZero() && !t.After(g.now) }

// onDue does what the passed deadlines of a unit ask for.
func (g *graph) onDue(u *unit) {
	switch {
	case u.state == starting && g.passed(u.startDue):
		u.startDue = time.Time{}
		u.cause = &failureReason{Type: reasonStartTimeout}
		g.enter(u, stopping)
	case u.state == stopping && g.passed(u.stopDue):
		u.stopDue, u.forced = time.Time{}, true
		if u.spawned {
			g.emit(effect{kind: effectKill, name: u.name, gen: u.gen})
		}
	case u.pending && g.passed(u.restartDue):
		u.pending = false
		u.restartDue = time.Time{}
		u.tries++
		u.restartCount++
		u.startPending = true
	}
	if g.passed(u.probeDue) && (u.state == starting || u.state == running) && !u.probing {
		u.probeDue, u.probing = time.Time{}, true
		g.emit(effect{kind: effectCheck, name: u.name, gen: u.gen, cfg: u.cfg})
	}
	if g.passed(u.guardDue) {
		u.guardDue = time.Time{}
		if u.state == blocked && !u.guarding && u.needs.met() {
			g.guard(u)
		}
	}
	g.expire(u)
}

// nextDue is the earliest deadline of all units and of the shutdown; zero when there is none.
func (g *graph) nextDue() time.Time {
	var t time.Time
	if len(g.timer) > 0 {
		t = g.timer[0].due
	}
	if d := g.closingDue(); !d.IsZero() && (t.IsZero() || d.Before(t)) {
		t = d
	}
	return t
}

// nextOf is the earliest deadline of one unit.
func (u *unit) nextOf() time.Time {
	var t time.Time
	consider := func(d time.Time) {
		if !d.IsZero() && (t.IsZero() || d.Before(t)) {
			t = d
		}
	}
	consider(u.startDue)
	consider(u.stopDue)
	if !u.probing {
		consider(u.probeDue)
	}
	consider(u.guardDue)
	if u.pending {
		consider(u.restartDue)
	}
	for _, w := range u.waiters {
		consider(w.due)
	}
	return t
}

// settleAll looks at every unit that a change touched, in name order, until nothing follows any more.
// Name order is what decides between two conflicting units that both could start.
func (g *graph) settleAll() {
	var parked []*unit
	for len(g.dirty) > 0 {
		u := g.pop()
		g.settle(u)
		if len(u.waiters) > 0 {
			parked = append(parked, u)
		}
	}
	for _, u := range parked {
		g.wake(u)
		g.schedule(u)
	}
	g.finish()
}

// settle does what follows for one unit from its own state and what it sees of its neighbours.
func (g *graph) settle(u *unit) {
	g.looked++
	if g.units[u.name] != u {
		return
	}
	switch {
	case u.leave == leaveDelete && !u.state.live():
		g.reface(u)
		g.remove(u)
		return
	case g.closing != nil && u.state == blocked:
		g.enter(u, inactive)
	case g.closing == nil && (u.state == blocked || u.startPending && !u.state.live() || g.healed(u)):
		g.launch(u)
	case u.state == starting || u.state == running:
		g.settleLive(u)
	}
	g.reface(u)
	g.schedule(u)
}

// settleLive stops a unit that is to leave once nothing that depends on it is live.
func (g *graph) settleLive(u *unit) {
	g.cascade(u)
	if u.leave == staying {
		if u.cfg.Kind == unitTarget && u.state == running && u.needs.unmet() > 0 {
			g.enter(u, blocked)
		}
		return
	}
	if g.waitsForMain(u) {
		return
	}
	if u.liveRequiring > 0 || g.closing != nil && u.liveAfter > 0 && !g.closing.asked {
		return
	}
	if u.leave == leaveCascade && u.cfg.Kind == unitTarget {
		u.leave = staying
		g.enter(u, blocked)
		return
	}
	g.enter(u, stopping)
}

// settled says that no wanted unit is on its way any more.
func (g *graph) settled() bool { return g.onWays == 0 && len(g.dirty) == 0 }

// waitsForMain says whether a shutdown must leave a unit alone because CMD still runs: services outlive the main program.
func (g *graph) waitsForMain(u *unit) bool {
	if g.closing == nil || g.closing.asked || g.main == "" || u.name == g.main {
		return false
	}
	m := g.units[g.main]
	return m != nil && m.state.live()
}

// cascade decides whether what a live unit requires is being taken down by request, so that it must stop first.
func (g *graph) cascade(u *unit) {
	if u.leave != staying && u.leave != leaveCascade {
		return
	}
	why := staying
	if u.needs.down > 0 {
		why = leaveCascade
	}
	if why != u.leave {
		g.leaveFor(u, why)
	}
}

// park registers a request that waits for a unit to settle.
func (g *graph) park(u *unit, ev event) {
	w := &waiter{to: ev.to, kind: ev.kind, until: ev.until, began: g.now}
	if ev.timeout > 0 {
		w.due = g.now.Add(ev.timeout)
	}
	u.waiters = append(u.waiters, w)
	g.push(u)
}

func (u *unit) drop(to *ticket) {
	u.waiters = slices.DeleteFunc(u.waiters, func(w *waiter) bool { return w.to == to })
}

// wake answers the parked requests that the present state of a unit settles.
func (g *graph) wake(u *unit) {
	u.waiters = slices.DeleteFunc(u.waiters, func(w *waiter) bool {
		if !u.settles(w) {
			return false
		}
		g.answer(w.to, g.answerOf(u))
		return true
	})
}

// settles says whether a parked request has its answer in the present state.
func (u *unit) settles(w *waiter) bool {
	if u.leave == leaveDelete || w.kind == eventDelete {
		return false
	}
	stuck := u.state == blocked && u.needsPerson
	switch w.kind {
	case eventStop:
		return !u.state.live() || u.leave == staying && u.up && u.state != stopping
	case eventWait:
		return u.state == w.until || stuck || u.forGood() ||
			w.until == running && u.state == exited && u.byItself && !u.pending && !u.startPending
	}
	if u.startPending || u.state.live() && u.leave != staying {
		return false
	}
	return stuck || u.state == running || u.state == exited || u.state == failed || u.state == inactive
}

// expire refuses the parked requests whose time has run out.
func (g *graph) expire(u *unit) {
	u.waiters = slices.DeleteFunc(u.waiters, func(w *waiter) bool {
		if !g.passed(w.due) {
			return false
		}
		r := refuse(kindTimeout, "%s is still %s after %s", u.name, u.state, g.now.Sub(w.began).Round(time.Millisecond))
		if by := g.blockedBy(u); len(by) > 0 {
			r.text += ": it waits for " + strings.Join(by, ", ")
		}
		g.refuse(w.to, r)
		return true
	})
}

func (g *graph) answerOf(u *unit) answer {
	return answer{State: u.state, BlockedBy: g.blockedBy(u)}
}

// shutdown begins to stop everything in reverse order; eventShutdownNow kills what is left.
func (g *graph) shutdown(ev event) {
	if g.closing == nil {
		g.closing = &closing{kind: ev.power, code: ev.sig, began: g.now}
		if ev.timeout > 0 { // it began earlier, elsewhere: that is left of its time
			g.closing.began = g.now.Add(ev.timeout - g.limit)
		}
		g.emit(effect{kind: effectClosing, text: string(ev.power), sig: ev.sig})
		for _, n := range g.names() {
			u := g.units[n]
			u.startPending, u.pending, u.restartAfterStop = false, false, false
			why := u.leave
			if u.state.live() && why != leaveDelete {
				why = leaveShutdown
			}
			g.leaveFor(u, why)
		}
	}
	if ev.kind == eventShutdownNow {
		g.killAll()
	}
	g.answer(ev.to, answer{})
}

// tickClosing does what the time of a shutdown asks for: at three quarters all are asked to stop, order or not; at the end they are killed.
func (g *graph) tickClosing() {
	c := g.closing
	if c == nil {
		return
	}
	if !c.asked && !g.now.Before(c.began.Add(g.limit*3/4)) {
		g.askAll()
	}
	if !c.killed && !g.now.Before(c.began.Add(g.limit-g.reserve)) {
		g.killAll()
	}
	if !c.finished && !g.now.Before(c.began.Add(g.limit+giveUp)) {
		c.finished = true
		g.emit(effect{kind: effectFinished, text: string(c.kind), sig: c.code, incomplete: true})
	}
}

// giveUp is how long after SIGKILL a shutdown waits for processes that the kernel does not let die.
const giveUp = 6 * time.Second

func (g *graph) askAll() {
	g.closing.asked = true
	for _, n := range g.names() {
		if u := g.units[n]; u.state == starting || u.state == running {
			g.enter(u, stopping)
		}
	}
}

func (g *graph) killAll() {
	g.closing.asked, g.closing.killed = true, true
	for _, n := range g.names() {
		u := g.units[n]
		switch {
		case u.state == stopping && u.spawned:
			u.forced, u.stopDue = true, time.Time{}
			g.emit(effect{kind: effectKill, name: n, gen: u.gen})
		case u.state == starting || u.state == running:
			g.enter(u, stopping)
			u.forced, u.stopDue = u.spawned, time.Time{}
		}
		g.mark(u)
		g.push(u)
	}
}

func (g *graph) closingDue() time.Time {
	c := g.closing
	switch {
	case c == nil || c.finished:
		return time.Time{}
	case !c.asked:
		return c.began.Add(g.limit * 3 / 4)
	case !c.killed:
		return c.began.Add(g.limit - g.reserve)
	}
	return c.began.Add(g.limit + giveUp)
}

// finish says, once, that a shutdown has nothing left to stop.
func (g *graph) finish() {
	if c := g.closing; c != nil && !c.finished && g.live == 0 {
		c.finished = true
		g.emit(effect{kind: effectFinished, text: string(c.kind), sig: c.code})
	}
}

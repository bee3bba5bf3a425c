// graph.go is the whole truth about services as a pure function of events: it holds no clock, goroutine, file or log, and it does nothing itself, it returns the work to do.

package main

import (
	"cmp"
	"fmt"
	"maps"
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

// live says whether a unit in this state has, or may have, a process.
func (s state) live() bool { return s == starting || s == running || s == stopping }

// failureReason is why a unit is failed. Type names which of the other fields count.
type failureReason struct {
	Type       string
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

	state    state
	up       bool // the wish
	ask      bool // a start is due and not yet looked at
	leave    leave
	retired  bool           // leaves because its file is gone; it stays when that comes back in time
	again    bool           // while stopping: a later start or restart was asked for
	cause    *failureReason // while stopping: the fault that began it; nil: a request
	forced   bool           // while stopping: the stop timeout has passed
	byItself bool           // exited without having been stopped

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
	person                   bool      // while blocked: only a person can clear it
	watch                    string    // while blocked: one of those it waits for, the last; while that one does not move, nothing else can help
	liveRequiring, liveAfter int       // live units that require it, or are ordered after it
	due                      time.Time // place in the timer heap
	heapAt                   int       // index there, -1: not in it
	queued                   bool

	intent     int64   // CLOCK_MONOTONIC of the saved intent to start it …
	intentGen  uint64  // … and the start that was
	intentExit uint64  // … and the last exit that had come by then
	exitSeq    uint64  // the exit record of its last end
	changed    bool    // since takeChanged
	savedCfg   *config // what the saver has written of cfg and next
	savedNext  *config
}

// kind is "service" or "target".
func (u *unit) kind() string { return u.cfg.Kind }

// face is all that other units may depend on. A change of it, and only that, makes the graph look at the neighbours.
type face struct {
	satisfied, forGood, live, down, onWay bool
}

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
	until     string
	sig       int
	pid       int
	exit      exit
	ok        bool
	text      string
	hindrance hindrance
	cfg       *config
	load      *loadResult
	power     string
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
	kind      string
	text      string
	names     []string
	notLoaded string // why the file of the name that is unknown is not loaded
}

func (r *refusal) Error() string { return r.text }

func refuse(kind, format string, args ...any) *refusal {
	return &refusal{kind: kind, text: fmt.Sprintf(format, args...)}
}

// waiter is a request parked in its unit until the step that settles it.
type waiter struct {
	to    *ticket
	kind  eventKind // eventStart, eventStop, eventRestart, eventWait or eventDelete
	until string
	due   time.Time
	began time.Time
}

// hindrance is one thing that keeps a unit from starting.
type hindrance struct {
	kind    string // requires, after, conflicts, missing, failed, port, process_filter
	service string
	detail  string
	person  bool // only a person can clear it
}

// graph holds all units. It belongs to one goroutine at a time.
type graph struct {
	units map[string]*unit
	order []string                   // sorted names; nil after a change
	users map[string]map[string]bool // name -> units that mention it in requires or after
	foes  map[string]map[string]bool // name -> units that conflict with it, both ways
	live  int
	gen   uint64
	now   time.Time
	out   []effect
	dirty []*unit // a heap in name order
	timer []*unit // a heap by due
	bulk  []*bulkWait

	dirs    map[string]bool   // directories of service files that were there once
	booted  bool              // what is added from now on is no part of the boot
	refused map[string]string // why the last reload did not take a file, by its stem
	changed []*unit           // for the saver
	mint    func() string     // makes the name of one start; nil: none are made
	main    string            // the unit that a shutdown stops before all others (CMD); "": none
	onWays  int               // units that are on their way
	reserve time.Duration     // how long before the end of a shutdown's time all is killed
	closing *closing
	limit   time.Duration // shutdown timeout
}

// closing is a shutdown in progress.
type closing struct {
	kind     string
	code     int // exit code of the container
	began    time.Time
	asked    bool // three quarters have passed
	killed   bool
	finished bool
}

// bulkWait is a delete_all that waits for its units to be gone.
type bulkWait struct {
	to     *ticket
	left   map[string]bool
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
	return &graph{units: map[string]*unit{}, users: map[string]map[string]bool{}, foes: map[string]map[string]bool{}, limit: shutdownTimeout}
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
	g.push(u)
}

func (g *graph) unknown(name string) *refusal {
	r := refuse("service_not_found", "no service %s", shortened(name))
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

// on is the machine: requests by what was asked, results by the state they meet.
func (g *graph) on(u *unit, ev event) {
	if u.name == g.main && g.main != "" && g.onMain(u, ev) {
		return
	}
	switch ev.kind {
	case eventStart, eventRestart:
		g.onStart(u, ev)
		return
	case eventStop, eventDelete:
		g.onStop(u, ev)
		return
	case eventWait:
		g.park(u, ev)
		return
	case eventCancel:
		u.drop(ev.to)
		return
	case eventKill:
		if u.pid == 0 {
			g.refuse(ev.to, refuse("service_is_down", "cannot signal %s: it has no process (it is %s)", u.name, u.state))
			return
		}
		g.emit(effect{kind: effectSignal, name: u.name, gen: u.gen, sig: ev.sig, ticket: ev.to})
		return
	case eventGuard:
		g.onGuard(u, ev)
		return
	}
	if !u.expects(ev) {
		return
	}
	switch u.state {
	case starting:
		switch ev.kind {
		case eventSpawned:
			g.onSpawned(u, ev)
			if !u.cfg.Service.Oneshot && u.cfg.Health == nil {
				g.enter(u, running)
			}
		case eventSpawnFailed:
			u.reason = &failureReason{Type: "spawn_error", Message: ev.text, NotFound: ev.missing}
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
	case running:
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
				u.cause = &failureReason{Type: "health_check_failed", Attempts: u.health.failures, LastError: u.health.lastError}
				g.enter(u, stopping)
				return
			}
			u.probeDue = g.now.Add(u.cfg.Health.Interval)
		}
	case stopping:
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
		g.shutdown(event{kind: eventShutdown, power: "exit"})
		return true
	case ev.kind == eventRestart, ev.kind == eventDelete, ev.kind == eventStart && ev.to != nil && u.lastStart != (time.Time{}) && !u.state.live():
		g.refuse(ev.to, refuse("invalid_state", "cannot %s %s: it is the main program of this container", ev.kind, u.name))
		return true
	}
	return false
}

// expects says whether a result belongs to the present life of a unit and to something that is under way.
func (u *unit) expects(ev event) bool {
	if ev.gen != u.gen || !u.state.live() || u.cfg.Kind == "target" {
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
		g.refuse(ev.to, refuse("shutting_down", "cannot start %s: the system is shutting down", u.name))
		return
	}
	if u.leave == leaveDelete {
		g.refuse(ev.to, refuse("invalid_state", "cannot start %s: it is being deleted", u.name))
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
		u.ask, u.pending = true, false
		fresh = true
	case starting, running:
		if again {
			u.leave, fresh = leaveRestart, true
		} else if u.leave == leaveStop {
			u.leave = staying
		}
	case stopping:
		u.again, fresh = true, true
	}
	if fresh {
		u.restartCount, u.tries = 0, 0
	}
	g.push(u)
	g.reface(u)
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
		u.leave = leaveDelete
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
	r := refuse("dependency_error", "cannot delete %s: required by %s; delete those first, or use force", u.name, strings.Join(users, ", "))
	r.names = users
	g.refuse(to, r)
	return false
}

// unwish sets a unit's wish to down and does what that means in its state.
func (g *graph) unwish(u *unit) {
	u.up, u.ask, u.pending, u.again = false, false, false, false
	switch u.state {
	case blocked:
		g.enter(u, inactive)
	case starting, running, stopping:
		if u.leave < leaveDelete {
			u.leave = leaveStop
		}
	}
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
	if h := u.cfg.Health; h != nil && h.Type != "notify" {
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
		return &failureReason{Type: "signal", Signal: e.Signal, Core: e.Core}
	}
	return &failureReason{Type: "exit_code", Code: e.Code, CodeKnown: e.Known}
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
	u.ask = wanted && u.up && g.closing == nil
	g.enter(u, s)
}

// restarts says whether the policy restarts a unit that ended in this state by itself.
func (u *unit) restarts(s state) bool {
	if u.cfg.Service.Status == "ignore" {
		return false
	}
	switch u.cfg.Lifecycle.Restart {
	case "always":
		return true
	case "on-failure":
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
	cause, forced, why, again := u.cause, u.forced, u.leave, u.again
	u.cause, u.forced, u.again, u.byItself = nil, false, false, false
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
		u.reason = &failureReason{Type: "stop_timeout"}
		g.enter(u, failed)
		return
	}
	u.reason = nil
	g.enter(u, exited)
}

// launch starts a unit that is not live, or blocks it, or fails it, by what it waits for.
func (g *graph) launch(u *unit) {
	u.ask, u.pending = false, false
	h := g.hindrances(u)
	u.watch = ""
	if len(h) > 0 {
		u.watch = h[len(h)-1].service
	}
	u.person = u.hindered.person || slices.ContainsFunc(h, func(x hindrance) bool { return x.person })
	if f := g.fatal(h); f != nil {
		u.person = false // it is blocked in passing only: who waits hears of the failure
		if u.state != blocked {
			g.enter(u, blocked)
		}
		u.reason = f
		g.enter(u, failed)
		return
	}
	if len(h) == 0 && (u.cleared || !u.guarded()) {
		g.enter(u, starting)
		return
	}
	if u.state != blocked {
		g.enter(u, blocked)
	}
	if len(h) == 0 && !u.guarding && u.guardDue.IsZero() {
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
	if ev.gen != u.guardGen || !u.guarding {
		return
	}
	u.guarding = false
	if u.state != blocked {
		return
	}
	if ev.ok {
		u.cleared, u.hindered, u.guardWait = true, hindrance{}, 0
		return
	}
	u.hindered = ev.hindrance
	u.guardWait = min(max(100*time.Millisecond, 2*u.guardWait), 5*time.Second)
	u.guardDue = g.now.Add(u.guardWait)
}

// enter is the only place that assigns a state. It sets what the state needs and tells the world.
func (g *graph) enter(u *unit, s state) {
	from := u.state
	u.state = s
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
		if h := u.cfg.Health; h != nil && h.Type != "notify" {
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
	g.wake(u)
	g.push(u)
}

// isLost says whether a critical unit has failed permanently or ended by itself, with no restart to come: neither by policy nor by request.
func (u *unit) isLost() bool {
	over := u.state == failed || u.state == exited && u.byItself && !u.cfg.Service.Oneshot
	return u.cfg.Service.Critical && over && u.up && !u.pending && !u.ask
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
		case r.Type == "signal":
			code = 128 + r.Signal
		case r.Type == "spawn_error" && r.NotFound:
			code = 127
		case r.Type == "spawn_error":
			code = 126
		case r.Type != "exit_code" || !r.CodeKnown:
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
	u.forced, u.again, u.byItself, u.probing = false, false, false, false
	u.health.ok, u.health.lastError, u.health.checks, u.health.failures = false, "", 0, 0
	if u.boots && u.bootStarting.IsZero() {
		u.bootStarting = g.now
	}
}

// afterStarting asks for the process of a service; a target has none and is running at once.
func (g *graph) afterStarting(u *unit) {
	if u.cfg.Kind == "target" {
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
	if u.cfg.Kind == "target" {
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
		u.cause = &failureReason{Type: "start_timeout"}
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
		u.ask = true
	}
	if g.passed(u.probeDue) && (u.state == starting || u.state == running) && !u.probing {
		u.probeDue, u.probing = time.Time{}, true
		g.emit(effect{kind: effectCheck, name: u.name, gen: u.gen, cfg: u.cfg})
	}
	if g.passed(u.guardDue) {
		u.guardDue = time.Time{}
		if u.state == blocked && !u.guarding && len(g.hindrances(u)) == 0 {
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
	g.mark(u)
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
	case g.closing == nil && (u.state == blocked || u.ask && !u.state.live() || g.healed(u)):
		g.launch(u)
	case u.state == starting || u.state == running:
		g.settleLive(u)
	}
	g.reface(u)
	g.schedule(u)
}

// healed says whether what a unit failed for at its dependencies is no more.
func (g *graph) healed(u *unit) bool {
	if u.state != failed || !u.up || u.reason == nil {
		return false
	}
	dep := ""
	switch u.reason.Type {
	case "dependency_failed":
		dep = u.reason.Service
	case "missing_dependency":
		dep = u.reason.Dependency
	default:
		return false
	}
	if !slices.Contains(u.cfg.Dependencies.Requires, dep) {
		return true
	}
	r := g.units[dep]
	return r != nil && r.satisfied()
}

// settleLive stops a unit that is to leave once nothing that depends on it is live.
func (g *graph) settleLive(u *unit) {
	g.cascade(u)
	if u.leave == staying {
		if u.cfg.Kind == "target" && u.state == running && !g.allSatisfied(u) {
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
	if u.leave == leaveCascade && u.cfg.Kind == "target" {
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
	u.leave = staying
	for _, n := range u.cfg.Dependencies.Requires {
		if r := g.units[n]; r != nil && r.down() {
			u.leave = leaveCascade
			return
		}
	}
}

func (g *graph) allSatisfied(u *unit) bool {
	for _, n := range u.cfg.Dependencies.Requires {
		if r := g.units[n]; r == nil || !r.satisfied() {
			return false
		}
	}
	return true
}

// satisfied is what `requires` waits for: running, or exited with success by itself with no restart pending.
func (u *unit) satisfied() bool {
	switch u.state {
	case running:
		return u.leave == staying
	case exited:
		return u.byItself && !u.pending && !u.ask && u.leave == staying
	}
	return false
}

// forGood says that a unit failed and nothing will be done about it without a person.
func (u *unit) forGood() bool {
	return u.state == failed && u.up && !u.pending && !u.ask
}

// down says that a unit is being taken away, or was, by request: what requires it must go.
func (u *unit) down() bool {
	if u.state.live() {
		return u.leave != staying
	}
	return u.state != blocked && !u.up && !u.satisfied()
}

// onWay says that a unit is wanted and will move without a person's help.
func (u *unit) onWay() bool {
	if !u.up {
		return false
	}
	switch u.state {
	case starting, stopping:
		return true
	case running:
		return u.leave != staying
	case blocked:
		return !u.person
	}
	return u.pending || u.ask
}

// reface compares what others may see of a unit with what they saw, and has them looked at again when it changed.
func (g *graph) reface(u *unit) {
	f := face{u.satisfied(), u.forGood(), u.state.live(), u.down(), u.onWay()}
	if f == u.face {
		return
	}
	old := u.face
	was := old.live
	u.face = f
	if old.onWay != f.onWay {
		g.onWays++
		if old.onWay {
			g.onWays -= 2
		}
	}
	for n := range g.users[u.name] {
		if d := g.units[n]; d.concerned(u, old) {
			g.push(d)
		}
	}
	if was == f.live {
		return
	}
	if u.name == g.main && !f.live && g.closing != nil {
		for _, n := range g.names() {
			g.push(g.units[n])
		}
	}
	d := 1
	if was {
		d = -1
	}
	g.live += d
	g.countLive(u, d)
	for n := range g.foes[u.name] {
		if c := g.units[n]; c != nil {
			g.push(c)
		}
	}
}

// concerned says whether a change of a unit that d waits for can mean anything to d now. Without it, one unit that requires
// 10,000 others would be looked at whole for every change of each.
func (d *unit) concerned(r *unit, old face) bool {
	switch d.state {
	case blocked:
		return d.person || d.watch == "" || d.watch == r.name || r.face.forGood || !r.face.satisfied && !r.face.onWay
	case starting, running:
		return d.cfg.Kind == "target" || r.face.down != old.down
	case failed:
		return true
	}
	return false
}

// countLive tells the units that u depends on that it became live (1) or no longer is (-1).
func (g *graph) countLive(u *unit, d int) {
	for _, n := range u.cfg.Dependencies.Requires {
		if r := g.units[n]; r != nil {
			r.liveRequiring += d
			g.push(r)
		}
	}
	for _, n := range u.cfg.Dependencies.After {
		if r := g.units[n]; r != nil {
			r.liveAfter += d
			g.push(r)
		}
	}
}

// hindrances lists what keeps a unit from starting now, as far as the graph knows it.
func (g *graph) hindrances(u *unit) []hindrance {
	var h []hindrance
	for _, n := range u.cfg.Dependencies.Requires {
		r := g.units[n]
		switch {
		case r == nil:
			h = append(h, hindrance{kind: "missing", service: n, person: true})
		case r.satisfied() && (r.cfg.Kind != "target" || g.allSatisfied(r)):
		case r.forGood():
			h = append(h, hindrance{kind: "failed", service: n, person: true})
		default:
			h = append(h, hindrance{kind: "requires", service: n, person: !r.face.onWay})
		}
	}
	for _, n := range u.cfg.Dependencies.After {
		if r := g.units[n]; r != nil && r.face.onWay && !slices.Contains(u.cfg.Dependencies.Requires, n) {
			h = append(h, hindrance{kind: "after", service: n})
		}
	}
	for _, n := range slices.Sorted(maps.Keys(g.foes[u.name])) {
		if c := g.units[n]; c != nil && c.state.live() {
			passing := c.state == stopping || c.leave != staying || c.cfg.Service.Oneshot
			h = append(h, hindrance{kind: "conflicts", service: n, person: !passing})
		}
	}
	return h
}

// next lists units, n at most, that start as soon as the kernel executes the program of u, or that of one listed before: it is all that
// they wait for, and nothing that it does comes before. It is a guess for who wants to be ready, and may be incomplete.
func (g *graph) next(u *unit, n int) []*unit {
	const few = 16 // to look at
	list := []*unit{u}
	for i := 0; i < len(list) && len(list) <= n; i++ {
		u := list[i]
		if u.cfg.Service.Oneshot || u.cfg.Health != nil || len(g.users[u.name]) > few {
			continue
		}
		for name := range g.users[u.name] {
			d := g.units[name]
			if d == nil || d.state != blocked || !d.up || d.cfg.Kind == "target" || d.guarded() || d.watch != u.name {
				continue
			}
			if h := g.hindrances(d); len(h) == 1 {
				list = append(list, d)
			}
		}
	}
	return list[1:]
}

// fatal is the failure that a blocked unit takes from its hindrances, or nil.
func (g *graph) fatal(h []hindrance) *failureReason {
	for _, x := range h {
		switch x.kind {
		case "missing":
			return &failureReason{Type: "missing_dependency", Dependency: x.service}
		case "failed":
			return &failureReason{Type: "dependency_failed", Service: x.service}
		}
	}
	return nil
}

// blockedBy names what a blocked unit waits for.
func (g *graph) blockedBy(u *unit) []string {
	names := []string{}
	if u.state != blocked {
		return names
	}
	for _, h := range g.hindrances(u) {
		if !slices.Contains(names, h.service) {
			names = append(names, h.service)
		}
	}
	if u.hindered.kind != "" {
		names = append(names, u.hindered.service)
	}
	return names
}

// dependents names the units that require a unit, sorted.
func (g *graph) dependents(name string) []string {
	var names []string
	for n := range g.users[name] {
		if slices.Contains(g.units[n].cfg.Dependencies.Requires, name) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
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
	stuck := u.state == blocked && u.person
	switch w.kind {
	case eventStop:
		return !u.state.live() || u.leave == staying && u.up && u.state != stopping
	case eventWait:
		return u.state.String() == w.until || stuck || u.forGood() ||
			w.until == running.String() && u.state == exited && u.byItself && !u.pending && !u.ask
	}
	if u.ask || u.state.live() && u.leave != staying {
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
		r := refuse("timeout", "%s is still %s after %s", u.name, u.state, g.now.Sub(w.began).Round(time.Millisecond))
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

// push has a unit looked at before the step ends.
func (g *graph) push(u *unit) {
	if u == nil || u.queued {
		return
	}
	u.queued = true
	g.dirty = append(g.dirty, u)
	up(g.dirty, len(g.dirty)-1, byName, nil)
}

func (g *graph) pop() *unit {
	u := g.dirty[0]
	last := len(g.dirty) - 1
	g.dirty[0] = g.dirty[last]
	g.dirty[last] = nil
	g.dirty = g.dirty[:last]
	down(g.dirty, 0, byName, nil)
	u.queued = false
	return u
}

// schedule puts a unit at its place in the timer heap.
func (g *graph) schedule(u *unit) {
	due := u.nextOf()
	if due.Equal(u.due) && (u.heapAt >= 0) == !due.IsZero() {
		return
	}
	g.unschedule(u)
	if due.IsZero() {
		return
	}
	u.due = due
	u.heapAt = len(g.timer)
	g.timer = append(g.timer, u)
	up(g.timer, u.heapAt, byDue, placeInHeap)
}

func (g *graph) unschedule(u *unit) {
	u.due = time.Time{}
	i := u.heapAt
	if i < 0 {
		return
	}
	last := len(g.timer) - 1
	g.timer[i] = g.timer[last]
	g.timer[i].heapAt = i
	g.timer[last] = nil
	g.timer = g.timer[:last]
	u.heapAt = -1
	if i < last {
		down(g.timer, i, byDue, placeInHeap)
		up(g.timer, i, byDue, placeInHeap)
	}
}

func byName(a, b *unit) bool     { return a.name < b.name }
func byDue(a, b *unit) bool      { return a.due.Before(b.due) }
func placeInHeap(u *unit, i int) { u.heapAt = i }

// up and down restore the order of a binary heap after the element at i changed. moved is told of every new place.
func up(h []*unit, i int, less func(a, b *unit) bool, moved func(*unit, int)) {
	for i > 0 {
		parent := (i - 1) / 2
		if !less(h[i], h[parent]) {
			return
		}
		swap(h, i, parent, moved)
		i = parent
	}
}

func down(h []*unit, i int, less func(a, b *unit) bool, moved func(*unit, int)) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && less(h[child+1], h[child]) {
			child++
		}
		if !less(h[child], h[i]) {
			return
		}
		swap(h, i, child, moved)
		i = child
	}
}

func swap(h []*unit, i, j int, moved func(*unit, int)) {
	h[i], h[j] = h[j], h[i]
	if moved != nil {
		moved(h[i], i)
		moved(h[j], j)
	}
}

// --- plan: changes the set of units as a whole (load, reload, put, delete, bulk requests, shutdown): pure like graph.go, which it serves; it never looks at a process.

// reloadResult is what a reload did.
type reloadResult struct {
	Added     []string  `json:"added"`
	Removed   []string  `json:"removed"`
	Changed   []string  `json:"changed"`
	Unchanged []string  `json:"unchanged"`
	Restarted []string  `json:"restarted"`
	Errors    []problem `json:"errors"`
	Warnings  []problem `json:"warnings"`
}

// checkGraph returns for each unit what is wrong with its place among the others: a dependency on itself, a cycle over
// requires and after (with its path), a name both required and conflicting. Units without complaint are not in the result.
func checkGraph(all map[string]*config) map[string]misfit {
	bad := map[string]misfit{}
	for name, c := range all {
		d := &c.Dependencies
		for _, n := range d.Requires {
			if slices.Contains(d.Conflicts, n) {
				bad[name] = misfit{n, fmt.Sprintf("%s both requires and conflicts with %s; remove one of the two", name, n)}
			}
		}
		if slices.Contains(d.Wants, name) {
			bad[name] = misfit{name, fmt.Sprintf("dependency cycle: %s -> %s; take it out of wants", name, name)}
		}
		if slices.Contains(d.Conflicts, name) {
			bad[name] = misfit{name, fmt.Sprintf("%s conflicts with itself; remove it from conflicts", name)}
		}
	}
	for _, cycle := range cycles(all) {
		path := strings.Join(append(slices.Clone(cycle), cycle[0]), " -> ")
		for i, n := range cycle {
			bad[n] = misfit{cycle[(i+1)%len(cycle)], "dependency cycle: " + path + "; remove one of these from requires or after"}
		}
	}
	return bad
}

// misfit is what is wrong with the place of a unit among the others: the name in its lists that is too much, and a sentence.
type misfit struct{ name, text string }

// cycles finds, for every group of units that reach each other over requires and after, one shortest way round for each member.
func cycles(all map[string]*config) [][]string {
	var found [][]string
	in := map[string]bool{}
	for _, group := range circles(all) {
		members := map[string]bool{}
		for _, n := range group {
			members[n] = true
		}
		slices.Sort(group)
		for _, n := range group {
			if in[n] {
				continue
			}
			way := wayRound(all, members, n)
			for _, m := range way {
				in[m] = true
			}
			found = append(found, way)
		}
	}
	slices.SortFunc(found, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return found
}

// wayRound is a shortest path from a unit back to itself inside its group (breadth first).
func wayRound(all map[string]*config, members map[string]bool, from string) []string {
	before := map[string]string{}
	queue := []string{from}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, m := range waitsFor(all[n]) {
			if m == from {
				path := []string{n}
				for path[0] != from {
					path = append([]string{before[path[0]]}, path...)
				}
				return path
			}
			if _, seen := before[m]; !seen && members[m] {
				before[m] = n
				queue = append(queue, m)
			}
		}
	}
	return []string{from}
}

func waitsFor(c *config) []string {
	return slices.Concat(c.Dependencies.Requires, c.Dependencies.After)
}

// circles finds the groups of units that reach each other (Tarjan's strongly connected components, without recursion:
// a chain may be 10,000 units long), leaving out single units that do not name themselves.
func circles(all map[string]*config) [][]string {
	type frame struct {
		name string
		next []string
	}
	index, low, onStack := map[string]int{}, map[string]int{}, map[string]bool{}
	var stack []string
	var groups [][]string
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, root := range names {
		if index[root] != 0 {
			continue
		}
		var path []frame
		visit := func(n string) {
			index[n] = len(index) + 1
			low[n] = index[n]
			stack = append(stack, n)
			onStack[n] = true
			path = append(path, frame{n, waitsFor(all[n])})
		}
		for visit(root); len(path) > 0; {
			f := &path[len(path)-1]
			if len(f.next) > 0 {
				m := f.next[0]
				f.next = f.next[1:]
				switch {
				case all[m] == nil:
				case index[m] == 0:
					visit(m)
				case onStack[m]:
					low[f.name] = min(low[f.name], index[m])
				}
				continue
			}
			n := f.name
			path = path[:len(path)-1]
			if len(path) > 0 {
				parent := path[len(path)-1].name
				low[parent] = min(low[parent], low[n])
			}
			if low[n] != index[n] {
				continue
			}
			at := slices.Index(stack, n)
			group := slices.Clone(stack[at:])
			stack = stack[:at]
			for _, m := range group {
				onStack[m] = false
			}
			if len(group) > 1 || slices.Contains(waitsFor(all[n]), n) {
				groups = append(groups, group)
			}
		}
	}
	return groups
}

// future is the configuration that every unit will have once all changes count.
func (g *graph) future() map[string]*config {
	all := make(map[string]*config, len(g.units))
	for n, u := range g.units {
		all[n] = u.newest()
	}
	return all
}

// newest is the configuration that counts from the next start.
func (u *unit) newest() *config {
	if u.next != nil {
		return u.next
	}
	return u.cfg
}

// add makes a unit; it is not started.
func (g *graph) add(c *config) *unit {
	u := &unit{name: c.Service.Name, cfg: c, heapAt: -1}
	g.units[u.name], g.order = u, nil
	g.link(u)
	for n := range g.users[u.name] {
		if d := g.units[n]; d.face.live {
			u.liveRequiring += count(d.cfg.Dependencies.Requires, u.name)
			u.liveAfter += count(d.cfg.Dependencies.After, u.name)
		}
		g.push(g.units[n])
	}
	g.emit(effect{kind: effectConfigure, name: u.name, cfg: c})
	g.reface(u)
	g.push(u)
	return u
}

func count(names []string, name string) int {
	n := 0
	for _, x := range names {
		if x == name {
			n++
		}
	}
	return n
}

// link notes a unit with those it names, so that it is looked at when they change.
func (g *graph) link(u *unit) {
	note := func(m map[string]map[string]bool, at, name string) {
		if m[at] == nil {
			m[at] = map[string]bool{}
		}
		m[at][name] = true
	}
	d := &u.cfg.Dependencies
	for _, n := range waitsFor(u.cfg) {
		note(g.users, n, u.name)
	}
	for _, n := range d.Conflicts {
		note(g.foes, n, u.name)
		note(g.foes, u.name, n)
	}
}

func (g *graph) unlink(u *unit) {
	for _, n := range waitsFor(u.cfg) {
		delete(g.users[n], u.name)
	}
	for _, n := range u.cfg.Dependencies.Conflicts {
		if c := g.units[n]; c == nil || !slices.Contains(c.cfg.Dependencies.Conflicts, u.name) {
			delete(g.foes[n], u.name)
			delete(g.foes[u.name], n)
		}
	}
}

// remove forgets a unit that is not live; what requires it now misses it.
func (g *graph) remove(u *unit) {
	g.unlink(u)
	g.unschedule(u)
	delete(g.units, u.name)
	g.order = nil
	for n := range g.users[u.name] {
		g.push(g.units[n])
	}
	for _, w := range u.waiters {
		if w.kind == eventDelete {
			g.answer(w.to, answer{State: u.state})
			continue
		}
		g.refuse(w.to, refuse("service_not_found", "%s was deleted", u.name))
	}
	u.waiters = nil
	g.emit(effect{kind: effectForget, name: u.name, cfg: u.newest()})
	g.bulk = slices.DeleteFunc(g.bulk, func(b *bulkWait) bool {
		delete(b.left, u.name)
		if len(b.left) > 0 {
			return false
		}
		g.answer(b.to, b.answer)
		return true
	})
}

// replaceConfig gives a unit another configuration: at once when it has no process, else from its next start.
func (g *graph) replaceConfig(u *unit, c *config) {
	u.next = c
	g.mark(u)
	if !u.state.live() || u.cfg.Kind == "target" && c.Kind == "target" {
		g.adoptConfig(u)
	}
}

// adoptConfig lets the changed configuration of a unit count. While others still run with older dependencies the mixture
// might contain a cycle that neither the old nor the new graph has; then all changed dependencies count at once.
func (g *graph) adoptConfig(u *unit) {
	g.swapConfig(u, u.next)
	u.next = nil
	all, changed := map[string]*config{}, false
	for n, o := range g.units {
		all[n] = o.cfg
		changed = changed || o.next != nil
	}
	if !changed || len(circles(all)) == 0 {
		return
	}
	for _, n := range g.names() {
		if o := g.units[n]; o.next != nil {
			c := *o.cfg
			c.Dependencies = o.next.Dependencies
			g.swapConfig(o, &c)
		}
	}
}

func (g *graph) swapConfig(u *unit, c *config) {
	if u.face.live {
		g.countLive(u, -1)
	}
	foes := slices.Sorted(maps.Keys(g.foes[u.name]))
	g.unlink(u)
	u.cfg = c
	g.link(u)
	if u.face.live {
		g.countLive(u, 1)
	}
	for _, n := range append(foes, slices.Sorted(maps.Keys(g.foes[u.name]))...) {
		g.push(g.units[n])
	}
	g.emit(effect{kind: effectConfigure, name: u.name, cfg: c})
	u.cleared, u.guarding, u.guardDue, u.hindered = false, false, time.Time{}, hindrance{}
	g.push(u)
}

// put takes service.create and service.set: validated on a copy of the graph, then swapped in.
func (g *graph) put(ev event) {
	name := ev.cfg.Service.Name
	u := g.units[name]
	switch {
	case name == g.main && g.main != "":
		g.refuse(ev.to, refuse("invalid_state", "cannot set %s: it is the main program of this container", name))
		return
	case g.closing != nil:
		g.refuse(ev.to, refuse("shutting_down", "cannot add %s: the system is shutting down", name))
		return
	case u != nil && u.leave == leaveDelete:
		g.refuse(ev.to, refuse("invalid_state", "cannot set %s: it is being deleted", name))
		return
	case u != nil && !ev.replace:
		g.refuse(ev.to, refuse("already_exists", "%s exists already; use set to replace it", name))
		return
	}
	all := g.future()
	all[name] = ev.cfg
	if text := checkGraph(all)[name].text; text != "" {
		g.refuse(ev.to, refuse("dependency_error", "%s", text))
		return
	}
	if u == nil {
		u = g.add(ev.cfg)
		g.boot([]*unit{u})
	} else if !u.newest().same(ev.cfg) || u.newest().path != ev.cfg.path {
		g.replaceConfig(u, ev.cfg)
		g.afterPut(u, ev)
	} else {
		u.newest().persist = ev.cfg.persist
		u.savedCfg = nil
		g.mark(u)
		g.afterPut(u, ev)
	}
	g.settleAll()
	g.answer(ev.to, g.answerOf(u))
}

// afterPut restarts a running unit with its new configuration, and starts another one that is to be started.
func (g *graph) afterPut(u *unit, ev event) {
	switch {
	case u.state.live() && ev.restart && u.up:
		g.wish(u, true)
	case !u.state.live() && ev.cfg.Service.Status == "start":
		g.wish(u, false)
	}
}

// boot sets the wishes of new units, and of what they want, as their files say.
func (g *graph) boot(us []*unit) {
	for _, u := range us {
		if u.cfg.Service.Status == "start" {
			g.begin(u)
		}
	}
	for len(us) > 0 {
		u := us[0]
		us = us[1:]
		if !u.up {
			continue
		}
		for _, n := range u.cfg.Dependencies.Wants {
			if w := g.units[n]; w != nil && !w.up && w.state == inactive && w.cfg.Service.Status != "ignore" {
				g.begin(w)
				us = append(us, w)
			}
		}
	}
}

// bootTarget starts one unit with all that it requires and wants, instead of everything (zinit.target of the kernel command line).
func (g *graph) bootTarget(name string, r *reloadResult) {
	if g.units[name] == nil {
		r.Errors = append(r.Errors, problem{Message: g.unknown(name).text + "; nothing is started"})
		return
	}
	for _, n := range g.closure(name) {
		g.begin(g.units[n])
	}
}

// begin wishes a unit up because of its file, at the boot or after a reload.
func (g *graph) begin(u *unit) {
	u.boots = !g.booted
	g.wish(u, false)
}

// closure is a unit with all that it requires and wants, however far.
func (g *graph) closure(name string) []string {
	seen := map[string]bool{name: true}
	queue := []string{name}
	for i := 0; i < len(queue); i++ {
		d := &g.units[queue[i]].cfg.Dependencies
		for _, n := range slices.Concat(d.Requires, d.Wants) {
			if !seen[n] && g.units[n] != nil {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return queue
}

// reload compares what was read from the directories with what is loaded, and swaps in what may be.
func (g *graph) reload(ev event) {
	if g.closing != nil {
		g.refuse(ev.to, refuse("shutting_down", "cannot reload: the system is shutting down"))
		return
	}
	r := &reloadResult{Added: []string{}, Removed: []string{}, Changed: []string{}, Unchanged: []string{}, Restarted: []string{},
		Errors: append([]problem{}, ev.load.errors...), Warnings: append([]problem{}, ev.load.warnings...)}
	g.vanished(ev.load, r)
	g.out = slices.Grow(g.out, 3*len(ev.load.configs)) // each is configured, moved and spawned at a boot
	accepted := g.accept(ev.load, r)
	var fresh, changed []*unit // changed: with a configuration that is not in force yet, by this reload or one before
	for _, c := range accepted {
		u := g.units[c.Service.Name]
		switch {
		case u == nil:
			fresh = append(fresh, g.add(c))
			r.Added = append(r.Added, c.Service.Name)
		case u.retired:
			g.unretire(u, c)
			fresh = append(fresh, u)
			r.Added = append(r.Added, u.name)
		case u.next != nil && u.cfg.same(c): // changed and changed back
			u.next = nil
			u.adoptPlace(c, g)
			g.mark(u)
			r.Unchanged = append(r.Unchanged, u.name)
		case u.newest().same(c):
			u.adoptPlace(c, g)
			r.Unchanged = append(r.Unchanged, u.name)
			if u.next != nil {
				changed = append(changed, u)
			}
		default:
			g.replaceConfig(u, c)
			changed = append(changed, u)
			r.Changed = append(r.Changed, u.name)
		}
	}
	g.retire(ev.load, accepted, r)
	g.settleAll()
	if ev.name != "" {
		g.bootTarget(ev.name, r)
	} else {
		g.boot(fresh)
	}
	if ev.restart {
		for _, u := range changed {
			if u.up {
				g.wish(u, true)
				r.Restarted = append(r.Restarted, u.name)
			}
		}
	}
	for _, l := range [][]string{r.Added, r.Removed, r.Changed, r.Unchanged, r.Restarted} {
		slices.Sort(l)
	}
	g.refused = map[string]string{}
	for _, p := range r.Errors {
		if stem := strings.TrimSuffix(p.Path[strings.LastIndexByte(p.Path, '/')+1:], ".toml"); g.refused[stem] == "" {
			g.refused[stem] = p.String()
		}
	}
	g.settleAll()
	g.booted = true
	g.answer(ev.to, answer{Reload: r})
}

// adoptPlace notes where the unchanged configuration of a unit stands now.
func (u *unit) adoptPlace(c *config, g *graph) {
	n := u.newest()
	if n.path == c.path && n.persist == c.persist && n.system == c.system {
		return
	}
	n.path, n.persist, n.system = c.path, c.persist, c.system
	u.savedCfg = nil
	g.mark(u)
}

// accept returns the configurations that may be swapped in. Those that would close a cycle are refused, and where such a
// unit is loaded its present version stays; as the loaded graph has no cycle this ends.
func (g *graph) accept(l *loadResult, r *reloadResult) []*config {
	accepted := slices.DeleteFunc(slices.Clone(l.configs), func(c *config) bool {
		taken := g.main != "" && c.Service.Name == g.main
		if taken {
			r.Errors = append(r.Errors, problem{Path: c.path, Line: 1, Column: 1, Message: g.main + " is the name of the main program of this container; choose another one"})
		}
		return taken
	})
	for {
		all := g.future()
		for _, c := range accepted {
			all[c.Service.Name] = c
		}
		bad := checkGraph(all)
		if len(bad) == 0 {
			return accepted
		}
		left := slices.DeleteFunc(slices.Clone(accepted), func(c *config) bool { return bad[c.Service.Name].text != "" })
		if len(left) == len(accepted) {
			return accepted
		}
		for _, c := range accepted {
			if m := bad[c.Service.Name]; m.text != "" {
				r.Errors = append(r.Errors, c.listing(m.name, m.text))
			}
		}
		accepted = left
	}
}

// retire takes away the units whose files are gone. A unit whose file is there but invalid, or whose directory cannot be read, stays.
func (g *graph) retire(l *loadResult, accepted []*config, r *reloadResult) {
	present := map[string]bool{}
	for _, c := range accepted {
		present[c.Service.Name] = true
	}
	for _, c := range l.configs {
		present[c.Service.Name] = true
	}
	for _, name := range g.names() {
		u := g.units[name]
		path := u.newest().path
		if path == "" || present[name] || l.keeps(path) || u.leave == leaveDelete {
			continue
		}
		r.Removed = append(r.Removed, name)
		for _, d := range g.dependents(name) {
			r.Warnings = append(r.Warnings, problem{Path: g.units[d].newest().path, Message: fmt.Sprintf("%s requires %s, which was removed; %s stops", d, name, d)})
		}
		g.unwish(u)
		u.leave, u.retired = leaveDelete, true
	}
}

// unretire takes back the removal of a unit that is still stopping: its file is there again.
func (g *graph) unretire(u *unit, c *config) {
	u.retired, u.leave = false, leaveStop
	g.replaceConfig(u, c)
}

// vanished makes an error of every directory that was there once and is gone.
func (g *graph) vanished(l *loadResult, r *reloadResult) {
	if g.dirs == nil {
		g.dirs = map[string]bool{}
	}
	for _, u := range g.units { // also those that an earlier server has loaded
		if path := u.newest().path; path != "" {
			g.dirs[dirOf(path)] = true
		}
	}
	for _, d := range l.read {
		g.dirs[d] = true
	}
	for _, d := range l.missing {
		if !g.dirs[d] {
			continue
		}
		r.Warnings = slices.DeleteFunc(r.Warnings, func(p problem) bool { return p.Path == d })
		r.Errors = append(r.Errors, problem{Path: d, Message: "the directory is gone; what was loaded from it stays"})
	}
}

func dirOf(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

// all takes a bulk request. It touches units of class user only.
func (g *graph) all(ev event) {
	if g.closing != nil && ev.kind != eventStopAll {
		g.refuse(ev.to, refuse("shutting_down", "the system is shutting down"))
		return
	}
	a := answer{Names: []string{}, Skipped: []string{}, Errs: []nameError{}}
	mine := map[string]bool{}
	for _, n := range g.names() {
		if g.units[n].cfg.Service.Class == "system" {
			a.Skipped = append(a.Skipped, n)
			continue
		}
		mine[n] = true
	}
	for _, n := range g.names() {
		if !mine[n] {
			continue
		}
		u := g.units[n]
		switch ev.kind {
		case eventStartAll:
			g.wish(u, false)
		case eventStopAll:
			g.unwish(u)
		case eventDeleteAll:
			if i := slices.IndexFunc(g.dependents(n), func(d string) bool { return !mine[d] }); i >= 0 {
				delete(mine, n)
				a.Errs = append(a.Errs, nameError{n, "required by " + g.dependents(n)[i] + ", which is a system service"})
				continue
			}
		}
		a.Names = append(a.Names, n)
	}
	if ev.kind == eventDeleteAll && len(a.Names) > 0 {
		b := &bulkWait{to: ev.to, left: map[string]bool{}, answer: a}
		for _, n := range a.Names {
			b.left[n] = true
			g.unwish(g.units[n])
			g.units[n].leave = leaveDelete
		}
		g.bulk = append(g.bulk, b)
		return
	}
	g.settleAll()
	g.answer(ev.to, a)
}

// shutdown begins to stop everything in reverse order; eventShutdownNow kills what is left.
func (g *graph) shutdown(ev event) {
	if g.closing == nil {
		g.closing = &closing{kind: ev.power, code: ev.sig, began: g.now}
		if ev.timeout > 0 { // it began earlier, elsewhere: that is left of its time
			g.closing.began = g.now.Add(ev.timeout - g.limit)
		}
		g.emit(effect{kind: effectClosing, text: ev.power, sig: ev.sig})
		for _, n := range g.names() {
			u := g.units[n]
			u.ask, u.pending, u.again = false, false, false
			if u.state.live() && u.leave != leaveDelete {
				u.leave = leaveShutdown
			}
			g.push(u)
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
		g.emit(effect{kind: effectFinished, text: c.kind, sig: c.code, incomplete: true})
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
		g.emit(effect{kind: effectFinished, text: c.kind, sig: c.code})
	}
}

// keeps says that the unit of a file stays loaded although the file was not: it is invalid now, or its directory cannot be read.
func (l *loadResult) keeps(path string) bool {
	for _, p := range l.errors {
		if p.Path == path {
			return true
		}
	}
	dir := dirOf(path)
	return slices.Contains(l.unreadable, dir) || slices.Contains(l.missing, dir)
}

// --- why: puts into words what the graph knows (reasons, root causes, what to do about them, drawings): it decides nothing and changes nothing.

// whyReason is one link of the chain from a unit down to the causes of its state.
type whyReason struct {
	Type    string `json:"type"`
	Service string `json:"service"`
	State   string `json:"state"`
	Detail  string `json:"detail"`
}

// String is the sentence that people read.
func (r *failureReason) String() string {
	switch r.Type {
	case "exit_code":
		if !r.CodeKnown {
			return "ended with an exit status that nobody could learn"
		}
		return fmt.Sprintf("exit code %d", r.Code)
	case "signal":
		s := "killed by " + signalName(r.Signal)
		if r.Core {
			s += " (core dumped)"
		}
		return s
	case "start_timeout":
		return "was not ready within its start timeout"
	case "stop_timeout":
		return "did not stop within its stop timeout and was killed"
	case "health_check_failed":
		return fmt.Sprintf("failed %d health checks in a row: %s", r.Attempts, r.LastError)
	case "dependency_failed":
		return "requires " + r.Service + ", which failed"
	case "missing_dependency":
		return "requires " + r.Dependency + ", which does not exist"
	case "spawn_error":
		return "could not be started: " + r.Message
	}
	return r.Type
}

// explainer walks from a unit to its root causes, naming each unit once.
type explainer struct {
	g       *graph
	seen    map[string]bool
	reasons []whyReason
	text    strings.Builder
	todo    []string
}

// why explains the state of a unit: the whole chain of reasons, and a text with what can be done about the root causes.
func (g *graph) why(u *unit, now time.Time) (isBlocked bool, reasons []whyReason, todo []string, text string) {
	x := &explainer{g: g, seen: map[string]bool{}, reasons: []whyReason{}}
	fmt.Fprintf(&x.text, "%s is %s", u.name, u.state)
	x.unit(u, now, 1)
	if x.text.Len() > 0 && !strings.HasSuffix(x.text.String(), "\n") {
		x.text.WriteString("\n")
	}
	if len(x.todo) > 0 {
		x.text.WriteString("what to do:\n")
		for _, t := range x.todo {
			x.text.WriteString("  " + t + "\n")
		}
	}
	return u.state == blocked || u.state == failed && u.reason != nil && (u.reason.Type == "dependency_failed" || u.reason.Type == "missing_dependency"), x.reasons, x.todo, x.text.String()
}

func (x *explainer) note(kind, service, state, detail string) {
	x.reasons = append(x.reasons, whyReason{kind, service, state, detail})
}

func (x *explainer) suggest(format string, args ...any) {
	if t := fmt.Sprintf(format, args...); !slices.Contains(x.todo, t) {
		x.todo = append(x.todo, t)
	}
}

// unit goes on behind "NAME is STATE" and says why.
func (x *explainer) unit(u *unit, now time.Time, depth int) {
	if x.seen[u.name] {
		x.text.WriteString(" (see above)\n")
		return
	}
	x.seen[u.name] = true
	switch u.state {
	case blocked:
		x.text.WriteString(":\n")
		x.blocked(u, now, depth)
	case failed:
		x.failed(u, now, depth)
	case inactive, exited:
		x.resting(u, now)
	case starting:
		x.text.WriteString(x.progress(u, now) + "\n")
	case stopping, running:
		if u.leave != staying || u.state == stopping {
			x.text.WriteString(x.leaving(u, now))
		}
		x.text.WriteString("\n")
	}
}

func (x *explainer) line(depth int, format string, args ...any) {
	x.text.WriteString(strings.Repeat("  ", depth) + fmt.Sprintf(format, args...))
}

func (x *explainer) blocked(u *unit, now time.Time, depth int) {
	for _, h := range x.g.hindrances(u) {
		o := x.g.units[h.service]
		switch h.kind {
		case "missing":
			x.missing(u, h.service, depth)
		case "conflicts":
			x.note("conflicts", h.service, o.state.String(), u.name+" conflicts with "+h.service)
			x.line(depth, "conflicts with %s, which is %s\n", h.service, o.state)
			if h.person {
				x.suggest("zinit stop %s    (then %s starts)", h.service, u.name)
			}
		default:
			x.chain(h.kind, o, now, depth)
		}
	}
	switch h := u.hindered; {
	case h.kind != "":
		x.note(h.kind, u.name, u.state.String(), h.detail)
		x.line(depth, "%s; looked at again in %s\n", h.detail, span(u.guardDue.Sub(now)))
		if h.kind == "port" {
			x.suggest("stop what listens there (ss -ltnp shows it), or change ports in the file of %s", u.name)
		} else {
			x.suggest("stop that process, or change %s in the file of %s", h.kind, u.name)
		}
	case u.guarding:
		x.line(depth, "its ports and process_filter are being looked at\n")
	}
}

// chain explains a unit that another one waits for, one level deeper.
func (x *explainer) chain(kind string, o *unit, now time.Time, depth int) {
	word := map[string]string{"requires": "requires", "failed": "requires", "after": "comes after"}[kind]
	if kind == "failed" {
		kind = "requires"
	}
	detail := o.state.String()
	if o.reason != nil {
		detail = o.reason.String()
	}
	x.note(kind, o.name, o.state.String(), detail)
	x.line(depth, "%s %s, which is %s", word, o.name, o.state)
	x.unit(o, now, depth+1)
}

func (x *explainer) missing(u *unit, name string, depth int) {
	if why := x.g.refused[name]; why != "" {
		x.note("missing", name, "", "its file is not loaded: "+why)
		x.line(depth, "requires %s, whose file is not loaded: %s\n", name, why)
		x.suggest("correct that, then zinit reload")
		return
	}
	x.note("missing", name, "", "there is no service "+name)
	x.line(depth, "requires %s, which does not exist\n", name)
	if near := nearest(name, x.g.names()); near != "" {
		x.suggest("write %s instead of %s in the file of %s, if that is what was meant", near, name, u.name)
		return
	}
	x.suggest("add a service %s, or take it out of requires of %s", name, u.name)
}

func (x *explainer) failed(u *unit, now time.Time, depth int) {
	r := u.reason
	if r == nil {
		x.text.WriteString("\n")
		return
	}
	switch r.Type {
	case "missing_dependency":
		x.text.WriteString(":\n")
		x.missing(u, r.Dependency, depth)
		return
	case "dependency_failed":
		if o := x.g.units[r.Service]; o != nil {
			x.text.WriteString(":\n")
			x.chain("requires", o, now, depth)
			return
		}
	}
	x.note("failed", u.name, u.state.String(), r.String())
	x.text.WriteString(": " + r.String())
	if r.Type == "start_timeout" && u.health.failures > 0 {
		x.text.WriteString("; its last health check: " + u.health.lastError)
	}
	switch {
	case u.pending:
		in := span(u.restartDue.Sub(now))
		x.note("restart_delay", u.name, u.state.String(), "restarts in "+in)
		x.text.WriteString("; restarts in " + in + "\n")
		if r.Type == "spawn_error" {
			x.suggest("correct exec, dir or user of %s, then zinit reload", u.name)
			return
		}
		x.suggest("zinit logs %s    (what it said before it failed)", u.name)
		return
	case !u.up:
		x.text.WriteString("; not restarted: it is not wanted\n")
	case u.cfg.Service.Status == "ignore":
		x.text.WriteString("; not restarted: status = \"ignore\"\n")
	case u.cfg.Lifecycle.MaxRestarts > 0 && u.tries >= u.cfg.Lifecycle.MaxRestarts:
		fmt.Fprintf(&x.text, "; not restarted: max_restarts = %d is used up\n", u.cfg.Lifecycle.MaxRestarts)
	default:
		fmt.Fprintf(&x.text, "; not restarted: restart = %q\n", u.cfg.Lifecycle.Restart)
	}
	if r.Type == "spawn_error" {
		x.suggest("correct exec, dir or user of %s, then zinit reload and zinit start %s", u.name, u.name)
		return
	}
	x.suggest("zinit logs %s    (what it said before it failed), then zinit start %s", u.name, u.name)
}

// resting explains a unit that nobody wants, or that has done its work.
func (x *explainer) resting(u *unit, now time.Time) {
	switch {
	case u.pending:
		in := span(u.restartDue.Sub(now))
		x.note("restart_delay", u.name, u.state.String(), "restarts in "+in)
		x.text.WriteString("; restarts in " + in + "\n")
	case u.satisfied():
		x.text.WriteString(": it has done its work\n")
	case !u.up && u.state == inactive:
		detail := fmt.Sprintf("nobody started it (status = %q)", u.cfg.Service.Status)
		x.note("wish", u.name, u.state.String(), detail)
		x.text.WriteString(": " + detail + "\n")
		x.suggest("zinit start %s", u.name)
	case !u.up:
		x.note("wish", u.name, u.state.String(), "it was stopped")
		x.text.WriteString(": it was stopped\n")
		x.suggest("zinit start %s", u.name)
	default:
		x.text.WriteString("\n")
	}
}

func (x *explainer) progress(u *unit, now time.Time) string {
	s := ""
	switch {
	case !u.spawned:
		s = ": the kernel has not executed it yet"
	case u.cfg.Health != nil && u.health.checks > 0:
		s = fmt.Sprintf(": its health checks fail, %d so far, the last: %s", u.health.failures, u.health.lastError)
		x.suggest("zinit logs %s    (what it says meanwhile), and look at target in its [health]", u.name)
	case u.cfg.Health != nil:
		s = ": waiting for its first health check"
	}
	if !u.startDue.IsZero() {
		s += "; gives up in " + span(u.startDue.Sub(now))
	}
	return s
}

func (x *explainer) leaving(u *unit, now time.Time) string {
	if u.state == running {
		return ": it stops when what requires it has stopped"
	}
	s := ""
	if u.cause != nil {
		s = ": " + u.cause.String()
	}
	if !u.stopDue.IsZero() {
		s += "; killed in " + span(u.stopDue.Sub(now)) + " if it does not end"
	}
	return s
}

// span writes a duration for people: 1.5s, 2m5s.
func span(d time.Duration) string {
	switch {
	case d < 0:
		d = 0
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < time.Minute:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return d.String()
}

// treeNode is one unit in the tree of what needs what.
type treeNode struct {
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Kind     string     `json:"kind"`
	Children []treeNode `json:"children"`
}

// tree returns the units with what they require and want below them: below one unit, or, for "", below those that no other one names.
// A unit that stands already on the path to itself (over wants) is not opened again, and none is after maxTree nodes:
// a graph with many ways between two units would fill the memory.
func (g *graph) tree(name string) (string, []treeNode) {
	left := maxTree
	var roots []string
	if name != "" {
		roots = []string{name}
	} else {
		named := map[string]bool{}
		for _, u := range g.units {
			for _, n := range slices.Concat(u.cfg.Dependencies.Requires, u.cfg.Dependencies.Wants) {
				named[n] = true
			}
		}
		for _, n := range g.names() {
			if !named[n] {
				roots = append(roots, n)
			}
		}
		if len(roots) == 0 {
			roots = g.names()
		}
	}
	nodes := []treeNode{}
	var text strings.Builder
	for _, n := range roots {
		node := g.branch(n, map[string]bool{}, &left)
		nodes = append(nodes, node)
		drawTree(&text, node, "", "")
	}
	return text.String(), nodes
}

// maxTree bounds the nodes of one tree.
const maxTree = 20000

func (g *graph) branch(name string, path map[string]bool, left *int) treeNode {
	u := g.units[name]
	if u == nil {
		return treeNode{Name: name, State: "missing", Kind: "missing", Children: []treeNode{}}
	}
	node := treeNode{Name: name, State: u.state.String(), Kind: u.kind(), Children: []treeNode{}}
	*left--
	if path[name] || *left < 0 {
		return node
	}
	path[name] = true
	seen := map[string]bool{}
	for _, n := range slices.Concat(u.cfg.Dependencies.Requires, u.cfg.Dependencies.Wants) {
		if !seen[n] {
			seen[n] = true
			node.Children = append(node.Children, g.branch(n, path, left))
		}
	}
	delete(path, name)
	return node
}

func drawTree(b *strings.Builder, n treeNode, first, rest string) {
	fmt.Fprintf(b, "%s%s (%s)\n", first, n.Name, n.State)
	for i, c := range n.Children {
		if i == len(n.Children)-1 {
			drawTree(b, c, rest+"`- ", rest+"   ")
			continue
		}
		drawTree(b, c, rest+"|- ", rest+"|  ")
	}
}

// edge is one dependency in a drawing of the graph.
type edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Type string `json:"type"`
}

// edges lists all dependencies in name order; a conflict that both name stands once.
func (g *graph) edges() []edge {
	var all []edge
	for _, n := range g.names() {
		d := &g.units[n].cfg.Dependencies
		for _, l := range []struct {
			kind  string
			names []string
		}{{"requires", d.Requires}, {"after", d.After}, {"wants", d.Wants}, {"conflicts", d.Conflicts}} {
			for _, m := range l.names {
				e := edge{n, m, l.kind}
				if l.kind == "conflicts" && slices.Contains(all, edge{m, n, l.kind}) || slices.Contains(all[max(0, len(all)-8):], e) {
					continue
				}
				all = append(all, e)
			}
		}
	}
	return all
}

// dot draws the graph for Graphviz.
func (g *graph) dot() string {
	style := map[string]string{"requires": "solid", "after": "dashed", "wants": "dotted", "conflicts": "bold"}
	colour := map[state]string{running: "palegreen", exited: "lightblue", failed: "salmon", blocked: "khaki", starting: "lightyellow", stopping: "lightyellow", inactive: "lightgrey"}
	var b strings.Builder
	b.WriteString("digraph zinit {\n  rankdir=LR;\n  node [shape=box, style=filled];\n")
	for _, n := range g.names() {
		u := g.units[n]
		shape := ""
		if u.kind() == "target" {
			shape = ", shape=ellipse"
		}
		fmt.Fprintf(&b, "  %q [fillcolor=%s, tooltip=%q%s];\n", n, colour[u.state], u.state, shape)
	}
	for _, e := range g.edges() {
		extra := ""
		if e.Type == "conflicts" {
			extra = ", color=red, dir=none"
		}
		fmt.Fprintf(&b, "  %q -> %q [style=%s, label=%q%s];\n", e.From, e.To, style[e.Type], e.Type, extra)
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaid draws the graph for Mermaid (flowchart). Nodes have numbers, because its identifiers are narrower than our names.
func (g *graph) mermaid() string {
	arrow := map[string]string{"requires": "-->|requires|", "after": "-.->|after|", "wants": "-.->|wants|", "conflicts": "x--x|conflicts|"}
	id := map[string]int{}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	node := func(n, label string) {
		id[n] = len(id)
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", id[n], label)
	}
	for _, n := range g.names() {
		node(n, n+" ("+g.units[n].state.String()+")")
	}
	edges := g.edges()
	for _, e := range edges {
		if _, known := id[e.To]; !known {
			node(e.To, e.To+" (missing)")
		}
	}
	for _, e := range edges {
		fmt.Fprintf(&b, "  n%d %s n%d\n", id[e.From], arrow[e.Type], id[e.To])
	}
	return b.String()
}

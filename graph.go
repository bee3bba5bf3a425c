// graph.go is the state machine of all services, a pure function of events: it has no clock, goroutine, file or log, and does no work itself: it returns the work to do.

//go:build !windows

package main

import (
	"time"
)

// graph holds all units. It belongs to one goroutine at a time.
type graph struct {
	units     map[string]*unit
	order     []string                  // sorted names; nil after a change
	users     map[string]map[string]tie // name -> units that name it in requires, binds or after
	conflicts map[string]map[string]int // name -> units that conflict with it, both ways, with how often one names the other
	nexts     map[string]*unit          // units with a changed configuration that does not count yet
	standing  int                       // units of which something must be stopped
	gen       uint64
	now       time.Time
	out       []effect
	dirty     *unitHeap
	timer     *unitHeap
	visited   int // units and neighbours looked at so far: what steps cost, for tests

	dirs          map[string]bool   // directories of service files that were there once
	restoring     bool              // units are put back as an earlier server had them
	booted        bool              // what is added from now on is no part of the boot
	refused       map[string]string // why the last reload did not take a file, by its stem
	changed       []*unit           // for the saver
	newInvocation func() string     // makes the name of one start; nil: none are made
	main          string            // the unit that a shutdown stops before all others (CMD); "": none
	transitions   int               // units that are on their way
	reserve       time.Duration     // how long before the end of a shutdown's time all is killed
	closing       *closing
	limit         time.Duration // shutdown timeout
	mainAlone     time.Duration // the same where there is nothing but the main unit; 0: no other
	pause         func()        // called between two units of a long step: others may look at the graph meanwhile; nil: nobody does
	unpaused      int           // units since the last pause
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
	return &graph{units: map[string]*unit{}, users: map[string]map[string]tie{}, conflicts: map[string]map[string]int{}, nexts: map[string]*unit{},
		dirty: newDirtyHeap(), timer: newTimerHeap(), limit: shutdownTimeout}
}

func (g *graph) unit(name string) *unit { return g.units[name] }

// names returns all names, sorted. The caller must not change the slice.
func (g *graph) names() []string {
	if g.order == nil {
		g.order = sortedKeys(g.units)
	}
	return g.order
}

// step takes one event and then everything that follows from it, and returns the work that results, in order.
func (g *graph) step(now time.Time, ev event) []effect {
	g.now, g.out, g.unpaused = now, nil, 0
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
	g.touch(u)
}

// on is the machine: by state, then by event. A request means much the same in every state; wantUp and wantDown say what. A result of an earlier life, or of
// something that is not under way, is dropped.
func (g *graph) on(u *unit, ev event) {
	if g.request(u, ev) || !u.expects(ev) {
		return
	}
	if g.onSaid(u, ev) {
		return
	}
	if ev.kind == eventExited {
		u.exits++
	}
	switch u.state {
	case blocked:
		g.onGuard(u, ev)
	case starting:
		switch ev.kind {
		case eventSpawned:
			g.onSpawned(u, ev)
			if !u.cfg.Service.Oneshot && u.cfg.Health == nil && !u.forks && u.readyDue.IsZero() {
				g.enter(u, running)
			}
		case eventSpawnFailed:
			u.reason = &failureReason{Type: reasonSpawnError, Message: ev.text, NotFound: ev.missing}
			g.endedByItself(u, failed)
		case eventSkipped:
			u.skipped = ev.text
			g.endedByItself(u, exited)
		case eventExited:
			g.onExited(u, ev.exit)
		case eventHealth:
			u.noteCheck(ev)
			if ev.ok {
				g.enter(u, running)
				return
			}
			u.probeDue = g.now.Add(u.cfg.Health.StartInterval)
		case eventReady:
			u.health.ok = true
			g.enter(u, running)
		case eventSick:
			g.sicken(u, ev.text)
		}
	case running:
		switch ev.kind {
		case eventExited:
			g.onExited(u, ev.exit)
		case eventHealth:
			u.noteCheck(ev)
			if most := u.cfg.Health.Retries; most > 0 && u.health.failures >= most {
				u.cause = &failureReason{Type: reasonHealth, Attempts: u.health.failures, LastError: u.health.lastError}
				g.enter(u, stopping)
				return
			}
			u.probeDue = g.now.Add(u.cfg.Health.Interval)
		case eventReady:
			u.said.reloading = false
		case eventSick:
			g.sicken(u, ev.text)
		}
	case stopping:
		switch ev.kind {
		case eventSpawned:
			g.onSpawned(u, ev)
			g.bringDown(u)
		case eventSpawnFailed, eventSkipped:
			g.onStopped(u)
		case eventExited:
			u.noteExit(ev.exit)
			g.onStopped(u)
		case eventUndone:
			u.undoing = false
			g.onStopped(u)
		}
	}
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
	case eventSpawned, eventSpawnFailed, eventSkipped:
		return !u.spawned && !u.undoing
	case eventUndone:
		return u.undoing
	case eventHealth:
		return u.probing
	}
	return u.spawned
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
	if u.forks = u.cfg.Service.PIDFile != "" && !u.cfg.Service.Oneshot; !u.forks {
		g.awaitReady(u)
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

// startOrBlock starts a unit that is not live, or blocks it, or fails it, by what it waits for.
func (g *graph) startOrBlock(u *unit) {
	u.startPending, u.pending = false, false
	n := &u.needs
	u.needsPerson = u.external.needsPerson || n.missing+n.failed+n.stuck+n.lasting > 0
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
	return len(u.cfg.Dependencies.Mounts) > 0 || len(u.cfg.Service.Ports) > 0 || u.cfg.Service.ProcessFilter != ""
}

func (g *graph) guard(u *unit) {
	g.gen++
	u.guardGen, u.guarding, u.guardDue = g.gen, true, time.Time{}
	g.emit(effect{kind: effectGuard, name: u.name, gen: u.guardGen, cfg: u.cfg})
}

// onGuard takes the result of a look at mounts, ports and foreign processes: a start, or another look after 100 ms, doubling to 5 s.
func (g *graph) onGuard(u *unit, ev event) {
	u.guarding = false
	if ev.ok {
		u.cleared, u.external, u.guardWait = true, blocker{}, 0
		return
	}
	u.external = ev.blocker
	u.guardWait = min(max(100*time.Millisecond, 2*u.guardWait), 5*time.Second)
	u.guardDue = g.now.Add(u.guardWait)
}

// enter is the only place that assigns a state. It sets what the state needs and emits effectMoved; for a unit that is being restored it only sets the state.
func (g *graph) enter(u *unit, s state) {
	from := u.state
	u.state = s
	if g.restoring {
		return
	}
	switch s {
	case inactive, blocked:
		u.reason, u.exitCode = nil, nil
		if s == blocked {
			g.noteBoot(u, &u.bootBlocked)
		}
	case starting:
		g.enterStarting(u)
	case running:
		u.runningAt, u.startDue, u.readyDue = g.now, time.Time{}, time.Time{}
		g.noteBoot(u, &u.bootReady)
		if h := u.cfg.Health; h.asked() && h.Interval > 0 {
			u.probeDue = g.now.Add(h.Interval)
		}
		g.expectLife(u)
	case exited:
		if u.byItself {
			g.noteBoot(u, &u.bootReady)
		}
	}
	if u.criticalEnded() && g.closing == nil {
		defer g.tellCriticalEnded(u)
	}
	if s != blocked {
		u.guarding, u.guardDue, u.guardWait, u.external = false, time.Time{}, 0, blocker{}
	}
	e := effect{kind: effectMoved, name: u.name, from: from, to: s, reason: u.reason, at: g.now}
	if s == exited {
		e.text = u.skipped
	}
	if u.pending {
		e.restarts, e.restartIn = true, u.restartDue.Sub(g.now)
	}
	g.emit(e)
	switch s {
	case starting:
		g.afterStarting(u)
	case stopping:
		u.undoing = from == exited
		g.enterStopping(u)
	}
	g.touch(u)
	g.answerWaiters(u)
}

// noteBoot notes when a unit that belongs to the boot came so far, the first time.
func (g *graph) noteBoot(u *unit, at *time.Time) {
	if u.boots && at.IsZero() {
		*at = g.now
	}
}

func (g *graph) enterStarting(u *unit) {
	g.gen++
	u.gen, u.pid, u.spawned, u.cleared = g.gen, 0, false, false
	if g.newInvocation != nil {
		u.invocation = g.newInvocation()
	}
	u.reason, u.exitCode, u.cause, u.leave = nil, nil, nil, staying
	u.skipped, u.prevented, u.killedFor = "", false, ""
	u.forced, u.restartAfterStop, u.byItself, u.probing, u.probeDue = false, false, false, false, time.Time{}
	u.health, u.said = unitHealth{}, unitSaid{}
	if h := u.cfg.Health; h != nil && h.Type == healthNotify {
		u.said.watchdog = h.Interval
	}
	g.noteBoot(u, &u.bootStarting)
}

// afterStarting asks for the process of a service; a target has none and is running at once.
func (g *graph) afterStarting(u *unit) {
	if u.cfg.Kind == unitTarget {
		g.publish(u)
		g.answerWaiters(u)
		g.enter(u, running)
		return
	}
	g.emit(effect{kind: effectSpawn, name: u.name, gen: u.gen, cfg: u.cfg, text: u.invocation})
}

// enterStopping brings the process down, calls back the spawn that is still under way, or runs the stop_exec of a oneshot that has exited.
func (g *graph) enterStopping(u *unit) {
	u.forgetDues()
	u.forced = false
	if u.cfg.Kind == unitTarget {
		g.onStopped(u)
		return
	}
	u.stopDue = g.now.Add(u.cfg.Lifecycle.StopTimeout)
	if u.undoing {
		g.gen++
		u.gen = g.gen
		g.emit(effect{kind: effectUndo, name: u.name, gen: u.gen, cfg: u.cfg, text: u.invocation})
		return
	}
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

// settleAll looks at every unit that a change touched, in name order, until nothing follows any more.
// Name order is what decides between two conflicting units that both could start.
func (g *graph) settleAll() {
	var parked []*unit
	for g.dirty.Len() > 0 {
		u := g.pop()
		g.settle(u)
		g.pauseSometimes()
		if len(u.waiters) > 0 {
			parked = append(parked, u)
		}
	}
	for _, u := range parked {
		g.answerWaiters(u)
		g.schedule(u)
	}
	if c := g.closing; c != nil && !c.finished && g.standing == 0 {
		g.finish(false)
	}
}

// unitsAtOnce is how many units a step works on between two pauses: about a millisecond.
const unitsAtOnce = 64

// pauseSometimes keeps a step of thousands of units from making those wait who only look.
func (g *graph) pauseSometimes() {
	if g.unpaused++; g.unpaused >= unitsAtOnce && g.pause != nil {
		g.unpaused = 0
		g.pause()
	}
}

// settle does what follows for one unit from its own state and what it sees of its neighbours.
func (g *graph) settle(u *unit) {
	g.visited++
	if g.units[u.name] != u {
		return
	}
	switch {
	case u.leave == leaveDelete && !u.standing():
		g.publish(u)
		g.remove(u)
		return
	case g.closing != nil && u.state == blocked:
		g.enter(u, inactive)
	case g.closing == nil && (u.state == blocked || u.startPending && !u.state.live() || g.healed(u)):
		g.startOrBlock(u)
	case u.state == starting || u.state == running || u.armed():
		g.settleStanding(u)
	case g.closing == nil && u.up && u.done() && u.needs.lost > 0:
		u.byItself = false // its work ended with what it is bound to, and is done again when that is back
		g.startOrBlock(u)
	}
	g.publish(u)
	g.schedule(u)
}

// settleStanding stops a unit that is to leave once nothing that depends on it stands.
func (g *graph) settleStanding(u *unit) {
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
	if u.standingRequiring > 0 || g.closing != nil && u.standingAfter > 0 && !g.closing.asked {
		return
	}
	if u.leave.comesBack() && u.cfg.Kind == unitTarget {
		u.leave = staying
		g.enter(u, blocked)
		return
	}
	g.enter(u, stopping)
}

// settled says that no wanted unit is on its way any more.
func (g *graph) settled() bool { return g.transitions == 0 && g.dirty.Len() == 0 }

// cascade decides whether a standing unit must stop: because what it requires is being taken down by request, which may be taken back, or because what it is
// bound to has ended, which may not.
func (g *graph) cascade(u *unit) {
	if u.leave != staying && u.leave != leaveCascade {
		return
	}
	why := staying
	switch {
	case u.needs.lost > 0:
		why = leaveBound
	case u.needs.down > 0:
		why = leaveCascade
	}
	if why != u.leave {
		g.leaveFor(u, why)
	}
}

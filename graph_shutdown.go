// graph_shutdown.go stops all units in reverse order within the time of a shutdown, and kills what is left at its end.

//go:build !windows

package main

import (
	"fmt"
	"time"
)

// closing is a shutdown in progress.
type closing struct {
	kind     powerKind
	code     int // exit code of the container
	began    time.Time
	asked    bool // three quarters have passed
	killed   bool
	finished bool
}

// shutdown begins to stop everything in reverse order; eventShutdownNow kills what is left.
func (g *graph) shutdown(ev event) {
	if g.closing == nil {
		if g.main != "" && len(g.units) == 1 {
			g.limit = max(g.limit, g.mainAlone)
		}
		g.closing = &closing{kind: ev.power, code: ev.sig, began: g.now}
		if ev.timeout > 0 { // it began earlier, elsewhere: that is left of its time
			g.closing.began = g.now.Add(ev.timeout - g.limit)
		}
		g.emit(effect{kind: effectClosing, text: string(ev.power), sig: ev.sig, limit: g.limit})
		for _, n := range g.names() {
			u := g.units[n]
			u.startPending, u.pending, u.restartAfterStop = false, false, false
			why := u.leave
			if u.standing() && why != leaveDelete {
				why = leaveShutdown
			}
			g.leaveFor(u, why)
		}
	}
	if ev.kind == eventShutdownNow {
		g.killAll("killed at once, as a second request to shut down asks")
	}
	g.answer(ev.to, answer{})
}

// closingStep is what the time of a shutdown asks for next, and when: at three quarters all are asked to stop regardless of order, g.reserve before the end what is left is killed, and giveUp after the end it finishes as incomplete.
func (g *graph) closingStep() (due time.Time, act func()) {
	c := g.closing
	switch {
	case c == nil || c.finished:
		return time.Time{}, nil
	case !c.asked:
		return c.began.Add(g.limit * 3 / 4), g.stopAll
	case !c.killed:
		return c.began.Add(g.limit - g.reserve), g.timeIsOver
	}
	return c.began.Add(g.limit + giveUp), func() { g.finish(true) }
}

func (g *graph) tickClosing() {
	for {
		due, act := g.closingStep()
		if !g.passed(due) {
			return
		}
		act()
	}
}

// giveUp is how long after SIGKILL a shutdown waits for processes that the kernel does not let die.
const giveUp = 6 * time.Second

func (g *graph) stopAll() {
	g.closing.asked = true
	for _, n := range g.names() {
		if u := g.units[n]; u.state == starting || u.state == running || u.armed() {
			g.enter(u, stopping)
		}
	}
}

// timeIsOver kills what a shutdown has not stopped in its time. That limit is not the service's own, and is named as what it is.
func (g *graph) timeIsOver() {
	g.killAll(fmt.Sprintf("killed after %g s: the shutdown's time (--shutdown-timeout-ms %d) was over", g.limit.Seconds(), g.limit.Milliseconds()))
}

// killAll kills what still runs; why is recorded for the units whose own stop timeout had not passed.
func (g *graph) killAll(why string) {
	g.closing.asked, g.closing.killed = true, true
	for _, n := range g.names() {
		u := g.units[n]
		switch {
		case u.armed():
			u.byItself = false // there is no time to undo its work
		case u.state == stopping && (u.spawned || u.undoing):
			if !u.forced {
				u.killedFor = why
			}
			u.forced, u.stopDue = true, time.Time{}
			g.emit(effect{kind: effectKill, name: n, gen: u.gen})
		case u.state == starting || u.state == running:
			g.enter(u, stopping)
			u.forced, u.stopDue, u.killedFor = u.spawned, time.Time{}, why
		}
		g.mark(u)
		g.push(u)
	}
}

// finish says that a shutdown is over: nothing is left to stop, or (incomplete) does not let itself be stopped.
func (g *graph) finish(incomplete bool) {
	c := g.closing
	c.finished = true
	g.emit(effect{kind: effectFinished, text: string(c.kind), sig: c.code, incomplete: incomplete})
}

// waitsForMain says whether a shutdown must leave a unit alone because CMD still runs: services outlive the main program.
func (g *graph) waitsForMain(u *unit) bool {
	if g.closing == nil || g.closing.asked || g.main == "" || u.name == g.main {
		return false
	}
	m := g.units[g.main]
	return m != nil && m.state.live()
}

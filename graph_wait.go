// graph_wait.go keeps the requests that wait for a unit to reach a state, and answers them; it changes no unit.

//go:build !windows

package main

import (
	"slices"
	"strings"
	"time"
)

// waiter is a request parked in its unit until the step that settles it.
type waiter struct {
	to    *ticket
	kind  eventKind // eventStart, eventStop, eventRestart, eventWait or eventDelete
	until state
	due   time.Time
	began time.Time
}

// bulkWait is a delete_all that waits for its units to be gone.
type bulkWait struct {
	to     *ticket
	left   int
	answer answer
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

func (u *unit) cancelWaiter(to *ticket) {
	u.waiters = slices.DeleteFunc(u.waiters, func(w *waiter) bool { return w.to == to })
}

// answerWaiters answers the parked requests that the present state of a unit settles.
func (g *graph) answerWaiters(u *unit) {
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
		return !u.standing() || u.leave == staying && u.up && u.state != stopping
	case eventWait:
		return u.state == w.until || stuck || u.failedPermanently() ||
			w.until == running && u.state == exited && u.satisfied()
	}
	if u.startPending || u.standing() && u.leave != staying {
		return false
	}
	return stuck || u.state == running || u.state == exited || u.state == failed || u.state == inactive
}

// refuseExpired refuses the parked requests whose time has run out.
func (g *graph) refuseExpired(u *unit) {
	u.waiters = slices.DeleteFunc(u.waiters, func(w *waiter) bool {
		if !g.passed(w.due) {
			return false
		}
		r := refuse(kindTimeout, "%s is still %s after %s", u.name, u.state, g.now.Sub(w.began).Round(time.Millisecond))
		if by := g.blockedBy(u); len(by) > 0 {
			r.Message += ": it waits for " + strings.Join(by, ", ")
		}
		g.refuse(w.to, r)
		return true
	})
}

func (g *graph) answerOf(u *unit) answer {
	return answer{State: u.state, BlockedBy: g.blockedBy(u)}
}

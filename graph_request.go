// graph_request.go takes what people ask for: start, stop, restart, kill, delete and wait, of one unit and of all at once.

//go:build !windows

package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

func (g *graph) unknown(name string) *rpcError {
	r := refuse(kindServiceNotFound, "no service %s", quoted(name))
	template, _, _ := splitInstance(name)
	if why := cmp.Or(g.refused[name], g.refused[template]); why != "" {
		r.Message += ": its file is not loaded: " + why
		r.Data.NotLoaded = why
		return r
	}
	if near := nearest(name, g.names()); near != "" {
		r.Message += "; did you mean " + near + "?"
		r.Data.Names = []string{near}
	}
	return r
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
		u.cancelWaiter(ev.to)
	case eventKill:
		if u.pid == 0 {
			g.refuse(ev.to, refuse(kindServiceIsDown, "cannot signal %s: it has no process (it is %s)", u.name, u.state))
			return true
		}
		g.emit(effect{kind: effectSignal, name: u.name, gen: u.gen, sig: ev.sig, group: ev.group, ticket: ev.to})
	case eventSend:
		switch {
		case u.pid == 0:
			g.refuse(ev.to, refuse(kindServiceIsDown, "cannot send to %s: it has no process (it is %s)", u.name, u.state))
		case u.cfg.Service.Stdin != stdinFromPipe:
			g.refuse(ev.to, refuse(kindInvalidState, "cannot send to %s: its stdin is no pipe; set stdin = \"pipe\" in its file", u.name))
		default:
			g.emit(effect{kind: effectSend, name: u.name, gen: u.gen, text: ev.text, ticket: ev.to})
		}
	default:
		return false
	}
	return true
}

// onMain handles the requests that differ for CMD, and says whether this is one: a stop is a shutdown; a start after its end, a restart and a delete are refused.
func (g *graph) onMain(u *unit, ev event) bool {
	switch {
	case ev.kind == eventStop && u.state.live():
		if ev.wait {
			g.park(u, ev)
		}
		g.shutdown(event{kind: eventShutdown, power: powerExit})
		if !ev.wait {
			g.settleAll()
			g.answer(ev.to, g.answerOf(u))
		}
		return true
	case ev.kind == eventRestart, ev.kind == eventDelete, ev.kind == eventStart && ev.to != nil && u.lastStart != (time.Time{}) && !u.state.live():
		g.refuse(ev.to, refuse(kindInvalidState, "cannot %s %s: it is the main program of this container", ev.kind, u.name))
		return true
	}
	return false
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
				g.wantUp(g.units[n], false)
			}
		}
	}
	g.wantUp(u, ev.kind == eventRestart)
	g.answerOrPark(u, ev)
}

// answerOrPark answers a request at once, or, if it waits, when the unit has settled.
func (g *graph) answerOrPark(u *unit, ev event) {
	if ev.wait {
		g.park(u, ev)
		return
	}
	g.settleAll()
	g.answer(ev.to, g.answerOf(u))
}

// wantUp sets a unit's wish to up and does what that means in its state. restart asks for a new process where there is one.
func (g *graph) wantUp(u *unit, restart bool) {
	if u.leave == leaveDelete {
		return
	}
	fresh := !u.up
	u.up = true
	switch u.state {
	case inactive, exited, failed:
		u.pending, fresh = false, true
		switch {
		case u.armed() && restart:
			u.leave = leaveRestart
		case u.armed() && u.leave != staying:
			if u.leave == leaveStop {
				u.leave = staying
			}
		default:
			u.startPending = true
		}
	case starting, running:
		if restart {
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
	g.touch(u)
}

// onStop takes a stop, or a delete, which is a stop that ends in the unit's removal.
func (g *graph) onStop(u *unit, ev event) {
	if ev.kind == eventStop {
		g.wantDown(u)
		g.answerOrPark(u, ev)
		return
	}
	if ev.force || g.mayDelete(u, ev.to) {
		g.park(u, ev)
		g.wantDown(u)
		g.leaveFor(u, leaveDelete)
	}
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
	r.Data.Names = users
	g.refuse(to, r)
	return false
}

// wantDown sets a unit's wish to down and does what that means in its state.
func (g *graph) wantDown(u *unit) {
	u.up, u.startPending, u.pending, u.restartAfterStop = false, false, false, false
	switch u.state {
	case blocked:
		g.enter(u, inactive)
	case starting, running, stopping, exited:
		if u.standing() && u.leave < leaveDelete {
			u.leave = leaveStop
		}
	}
	g.touch(u)
}

// leaveFor notes why a unit is to stop, or that it stays.
func (g *graph) leaveFor(u *unit, why leave) {
	u.leave = why
	g.touch(u)
}

// all takes a bulk request. It touches units of class user only.
func (g *graph) all(ev event) {
	if g.closing != nil && ev.kind != eventStopAll {
		g.refuse(ev.to, refuse(kindShuttingDown, "the system is shutting down"))
		return
	}
	a := answer{Names: []string{}, Skipped: []string{}, Errs: []bulkFailure{}}
	var kept map[string]string
	if ev.kind == eventDeleteAll {
		kept = g.keptBySystem()
	}
	for _, n := range g.names() {
		u := g.units[n]
		switch {
		case u.cfg.Service.Class == classSystem:
			a.Skipped = append(a.Skipped, n)
			continue
		case ev.kind == eventStartAll:
			g.wantUp(u, false)
		case ev.kind == eventStopAll:
			g.wantDown(u)
		case ev.kind == eventDeleteAll:
			if why := kept[n]; why != "" {
				a.Errs = append(a.Errs, bulkFailure{n, why})
				continue
			}
		}
		a.Names = append(a.Names, n)
	}
	if ev.kind == eventDeleteAll && len(a.Names) > 0 {
		g.deleteAll(ev.to, a)
		return
	}
	g.settleAll()
	g.answer(ev.to, a)
}

// keptBySystem returns, for each unit that a system service requires directly or indirectly, why it must not be deleted.
func (g *graph) keptBySystem() map[string]string {
	kept := map[string]string{}
	queue := []string{}
	for _, n := range g.names() {
		if g.units[n].cfg.Service.Class == classSystem {
			queue = append(queue, n)
		}
	}
	for system := len(queue); len(queue) > 0; system-- {
		n := queue[0]
		queue = queue[1:]
		for _, m := range g.units[n].cfg.Dependencies.needed() {
			if u := g.units[m]; u == nil || kept[m] != "" || u.cfg.Service.Class == classSystem {
				continue
			}
			kept[m] = "required by " + n + ", which is a system service"
			if system <= 0 {
				kept[m] = "required by " + n + ", which a system service requires"
			}
			queue = append(queue, m)
		}
	}
	return kept
}

// deleteAll stops units and removes them; the answer comes when all are gone.
func (g *graph) deleteAll(to *ticket, a answer) {
	b := &bulkWait{to: to, left: len(a.Names), answer: a}
	for _, n := range a.Names {
		u := g.units[n]
		u.bulk = append(u.bulk, b)
		g.wantDown(u)
		g.leaveFor(u, leaveDelete)
	}
}

// graph_said.go takes what services say of themselves while they run: that they are alive, need more time, are about to end; and what follows when they do not.

//go:build !windows

package main

import (
	"fmt"
	"time"
)

// unitSaid is what the present process has said of itself (sd_notify(3)).
type unitSaid struct {
	text      string        // what it does, for people
	errno     int           // of what went wrong; 0: nothing
	reloading bool          // until it is ready again
	quitting  bool          // it ends by itself
	watchdog  time.Duration // how often it must say that it is alive; 0: it need not
}

// words are what it says, for people.
func (s *unitSaid) words() string {
	text := s.text
	for _, more := range []struct {
		there bool
		text  string
	}{{s.errno != 0, fmt.Sprintf("error %d", s.errno)}, {s.reloading, "reloading"}, {s.quitting, "ending by itself"}} {
		if more.there && text != "" {
			text += "; "
		}
		if more.there {
			text += more.text
		}
	}
	return text
}

// onSaid takes what a service may say in every state of its process, and says whether the event was that.
func (g *graph) onSaid(u *unit, ev event) bool {
	switch ev.kind {
	case eventMainPID:
		g.onMainPID(u, ev)
	case eventSays:
		u.said.text = ev.text
	case eventErrno:
		u.said.errno = ev.sig
	case eventReloading:
		u.said.reloading = true
	case eventWatchdog:
		u.said.watchdog = ev.timeout
		g.expectLife(u)
	case eventAlive:
		g.expectLife(u)
	case eventExtend:
		g.extend(u, ev.timeout)
	case eventQuitting:
		u.said.quitting, u.said.reloading = true, false
		u.aliveDue = time.Time{}
		if u.state != stopping {
			u.quitDue = g.now.Add(u.cfg.Lifecycle.StopTimeout)
		}
	default:
		return false
	}
	return true
}

// expectLife gives a service with a watchdog its time anew.
func (g *graph) expectLife(u *unit) {
	u.aliveDue = time.Time{}
	if u.state == running && u.spawned && u.said.watchdog > 0 && !u.said.quitting {
		u.aliveDue = g.now.Add(u.said.watchdog)
	}
}

// extend lets the time limit under way end no earlier than in d. One that is over stays so.
func (g *graph) extend(u *unit, d time.Duration) {
	later := g.now.Add(d)
	for _, due := range []*time.Time{&u.startDue, &u.stopDue, &u.quitDue} {
		if !due.IsZero() && due.Before(later) {
			*due = later
		}
	}
}

// sicken stops a service as failed, with why as the reason of its health check.
func (g *graph) sicken(u *unit, why string) {
	u.health.ok, u.health.lastError = false, why
	u.cause = &failureReason{Type: reasonHealth, Attempts: 1, LastError: why}
	g.enter(u, stopping)
}

// onSilence handles the passed deadlines of ready_after_ms, of the watchdog and of an announced end.
func (g *graph) onSilence(u *unit) {
	if g.passed(u.readyDue) {
		u.readyDue = time.Time{}
		g.enter(u, running)
	}
	if g.passed(u.aliveDue) {
		g.sicken(u, "no sign of life within "+span(u.said.watchdog)+" (watchdog)")
	}
	if g.passed(u.quitDue) {
		u.cause = &failureReason{Type: reasonStopTimeout}
		g.enter(u, stopping)
	}
}

// forgetDues ends the deadlines of a process that starts or runs.
func (u *unit) forgetDues() {
	u.startDue, u.probeDue, u.readyDue, u.aliveDue, u.quitDue = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
}

// onMainPID notes that another process is the main one. The first time that can be the end of a start by pid_file.
func (g *graph) onMainPID(u *unit, ev event) {
	u.pid = ev.pid
	if !u.forks {
		return
	}
	u.forks = false
	switch u.state {
	case stopping:
		g.bringDown(u) // the signal came before it was the main process
	case starting:
		if g.awaitReady(u); u.cfg.Health == nil && u.readyDue.IsZero() {
			g.enter(u, running)
		}
	}
}

// awaitReady starts the wait for readiness once the main process runs: the deadline of ready_after_ms, or the first health check.
func (g *graph) awaitReady(u *unit) {
	if t := u.cfg.Lifecycle.ReadyAfter; t > 0 && u.cfg.Health == nil && !u.cfg.Service.Oneshot { // then nothing can be late
		u.readyDue, u.startDue = g.now.Add(t), time.Time{}
	}
	if u.cfg.Health.asked() {
		u.probeDue = g.now
	}
}

// graph_restart.go decides what happens when a process has ended: the state, and whether and when the unit is restarted.

//go:build !windows

package main

import (
	"slices"
	"time"
)

func (u *unit) noteExit(e exit) {
	u.exitCode = nil
	if e.Known && e.Signal == 0 {
		code := e.Code
		u.exitCode = &code
	}
}

// isOne says whether a process ended in one of these ways.
func (e exit) isOne(ways []ending) bool {
	return e.Known && slices.Contains(ways, ending{e.Code, e.Signal})
}

func (u *unit) success(e exit) bool {
	return e.isOne(u.cfg.Lifecycle.SuccessCodes)
}

func exitReason(e exit) *failureReason {
	if e.Signal != 0 {
		return &failureReason{Type: reasonSignal, Signal: e.Signal, Name: signalName(e.Signal), Core: e.Core, OOM: e.OOM && e.Signal == sigKill}
	}
	if !e.Known {
		return &failureReason{Type: reasonExitCode}
	}
	return &failureReason{Type: reasonExitCode, Code: &e.Code}
}

// onExited is the end of a process that nobody stopped.
func (g *graph) onExited(u *unit, e exit) {
	u.noteExit(e)
	u.prevented = e.isOne(u.cfg.Lifecycle.RestartPrevent)
	if u.success(e) && (u.state == running || u.cfg.Service.Oneshot) {
		g.endedByItself(u, exited)
		return
	}
	u.reason = exitReason(e)
	g.endedByItself(u, failed)
}

// endedByItself is the end of a process by itself: the new state, and the restart that the policy wants.
func (g *graph) endedByItself(u *unit, s state) {
	ranFor := time.Duration(0)
	if u.state == running {
		ranFor = g.now.Sub(u.runningAt)
	}
	u.byItself = s == exited
	g.processGone(u)
	g.enterEnded(u, s, ranFor)
}

// enterEnded enters exited or failed after a life of its own, and plans the restart.
func (g *graph) enterEnded(u *unit, s state, ranFor time.Duration) {
	l := &u.cfg.Lifecycle
	if ranFor > 0 && ranFor >= l.StabilityPeriod {
		u.tries = 0
	}
	wanted := u.leave == leaveRestart || u.leave.comesBack() && !(s == exited && u.cfg.Service.Oneshot)
	u.stay()
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
	if u.skipped != "" || u.prevented || u.cfg.Service.Status == statusIgnore {
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

// backoff returns the delay before restart number n (from 0): first doubled n times, but no more than most. If first is more than most, it is always first.
func backoff(first, most time.Duration, n int) time.Duration {
	d := first
	for ; n > 0 && d > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, max(most, first))
}

// processGone clears what belongs to the process that ended, and lets a changed configuration count.
func (g *graph) processGone(u *unit) {
	if u.spawned {
		u.lastStop = g.now
	}
	u.pid, u.spawned, u.forks, u.probing, u.started = 0, false, false, false, time.Time{}
	u.stopDue = time.Time{}
	u.forgetDues()
	if u.next != nil {
		g.adoptConfig(u)
	}
}

// onStopped is the end of a unit that was stopping.
func (g *graph) onStopped(u *unit) {
	cause, forced, why, again := u.cause, u.forced, u.leave, u.restartAfterStop
	u.cause, u.forced, u.restartAfterStop, u.byItself = nil, false, false, false
	g.processGone(u)
	u.stay()
	wanted := u.up && why != leaveDelete && (again || why == leaveRestart)
	switch {
	case cause != nil:
		u.reason = cause
		if wanted {
			u.leave = leaveRestart
		}
		g.enterEnded(u, failed, 0)
	case why == leaveShutdown:
		g.enterStopped(u, forced)
	case wanted, u.up && why.comesBack():
		u.reason, u.exitCode = nil, nil
		g.startOrBlock(u)
	default:
		g.enterStopped(u, forced)
	}
}

// stay ends the reason to leave, but for a deletion.
func (u *unit) stay() {
	if u.leave != leaveDelete {
		u.leave = staying
	}
}

// enterStopped enters the state of a unit that was stopped by request.
func (g *graph) enterStopped(u *unit, forced bool) {
	u.pending = false
	if forced {
		u.reason = &failureReason{Type: reasonStopTimeout, Message: u.killedFor}
		g.enter(u, failed)
		return
	}
	u.reason = nil
	g.enter(u, exited)
}

// criticalEnded says whether a critical unit has failed permanently or ended by itself, with no restart to come: neither by policy nor by request.
func (u *unit) criticalEnded() bool {
	over := u.state == failed || u.state == exited && u.byItself && !u.cfg.Service.Oneshot && u.skipped == ""
	return u.cfg.Service.Critical && over && u.up && !u.pending && !u.startPending
}

// tellCriticalEnded says that a critical unit is lost, with the exit code of a container that ends for it.
func (g *graph) tellCriticalEnded(u *unit) {
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
		case r.Type != reasonExitCode || r.Code == nil:
			code = 1
		}
	}
	g.emit(effect{kind: effectCritical, name: u.name, text: text, sig: code})
}

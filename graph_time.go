// graph_time.go keeps the order of work and of time: the units to be looked at before a step ends, by name, and those with a deadline, which it carries out when it has passed.

//go:build !windows

package main

import (
	"container/heap"
	"sort"
	"time"
)

// unitHeap holds units in an order. Each unit knows its place there, from 1; 0 is that it is not in it.
type unitHeap struct {
	units  []*unit
	before func(a, b *unit) bool
	place  func(u *unit) *int
}

// newDirtyHeap is for the units that a change touched. Name order decides between two that conflict and could both start.
func newDirtyHeap() *unitHeap {
	return &unitHeap{before: func(a, b *unit) bool { return a.name < b.name }, place: func(u *unit) *int { return &u.dirtyAt }}
}

// newTimerHeap is for the units that have a deadline.
func newTimerHeap() *unitHeap {
	return &unitHeap{before: func(a, b *unit) bool { return a.due.Before(b.due) }, place: func(u *unit) *int { return &u.dueAt }}
}

func (h *unitHeap) Len() int           { return len(h.units) }
func (h *unitHeap) Less(i, j int) bool { return h.before(h.units[i], h.units[j]) }

func (h *unitHeap) Swap(i, j int) {
	h.units[i], h.units[j] = h.units[j], h.units[i]
	*h.place(h.units[i]), *h.place(h.units[j]) = i+1, j+1
}

func (h *unitHeap) Push(x any) {
	u := x.(*unit)
	h.units = append(h.units, u)
	*h.place(u) = len(h.units)
}

func (h *unitHeap) Pop() any {
	last := len(h.units) - 1
	u := h.units[last]
	h.units[last] = nil
	h.units = h.units[:last]
	*h.place(u) = 0
	return u
}

// push has a unit looked at before the step ends.
func (g *graph) push(u *unit) {
	if u != nil && u.dirtyAt == 0 {
		heap.Push(g.dirty, u)
	}
}

func (g *graph) pop() *unit { return heap.Pop(g.dirty).(*unit) }

// schedule puts a unit at its place among the deadlines.
func (g *graph) schedule(u *unit) {
	due := u.nextDue()
	switch {
	case due.Equal(u.due) && (u.dueAt > 0) == !due.IsZero():
	case due.IsZero():
		g.unschedule(u)
	case u.dueAt > 0:
		u.due = due
		heap.Fix(g.timer, u.dueAt-1)
	default:
		u.due = due
		heap.Push(g.timer, u)
	}
}

func (g *graph) unschedule(u *unit) {
	if u.dueAt > 0 {
		heap.Remove(g.timer, u.dueAt-1)
	}
	u.due = time.Time{}
}

// tick takes every deadline that has passed, in name order of the units.
func (g *graph) tick() {
	var due []*unit
	for g.timer.Len() > 0 && g.passed(g.timer.units[0].due) {
		u := g.timer.units[0]
		g.unschedule(u)
		due = append(due, u)
	}
	sort.Slice(due, func(i, j int) bool { return due[i].name < due[j].name })
	for _, u := range due {
		g.onDue(u)
		g.touch(u)
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
		if u.spawned || u.undoing {
			g.emit(effect{kind: effectKill, name: u.name, gen: u.gen})
		}
	case u.pending && g.passed(u.restartDue):
		u.pending = false
		u.restartDue = time.Time{}
		u.tries++
		u.restartCount++
		u.startPending = true
	}
	g.onSilence(u)
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
	g.refuseExpired(u)
}

// nextDue is the earliest deadline of all units and of the shutdown; zero when there is none.
func (g *graph) nextDue() time.Time {
	due, _ := g.closingStep()
	if g.timer.Len() > 0 {
		due = earliest(due, g.timer.units[0].due)
	}
	return due
}

// nextDue is the earliest deadline of one unit.
func (u *unit) nextDue() time.Time {
	due := earliest(u.startDue, u.stopDue, u.guardDue, u.readyDue, u.aliveDue, u.quitDue)
	if !u.probing {
		due = earliest(due, u.probeDue)
	}
	if u.pending {
		due = earliest(due, u.restartDue)
	}
	for _, w := range u.waiters {
		due = earliest(due, w.due)
	}
	return due
}

// earliest is the first of some deadlines; those that are zero are none.
func earliest(dues ...time.Time) (first time.Time) {
	for _, d := range dues {
		if !d.IsZero() && (first.IsZero() || d.Before(first)) {
			first = d
		}
	}
	return first
}

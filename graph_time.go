// graph_time.go keeps the order of work: the units to be looked at before a step ends, by name, and those with a deadline, by time.

package main

import (
	"container/heap"
	"time"
)

// dirtyHeap holds the units that a change touched. Name order decides between two that conflict and could both start.
type dirtyHeap []*unit

func (h dirtyHeap) Len() int           { return len(h) }
func (h dirtyHeap) Less(i, j int) bool { return h[i].name < h[j].name }
func (h dirtyHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dirtyHeap) Push(x any)        { *h = append(*h, x.(*unit)) }

func (h *dirtyHeap) Pop() any {
	last := len(*h) - 1
	u := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return u
}

// timerHeap holds the units that have a deadline. Each knows its place.
type timerHeap []*unit

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h *timerHeap) Push(x any) {
	u := x.(*unit)
	u.heapAt = len(*h)
	*h = append(*h, u)
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	u := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	u.heapAt = -1
	return u
}

// push has a unit looked at before the step ends.
func (g *graph) push(u *unit) {
	if u == nil || u.queued {
		return
	}
	u.queued = true
	heap.Push(&g.dirty, u)
}

func (g *graph) pop() *unit {
	u := heap.Pop(&g.dirty).(*unit)
	u.queued = false
	return u
}

// schedule puts a unit at its place among the deadlines.
func (g *graph) schedule(u *unit) {
	due := u.nextOf()
	switch {
	case due.Equal(u.due) && (u.heapAt >= 0) == !due.IsZero():
	case due.IsZero():
		g.unschedule(u)
	case u.heapAt >= 0:
		u.due = due
		heap.Fix(&g.timer, u.heapAt)
	default:
		u.due = due
		heap.Push(&g.timer, u)
	}
}

func (g *graph) unschedule(u *unit) {
	if u.heapAt >= 0 {
		heap.Remove(&g.timer, u.heapAt)
	}
	u.due = time.Time{}
}

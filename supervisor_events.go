// supervisor_events.go tells subscribers of the changes of services. Telling never blocks: a slow subscriber loses the oldest events, and learns how many.

//go:build !windows

package main

import (
	"slices"
	"sync"
	"time"
)

// eventFeedMax is how many events wait for a slow subscriber.
const eventFeedMax = 1024

// eventHub knows all subscribers.
type eventHub struct {
	mu    sync.Mutex
	seq   uint64
	feeds map[*eventFeed]struct{}
}

func newEventHub() *eventHub { return &eventHub{feeds: map[*eventFeed]struct{}{}} }

// tell passes an effect on: effectMoved, effectConfigure and effectForget are of interest.
func (h *eventHub) tell(e *effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seq++
	if len(h.feeds) == 0 {
		return
	}
	at := e.at
	if at.IsZero() {
		at = time.Now()
	}
	ev := serviceEvent{Seq: h.seq, TimeMS: at.UnixMilli(), Service: e.name}
	switch e.kind {
	case effectMoved:
		from, to := e.from, e.to
		ev.Type, ev.From, ev.To, ev.Reason = changeState, &from, &to, (*wireReason)(e.reason)
	case effectForget:
		ev.Type = changeRemoved
	default:
		ev.Type = changeConfig
	}
	for f := range h.feeds {
		f.put(ev)
	}
}

// eventFeed is the queue of one subscriber.
type eventFeed struct {
	hub      *eventHub
	services map[string]bool // none: all
	types    []changeType    // none: all
	wake     chan struct{}

	mu   sync.Mutex
	ring []serviceEvent
	head int // the oldest, once the ring is full
	lost uint64
}

// subscribe begins a feed of events of these services and types; none means all.
func (h *eventHub) subscribe(services []string, types []changeType) *eventFeed {
	f := &eventFeed{hub: h, services: map[string]bool{}, types: types, wake: make(chan struct{}, 1)}
	for _, n := range services {
		f.services[n] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds[f] = struct{}{}
	return f
}

func (f *eventFeed) close() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	delete(f.hub.feeds, f)
}

func (f *eventFeed) put(ev serviceEvent) {
	if len(f.services) > 0 && !f.services[ev.Service] || len(f.types) > 0 && !slices.Contains(f.types, ev.Type) {
		return
	}
	f.mu.Lock()
	if len(f.ring) < eventFeedMax {
		f.ring = append(f.ring, ev)
	} else {
		f.ring[f.head] = ev
		f.head = (f.head + 1) % eventFeedMax
		f.lost++
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// next is the oldest event that waits, with how many were lost before it; false: there is none.
func (f *eventFeed) next() (ev serviceEvent, some bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ring) == 0 {
		return ev, false
	}
	if f.head > 0 {
		f.ring, f.head = slices.Concat(f.ring[f.head:], f.ring[:f.head]), 0
	}
	ev, f.ring = f.ring[0], f.ring[1:]
	ev.Lost, f.lost = f.lost, 0
	return ev, true
}

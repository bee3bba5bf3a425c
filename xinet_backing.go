// xinet_backing.go is a service behind proxies: how many connections want it, when it is idle, and whether it is down; it asks for its start and its stop and performs neither.

//go:build !windows

package main

import (
	"sync"
	"time"
)

// serviceRunner is what proxies ask of those that run services.
type serviceRunner interface {
	isUp(name string) bool // it is running, and to stay so
	// demand asks for a service, and returns when it runs, or why it does not. A nil error says that it is ready, as its health check or its start says.
	demand(name string, cancel <-chan struct{}) error
	// dismiss asks for the stop of a service without waiting. What it returns waits until the request has taken effect.
	dismiss(name string) (settle func())
	stateOf(name string) string // for people
}

// backing is one service behind one or more proxies.
type backing struct {
	name string
	run  serviceRunner

	mu        sync.Mutex
	idle      time.Duration // without a connection until the service is stopped; 0: it never is
	uses      int           // connections, also those that wait
	idleSince time.Time
	timer     *time.Timer
	leaving   bool          // a stop is asked for and has not taken effect
	down      chan struct{} // closed while the service has no process and none is on its way
}

func newBacking(name string, run serviceRunner) *backing {
	return &backing{name: name, run: run, down: make(chan struct{})}
}

// use counts one more connection, and says whether the service is up and stays so: from here on it is not stopped for being idle.
func (b *backing) use() bool { return !b.count() && b.run.isUp(b.name) }

// count counts one more connection, and says whether a stop is on its way to the graph.
func (b *backing) count() (leaving bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uses++
	return b.leaving
}

// done counts one connection less.
func (b *backing) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uses--; b.uses == 0 {
		b.rest()
	}
}

// setIdle changes how long the service may be without a connection; 0: no limit.
func (b *backing) setIdle(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle == d {
		return
	}
	b.idle = d
	if b.uses == 0 && !b.idleSince.IsZero() {
		b.rest()
	}
}

// restNow counts the time without a connection from now on: an earlier server had the service started.
func (b *backing) restNow() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.uses == 0 {
		b.rest()
	}
}

// rest begins the time without a connection.
func (b *backing) rest() {
	b.idleSince = time.Now()
	switch {
	case b.idle == 0:
	case b.timer == nil:
		b.timer = later(b.idle, "idle "+b.name, b.expired)
	default:
		b.timer.Reset(b.idle)
	}
}

// expired has the service stopped if there still is no connection. The request is on its way before the next connection can be counted, so that a start for
// that one comes behind it.
func (b *backing) expired() {
	b.mu.Lock()
	if left := b.idle - time.Since(b.idleSince); b.uses > 0 || b.idle == 0 || left > 0 {
		if b.uses == 0 && b.idle > 0 {
			b.timer.Reset(left)
		}
		b.mu.Unlock()
		return
	}
	b.leaving = true
	settle := b.run.dismiss(b.name)
	b.mu.Unlock()
	settle()
	b.mu.Lock()
	b.leaving = false
	b.mu.Unlock()
}

func (b *backing) isUp() bool { return b.run.isUp(b.name) }

func (b *backing) demand(cancel <-chan struct{}) error { return b.run.demand(b.name, cancel) }

// moved notes that the service is down, or no longer.
func (b *backing) moved(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.down:
		if !down {
			b.down = make(chan struct{})
		}
	default:
		if down {
			close(b.down)
		}
	}
}

// whenDown is closed while the service has no process and none is on its way. It is to be asked for anew each time.
func (b *backing) whenDown() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *backing) isDown() bool {
	select {
	case <-b.whenDown():
		return true
	default:
		return false
	}
}

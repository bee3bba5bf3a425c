// supervisor_memory.go sets how much garbage the heap may hold: much during a burst of work, little when the server is idle.

//go:build !windows

package main

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A supervisor is small and idle most of its life, and should then use little memory: half the garbage that Go allows by default, and
// what a burst of work left behind goes back to the kernel. During a burst less collecting leaves time for the work.
const (
	idleGarbage  = 50 // percent of what is in use, as for GOGC
	burstGarbage = 400
	burstEvents  = 50 // so many events, with no pause of burstOver, make a burst
	burstOver    = time.Second
)

// burst detects bursts of events. The start of the server counts as one, however long it takes to load the services.
type burst struct {
	events atomic.Int64
	over   *time.Timer
}

// newBurst begins with one, which ends with the first pause after the first event; calm is told when one is over.
func newBurst(calm func()) *burst {
	b := &burst{}
	b.events.Store(burstEvents)
	debug.SetGCPercent(burstGarbage)
	b.over = later(burstOver, "end of a burst", func() {
		b.events.Store(0)
		debug.SetGCPercent(idleGarbage)
		debug.FreeOSMemory()
		calm()
	})
	b.over.Stop()
	return b
}

// add counts events.
func (b *burst) add(n int) {
	if b == nil || n == 0 {
		return
	}
	all := b.events.Add(int64(n))
	if all < burstEvents {
		return
	}
	if all-int64(n) < burstEvents {
		debug.SetGCPercent(burstGarbage)
	}
	b.over.Reset(burstOver)
}

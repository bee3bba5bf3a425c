// logs_clock.go records when the clock was set, so that a search by time finds older lines by the corrected time; stored times are not changed.

//go:build !windows

package main

import "time"

// clockMark says that the clock was set by so many milliseconds before a line came.
type clockMark struct {
	seq uint64
	ms  int64
}

// maxClocks bounds the memory for a clock that is set again and again; the oldest lines are gone by then.
const maxClocks = 100

// lookAtClock notes whether the clock was set since the newest line. The caller holds emit.
func (h *logHub) lookAtClock(now time.Time) {
	if d := clockSet(h.clockAt, now); d != 0 && !h.clockAt.IsZero() {
		h.clocks = append(h.clocks, clockMark{h.seq + 1, d.Milliseconds()})
		h.clocks = h.clocks[max(0, len(h.clocks)-maxClocks):]
	}
	h.clockAt = now
}

// setSince is by how many milliseconds the clock was set since a line came.
func setSince(clocks []clockMark, seq uint64) (ms int64) {
	for _, c := range clocks {
		if seq < c.seq {
			ms += c.ms
		}
	}
	return ms
}

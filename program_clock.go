// program_clock.go says by how much the system clock was set between two times.

//go:build !windows

package main

import "time"

// clockStep is a change of the clock that is worth a correction: smaller ones are what a clock is adjusted by all the time.
const clockStep = time.Second

// clockSet is by how much the clock of the system was set from t to now, both with a monotonic reading. A suspend, in which the monotonic clock stands still, is no such change.
func clockSet(t, now time.Time) time.Duration {
	d := now.Round(0).Sub(t.Round(0)) - now.Sub(t)
	if d > -clockStep && d < clockStep || d > 0 && d < sysSuspended()+clockStep {
		return 0
	}
	return d.Round(10 * time.Millisecond)
}

// presentTime is when t was by the clock of now: a time from before the clock was set from 1970 to today is of today too.
func presentTime(t, now time.Time) time.Time { return t.Round(0).Add(clockSet(t, now)) }

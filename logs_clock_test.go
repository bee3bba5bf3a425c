// logs_clock_test.go tests that a clock which is set loses nothing: neither lines that somebody asks for nor the times in statuses.

//go:build linux

package main

import (
	"testing"
	"time"
	"unsafe"
)

// clockOf1970 is t as a clock shows it that is 56 years behind: with the same monotonic reading, which package time lets nobody else write.
func clockOf1970(t time.Time) time.Time {
	const seconds = 56 * 365 * 24 * 3600
	*(*uint64)(unsafe.Pointer(&t)) -= seconds << 30 // the seconds of wall stand above 30 bits of nanoseconds
	return t
}

func TestRow79_TimesFollowThePresentClock(t *testing.T) {
	now := time.Now()
	then := now.Add(-time.Minute)
	start := clockOf1970(then)
	if start.Year() > 1975 || now.Sub(start) != time.Minute {
		t.Fatalf("the test has no time of another clock: %v, %v ago", start, now.Sub(start))
	}
	if got := presentTime(start, now); !got.Equal(then.Round(0)) {
		t.Errorf("a start a minute ago is shown as %v at %v", got, now)
	}
	if got := epoch(start, now); got != then.UnixMilli() {
		t.Errorf("in a status it is %d", got)
	}
	for _, same := range []time.Time{then, time.Unix(5, 0), {}} { // with and without a monotonic reading
		if got := presentTime(same, now); !got.Equal(same) {
			t.Errorf("%v changes to %v", same, got)
		}
	}
}

func TestRow79_LinesFromBeforeTheClockWasSetAreFound(t *testing.T) {
	h := testHub(t)
	h.configure("s", keepLines(10), false)
	h.seq, h.clockAt = 1, clockOf1970(time.Now())
	h.service("s").ring.push(0, 1, h.clockAt.UnixMilli(), []byte("of 1970\n"), 1)
	since := logQuery{SinceMS: time.Now().Add(-5 * time.Minute).UnixMilli(), Lines: 10}
	wantTexts(t, h.filter(since), "of 1970")
	h.add("s", streamStdout, "of today")
	found := h.filter(since)
	wantTexts(t, found, "of 1970", "of today")
	if at := time.UnixMilli(found[0].TimeMS); at.Year() > 1975 {
		t.Errorf("the line has another time than it was written with: %v", at)
	}
	since.SinceMS = time.Now().Add(time.Minute).UnixMilli()
	wantTexts(t, h.filter(since))
	wantTexts(t, h.filter(logQuery{UntilMS: time.Now().Add(-time.Minute).UnixMilli(), Lines: 10}))
}

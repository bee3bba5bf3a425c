// init_watchdog_test.go tries the watchdog device.

//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatchdogIsFedAndStopped(t *testing.T) {
	name := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dog, err := openWatchdog(name, 60)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dog.feed(), dog.feed()); err != nil {
		t.Fatal(err)
	}
	dog.close()
	if data, _ := os.ReadFile(name); string(data) != "11V" || dog.every != 2*time.Second {
		t.Errorf("wrote %q, every %v", data, dog.every)
	}
	var none *watchdog
	if none.feed() != nil {
		t.Error("no watchdog cannot be fed")
	}
	none.close()
	if _, err := openWatchdog(name+".none", 60); err == nil {
		t.Error("a missing device opens")
	}
}

// TestWatchdogIsFedOnTheWayDown: together the parts may take longer than its time.
func TestWatchdogIsFedOnTheWayDown(t *testing.T) {
	name := filepath.Join(t.TempDir(), "watchdog")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := &watchdog{f, 2 * time.Millisecond}
	fed := func() int { data, _ := os.ReadFile(name); return len(data) }
	hangs, done := make(chan struct{}), false
	defer close(hangs)
	doParts([]downPart{
		{"be slow", func() { eventually(t, "it is fed", func() bool { return fed() >= 10 }) }},
		{"panic", func() { panic("as the test wants it") }},
		{"hang", func() { <-hangs }},
		{"be the last", func() { done = true }},
	}, patience/60, w)
	if !done || fed() < 20 {
		t.Errorf("done %v, fed %d times", done, fed())
	}
}

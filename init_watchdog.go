// init_watchdog.go feeds the watchdog device while the server answers; what it resets is the hardware's.

//go:build linux

package main

import (
	"fmt"
	"os"
	"time"
)

// watchdog is a device that resets the machine unless it is fed. A nil one is none.
type watchdog struct {
	file  *os.File
	every time.Duration // the pace to feed it at: a quarter of its time
}

// unknownTimeout, in seconds, is taken for the timeout of a device that does not say its own: shorter than what drivers set by default.
const unknownTimeout = 8

// openWatchdog opens the device, which starts it, and asks for a time of so many seconds; a device that cannot (WDIOC_SETTIMEOUT of the
// kernel's watchdog-api) keeps its own.
func openWatchdog(name string, seconds int) (*watchdog, error) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the watchdog: %w", err)
	}
	switch got, err := sysWatchdogTimeout(f, seconds); {
	case err != nil:
		logf(logWarn, "watchdog %s keeps its own timeout: %v", name, err)
		seconds = unknownTimeout
	case got <= 0:
		logf(logWarn, "watchdog %s keeps its own timeout, and does not say which", name)
		seconds = unknownTimeout
	default:
		seconds = got
	}
	return &watchdog{f, time.Duration(seconds) * time.Second / 4}, nil
}

// feed tells the device that all is well.
func (w *watchdog) feed() error {
	if w == nil {
		return nil
	}
	_, err := w.file.WriteString("1")
	return err
}

// feedUntil feeds the device until done is closed, at most for a time, and says whether it was closed.
func (w *watchdog) feedUntil(done <-chan struct{}, limit time.Duration) bool {
	end, every := time.Now().Add(limit), limit
	if w != nil {
		every = min(w.every, limit)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return true
		case <-tick.C:
			if !time.Now().Before(end) {
				return false
			}
			_ = w.feed()
		}
	}
}

// close stops the device: V is the letter that says so on purpose.
func (w *watchdog) close() {
	if w != nil {
		_, _ = w.file.WriteString("V")
		w.file.Close()
	}
}

// watchdogSeconds is the time after which the hardware resets a machine whose server does not answer.
const watchdogSeconds = 30

// feed asks the server for a sign of life; what it answers feeds the watchdog.
func (k *keeper) feed() {
	k.feedAt = time.Now().Add(k.watchdog.every)
	if k.closing != nil {
		_ = k.watchdog.feed()
		return
	}
	k.ask()
}

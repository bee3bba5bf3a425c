// program_background.go is the only file that starts goroutines and timer callbacks: a panic in one is reported.

package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// panicked prints a panic with its stack and calls afterPanic, which the keeper replaces.
func panicked(what string, r any) {
	fmt.Fprintf(os.Stderr, "zinit: panic in %s: %v\n%s", what, r, debug.Stack())
	afterPanic()
}

var afterPanic = func() { os.Exit(70) }

// background runs f on a goroutine of its own. A panic in it is reported with its stack
// and ends the process with exit code 70 (EX_SOFTWARE of sysexits.h): a supervisor that has lost a goroutine must be restarted.
func background(what string, f func()) {
	go reported(what, f)
}

// later is time.AfterFunc for what background does.
func later(d time.Duration, what string, f func()) *time.Timer {
	return time.AfterFunc(d, func() { reported(what, f) })
}

func reported(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			panicked(what, r)
		}
	}()
	f()
}

// guarded turns a panic into an error: a defect in one step must not end PID 1.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return do()
}

// spareThreads has the runtime make threads for up to n goroutines at once, where few processes are allowed here; it keeps them. When it needs a new one later, and the
// kernel grants none (RLIMIT_NPROC of the user, the pids limit of a container), it ends the process, and nothing can recover from that. They are at most
// a share of what is allowed, so that services find room too.
func spareThreads(n int) {
	const many, own, share = 1024, 16, 3 // own: the threads of a keeper and a server that do little
	allowed := sysProcessLimit()
	if allowed >= many {
		return
	}
	n = max(0, min(n, (allowed-own)/share))
	var there sync.WaitGroup
	there.Add(n)
	for range n {
		background("spare thread", func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			there.Done()
			there.Wait() // as long as each has one of its own
		})
	}
	there.Wait()
}

// waitFor waits until done is closed, at most limit.
func waitFor(done <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

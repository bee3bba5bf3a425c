// graph_unit.go is what the graph knows of one unit: its configurations, state, wish, process, deadlines and neighbours; nothing is decided here.

//go:build !windows

package main

import "time"

// leave is why a standing unit is to stop. It is decided at once and carried out when the units that depend on it are gone.
type leave uint8

const (
	staying      leave = iota
	leaveCascade       // what it requires is to be stopped
	leaveBound         // what it is bound to has ended: it stops even if that comes back meanwhile
	leaveStop
	leaveRestart
	leaveDelete
	leaveShutdown
)

// comesBack says that a unit which stops for this is blocked then, and starts again with what it requires.
func (l leave) comesBack() bool { return l == leaveCascade || l == leaveBound }

// unit is one service or target: its configuration, its state, and the deadlines of that state.
type unit struct {
	name string
	cfg  *config // in force
	next *config // changed, counts from the next start; nil: none

	state            state
	up               bool // the wish
	startPending     bool // a start is due and not yet looked at
	leave            leave
	retired          bool           // leaves because its file is gone; it stays when that comes back in time
	restartAfterStop bool           // while stopping: a later start or restart was asked for
	cause            *failureReason // while stopping: the fault that began it; nil: a request
	forced           bool           // while stopping: it is to be killed: the stop timeout has passed, or a shutdown kills everything
	killedFor        string         // with forced: the limit that was, if not its own
	byItself         bool           // exited without having been stopped
	prevented        bool           // it ended in a way after which no policy starts it again
	skipped          string         // the condition that did not hold at the last start; "": all did

	gen        uint64 // of the present or last spawn; results of older ones are dropped
	pid        int
	invocation string
	spawned    bool
	undoing    bool      // while stopping: there is no process, but its stop_exec runs
	forks      bool      // it has a pid_file, which has not named the main process yet: the start is not done
	started    time.Time // spawn of the present process
	runningAt  time.Time
	exitCode   *int
	reason     *failureReason
	lastStart  time.Time
	lastStop   time.Time

	tries        int // automatic restarts since the last stable period
	restartCount int // automatic restarts since the last start request
	exits        uint64
	pending      bool
	restartDue   time.Time

	startDue  time.Time // start timeout
	stopDue   time.Time // stop timeout
	readyDue  time.Time // ready_after_ms
	aliveDue  time.Time // watchdog: the next sign of life
	quitDue   time.Time // the end that it has announced itself
	probeDue  time.Time // next health check
	probing   bool
	guardDue  time.Time // next look at mounts, ports and foreign processes
	guarding  bool
	cleared   bool
	guardGen  uint64
	guardWait time.Duration
	external  blocker // what the last look found; kind "" is nothing

	health unitHealth
	said   unitSaid

	boots                                bool // what it does first is part of the boot
	bootBlocked, bootStarting, bootReady time.Time

	waiters                          []*waiter
	summary                          summary
	needsPerson                      bool // while blocked: only a person can clear it
	needs                            neighbours
	bulk                             []*bulkWait
	standingRequiring, standingAfter int       // standing units that require it, or are ordered after it
	due                              time.Time // place in the timer heap
	dueAt, dirtyAt                   int       // places in the heaps, from 1; 0: not in it
	removed                          bool

	changed bool // since takeChanged
}

// unitHealth is what the health checks of the present process have found.
type unitHealth struct {
	ok        bool
	lastError string
	checks    int
	failures  int // in a row
}

// blocker is one thing that keeps a unit from starting.
type blocker struct {
	kind        whyKind
	service     string
	detail      string
	needsPerson bool // only a person can clear it
}

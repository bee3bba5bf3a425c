// graph_event.go is what goes into the graph and what comes out: events, the work that a step returns, and the answers to requests.

//go:build !windows

package main

import (
	"time"
)

// eventKind names the triggers of the machine.
type eventKind uint8

const (
	eventStart eventKind = iota
	eventStop
	eventRestart
	eventKill
	eventSend // text for the stdin
	eventWait
	eventSpawned
	eventSpawnFailed
	eventSkipped // a condition does not hold: text says which
	eventExited
	eventUndone // the stop_exec of a oneshot that had exited has ended
	eventHealth
	eventReady
	eventSick      // it cannot become or stay healthy: text says why
	eventMainPID   // pid is the main process from now on: the service has named it (sd_notify), or its pid file
	eventSays      // text is what it does
	eventErrno     // sig is the errno of what went wrong
	eventReloading // it reads its configuration again, until eventReady
	eventQuitting  // it ends by itself
	eventAlive     // a sign of life, for the watchdog
	eventWatchdog  // timeout is how often it gives one
	eventExtend    // the limit under way is to end no earlier than in timeout
	eventGuard
	eventTick
	eventStartAll
	eventStopAll
	eventDeleteAll
	eventPut
	eventDelete
	eventReload
	eventShutdown
	eventShutdownNow
	eventCancel
)

var eventNames = [...]string{"start", "stop", "restart", "kill", "send", "wait", "spawned", "spawn failed", "skipped", "exited", "undone", "health",
	"ready", "sick", "main pid", "says", "errno", "reloading", "quitting", "alive", "watchdog", "extend", "guard", "tick",
	"start all", "stop all", "delete all", "put", "delete", "reload", "shutdown", "shutdown now", "cancel"}

func (k eventKind) String() string { return eventNames[k] }

// event is one thing that happened, with what is known of it. gen is the generation of the spawn that a result belongs to.
type event struct {
	kind    eventKind
	name    string
	gen     uint64
	to      *ticket
	tree    bool
	wait    bool
	force   bool
	restart bool
	replace bool
	group   bool // of eventKill: all of the service
	timeout time.Duration
	until   state
	sig     int
	pid     int
	exit    exit
	ok      bool
	text    string
	blocker blocker
	cfg     *config
	load    *loadResult
	power   powerKind
	missing bool // of eventSpawnFailed: the program is not there
}

// ends says whether an event is the end of a process: of a service, or of what could not become one.
func (ev *event) ends() bool {
	return ev.kind == eventExited || ev.kind == eventSpawnFailed && ev.pid != 0
}

// effectKind names the work that a step hands to its caller.
type effectKind uint8

const (
	effectSpawn effectKind = iota
	effectCancelSpawn
	effectStop   // the stop signal or stop_exec
	effectUndo   // the stop_exec of a oneshot that has exited; text is the invocation of that
	effectKill   // SIGKILL to all that is left
	effectSignal // a person's signal
	effectSend   // text to the stdin
	effectCheck
	effectGuard
	effectReply
	effectMoved
	effectConfigure // logs of a new or changed unit
	effectForget
	effectFinished
	effectClosing  // a shutdown begins: text is its kind, sig the exit code, limit its time
	effectCritical // a critical unit is no more: sig is the exit code of a container
)

// effect is one piece of work. The fields are copies: it may be performed after the graph has gone on.
type effect struct {
	kind       effectKind
	name       string
	gen        uint64
	cfg        *config
	sig        int
	group      bool // of effectSignal: to all of the service
	from, to   state
	reason     *failureReason
	ticket     *ticket
	answer     *answer // nil: none
	err        *rpcError
	text       string
	restartIn  time.Duration
	restarts   bool // of effectMoved: a restart is pending
	limit      time.Duration
	at         time.Time
	incomplete bool
}

// reply is what the one who waits gets.
func (e *effect) reply() reply {
	r := reply{err: e.err}
	if e.answer != nil {
		r.answer = *e.answer
	}
	return r
}

// ticket identifies one request; the graph never looks inside.
type ticket struct{ done chan reply }

// reply is what a ticket gets, exactly once.
type reply struct {
	answer answer
	err    *rpcError
}

// answer is the result of a request that the core accepted.
type answer struct {
	State     state
	BlockedBy []string
	Names     []string
	Skipped   []string
	Errs      []bulkFailure
	Reload    *reloadResult
	Warnings  []problem
}

func (g *graph) emit(e effect) { g.out = append(g.out, e) }

func (g *graph) answer(to *ticket, a answer) {
	if to != nil {
		g.emit(effect{kind: effectReply, ticket: to, answer: &a})
	}
}

func (g *graph) refuse(to *ticket, r *rpcError) {
	if to != nil {
		g.emit(effect{kind: effectReply, ticket: to, err: r})
	}
}

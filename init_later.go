// init_later.go keeps the shutdown that is planned for a later time: it must come also when no server lives then.

//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// laterShutdown is a shutdown that is planned.
type laterShutdown struct {
	kind powerKind
	at   time.Time
}

// plan takes KIND MS from the server: a shutdown in so many milliseconds instead of the one that was planned; without these words none.
func (k *keeper) plan(words string) {
	kind, delay, _ := strings.Cut(words, " ")
	ms, err := strconv.ParseInt(delay, 10, 64)
	if err != nil {
		k.later = nil
		return
	}
	k.later = &laterShutdown{powerKind(kind), time.Now().Add(time.Duration(ms) * time.Millisecond)}
}

// planned is plan as the next server is told.
func (k *keeper) planned() string {
	if k.later == nil {
		return planWord
	}
	return fmt.Sprintf("%s %s %d", planWord, k.later.kind, max(0, time.Until(k.later.at).Milliseconds()))
}

// shutdownIfDue begins the shutdown that was planned.
func (k *keeper) shutdownIfDue(now time.Time) {
	if l := k.later; l != nil && over(l.at, now) {
		k.later = nil
		logf(logInfo, "the planned %s begins", l.kind)
		k.shutdown(l.kind, 0, false)
	}
}

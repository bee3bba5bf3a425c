// supervisor_later.go plans a shutdown for a later time and tells whoever is logged in; the keeper keeps the time and begins it.

//go:build !windows

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// shutdownLater plans a shutdown instead of the one that was planned, and warns. It is for servers under the keeper.
func (s *supervisor) shutdownLater(kind powerKind, delay time.Duration, text string) {
	plan := fmt.Sprintf("%s %d", kind, delay.Milliseconds())
	s.keeper.send(packet{op: opDo, text: planWord + " " + plan})
	s.planned(plan)
	what := string(kind)
	if s.mode != modeSystem {
		what = "end of this container"
	}
	s.warnAll(strings.TrimSuffix(fmt.Sprintf("%s at %s: %s", what, time.Now().Add(delay).Format(time.TimeOnly), visible(text)), ": "))
}

// cancelShutdown gives up the shutdown that is planned, if one is.
func (s *supervisor) cancelShutdown() {
	if s.plannedAt.Load() == 0 {
		return
	}
	s.keeper.send(packet{op: opDo, text: planWord})
	s.planned("")
	s.warnAll("the planned shutdown is cancelled")
}

// planned notes what is planned: KIND MS, or nothing.
func (s *supervisor) planned(plan string) {
	_, delay, _ := strings.Cut(plan, " ")
	ms, err := strconv.ParseInt(delay, 10, 64)
	if err != nil {
		s.plannedAt.Store(0)
		return
	}
	s.plannedAt.Store(time.Now().UnixMilli() + ms)
}

// warnAll tells the console and all terminals on which somebody is logged in, as wall(1) does.
func (s *supervisor) warnAll(text string) {
	logf(logWarn, "%s", text)
	background("warning on terminals", func() {
		for _, tty := range sysSessionTerminals() {
			_ = sysTellTerminal(tty, "\r\nzinit: "+text+"\r\n")
		}
	})
}

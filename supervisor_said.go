// supervisor_said.go says in the log and to the subscribers what becomes of services; of a restart loop, the log has every tenth turn.

//go:build !windows

package main

import (
	"fmt"
	"time"
)

// saidEvery: of a restart loop the first turn and then every tenth are logged at their level, the others at debug, so that an endless loop does not fill the log.
const saidEvery = 10

// saidLoop is the end that a service comes to again and again. An end belongs to it if it has the same text and comes within a minute of the last one.
type saidLoop struct {
	text string
	at   time.Time
	n    int
}

// again says whether something that happens now belongs to the loop.
func (l *saidLoop) again(now time.Time) bool { return l != nil && now.Sub(l.at) <= time.Minute }

// quiet says whether this turn of the loop is left out.
func (l *saidLoop) quiet() bool { return l.n > 1 && l.n%saidEvery > 0 }

// moved tells the log and the subscribers of a change of state.
func (s *supervisor) moved(e *effect) {
	switch e.to {
	case running:
		level := logInfo
		if l := s.loops[e.name]; l.again(e.at) && l.quiet() {
			level = logDebug
		}
		logf(level, "%s is running", e.name)
	case exited:
		if e.text != "" {
			s.sayEnd(logInfo, e, fmt.Sprintf("%s is skipped: its condition %q does not hold", e.name, e.text))
			break
		}
		s.sayEnd(logInfo, e, e.name+" has exited")
	case failed:
		text := fmt.Sprintf("%s failed: %s", e.name, e.reason)
		if e.restartIn > 0 {
			text += "; restarts in " + span(e.restartIn)
		}
		s.sayEnd(logWarn, e, text)
	default:
		if e.from == stopping {
			delete(s.loops, e.name) // somebody started it anew
		}
		logf(logDebug, "%s: %s -> %s", e.name, e.from, e.to)
	}
	s.events.tell(e)
	s.tellProxies(e.name, isDown(e.to))
}

// sayEnd says how a service has ended, unless that is one more turn of a loop.
func (s *supervisor) sayEnd(level logLevel, e *effect, text string) {
	l := s.loops[e.name]
	switch {
	case !e.restarts:
		delete(s.loops, e.name)
		logf(level, "%s", text)
		return
	case !l.again(e.at) || l.text != text:
		l = &saidLoop{text: text}
		s.loops[e.name] = l
	}
	l.n, l.at = l.n+1, e.at
	switch {
	case l.quiet():
		logf(logDebug, "%s", text)
	case l.n == 1:
		logf(level, "%s", text)
	default:
		logf(level, "%s (%d times in a row; every tenth time is said)", text, l.n)
	}
}

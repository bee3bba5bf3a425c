// supervisor_kill.go signals the processes of services (stops, kills and what people send) and hands on texts for their stdin, away from the owner, since looking at /proc takes time.

//go:build !windows

package main

import (
	"errors"
	"fmt"
)

// signalJob is an effect that signals, with the life that it means; nil: that is over.
type signalJob struct {
	effect
	life *life
}

// sendSignals performs the queued signal jobs in order, for the life of the server. Stops that come together, and kills that come together, share one look at /proc.
func (s *supervisor) sendSignals() {
	for range s.signalJobs.wake {
		for todo := s.signalJobs.take(); len(todo) > 0; {
			kind, n := todo[0].kind, 0
			var all []*process
			var sigs []int
			for ; n < len(todo) && todo[n].kind == kind && s.plain(&todo[n]); n++ {
				if l := todo[n].life; l != nil {
					all, sigs = append(all, l.proc), append(sigs, l.cfg.Lifecycle.StopSignal)
				}
			}
			switch {
			case n == 0:
				s.touch(&todo[0])
				n = 1
			case kind == effectStop:
				s.procs.stop(all, sigs)
			default:
				s.procs.kill(all)
			}
			todo = todo[n:]
		}
	}
}

// plain says whether a job is a stop or a kill of a service by its signal, which can be done together with others.
func (s *supervisor) plain(j *signalJob) bool {
	return j.kind == effectKill || j.kind == effectStop && !s.isMain(j.name) && (j.life == nil || j.life.cfg.Lifecycle.StopExec.none())
}

// touch signals the process of one generation. When it is gone already, its end is under way to the graph and nothing is to do.
func (s *supervisor) touch(j *signalJob) {
	l := j.life
	if j.kind == effectSend {
		j.ticket.done <- reply{err: l.sendText(j.name, j.text)}
		return
	}
	if l == nil {
		if j.ticket != nil {
			j.ticket.done <- reply{err: refuse(kindServiceIsDown, "cannot signal %s: it has no process", j.name)}
		}
		return
	}
	if j.kind == effectStop {
		if s.isMain(j.name) && !s.isAbandoned() {
			s.keeper.send(packet{op: opDo, text: fmt.Sprintf("signal %d", sigTerm)})
			return
		}
		s.stop(l)
		return
	}
	r := reply{}
	if err := l.proc.signal(j.sig, j.group); errors.Is(err, errGone) {
		r.err = refuse(kindServiceIsDown, "cannot signal %s: it has no process", j.name)
	} else if err != nil {
		r.err = refuse(kindProcessError, "cannot send %s to %s: %v", signalName(j.sig), j.name, err)
	}
	j.ticket.done <- r
}

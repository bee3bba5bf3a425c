// supervisor_stop.go runs the stop_exec of services: before the stop signal, and alone for a oneshot that has exited. Signals are sent in supervisor_kill.go.

//go:build !windows

package main

import (
	"bytes"
	"maps"
	"strconv"
	"time"
)

// stopMoment is how long a service may keep running after its stop_exec has ended before it gets the stop signal.
const stopMoment = 100 * time.Millisecond

// stop asks a service to end: by its stop_exec where it has one, and then by its stop signal.
func (s *supervisor) stop(l *life) {
	c := &l.cfg.Lifecycle
	if c.StopExec.none() {
		l.proc.stop(c.StopSignal)
		return
	}
	asked := make(chan struct{})
	l.asking.Store(&asked)
	background("stop_exec", func() {
		defer close(asked)
		told := *l.cfg
		told.Service.Env = maps.Clone(told.Service.Env)
		if told.Service.Env == nil {
			told.Service.Env = map[string]string{}
		}
		told.Service.Env["MAINPID"] = strconv.Itoa(l.proc.mainPID())
		s.procs.prepareStop([]*process{l.proc}, []int{c.StopSignal}) // who is left when the main process has ended is asked then
		if err := s.stopExec(&told, l.proc.invocation, c.StopTimeout, nil); err != nil {
			logf(logWarn, "stop_exec of %s: %v; sending %s", l.name, err, signalName(c.StopSignal))
		}
		for end := time.Now().Add(stopMoment); !l.proc.hasEnded() && time.Now().Before(end); {
			time.Sleep(stopMoment / 20)
		}
		if !l.proc.hasEnded() {
			l.proc.stop(c.StopSignal)
		}
	})
}

// stopExec runs the stop_exec of a service to its end; what it says goes into the log of the service.
func (s *supervisor) stopExec(c *config, invocation string, limit time.Duration, over <-chan struct{}) error {
	out := &stopOutput{lines: func(text string) { s.logs.add(c.Service.Name, streamStdout, text) }}
	defer out.end()
	return s.procs.probe(c, c.Lifecycle.StopExec, invocation, limit, out, over)
}

// undo runs the stop_exec of a oneshot that has exited, and tells the graph when it has ended. The graph keeps the time.
func (s *supervisor) undo(e *effect) {
	over := make(chan struct{})
	s.undos[e.gen] = over
	name, gen, cfg, invocation := e.name, e.gen, e.cfg, e.text
	background("stop_exec", func() {
		done := make(chan error, 1)
		background("stop_exec", func() { done <- s.stopExec(cfg, invocation, 2*cfg.Lifecycle.StopTimeout+checkGrace, over) })
		var err error
		select {
		case err = <-done:
		case <-over: // it is killed now, unless it hangs on a mount that does not answer
			limit := time.NewTimer(slowRead)
			defer limit.Stop()
			select {
			case err = <-done:
			case <-limit.C:
				err = errStuck
			}
		}
		if err != nil {
			logf(logWarn, "stop_exec of %s: %v", name, err)
		}
		s.submit(event{kind: eventUndone, name: name, gen: gen})
	})
}

// stopOutput hands on whole lines of what is written to it; end hands on the rest.
type stopOutput struct {
	lines func(string)
	rest  []byte
}

func (w *stopOutput) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	n := bytes.LastIndexByte(w.rest, '\n') + 1
	if n == 0 && len(w.rest) > maxLine {
		n = len(w.rest)
	}
	if n > 0 {
		w.lines(string(w.rest[:n]))
		w.rest = w.rest[n:]
	}
	return len(b), nil
}

func (w *stopOutput) end() {
	if len(w.rest) > 0 {
		w.lines(string(w.rest))
	}
}

// supervisor_check.go looks at services and their surroundings for the owner: health checks, and what keeps a start from being allowed. It decides nothing.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkGrace is how much longer than its timeout a check may take before it counts as stuck: to kill a command, and to read what it said.
const checkGrace = time.Second

var errStuck = errors.New("the check itself hangs: is its target on a mount that does not answer?")

// check runs one health check and reports it. One that hangs in the kernel is a failure, and so is the next one as long as it does.
func (s *supervisor) check(l *life) {
	c := l.cfg
	probe := func(cmd execDef, timeout time.Duration) error { // with its name, so that what is left of a check ends with its service
		return s.procs.probe(c, cmd, l.proc.invocation, timeout, nil, l.over)
	}
	err := errStuck
	if !l.stuck.Swap(true) {
		done, ended := make(chan error, 1), make(chan struct{})
		l.checking.Store(&ended)
		background("health check", func() {
			def := *c.Health
			target, err := expandedFor(c, "target", def.Target)
			if def.Target = target; err == nil {
				err = check(&def, probe)
			}
			l.stuck.Store(false)
			close(ended)
			done <- err
		})
		limit := time.NewTimer(c.Health.Timeout + checkGrace)
		defer limit.Stop()
		select {
		case err = <-done:
		case <-limit.C:
		}
	}
	ev := event{kind: eventHealth, name: l.name, gen: l.gen, ok: err == nil}
	if err != nil {
		ev.text = err.Error()
	}
	s.submit(ev)
}

// guard looks at what outside the graph may hinder a start: mounts that are not there, ports in use, and foreign processes, which it ends where the file says so.
func (s *supervisor) guard(name string, gen uint64, c *config) {
	ev := event{kind: eventGuard, name: name, gen: gen}
	ev.blocker, ev.ok = s.hindered(c)
	s.submit(ev)
}

func (s *supervisor) hindered(c *config) (blocker, bool) {
	if b, missing := unmounted(c.Dependencies.Mounts); missing {
		return b, false
	}
	if f := c.Service.ProcessFilter; f != "" {
		pids := s.procs.foreign(f)
		if len(pids) > 0 && c.Service.KillOthers {
			logf(logWarn, "%s: ending %s, which process_filter %q matches", c.Service.Name, pidNames(pids), f)
			pids = removeForeign(pids, c.Lifecycle.StopTimeout)
		}
		if len(pids) > 0 {
			return blocker{kind: whyProcessFilter, service: fmt.Sprintf("process %d", pids[0]), needsPerson: true,
				detail: fmt.Sprintf("the foreign %s matches process_filter %q", pidNames(pids[:1]), f)}, false
		}
	}
	for _, port := range c.Service.Ports {
		if !s.holdsPort(port) && !portFree(port) {
			return blocker{kind: whyPort, service: fmt.Sprintf("port %d", port), detail: fmt.Sprintf("port %d is in use", port), needsPerson: true}, false
		}
	}
	return blocker{}, true
}

// unmounted is the first of some paths that is no mount point. The kernel is asked for its list: a look at the path itself could hang.
func unmounted(paths []string) (b blocker, missing bool) {
	if len(paths) == 0 {
		return b, false
	}
	points, err := sysMountPoints()
	for _, p := range paths {
		if slices.Contains(points, p) {
			continue
		}
		b = blocker{kind: whyMount, service: "mount " + p, needsPerson: true, detail: visible(p) + " is not a mount point"}
		if err != nil {
			b.detail = fmt.Sprintf("whether %s is a mount point cannot be seen: %v", visible(p), err)
		}
		return b, true
	}
	return b, false
}

// pidNames names processes for people: process 12 (sleep 9).
func pidNames(pids []int) string {
	var names []string
	for _, pid := range pids {
		name := fmt.Sprintf("process %d", pid)
		if st, err := readStat(pid); err == nil {
			name += " (" + visible(commandOf(&st)) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

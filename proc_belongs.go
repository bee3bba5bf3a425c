// proc_belongs.go says whether a process that somebody names is one of a service. It changes nothing.

//go:build !windows

package main

import "time"

// belongs says whether pid is a live process of the service of p, whose first process has ended: by its session or group, by the name of the start in its environment,
// or, if it has overwritten its environment as some daemons do, because it is a child of ours, was started later and names no other service. One whose parent is
// another process still is left for later, unless anyParent is set: how it ends would not be known.
func (t *procs) belongs(p *process, pid int, anyParent bool) bool {
	st, err := readStat(pid)
	if err != nil || st.dead() || st.PPID != t.root && !anyParent {
		return false
	}
	t.mu.Lock()
	first, taken := p.pid, t.live[pid] != nil
	t.mu.Unlock()
	if taken {
		return false
	}
	if st.Session == first || st.PGID == first {
		return true
	}
	if id := invocationOf(pid); id != "" {
		return id == p.invocation
	}
	const slack = 30 * time.Millisecond // start times are counted in hundredths of a second
	return st.PPID == t.root && serviceOf(pid) == "" && time.Now().Add(-st.Age()).After(p.started.Add(-slack))
}

// howEnded is how the last main process ended, and toStop whether the service is to be stopped.
func (p *process) howEnded() exit {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.result
}

func (p *process) toStop() bool {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.stopping || p.killed
}

// proc_main.go lets another process of a service become its main process: one that the service names (sd_notify's MAINPID=, a pid file). Who may be named is decided elsewhere.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// exitPatience is how long after the end of a main process that was no child of ours at first its exit status may take to be reported.
const exitPatience = 500 * time.Millisecond

var errOtherMain = errors.New("it is the main process of another service")

// become makes another live process of the service its main process: its end is the end of the service from now on, and signals go to its group. What was the main
// process is a relative from now on. It may be called while the main process lives, or, after succession has answered true, when that has ended.
func (p *process) become(pid int) error {
	st, err := readStat(pid)
	if err != nil || st.dead() {
		return errGone
	}
	pidfd, err := sysPidfd(pid)
	if err != nil {
		pidfd = -1
	}
	group := leaderOf(&st)
	t := p.t
	t.mu.Lock()
	before := procID{p.pid, p.start}
	switch {
	case t.live[pid] == p:
		err = nil
	case t.live[pid] != nil:
		err = errOtherMain
	case p.ended && p.queued:
		err = errGone
	default:
		lives := !p.ended
		t.succeed(p, pid, pidfd, &st, group)
		t.mu.Unlock()
		if old, e := readStat(before.pid); lives && e == nil && (before.start == 0 || old.Start == before.start) {
			p.addRelatives(append(descendantsOf(before.pid), procID{before.pid, old.Start}))
			p.dropRelative(pid)
		}
		return nil
	}
	t.mu.Unlock()
	if pidfd >= 0 {
		_ = sysClose(pidfd)
	}
	return err
}

// succeed is become under mu.
func (t *procs) succeed(p *process, pid, pidfd int, st *procStat, group procID) {
	delete(t.live, p.pid)
	p.closePidfd()
	t.decided(p)
	p.pid, p.start, p.pidfd, p.ended, p.group = pid, st.Start, pidfd, false, group
	t.live[pid] = p
	if p.adopted || st.PPID != t.root {
		t.follow(p)
	}
}

// leaderOf is the process group of a process, as the pid and, while it lives, the start time of its leader; zero where the process leads its own.
func leaderOf(st *procStat) procID {
	if st.PGID == st.PID || st.PGID <= 1 {
		return procID{}
	}
	k := procID{pid: st.PGID}
	if leader, err := readStat(k.pid); err == nil {
		k.start = leader.Start
	}
	return k
}

// ownGroup is the process group of p, under mu: its number, and the start time of its leader, 0 where that is not known.
func (p *process) ownGroup() procID {
	if p.group.pid != 0 {
		return p.group
	}
	return procID{p.pid, p.start}
}

// groupNow is ownGroup for whoever does not hold mu.
func (p *process) groupNow() procID {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.ownGroup()
}

// mainPID is the pid of the main process, or of the one that was the last.
func (p *process) mainPID() int {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.pid
}

// sendGroup signals the group of a main process that does not lead it, under mu; or only that process, where it has gone to the group of somebody else.
func (p *process) sendGroup(sig int) error {
	if p.pidfd >= 0 && !sysPidfdAlive(p.pidfd) || p.pidfd < 0 && !p.stillThere() {
		return errGone
	}
	if sysGroup(p.pid) != p.group.pid {
		return sysKillOne(procID{p.pid, p.start}, sig)
	}
	return sysKillGroup(p.group.pid, -1, sig)
}

// dropRelative takes a process off the list of those that are looked after beside the main process.
func (p *process) dropRelative(pid int) {
	p.relativesMu.Lock()
	defer p.relativesMu.Unlock()
	p.relatives = slices.DeleteFunc(p.relatives, func(r relative) bool { return r.pid == pid })
}

// inherit has those who ended looked at: another process may follow as the main one, else the service has ended.
func (t *procs) inherit() {
	t.mu.Lock()
	var ask []*process
	for _, p := range t.leaving {
		if !p.asking {
			p.asking = true
			ask = append(ask, p)
		}
	}
	t.mu.Unlock()
	for _, p := range ask {
		if t.succession == nil || !t.succession(p) {
			p.conclude()
		}
	}
}

// decided notes, under mu, that it is known what the end of a main process was.
func (t *procs) decided(p *process) {
	p.asking = false
	t.leaving = slices.DeleteFunc(t.leaving, func(other *process) bool { return other == p })
}

// conclude makes the end of the main process the end of the service, unless another one has become it meanwhile.
func (p *process) conclude() {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.ended {
		p.t.conclude(p)
	}
}

// seenEnded is told by the pidfd of p that it has ended, under mu. Where its parent is one that lives and will not tell us, that is all that can be learned; a former
// child of somebody else may be ours by now, or as soon as the last thread of that one has gone, and its exit is on its way.
func (t *procs) seenEnded(p *process) {
	if st, err := readStat(p.pid); p.adopted || err == nil && st.PPID != t.root && lives(st.PPID) {
		t.end(p, exit{})
		return
	}
	pid := p.pid
	later(exitPatience, fmt.Sprintf("end of process %d", pid), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if p.pid == pid && !p.ended {
			t.end(p, exit{})
		}
	})
}

// lives says whether a process is there, and its first thread has not ended. Nobody is the parent (0) of one that is just being waited for.
func lives(pid int) bool {
	st, err := readStat(pid)
	return err == nil && st.State != 'Z' && st.State != 'X'
}

// proc_adopt.go takes over processes that an earlier server started, and notices the end of those that are no children of ours.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// adoptedPace is how often an adopted process is polled if its end is not reported.
const adoptedPace = 250 * time.Millisecond

// adopt takes over a process that an earlier server started. startTicks (from ticks) guards against a number that was reused; 0 is not known.
// If it is a child of ours (or of our parent, which reports), its exit comes as always; else its end is all that can be learned:
// gone gets Known = false. That is also what happens when the process is not there any more; what it left behind is still removed.
// Where the kernel refuses a pidfd, or descriptors are short, the pid and its start time must do.
func (t *procs) adopt(p *process, pid int, startTicks uint64) error {
	if pid <= 1 {
		return fmt.Errorf("pid %d cannot be adopted", pid)
	}
	p.pid, p.adopted, p.start, p.started = pid, true, startTicks, time.Now()
	if fd, err := sysPidfd(pid); err == nil {
		p.pidfd = fd
	}
	st, err := readStat(pid)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.stillThere() {
		t.end(p, exit{})
		return nil
	}
	if err == nil {
		p.start, p.started, p.group = st.Start, time.Now().Add(-st.Age()), leaderOf(&st)
	}
	t.live[pid] = p
	if err != nil || st.PPID != t.root {
		t.follow(p)
	}
	return nil
}

// stillThere says whether the process is still the one that was started. Without /proc the number must do, and that it leads a session as services do.
func (p *process) stillThere() bool {
	st, err := readStat(p.pid)
	if err == nil {
		return p.start == 0 || st.Start == p.start
	}
	return !errors.Is(sysKill(p.pid, 0), syscall.ESRCH) && !haveProc() && sysLeads(p.pid)
}

// haveProc says whether there is a /proc of this pid namespace.
func haveProc() bool {
	_, err := readStat(os.Getpid())
	return err == nil
}

// follow watches, under mu, for the end of a process whose parent does not report it: by its pidfd or, without one, by polling.
func (t *procs) follow(p *process) {
	if p.pidfd < 0 || t.watchPid(p) != nil {
		t.polled = append(t.polled, p)
		t.wakeLoop()
	}
}

// poll looks whether those that can only be looked at are still there, and says whether there are such.
func (t *procs) poll() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.polled = slices.DeleteFunc(t.polled, func(p *process) bool {
		if st, err := readStat(p.pid); !p.ended && (!p.stillThere() || err == nil && st.dead() && (p.adopted || st.PPID != t.root)) {
			t.end(p, exit{})
		}
		return p.ended
	})
	return len(t.polled) > 0
}

// adoptReported takes over a process whose exit our parent reports: alive, or ended with a status that is known already.
func (t *procs) adoptReported(p *process, pid int, status *uint32) {
	p.pid, p.started, p.adopted = pid, time.Now(), t.parent
	if fd, err := sysPidfd(pid); err == nil && status == nil {
		p.pidfd = fd
	}
	st, err := readStat(pid)
	t.mu.Lock()
	defer t.mu.Unlock()
	if status != nil {
		t.end(p, decodeStatus(*status))
		return
	}
	t.live[pid] = p
	if err == nil && (st.PGID != pid || st.PPID != t.root) { // it became the main process, or is CMD
		p.group = leaderOf(&st)
		if st.PPID != t.root {
			t.follow(p)
		}
	}
}

// orphaned is told that our parent, which reaped and reported, has died: from now on an end is seen by the pidfd, and its status by nobody.
func (t *procs) orphaned() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parentDied = true
	if !t.parent {
		t.root = os.Getppid()
	}
	for pid, p := range t.live {
		if t.parent && !p.adopted {
			continue // our own child
		}
		p.adopted = true
		if p.pidfd < 0 {
			p.pidfd, _ = sysPidfd(pid)
		}
		t.follow(p)
	}
}

// lost records the end of a process that ended before it was adopted and whose exit status is unknown.
func (t *procs) lost(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.ended {
		t.end(p, exit{})
	}
}

// watchPid has the end of an adopted process reported by its pidfd, under mu.
func (t *procs) watchPid(p *process) error {
	if t.watch == nil {
		w, err := newPidWatch(func(fd int) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if p := t.watched[fd]; p != nil && !sysPidfdAlive(fd) {
				t.seenEnded(p)
			}
		})
		if err != nil {
			return err
		}
		t.watch = w
	}
	t.watched[p.pidfd] = p
	return t.watch.add(p.pidfd)
}

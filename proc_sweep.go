// proc_sweep.go removes what is left of a service when its main process has ended: its group, its descendants, and what escaped from both.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// leftoverPace is how often what is left of an ended service is looked at again. Nothing ticks while nothing is left.
	leftoverPace = 50 * time.Millisecond
	// leftoverLimit is how long a process may survive SIGKILL (uninterruptible sleep) before it is given up.
	leftoverLimit = 5 * time.Second
	// strayReaders is how many processes are asked for their environment at once: few threads, and little delay by those that do not answer.
	strayReaders = 8
)

// sweep takes one look at everything pending, tells who is done, and says whether anything remains. A process is done when nothing known
// of it was left and a scan that began after that finds nothing either: whatever its last members had for children is ours by then.
// One scan serves the whole batch, so that a thousand stops cost few scans.
func (t *procs) sweep(now time.Time) bool {
	t.mu.Lock()
	batch := slices.Clone(t.pending)
	for _, p := range batch {
		p.seen = sweepLook{ended: p.ended, killed: p.killed, stopping: p.stopping, asked: p.asked, stopSig: p.stopSig, killedAt: p.killedAt}
	}
	t.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	t.lookAtGroups(batch)
	for _, p := range batch {
		p.seen.left = p.endGroup() + p.endRelatives()
	}
	strays := t.noteStrays(batch...)
	done := slices.DeleteFunc(batch, func(p *process) bool {
		if strays[p] {
			p.endRelatives()
			if p.seen.killed {
				p.leaf.kill()
			}
			p.seen.left++
		}
		if p.seen.left == 0 && !p.leave() {
			p.seen.left++
		}
		return p.seen.left > 0 && !p.givenUp(now)
	})
	t.mu.Lock()
	for _, p := range done {
		p.reported = true
	}
	t.pending = slices.DeleteFunc(t.pending, func(p *process) bool { return p.reported })
	rest := len(t.pending) > 0
	t.mu.Unlock()
	for _, p := range done {
		p.gone(p.result)
	}
	return rest
}

// sweepLook is what a sweep found of a process at its beginning.
type sweepLook struct {
	ended, killed, stopping, asked bool
	stopSig                        int
	killedAt                       time.Time
	group                          bool       // its process group outlives it …
	members                        []procStat // … with these, where they are to be killed
	left                           int
}

// lives says that what is left of the process stays: it is in mode process, and has ended.
func (p *process) lives() bool { return p.mode == killProcess && p.seen.ended }

// lookAtGroups finds the process groups that outlive their leaders. The members of those that are to be killed are found by one look at all processes.
func (t *procs) lookAtGroups(batch []*process) {
	wanted := map[int]*process{}
	for _, p := range batch {
		p.seen.group = p.seen.ended && !p.lives() && p.groupLeft()
		if p.seen.group && p.seen.killed {
			wanted[p.groupNow().pid] = p
		}
	}
	if len(wanted) == 0 {
		return
	}
	for _, pid := range sysAllPids() {
		if st, err := readStat(pid); err == nil && wanted[st.PGID] != nil && !st.dead() {
			seen := &wanted[st.PGID].seen
			seen.members = append(seen.members, st)
		}
	}
}

// endGroup does what is due for the process group and says whether it keeps p from being done: 1 or 0. What descends from its members is noted before they are killed.
func (p *process) endGroup() int {
	switch {
	case p.lives() || p.seen.ended && !p.seen.group:
		return 0
	case !p.seen.ended:
		return 1
	case p.seen.killed:
		for i := range p.seen.members {
			p.noteBehind(&p.seen.members[i])
			p.addRelatives(descendantsOf(p.seen.members[i].PID))
		}
		_ = sysKillGroup(p.groupNow().pid, -1, sigKill)
	case !p.seen.asked: // only its main process was, by stop_exec
		p.t.mu.Lock()
		p.asked = true
		p.t.mu.Unlock()
		_ = sysKillGroup(p.groupNow().pid, -1, p.seen.stopSig)
	}
	return 1
}

// noteBehind notes a process that is killed because its service ended by itself.
func (p *process) noteBehind(st *procStat) {
	if text := fmt.Sprintf("%s %d", visible(st.Comm), st.PID); p.seen.ended && !p.seen.stopping && !slices.Contains(p.behind, text) {
		p.behind = append(p.behind, text)
	}
}

// leftBehind says what was left when the process ended by itself, and was killed; "": nothing. It may be called once gone was.
func (p *process) leftBehind() string {
	if len(p.behind) == 0 {
		return ""
	}
	const most = 20
	names := strings.Join(p.behind[:min(most, len(p.behind))], ", ")
	if len(p.behind) > most {
		names += ", …"
	}
	return fmt.Sprintf("%s behind: %s, killed", plural(len(p.behind), "process"), names)
}

// killOrphans kills inherited children that can no longer be attributed to a service, except those in spare and those of services that may
// leave something behind.
func (t *procs) killOrphans(spare []procID, mayLeave map[string]bool) {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(leftoverPace / 10) {
		left := 0
		for _, pid := range sysOrphans(os.Getpid()) {
			if st, err := readStat(pid); err == nil && !st.dead() && !slices.Contains(spare, procID{pid, st.Start}) && !mayLeave[serviceOf(pid)] {
				left++
				_ = sysKillOne(procID{pid, st.Start}, sigKill)
			}
		}
		if left == 0 {
			return
		}
	}
}

// givenUp says whether what is left of p has survived SIGKILL for too long, and notes how many that are.
func (p *process) givenUp(now time.Time) bool {
	if !p.seen.killed || now.Sub(p.seen.killedAt) < leftoverLimit {
		return false
	}
	left := p.survivors()
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.result.Left = left
	return true
}

// endRelatives forgets relatives that ended, does what is due for the rest, and counts those that keep p from being done.
func (p *process) endRelatives() int {
	if p.mode == killProcess {
		return 0
	}
	group := p.groupNow().pid
	p.relativesMu.Lock()
	defer p.relativesMu.Unlock()
	kept := p.relatives[:0]
	for _, r := range p.relatives {
		st, runs := r.stat()
		if !runs {
			continue
		}
		switch {
		case p.seen.killed:
			p.noteBehind(&st)
			_ = sysKillOne(r.procID, sigKill)
		case p.seen.ended && !r.asked:
			if st.PGID != group {
				_ = sysKillOne(r.procID, p.seen.stopSig)
			}
			r.asked = true
		}
		kept = append(kept, r)
	}
	p.relatives = kept
	return len(kept)
}

// groupLeft says whether the process group outlives its reaped leader. The number stays reserved while the group has members;
// a process that has the number as its pid means that the group was empty and the number went to somebody else.
func (p *process) groupLeft() bool {
	group := p.groupNow()
	if errors.Is(sysKill(-group.pid, 0), syscall.ESRCH) {
		return false
	}
	if errors.Is(sysKill(group.pid, 0), syscall.ESRCH) {
		return true
	}
	// An adopted leader may wait as a zombie for its own parent, and one that is not the main process may live: then the number is still ours.
	st, err := readStat(group.pid)
	return err == nil && group.start != 0 && st.Start == group.start && len(groupMembers(group.pid)) > 0
}

// survivors counts what is given up: group members and descendants that are no zombies, and the main process itself.
func (p *process) survivors() int {
	var all []int
	if !p.seen.ended || p.groupLeft() {
		all = groupMembers(p.groupNow().pid)
	}
	p.relativesMu.Lock()
	defer p.relativesMu.Unlock()
	for _, k := range p.relatives {
		if !slices.Contains(all, k.pid) {
			all = append(all, k.pid)
		}
	}
	return len(all)
}

// groupMembers lists the processes of a group that still run.
func groupMembers(pgid int) []int {
	var members []int
	for _, pid := range sysAllPids() {
		if st, err := readStat(pid); err == nil && st.PGID == pgid && !st.dead() {
			members = append(members, pid)
		}
	}
	return members
}

// noteStrays notes what else belongs to these processes, and says to which it found any: what is in their control groups, and children of ours that carry their
// invocation id (they escaped by a double fork), with their descendants. Main processes in the table are none. After an adoption without parenthood orphans belong
// to somebody else, so all processes are looked at.
func (t *procs) noteStrays(batch ...*process) map[*process]bool {
	ids := make(map[string]*process, len(batch))
	wide := false
	found := map[*process]bool{}
	note := func(p *process, pid int, more ...procID) {
		if st, err := readStat(pid); err == nil && !st.dead() {
			found[p] = true
			p.addRelatives(append(more, procID{pid, st.Start}))
		}
	}
	for _, p := range batch {
		if !p.lives() {
			for _, pid := range t.others(p.leaf.pids()) {
				note(p, pid)
			}
		}
		if p.invocation != "" && !p.lives() {
			ids[p.invocation] = p
			wide = wide || p.adopted
		}
	}
	if len(ids) == 0 {
		return found
	}
	pids := sysOrphans(t.root)
	if wide {
		pids = sysAllPids()
	}
	pids = slices.DeleteFunc(t.others(pids), func(pid int) bool { return pid == t.root || pid == os.Getpid() })
	for chunk := range slices.Chunk(pids, strayReaders) {
		carried := make([]string, len(chunk))
		var read sync.WaitGroup
		for i, pid := range chunk {
			read.Add(1)
			background("looking for strays", func() {
				defer read.Done()
				carried[i] = invocationOf(pid)
			})
		}
		read.Wait()
		for i, pid := range chunk {
			if p := ids[carried[i]]; p != nil {
				note(p, pid, descendantsOf(pid)...)
			}
		}
	}
	return found
}

// others are those of the pids that are no main processes in the table.
func (t *procs) others(pids []int) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(pids, func(pid int) bool { return t.live[pid] != nil })
}

func (p *process) addRelatives(found []procID) {
	p.relativesMu.Lock()
	defer p.relativesMu.Unlock()
	for _, k := range found {
		if !slices.ContainsFunc(p.relatives, func(r relative) bool { return r.procID == k }) {
			p.relatives = append(p.relatives, relative{procID: k})
		}
	}
}

// noteDescendants notes who descends from these processes now; nobody from one that was reaped. For many that is one look at all processes: /proc takes longer to
// tell the children of one than a process takes to end.
func (t *procs) noteDescendants(all ...*process) {
	const many = 16
	var families map[int][]procID
	if len(all) >= many {
		families = t.families(8 * len(all))
	}
	for _, p := range all {
		t.mu.Lock()
		ended, pid := p.ended, p.pid
		t.mu.Unlock()
		switch {
		case ended:
		case families == nil:
			p.addRelatives(descendantsOf(pid))
		default:
			found := slices.Clone(families[pid])
			for i := 0; i < len(found); i++ {
				found = append(found, families[found[i].pid]...)
			}
			p.addRelatives(found)
		}
	}
}

// families lists all processes that are no main processes of ours, by parent; nil where there are more than most.
func (t *procs) families(most int) map[int][]procID {
	pids := t.others(sysAllPids())
	if len(pids) > most {
		return nil
	}
	families := map[int][]procID{}
	for _, pid := range pids {
		if st, err := readStat(pid); err == nil {
			families[st.PPID] = append(families[st.PPID], procID{pid, st.Start})
		}
	}
	return families
}

// proc_foreign.go says which service a process belongs to, and finds and removes processes of others that stand in the way of a start.

//go:build !windows

package main

import (
	"errors"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// has says whether pid is the live main process of a service; helpers are none.
func (t *procs) has(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.live[pid]
	return p != nil && p.name != ""
}

// owner names the service that a process belongs to, "" if none: by its pid, session and group, by those of its ancestors, and by the
// invocation id in its environment. Only the last two need /proc. What has just been started may not be in the table yet: it is waited for a little.
func (t *procs) owner(pid int) string {
	for i := 0; ; i++ {
		starting := t.forking.Load() > 0
		if name := t.ownerNow(pid); name != "" || !starting || i == 20 {
			return name
		}
		time.Sleep(time.Millisecond)
	}
}

func (t *procs) ownerNow(pid int) string {
	for p, depth := pid, 0; p > 1 && p != t.root && depth < 64; depth++ {
		if name := t.service(p, sysSession(p), sysGroup(p)); name != "" {
			return name
		}
		st, err := readStat(p)
		if err != nil {
			return ""
		}
		p = st.PPID
	}
	id := invocationOf(pid)
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == "" {
		return ""
	}
	for _, p := range t.live {
		if p.invocation == id {
			return p.name
		}
	}
	for _, p := range t.leaving { // it may be the one that follows
		if p.invocation == id {
			return p.name
		}
	}
	return ""
}

// service names the first service whose main process has one of these numbers.
func (t *procs) service(pids ...int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range pids {
		if p := t.live[pid]; p != nil && p.name != "" {
			return p.name
		}
		for _, ending := range [][]*process{t.pending, t.leaving} { // its end is being told, or looked at
			for _, p := range ending {
				if p.pid == pid && p.name != "" {
					return p.name
				}
			}
		}
	}
	return ""
}

// writesBelow says whether stdout or stderr of a process is a file of this directory.
func writesBelow(pid int, dir string) bool {
	for _, fd := range []string{"1", "2"} {
		if to, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + fd); err == nil && path.Dir(to) == dir {
			return true
		}
	}
	return false
}

// portFree says whether a TCP port could be listened on, on all addresses of both families. A port that we may not bind (below 1024) counts as free:
// the service may be allowed to.
func portFree(port int) bool { return !errors.Is(sysBind(port), syscall.EADDRINUSE) }

// foreign lists the processes that a process_filter means: comm, base name of argv[0] or of an interpreter's script contain it, in any case.
// Never us, our ancestors, processes of our services, zinit clients, other pid namespaces and kernel threads.
func (t *procs) foreign(filter string) []int {
	filter = strings.ToLower(filter)
	all := map[int]*procStat{}
	for _, pid := range sysAllPids() {
		if st, err := readStat(pid); err == nil && !st.dead() && !st.Kernel {
			all[pid] = &st
		}
	}
	safe := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !safe[pid]; {
		safe[pid] = true
		if st := all[pid]; st != nil {
			pid = st.PPID
		}
	}
	mine := map[string]bool{}
	t.mu.Lock()
	for pid, p := range t.live {
		safe[pid], mine[p.invocation] = true, true
	}
	t.mu.Unlock()
	delete(mine, "")
	var found []int
	for pid, st := range all {
		if safe[pid] || t.ours(st, all) || !filterMatches(st, filter) || sysOtherNamespace(pid) || sysOurProgram(pid) {
			continue
		}
		if !mine[invocationOf(pid)] {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}

// ours says whether a process belongs to a service: by its session, its group, or its ancestors.
func (t *procs) ours(st *procStat, all map[int]*procStat) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range len(all) {
		if t.live[st.PID] != nil || t.live[st.PGID] != nil || t.live[st.Session] != nil {
			return true
		}
		if st = all[st.PPID]; st == nil {
			return false
		}
	}
	return false
}

// interpreters run a script that gives the process its name; a version may follow.
var interpreters = []string{"sh", "ash", "bash", "dash", "zsh", "ksh", "mksh", "fish", "python", "perl", "ruby", "node", "nodejs", "php", "lua", "tclsh", "guile", "env"}

// filterMatches compares the lower-case filter with the names that a process goes by.
func filterMatches(st *procStat, filter string) bool {
	if strings.Contains(strings.ToLower(st.Comm), filter) {
		return true
	}
	line := strings.TrimRight(string(foreignMemory(st.PID, sysCmdline)), "\x00")
	return slices.ContainsFunc(processNames(strings.Split(line, "\x00")), func(name string) bool {
		return strings.Contains(strings.ToLower(name), filter)
	})
}

// processNames are the base name of argv[0] and, when that is an interpreter, of the script it runs (none with -c or -e).
func processNames(argv []string) []string {
	names := []string{path.Base(argv[0])}
	tool := strings.TrimRight(strings.TrimPrefix(names[0], "-"), "0123456789.")
	if !slices.Contains(interpreters, tool) {
		return names
	}
	for _, arg := range argv[1:] {
		if arg == "-c" || arg == "-e" {
			return names
		}
		if arg != "" && arg[0] != '-' {
			return append(names, path.Base(arg))
		}
	}
	return names
}

// removeForeign ends the trees of these processes for kill_others: SIGTERM, up to patience, SIGKILL. It waits, and returns those that survived.
func removeForeign(pids []int, patience time.Duration) []int {
	var tree []procID
	for _, pid := range pids {
		if st, err := readStat(pid); err == nil {
			tree = append(append(tree, procID{pid, st.Start}), descendantsOf(pid)...)
		}
	}
	for _, phase := range []struct {
		sig   int
		limit time.Duration
	}{{sigTerm, patience}, {sigKill, leftoverLimit}} {
		for _, k := range tree {
			_ = sysKillOne(k, phase.sig)
		}
		for end := time.Now().Add(phase.limit); len(tree) > 0 && time.Now().Before(end); {
			tree = slices.DeleteFunc(tree, func(k procID) bool {
				_, runs := k.stat()
				return !runs
			})
			if len(tree) > 0 {
				time.Sleep(leftoverPace / 5)
			}
		}
	}
	var left []int
	for _, k := range tree {
		left = append(left, k.pid)
	}
	return left
}

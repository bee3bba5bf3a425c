// soak_check_test.go says what must hold all through a soak, and at its end: see soak_test.go.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// looks is what was measured.
type looks struct {
	base    *soakLook // with all services stopped, before the load
	all     []soakLook
	zombies map[string]time.Time
	logAt   int64
	state   int64

	sync.Mutex
	pings []time.Duration
	gaps  [][2]time.Time // without any server, and without a keeper that holds the pipes
}

// soakLook is one moment: of the keeper, if there is one, and of the server.
type soakLook struct {
	at   time.Duration
	proc [2]struct{ pid, fds, threads, pss int }
}

var lookedAt = [2]string{"keeper", "server"}

func (l *looks) init() { l.zombies = map[string]time.Time{} }

func (l *looks) based() bool { return l.base != nil }

func (l *looks) pinged(took time.Duration) {
	l.Lock()
	l.pings = append(l.pings, took)
	l.Unlock()
}

func (l *looks) gap(began time.Time) {
	l.Lock()
	l.gaps = append(l.gaps, [2]time.Time{began.Add(-100 * time.Millisecond), time.Now()})
	l.Unlock()
}

// inGap says whether a file was written last while nobody held the pipes: what a service printed then is lost when it also ended then.
func (l *looks) inGap(file string) bool {
	fi, err := os.Stat(file)
	return err == nil && slices.ContainsFunc(l.gaps, func(g [2]time.Time) bool { return fi.ModTime().After(g[0]) && fi.ModTime().Before(g[1]) })
}

// fault fails the test; of one kind three are said, the others are counted.
func (s *soak) fault(kind, format string, args ...any) {
	s.faults.Lock()
	defer s.faults.Unlock()
	if s.said[kind]++; s.said[kind] <= 3 {
		s.t.Errorf("after %v: %s: %s", time.Since(s.began).Round(time.Millisecond), kind, fmt.Sprintf(format, args...))
	}
}

func (s *soak) pids() (pids [2]int) {
	if s.box == nil {
		return [2]int{0, s.cmd.Load().Process.Pid}
	}
	return [2]int{s.box.cmd.Process.Pid, s.box.serverPID()}
}

func (s *soak) look() *soakLook {
	l := &soakLook{at: time.Since(s.began)}
	for i, pid := range s.pids() {
		p := &l.proc[i]
		st, err := readStat(pid)
		if pid == 0 || err != nil {
			continue
		}
		p.pid, p.fds, p.threads = pid, sysFDs(pid), st.Threads
		text, _ := os.ReadFile(procPath(pid, "/smaps_rollup"))
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); f[0] == "Pss:" {
				p.pss, _ = strconv.Atoi(f[1])
			}
		}
	}
	return l
}

// sampler looks several times a second until the end.
func (s *soak) sampler() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for !s.gone() && !s.over.Load() {
		if l := s.look(); l.proc[1].pid != 0 && !s.stopped() {
			s.looks.all = append(s.looks.all, *l)
		}
		for _, pid := range s.pids() {
			s.noZombies(pid)
		}
		s.boundedState()
		s.noPanic()
		select {
		case <-tick.C:
		case <-s.ended:
		}
	}
}

// noZombies: a child that has ended is waited for.
func (s *soak) noZombies(parent int) {
	if parent == 0 {
		return
	}
	for _, pid := range sysChildren(nil, parent) {
		st, err := readStat(pid)
		key := fmt.Sprint(pid, " ", st.Start)
		if err != nil || !st.dead() {
			continue
		}
		if s.looks.zombies[key].IsZero() {
			s.looks.zombies[key] = time.Now()
		} else if time.Since(s.looks.zombies[key]) > slack {
			s.fault("a zombie", "pid %d, %s, child of %d", pid, st.Comm, parent)
		}
	}
}

// boundedState: what the next server reads does not grow.
func (s *soak) boundedState() {
	paths := []string{s.socket + ".state"}
	if s.box != nil {
		paths = nil
		fds := procPath(s.box.cmd.Process.Pid, "/fd/")
		entries, _ := os.ReadDir(fds)
		for _, e := range entries {
			if to, _ := os.Readlink(fds + e.Name()); strings.HasPrefix(to, "/memfd:zinit-state") {
				paths = append(paths, fds+e.Name())
			}
		}
	}
	for _, path := range paths {
		if fi, err := os.Stat(path); err == nil {
			s.looks.state = max(s.looks.state, fi.Size())
		}
	}
}

var panicLine = regexp.MustCompile(`(?m)^.*(panic: |panic in |fatal error: |unexpected fault address|WARNING: DATA RACE|` +
	`does not answer|gives no sign of life|got lost|is lost|nobody knows how it ended|survived SIGKILL|did not end even after SIGKILL|cannot save the state|state is damaged|cannot go on with the output).*$`)

// noPanic reads what the server and the keeper have printed since the last time.
func (s *soak) noPanic() {
	text := make([]byte, 1<<20)
	n, err := s.out.ReadAt(text, s.looks.logAt)
	if err != nil && err != io.EOF {
		s.fault("the log cannot be read", "%v", err)
	}
	text = text[:n]
	at := panicLine.FindIndex(text)
	if at == nil {
		s.looks.logAt += int64(max(0, n-200)) // a line may be cut
		return
	}
	trace := text[at[0]:]
	if len(trace) < 3000 && n < 1<<20 {
		time.Sleep(50 * time.Millisecond) // until the trace is written
		more, _ := s.out.ReadAt(text[:cap(text)], s.looks.logAt)
		trace = text[at[0]:max(more, n)]
	}
	s.fault("a panic, or what must not be said", "%s", trace[:min(len(trace), 2500)])
	s.looks.logAt += int64(at[1])
}

// rest stops all services and waits until none has a process.
func (s *soak) rest(c *soakClient, when string) {
	busy := ""
	for end := time.Now().Add(patience); time.Now().Before(end) && !s.gone(); time.Sleep(20 * time.Millisecond) {
		c.ask("service.stop_all", nil, patience)
		var all []serviceStatusFull
		a := c.ask("service.list_full", nil, patience)
		if json.Unmarshal(a.Result, &all) != nil {
			continue
		}
		busy = ""
		for _, st := range all {
			if st.PID != 0 || st.State == stopping || st.State == starting {
				busy += fmt.Sprintf(" %s is %s (pid %d)", st.Name, st.State, st.PID)
			}
		}
		if busy == "" {
			return
		}
	}
	if !s.gone() {
		s.fault("not at rest", "%s:%s", when, busy)
	}
}

// left are processes of services that live, with their command lines.
func (s *soak) left() (pids []int, text string) {
	for _, pid := range sysAllPids() {
		line := string(sysCmdline(pid))
		if _, after, ours := strings.Cut(line, s.dir); ours && strings.Contains(line, "/actor") && after != "" || ours && strings.Contains(line, "actor\x00") {
			if st, err := readStat(pid); err == nil && !st.dead() {
				pids, text = append(pids, pid), text+fmt.Sprintf("\n%d (%v), parent %d, group %d, session %d, invocation %s of %s, %v old: %s", pid, insidePids(pid), st.PPID, st.PGID, st.Session,
					invocationOf(pid), serviceOf(pid), st.Age().Round(time.Millisecond), strings.ReplaceAll(line, "\x00", " "))
			}
		}
	}
	return pids, text
}

// insidePids are the numbers that a process has in its pid namespaces.
func insidePids(pid int) string {
	text, _ := os.ReadFile(procPath(pid, "/status"))
	for line := range strings.Lines(string(text)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return strings.TrimSpace(numbers)
		}
	}
	return ""
}

// nothingLeft waits until no process of a service is left.
func (s *soak) nothingLeft(when string) {
	pids, text := s.left()
	for end := time.Now().Add(slack); len(pids) > 0 && time.Now().Before(end); pids, text = s.left() {
		time.Sleep(20 * time.Millisecond)
	}
	if len(pids) > 0 {
		s.fault("processes are left", "%s: %s", when, text)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// finish brings everything to rest, looks once more, and ends it.
func (s *soak) finish() {
	c := s.client(7)
	defer c.close()
	if !s.gone() {
		for n := range 8 {
			if a := c.ask("service.delete", object{"name": fmt.Sprint("dynamic", n), "force": true}, patience); a.Error != nil && a.Error.Code != -32000 {
				s.fault("cannot delete", "%s", a.Error.Message)
			}
		}
		s.rest(c, "after the load")
		s.nothingLeft("after service.stop_all")
		s.asBefore()
		for _, n := range s.calm {
			c.ask("service.start", object{"name": n}, patience)
		}
		for _, n := range s.calm {
			if a := c.ask("service.wait", object{"name": n, "timeout_ms": 60000}, patience); a.Error != nil {
				s.fault("does not run any more", "%s: %s", n, a.Error.Message)
			}
		}
		s.idle()
	}
	s.over.Store(true)
	s.watch.Wait()
	_ = s.cmd.Load().Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		if code := s.cmd.Load().ProcessState.ExitCode(); code != 0 {
			s.fault("exit code", "%d", code)
		}
	case <-time.After(patience):
		s.fault("no end", "a minute after SIGTERM")
	}
	s.noPanic()
	s.nothingLeft("after the end")
}

// asBefore: with everything stopped again, as many descriptors and threads are in use as before the load.
func (s *soak) asBefore() {
	var now *soakLook
	for end := time.Now().Add(slack); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		now = s.look()
		if now.proc[0].fds <= s.looks.base.proc[0].fds+4 && now.proc[1].fds <= s.looks.base.proc[1].fds+8 {
			break
		}
	}
	for i, p := range now.proc {
		if b := s.looks.base.proc[i]; p.fds > b.fds+4*(i+1) || p.threads > max(b.threads+16, 40) {
			s.fault("more is held than before", "%s: %d descriptors, %d threads before; %d and %d now: %v", lookedAt[i], b.fds, b.threads, p.fds, p.threads, openKinds(p.pid))
		}
	}
}

// openKinds counts what a process has open, by kind.
func openKinds(pid int) map[string]int {
	kinds := map[string]int{}
	entries, _ := os.ReadDir(procPath(pid, "/fd"))
	for _, e := range entries {
		to, _ := os.Readlink(procPath(pid, "/fd/"+e.Name()))
		kinds[regexp.MustCompile(`[0-9]+`).ReplaceAllString(to, "N")]++
	}
	return kinds
}

// idle: when nothing happens nothing is done.
func (s *soak) idle() {
	used := func() (d time.Duration) {
		for _, pid := range s.pids() {
			if st, err := readStat(pid); err == nil && pid != 0 {
				d += st.CPU
			}
		}
		return d
	}
	least := time.Hour
	for end := time.Now().Add(slack); time.Now().Before(end) && least > 20*time.Millisecond; {
		before := used()
		time.Sleep(time.Second)
		least = min(least, used()-before)
	}
	if least > 20*time.Millisecond {
		s.fault("not idle", "at least %v of processor time in a second in which nothing happens", least)
	}
}

// report holds what was measured against what it may be, once all has ended.
func (s *soak) report() {
	doubles, _ := filepath.Glob(s.dir + "/*.double")
	for _, f := range doubles {
		text, _ := os.ReadFile(f)
		s.fault("two at once", "%s", text)
	}
	starts, prints := s.ids(), s.printed()
	s.jsonFiles()
	s.flat()
	l := &s.looks
	l.Lock()
	pings := slices.Sorted(slices.Values(l.pings))
	l.Unlock()
	if len(pings) == 0 {
		s.fault("no ping", "not one was answered")
		return
	}
	median, worst := pings[len(pings)/2], pings[len(pings)-1]
	if median > 100*time.Millisecond || worst > 10*time.Second {
		s.fault("a slow ping", "median %v, worst %v", median, worst)
	}
	if l.state > 1<<20 {
		s.fault("the state grows", "it has %d bytes", l.state)
	}
	fmt.Printf("soak: %d requests, %d starts, %d numbered lines, %d servers replaced, %d connections refused; ping median %v, longest %v; state at most %d bytes\n",
		s.asked.Load(), starts, prints, s.replaced.Load(), s.refused.Load(), median.Round(10*time.Microsecond), worst.Round(time.Millisecond), l.state)
	for kind, n := range s.said {
		s.t.Logf("%d x %s", n, kind)
	}
}

// ids: each start has its own, and comes once.
func (s *soak) ids() (starts int) {
	files, _ := filepath.Glob(s.dir + "/*.ids")
	seen := map[string]string{}
	for _, f := range files {
		for _, id := range lines(f) {
			if seen[id] != "" {
				s.fault("a start happened twice", "%s of %s and %s", id, seen[id], f)
			}
			seen[id] = f
			starts++
		}
	}
	return starts
}

// printed: raw log files have each line of each start exactly once, and in order.
func (s *soak) printed() (sum int) {
	for _, name := range s.print {
		base := filepath.Join(s.dir, name)
		var text []byte
		old, _ := filepath.Glob(base + ".log.*")
		for n := len(old); n >= 0; n-- {
			path := base + ".log"
			if n > 0 {
				path += "." + fmt.Sprint(n)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				s.fault("a log file is missing", "%v", err)
			}
			text = append(text, data...)
		}
		last := map[string]int{}
		for line := range strings.Lines(string(text)) {
			id, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			n, err := strconv.Atoi(number)
			if err != nil || len(id) != 32 || n != last[id]+1 {
				s.fault("a raw log is not what was printed", "%s: %q follows %d of that start", name, line, last[id])
			}
			last[id] = n
			sum++
		}
		done, _ := filepath.Glob(base + "-*.last")
		for _, f := range done {
			id := strings.TrimSuffix(strings.TrimPrefix(f, base+"-"), ".last")
			record, _ := os.ReadFile(f)
			n, _ := strconv.Atoi(strings.TrimSpace(string(record)))
			if got := last[id]; got != n && got != n+1 && got != n+90 && !(got < n && s.looks.inGap(f)) {
				s.fault("a raw log is not what was printed", "%s: start %s printed %d lines, the file has %d", name, id, n, got)
			}
		}
	}
	return sum
}

// jsonFiles: each line is one text; a killed server may have cut one.
func (s *soak) jsonFiles() {
	files, _ := filepath.Glob(s.dir + "/*.json*")
	for _, f := range files {
		bad := 0
		for _, line := range lines(f) {
			var l logLine
			if json.Unmarshal([]byte(line), &l) != nil || l.Service == "" {
				bad++
			}
		}
		if bad > int(s.replaced.Load()) {
			s.fault("a json log has lines that are none", "%s: %d", f, bad)
		}
	}
}

// flat compares the last third with the first, after a time to warm up.
func (s *soak) flat() {
	all := s.looks.all
	all = all[len(all)/10:]
	if len(all) < 3 {
		return
	}
	for i, who := range lookedAt {
		for what, of := range map[string]func(l soakLook) int{
			"descriptors": func(l soakLook) int { return l.proc[i].fds }, "threads": func(l soakLook) int { return l.proc[i].threads }, "PSS in KB": func(l soakLook) int { return l.proc[i].pss }} {
			median := func(part []soakLook) int {
				var v []int
				for _, l := range part {
					v = append(v, of(l))
				}
				slices.Sort(v)
				return v[len(v)/2]
			}
			first, last := median(all[:len(all)/3]), median(all[len(all)*2/3:])
			most := of(slices.MaxFunc(all, func(a, b soakLook) int { return of(a) - of(b) }))
			if most == 0 {
				continue
			}
			s.t.Logf("%s: %s: %d in the first third, %d in the last, %d at most", who, what, first, last, most)
			spare := map[string]int{"descriptors": 30, "threads": 8, "PSS in KB": 4096}[what]
			bound := map[string]int{"descriptors": 600, "threads": 64, "PSS in KB": 64 << 10}[what]
			if long := len(all) > 200; long && last > first+first/4+spare || most > bound {
				s.fault("not flat", "%s: %s: %d in the first third, %d in the last, %d at most", who, what, first, last, most)
			}
		}
	}
}

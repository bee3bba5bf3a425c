// graph_test.go is the manual of the state machine: the matrix of all states and events, the traces under testdata/traces, and random events with guards.

//go:build unix

package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files; review them as a diff")

// golden compares text with a file under testdata, or rewrites the file with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s differs; run with -update and look at the diff. Got:\n%s", path, got)
	}
}

// testUnit makes a configuration from words: `web requires=db,cache restart=always delay=1s`. A word without = is a switch.
func testUnit(line string) *config {
	words := strings.Fields(line)
	c := &config{Kind: "service"}
	c.Service = serviceDef{Name: words[0], Exec: execDef{Argv: []string{"/bin/" + words[0]}}, Status: "start", Class: "user"}
	c.Lifecycle = lifecycleDef{Restart: "on-failure", RestartDelay: time.Second, RestartDelayMax: time.Minute, StabilityPeriod: 10 * time.Second,
		StartTimeout: 30 * time.Second, StopTimeout: 10 * time.Second, StopSignal: 15, SuccessCodes: []int{0}}
	c.Logging = newConfig().Logging
	c.path, c.persist = "/etc/zinit/services/"+words[0]+".toml", true
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		span := func() time.Duration {
			d, err := time.ParseDuration(value)
			if err != nil {
				panic(line + ": " + err.Error())
			}
			return d
		}
		number := func() int {
			n, err := strconv.Atoi(value)
			if err != nil {
				panic(line + ": " + err.Error())
			}
			return n
		}
		list := strings.Split(value, ",")
		switch key {
		case "target":
			c.Kind = "target"
		case "oneshot":
			c.Service.Oneshot, c.Lifecycle.StartTimeout = true, 0
		case "critical":
			c.Service.Critical = true
		case "system":
			c.Service.Class, c.system = "system", true
		case "status":
			c.Service.Status = loadStatus(value)
		case "exec":
			c.Service.Exec.Argv[0] = value
		case "requires":
			c.Dependencies.Requires = list
		case "after":
			c.Dependencies.After = list
		case "wants":
			c.Dependencies.Wants = list
		case "conflicts":
			c.Dependencies.Conflicts = list
		case "restart":
			c.Lifecycle.Restart = restartPolicy(value)
		case "delay":
			c.Lifecycle.RestartDelay = span()
		case "delay_max":
			c.Lifecycle.RestartDelayMax = span()
		case "stable":
			c.Lifecycle.StabilityPeriod = span()
		case "max_restarts":
			c.Lifecycle.MaxRestarts = number()
		case "start_timeout":
			c.Lifecycle.StartTimeout = span()
		case "stop_timeout":
			c.Lifecycle.StopTimeout = span()
		case "health":
			c.Health = &healthDef{Type: "tcp", Target: "localhost:1", Interval: span(), Timeout: time.Second, Retries: 3, StartInterval: 100 * time.Millisecond}
		case "ports":
			c.Service.Ports = []int{number()}
		case "added":
			c.path, c.persist = "", false
		case "moved":
			c.path = "/etc/zinit/more/" + words[0] + ".toml"
		default:
			panic("unknown word in a test unit: " + w)
		}
	}
	return c
}

// stage plays events into a graph and writes down what comes out.
type stage struct {
	g       *graph
	now     time.Time
	zero    time.Time
	files   map[string]*config
	out     strings.Builder
	tickets map[*ticket]int
	gens    map[string]uint64
	open    map[*ticket]bool

	pids int
}

func newStage(limit time.Duration) *stage {
	zero := time.Unix(1_000_000, 0)
	return &stage{g: newGraph(limit), now: zero, zero: zero, files: map[string]*config{}, tickets: map[*ticket]int{}, gens: map[string]uint64{},
		open: map[*ticket]bool{}}
}

func (s *stage) step(ev event) []effect {
	out := s.g.step(s.now, ev)
	for i := range out {
		s.write(&out[i])
	}
	return out
}

func (s *stage) write(e *effect) {
	say := func(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }
	switch e.kind {
	case effectMoved:
		text := ""
		if e.reason != nil {
			text = " (" + e.reason.String() + ")"
		}
		if u := s.g.unit(e.name); u != nil && u.pending && (e.to == failed || e.to == exited) {
			text += " restart due in " + e.restartIn.String()
		}
		say("%s: %s -> %s%s", e.name, e.from, e.to, text)
	case effectSpawn:
		s.gens[e.name] = e.gen
		say("  spawn %s", e.name)
	case effectCancelSpawn:
		say("  call back the spawn of %s", e.name)
	case effectStop:
		say("  stop signal to %s", e.name)
	case effectKill:
		say("  SIGKILL to all of %s", e.name)
	case effectSignal:
		say("  signal %d to %s", e.sig, e.name)
	case effectCheck:
		say("  health check of %s", e.name)
	case effectGuard:
		s.gens["guard "+e.name] = e.gen
		say("  look at the ports of %s", e.name)
	case effectConfigure:
		say("  configure %s", e.name)
	case effectForget:
		say("  forget %s", e.name)
	case effectClosing:
		say("  shutdown begins: %s, exit code %d", e.text, e.sig)
	case effectFinished:
		text := ""
		if e.incomplete {
			text = ", processes are left"
		}
		say("  shutdown finished: %s, exit code %d%s", e.text, e.sig, text)
	case effectCritical:
		say("  CRITICAL: %s %s, exit code %d", e.name, e.text, e.sig)
	case effectReply:
		if !s.open[e.ticket] {
			say("  ANSWERED TWICE")
		}
		delete(s.open, e.ticket)
		s.writeReply(e, say)
	default:
		panic(fmt.Sprintf("no words for effect %d", e.kind))
	}
}

func (s *stage) writeReply(e *effect, say func(string, ...any)) {
	n := s.tickets[e.ticket]
	a := e.reply().answer
	switch {
	case e.err != nil:
		say("  request %d refused: %s: %s", n, e.err.kind, e.err.text)
	case a.Reload != nil:
		r := a.Reload
		say("  request %d: added %v removed %v changed %v unchanged %v restarted %v", n, r.Added, r.Removed, r.Changed, r.Unchanged, r.Restarted)
		for _, p := range r.Errors {
			say("    error: %s", p.Message)
		}
		for _, p := range r.Warnings {
			say("    warning: %s", p.Message)
		}
	case a.Names != nil:
		say("  request %d: services %v skipped %v errors %v", n, a.Names, a.Skipped, a.Errs)
	default:
		by := ""
		if len(a.BlockedBy) > 0 {
			by = " by " + strings.Join(a.BlockedBy, ", ")
		}
		say("  request %d: %s%s", n, a.State, by)
	}
}

func (s *stage) ticket() *ticket {
	t := &ticket{}
	s.tickets[t] = len(s.tickets) + 1
	s.open[t] = true
	return t
}

// pass lets time go by, with a tick at every deadline.
func (s *stage) pass(d time.Duration) {
	end := s.now.Add(d)
	for n := 0; ; n++ {
		due := s.g.nextDue()
		if due.IsZero() || due.After(end) {
			break
		}
		if n > 100_000 {
			panic("time does not move on")
		}
		if due.After(s.now) {
			s.now = due
		}
		before := s.out.Len()
		s.step(event{kind: eventTick})
		if text := s.out.String()[before:]; text != "" {
			head := s.out.String()[:before]
			s.out.Reset()
			s.out.WriteString(head + "at " + s.now.Sub(s.zero).String() + "\n" + text)
		}
	}
	s.now = end
}

// load is what the directories hold now.
func (s *stage) load() *loadResult {
	l := &loadResult{}
	for _, n := range slices.Sorted(func(yield func(string) bool) {
		for n := range s.files {
			if !yield(n) {
				return
			}
		}
	}) {
		l.configs = append(l.configs, s.files[n])
	}
	return l
}

// obey plays one line of a trace.
func (s *stage) obey(line string) {
	w := strings.Fields(line)
	has := func(word string) bool { return slices.Contains(w, word) }
	timeout := time.Duration(0)
	for _, x := range w {
		if v, ok := strings.CutPrefix(x, "timeout="); ok {
			timeout, _ = time.ParseDuration(v)
		}
	}
	name := ""
	if len(w) > 1 {
		name = w[1]
	}
	ev := event{name: name, wait: has("wait"), tree: has("tree"), force: has("force"), restart: has("restart"), timeout: timeout, gen: s.gens[name]}
	rest := strings.Join(w[min(2, len(w)):], " ")
	if s.result(w[0], rest, ev) {
		return
	}
	kinds := map[string]eventKind{"start": eventStart, "stop": eventStop, "restart": eventRestart, "kill": eventKill, "delete": eventDelete,
		"wait": eventWait, "start_all": eventStartAll, "stop_all": eventStopAll, "delete_all": eventDeleteAll,
		"shutdown": eventShutdown, "shutdown_now": eventShutdownNow, "reload": eventReload, "boot": eventReload}
	kind, ok := kinds[w[0]]
	if !ok {
		panic("unknown line in a trace: " + line)
	}
	ev.kind, ev.to = kind, s.ticket()
	switch kind {
	case eventReload:
		ev.name, ev.load = "", s.load()
	case eventWait:
		_ = ev.until.UnmarshalText([]byte(w[2]))
	case eventKill:
		ev.sig = 9
	}
	if w[0] == "boot" {
		delete(s.open, ev.to)
		ev.to = nil
	}
	s.step(ev)
}

// result plays the lines that are no requests.
func (s *stage) result(word, rest string, ev event) bool {
	switch word {
	case "unit":
		c := testUnit(strings.TrimSpace(ev.name + " " + rest))
		s.files[ev.name] = c
		return true
	case "nofile":
		delete(s.files, ev.name)
		return true
	case "set", "create":
		ev.kind, ev.cfg, ev.replace, ev.restart, ev.to = eventPut, testUnit(strings.TrimSpace(ev.name+" "+rest)), word == "set", true, s.ticket()
	case "spawned":
		s.pids++
		ev.kind, ev.pid = eventSpawned, 100+s.pids
	case "nospawn":
		ev.kind, ev.text = eventSpawnFailed, rest
	case "exit":
		code, _ := strconv.Atoi(rest)
		ev.kind, ev.exit = eventExited, exit{Known: true, Code: code}
	case "signal":
		n, _ := strconv.Atoi(rest)
		ev.kind, ev.exit = eventExited, exit{Known: true, Signal: n}
	case "unknown":
		ev.kind = eventExited
	case "healthy":
		ev.kind, ev.ok = eventHealth, true
	case "sick":
		ev.kind, ev.text = eventHealth, rest
	case "free", "busy":
		ev.kind, ev.ok, ev.gen = eventGuard, word == "free", s.gens["guard "+ev.name]
		if !ev.ok {
			ev.hindrance = hindrance{kind: "port", service: "port 80", detail: "port 80 is in use", needsPerson: true}
		}
	case "why":
		s.out.WriteString(s.g.why(s.g.unit(ev.name), s.now).text)
		return true
	case "status":
		u := s.g.unit(ev.name)
		fmt.Fprintf(&s.out, "%s is %s, wish up %v, pid %v, restarts %d, blocked by %v\n", u.name, u.state, u.up, u.pid != 0, u.restartCount, s.g.blockedBy(u))
		return true
	default:
		if d, ok := strings.CutPrefix(word, "+"); ok {
			span, err := time.ParseDuration(d)
			if err != nil {
				panic(err)
			}
			s.pass(span)
			return true
		}
		return false
	}
	s.step(ev)
	return true
}

func TestTraces(t *testing.T) {
	files, _ := filepath.Glob("testdata/traces/*.txt")
	if len(files) < 25 {
		t.Fatalf("only %d traces; the manual of the state machine has at least 25", len(files))
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, f, playTrace(string(text)))
		})
	}
}

// playTrace keeps comments, units and "> " lines of a trace, and writes the output of each line anew.
func playTrace(text string) string {
	s := newStage(30 * time.Second)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		switch {
		case line == "" && s.out.Len() > 0, strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
		case strings.HasPrefix(line, "unit "):
			s.out.WriteString(line + "\n")
			s.obey(line)
		case strings.HasPrefix(line, "> "):
			s.out.WriteString(line + "\n")
			s.obey(line[2:])
		}
	}
	if len(s.open) > 0 {
		fmt.Fprintf(&s.out, "open requests at the end: %d\n", len(s.open))
	}
	return s.out.String()
}

// situations are the ways into each state for the matrix: what is played before the event.
var situations = []struct{ name, setup string }{
	{"inactive", "unit web status=stop\nboot"},
	{"blocked", "unit db status=stop\nunit web requires=db\nboot"},
	{"starting, no process", "unit web health=10s delay=1s\nboot"},
	{"starting", "unit web health=10s delay=1s start_timeout=5s\nboot\nspawned web\n+0s"},
	{"starting, oneshot", "unit web oneshot delay=1s\nboot\nspawned web"},
	{"running", "unit web health=10s delay=1s\nboot\nspawned web\n+0s\nhealthy web\n+10s"},
	{"running, required", "unit web delay=1s\nunit user requires=web\nboot\nspawned web\nspawned user"},
	{"running, to stop", "unit web delay=1s\nunit user requires=web\nboot\nspawned web\nspawned user\nstop web"},
	{"running target", "unit web target\nboot"},
	{"stopping, asked", "unit web delay=1s\nboot\nspawned web\nstop web"},
	{"stopping, sick", "unit web health=10s delay=1s start_timeout=5s\nboot\nspawned web\n+5s"},
	{"stopping, again", "unit web delay=1s\nboot\nspawned web\nrestart web"},
	{"exited", "unit web delay=1s\nboot\nspawned web\nexit web 0"},
	{"exited, pending", "unit web delay=1s restart=always\nboot\nspawned web\nexit web 0"},
	{"failed", "unit web restart=never\nboot\nspawned web\nexit web 1"},
	{"failed, pending", "unit web delay=1s\nboot\nspawned web\nexit web 1"},
	{"failed, dependency", "unit web requires=db\nboot"},
	{"critical, starting", "unit web critical restart=never health=10s\nboot\nspawned web"},
	{"critical, restarted while starting", "unit web critical restart=never\nboot\nrestart web"},
	{"critical, running", "unit web critical restart=never health=10s\nboot\nspawned web\n+0s\nhealthy web"},
	{"critical, to restart", "unit web critical restart=never\nunit user requires=web\nboot\nspawned web\nspawned user\nrestart web"},
	{"critical, to come back", "unit db\nunit web critical restart=never requires=db\nunit user requires=web\nboot\nspawned db\nspawned web\nspawned user\nrestart db"},
	{"critical, sick", "unit web critical restart=never health=10s start_timeout=5s\nboot\nspawned web\n+5s"},
	{"critical, sick, again", "unit web critical restart=never health=10s start_timeout=5s\nboot\nspawned web\n+5s\nrestart web"},
	{"critical oneshot", "unit web critical oneshot restart=never\nboot\nspawned web"},
}

// matrixEvents are the columns of the matrix: every event that can meet a unit.
var matrixEvents = []string{"start web", "start web tree wait", "stop web wait", "restart web wait", "kill web", "wait web running", "spawned web", "nospawn web EACCES",
	"exit web 0", "exit web 1", "signal web 9", "unknown web", "healthy web", "sick web refused", "free web", "busy web", "+100ms", "+1s", "+30s", "set web exec=/bin/new",
	"delete web", "delete web force", "start_all", "stop_all", "delete_all", "nofile web\nreload", "create db", "shutdown", "shutdown_now"}

// TestMatrix prints what every event does in every state: the state diagram, which cannot rot.
func TestMatrix(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Every state, every event: what follows for the unit `web`. Written by TestMatrix; `.` is nothing.\n")
	for _, sit := range situations {
		fmt.Fprintf(&b, "\n## %s\n", sit.name)
		for _, ev := range matrixEvents {
			s := newStage(30 * time.Second)
			for _, line := range strings.Split(sit.setup, "\n") {
				s.obey(line)
			}
			s.out.Reset()
			for _, line := range strings.Split(ev, "\n") {
				s.obey(line)
			}
			text := strings.Join(strings.Fields(strings.NewReplacer("\n", " | ").Replace(strings.TrimSpace(s.out.String()))), " ")
			if text == "" {
				text = "."
			}
			fmt.Fprintf(&b, "%-22s %s\n", strings.ReplaceAll(ev, "\n", ", "), text)
		}
	}
	golden(t, "testdata/matrix.txt", b.String())
}

// world plays the kernel for random events: it answers every spawn, stop and check, late and in any order.
type world struct {
	*stage
	r        *rand.Rand
	spawning map[string]uint64
	alive    map[string]uint64
	checking map[string]uint64
	guards   map[string]uint64
	killed   map[string]bool
	asked    map[string]bool    // a restart was asked for, and no new process has been since
	configs  map[*config]string // every configuration that the graph had, as it was at first
	steps    int
	broken   string
}

func (w *world) fault(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// play takes one event and keeps book of the processes that exist.
func (w *world) play(ev event) {
	if u := w.g.unit(ev.name); u != nil && w.g.closing == nil && u.leave != leaveDelete {
		switch ev.kind {
		case eventRestart:
			w.asked[ev.name] = true
		case eventStop, eventDelete:
			delete(w.asked, ev.name)
		}
	}
	for _, e := range w.g.step(w.now, ev) {
		switch e.kind {
		case effectSpawn:
			delete(w.asked, e.name)
			if w.alive[e.name] != 0 || w.spawning[e.name] != 0 {
				w.fault("%s is spawned while it has a process", e.name)
			}
			w.spawning[e.name] = e.gen
			for _, n := range e.cfg.Dependencies.Requires {
				me, u := w.g.unit(e.name), w.g.unit(n)
				if me.state == starting && me.leave == staying && (u == nil || !u.satisfied()) {
					w.fault("%s starts while %s, which it requires, is not satisfied", e.name, n)
				}
			}
			for n := range w.g.foes[e.name] {
				if w.alive[n] != 0 || w.spawning[n] != 0 {
					w.fault("%s starts while %s lives, and they conflict", e.name, n)
				}
			}
		case effectKill:
			w.killed[e.name] = true
		case effectForget:
			delete(w.asked, e.name)
		case effectCritical:
			w.judge(e)
		case effectCheck:
			if w.checking[e.name] == e.gen {
				w.fault("two checks of %s at once", e.name)
			}
			w.checking[e.name] = e.gen
		case effectGuard:
			w.guards[e.name] = e.gen
		case effectReply:
			if !w.open[e.ticket] {
				w.fault("a request is answered twice")
			}
			delete(w.open, e.ticket)
		}
	}
	w.check()
}

// judge says whether a critical unit may be taken for lost.
func (w *world) judge(e effect) {
	u := w.g.unit(e.name)
	switch {
	case !u.cfg.Service.Critical || !u.up || w.g.closing != nil:
		w.fault("%s is said to be lost, and is not critical, or not wanted, or all is going down", e.name)
	case u.reason != nil && (u.reason.Type == "dependency_failed" || u.reason.Type == "missing_dependency"):
	case w.asked[e.name]:
		w.fault("%s is said to be lost while a restart was asked for", e.name)
	}
}

func count(names []string, name string) (n int) {
	for _, x := range names {
		if x == name {
			n++
		}
	}
	return n
}

// checkNeighbours counts anew what the neighbours of a unit mean for it, looking at every unit there is.
func (w *world) checkNeighbours(u *unit) {
	g := w.g
	var want neighbours
	waits := map[string]tie{}
	for _, n := range u.cfg.Dependencies.Requires {
		waits[n] = tie{count(u.cfg.Dependencies.Requires, n), count(u.cfg.Dependencies.After, n)}
	}
	for _, n := range u.cfg.Dependencies.After {
		waits[n] = tie{count(u.cfg.Dependencies.Requires, n), count(u.cfg.Dependencies.After, n)}
	}
	for n, t := range waits {
		if g.users[n][u.name] != t {
			w.fault("%s names %s %v times, noted is %v", u.name, n, t, g.users[n][u.name])
		}
		want.weigh(t, g.faceOf(n), 1)
	}
	for n, o := range g.units {
		mentions := count(u.cfg.Dependencies.Conflicts, n) + count(o.cfg.Dependencies.Conflicts, u.name)
		if n != u.name && g.foes[u.name][n] != mentions {
			w.fault("%s and %s name each other %d times as foes, noted is %d", u.name, n, mentions, g.foes[u.name][n])
		}
		if n != u.name && mentions > 0 {
			want.oppose(&o.face, 1)
		}
	}
	if u.needs != want {
		w.fault("%s: its neighbours are counted as %+v, really %+v", u.name, u.needs, want)
	}
	if g.nexts[u.name] == u != (u.next != nil) {
		w.fault("%s: its changed configuration is noted wrongly", u.name)
	}
}

// checkTables holds what the graph keeps by name against the units: nothing may stay when they go.
func (w *world) checkTables() {
	g := w.g
	mention := func(in map[string]int, names []string) {
		for _, n := range names {
			in[n]++
		}
	}
	users, foes, nexts := map[string]int{}, map[string]int{}, 0
	for n, u := range g.units {
		mention(users, u.cfg.Dependencies.Requires)
		mention(users, u.cfg.Dependencies.After)
		for _, c := range u.cfg.Dependencies.Conflicts {
			if c != n {
				foes[n]++
				foes[c]++
			}
		}
		if u.next != nil {
			nexts++
		}
	}
	if len(users) != len(g.users) || len(foes) != len(g.foes) || nexts != len(g.nexts) {
		w.fault("%d names are used, %d opposed, %d configurations to come; noted are %d, %d and %d", len(users), len(foes), nexts, len(g.users), len(g.foes), len(g.nexts))
	}
}

// checkConfigs says whether a configuration that the graph has, or had, was written to: others read it meanwhile.
func (w *world) checkConfigs() {
	for _, u := range w.g.units {
		for _, c := range []*config{u.cfg, u.next} {
			if c == nil {
				continue
			}
			if _, known := w.configs[c]; !known {
				w.configs[c] = fmt.Sprintf("%+v", *c)
			}
		}
	}
	if w.steps++; w.steps%20 > 0 {
		return
	}
	for c, was := range w.configs {
		if now := fmt.Sprintf("%+v", *c); now != was {
			w.fault("a configuration of %s was written to:\n%s\n%s", c.Service.Name, was, now)
		}
	}
}

// check holds the graph against what must be true after every step.
func (w *world) check() {
	g := w.g
	live := 0
	for n, u := range g.units {
		if u.state.live() {
			live++
		}
		if (u.pid != 0) != (w.alive[n] != 0) {
			w.fault("%s (%s) has pid %d, process alive: %v", n, u.state, u.pid, w.alive[n] != 0)
		}
		if u.pid != 0 && !u.state.live() {
			w.fault("%s is %s with a process", n, u.state)
		}
		switch u.state {
		case blocked:
			if len(g.blockedBy(u)) == 0 && !u.guarding {
				w.fault("%s is blocked by nothing", n)
			}
			if !u.up {
				w.fault("%s is blocked and not wanted", n)
			}
		case stopping:
			if u.stopDue.IsZero() && !u.forced && u.spawned && g.closing == nil {
				w.fault("%s is stopping without a deadline", n)
			}
		case failed:
			if u.reason == nil {
				w.fault("%s is failed without a reason", n)
			}
		}
		if u.pending && (u.restartDue.IsZero() || !u.up || u.state.live()) {
			w.fault("%s: a restart is pending in vain", n)
		}
		if u.startPending {
			w.fault("%s: a start was left behind", n)
		}
		if due := u.nextOf(); !due.Equal(u.due) {
			w.fault("%s (%s): its deadline %v is not in the timer (%v)", n, u.state, due, u.due)
		}
		if u.face != u.seen() {
			w.fault("%s: what others see of it is stale", n)
		}
		req, aft := 0, 0
		for _, o := range g.units {
			if o.state.live() {
				req += count(o.cfg.Dependencies.Requires, n)
				aft += count(o.cfg.Dependencies.After, n)
			}
		}
		if req != u.liveRequiring || aft != u.liveAfter {
			w.fault("%s: live users counted %d and %d, really %d and %d", n, u.liveRequiring, u.liveAfter, req, aft)
		}
	}
	if live != g.live {
		w.fault("%d units live, counted %d", live, g.live)
	}
	for _, u := range g.units {
		w.checkNeighbours(u)
	}
	w.checkTables()
	w.checkConfigs()
}

func pick(r *rand.Rand, m map[string]uint64) (string, uint64, bool) {
	if len(m) == 0 {
		return "", 0, false
	}
	names := slices.Sorted(maps.Keys(m))
	n := names[r.Intn(len(names))]
	return n, m[n], true
}

// randomUnit makes a configuration among a few names, with whatever dependencies.
func randomUnit(r *rand.Rand) *config {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	line := names[r.Intn(len(names))]
	for _, key := range []string{"requires", "after", "wants", "conflicts"} {
		if r.Intn(3) == 0 {
			line += " " + key + "=" + names[r.Intn(len(names))]
			if r.Intn(3) == 0 {
				line += "," + names[r.Intn(len(names))]
			}
		}
	}
	for _, w := range []string{"oneshot", "target", "health=5s", "ports=80", "max_restarts=2", "delay=0s", "restart=always", "restart=never", "status=stop", "status=ignore", "system", "start_timeout=2s", "critical", "added", "moved"} {
		if r.Intn(8) == 0 {
			line += " " + w
		}
	}
	return testUnit(line)
}

// randomConfig is a random unit, or the present one of some unit, perhaps from elsewhere.
func (w *world) randomConfig() *config {
	names := w.g.names()
	if len(names) == 0 || w.r.Intn(3) > 0 {
		return randomUnit(w.r)
	}
	c := *w.g.unit(names[w.r.Intn(len(names))]).newest()
	if w.r.Intn(2) == 0 {
		c.path, c.persist = "/etc/zinit/other/"+c.Service.Name+".toml", w.r.Intn(2) == 0
	}
	return &c
}

// randomStep plays one event: mostly results of what is under way, else a request.
func (w *world) randomStep() {
	r := w.r
	names := w.g.names()
	name := "nobody"
	if len(names) > 0 {
		name = names[r.Intn(len(names))]
	}
	switch r.Intn(12) {
	case 0, 1:
		if n, gen, ok := pick(r, w.spawning); ok {
			delete(w.spawning, n)
			if r.Intn(5) == 0 {
				w.play(event{kind: eventSpawnFailed, name: n, gen: gen, text: "EACCES"})
				return
			}
			w.alive[n], w.killed[n] = gen, false
			w.play(event{kind: eventSpawned, name: n, gen: gen, pid: 1})
		}
	case 2, 3:
		if n, gen, ok := pick(r, w.alive); ok && (r.Intn(3) == 0 || w.killed[n] || w.g.unit(n).state == stopping) {
			delete(w.alive, n)
			ends := []exit{{Known: true}, {Known: true, Code: 1}, {Known: true, Signal: 9}, {}}
			w.play(event{kind: eventExited, name: n, gen: gen, exit: ends[r.Intn(len(ends))]})
		}
	case 4:
		if n, gen, ok := pick(r, w.checking); ok {
			delete(w.checking, n)
			w.play(event{kind: eventHealth, name: n, gen: gen, ok: r.Intn(2) == 0, text: "refused"})
		}
	case 5:
		if n, gen, ok := pick(r, w.guards); ok {
			delete(w.guards, n)
			w.play(event{kind: eventGuard, name: n, gen: gen, ok: r.Intn(2) == 0, hindrance: hindrance{kind: "port", service: "port 80", needsPerson: true}})
		}
	case 6, 7:
		w.now = w.now.Add(time.Duration(r.Intn(3000)) * time.Millisecond)
		if due := w.g.nextDue(); !due.IsZero() && !due.After(w.now) {
			w.play(event{kind: eventTick})
		}
	case 8:
		c := w.randomConfig()
		w.play(event{kind: eventPut, cfg: c, replace: r.Intn(2) == 0, restart: r.Intn(2) == 0, to: w.ticket()})
	default:
		kinds := []eventKind{eventStart, eventStart, eventStop, eventRestart, eventWait, eventStartAll, eventStopAll, eventDelete, eventReload, eventKill}
		ev := event{kind: kinds[r.Intn(len(kinds))], name: name, wait: r.Intn(2) == 0, tree: r.Intn(3) == 0, force: r.Intn(3) == 0, until: running,
			timeout: time.Duration(1+r.Intn(10)) * time.Second, to: w.ticket(), restart: r.Intn(2) == 0}
		if ev.kind == eventReload {
			ev.load = &loadResult{}
			for range r.Intn(6) {
				ev.load.configs = append(ev.load.configs, w.randomConfig())
			}
			slices.SortFunc(ev.load.configs, func(a, b *config) int { return strings.Compare(a.Service.Name, b.Service.Name) })
			ev.load.configs = slices.CompactFunc(ev.load.configs, func(a, b *config) bool { return a.Service.Name == b.Service.Name })
		}
		w.play(ev)
	}
}

func newWorld(seed int64) *world {
	return &world{stage: newStage(30 * time.Second), r: rand.New(rand.NewSource(seed)), spawning: map[string]uint64{}, alive: map[string]uint64{},
		checking: map[string]uint64{}, guards: map[string]uint64{}, killed: map[string]bool{}, asked: map[string]bool{}, configs: map[*config]string{}}
}

// runWorld plays random events, then a shutdown in which every process obeys, and returns the first broken guard.
func runWorld(seed int64, steps int) string {
	w := newWorld(seed)
	for i := 0; i < steps && w.broken == ""; i++ {
		w.randomStep()
	}
	w.play(event{kind: eventShutdown, power: "exit"})
	for i := 0; i < 1000 && !w.g.closing.finished && w.broken == ""; i++ {
		for n, gen := range w.spawning {
			delete(w.spawning, n)
			w.play(event{kind: eventSpawnFailed, name: n, gen: gen, text: "called back"})
		}
		if n, gen, ok := pick(w.r, w.alive); ok && w.g.unit(n).state == stopping {
			delete(w.alive, n)
			w.play(event{kind: eventExited, name: n, gen: gen, exit: exit{Known: true}})
		}
	}
	if w.broken == "" && !w.g.closing.finished {
		w.fault("the shutdown does not end: %d live, %v alive", w.g.live, w.alive)
	}
	w.now = w.now.Add(time.Hour)
	w.play(event{kind: eventTick})
	for n, u := range w.g.units {
		if w.broken == "" && len(u.waiters) > 0 {
			w.fault("%s still has a request that waits", n)
		}
	}
	return w.broken
}

// TestGuards plays 10⁵ random events and holds the graph against its invariants after each.
func TestGuards(t *testing.T) {
	seeds := []int64{2497} // a check that was due for what the unit no longer is
	for seed := int64(1); seed <= 200; seed++ {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		if fault := runWorld(seed, 500); fault != "" {
			t.Fatalf("seed %d: %s", seed, fault)
		}
	}
}

func FuzzGuards(f *testing.F) {
	f.Add(int64(1), 100)
	f.Fuzz(func(t *testing.T, seed int64, steps int) {
		if fault := runWorld(seed, min(max(steps, 0), 2000)); fault != "" {
			t.Fatal(fault)
		}
	})
}

// TestReloadOfAVanishedDirectory: a directory that was there and is gone is an error and removes nothing; one that never was is a warning.
func TestReloadOfAVanishedDirectory(t *testing.T) {
	empty, full, never := t.TempDir()+"/", t.TempDir()+"/", t.TempDir()+"/never"
	if err := os.WriteFile(full+"web.toml", []byte("[service]\nexec = \"/bin/web\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := newStage(time.Second)
	reload := func() string {
		s.out.Reset()
		s.step(event{kind: eventReload, load: loadDirs("", []string{empty, full, never}), to: s.ticket()})
		return s.out.String()
	}
	if got := reload(); strings.Contains(got, "error:") || strings.Count(got, "warning:") != 1 {
		t.Errorf("at first: %s", got)
	}
	for _, dir := range []string{empty, full} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := reload(); strings.Count(got, "error: the directory is gone") != 2 || strings.Count(got, "warning:") != 1 || !strings.Contains(got, "removed []") {
		t.Errorf("gone: %s", got)
	}
}

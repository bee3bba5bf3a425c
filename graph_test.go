// graph_test.go is the manual of the state machine: the matrix of all states and events, the traces under testdata/traces, and random events with guards.

//go:build unix

package main

import (
	"bytes"
	"flag"
	"fmt"
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
	c.Service = serviceDef{Name: words[0], Exec: execDef{Argv: []string{"/bin/" + words[0]}}, Status: "start", Class: "user", Stdin: stdinFromNull}
	c.Lifecycle = lifecycleDef{Restart: "on-failure", RestartDelay: time.Second, RestartDelayMax: time.Minute, StabilityPeriod: 10 * time.Second,
		StartTimeout: 30 * time.Second, StopTimeout: 10 * time.Second, StopSignal: 15, KillMode: killGroup, SuccessCodes: []ending{{}}}
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
		case "pid_file":
			c.Service.PIDFile = value
		case "stdin":
			c.Service.Stdin = stdinKind(value)
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
		case "prevent":
			c.Lifecycle.RestartPrevent = []ending{{Code: number()}}
		case "success_signal":
			c.Lifecycle.SuccessCodes = []ending{{}, {Signal: number()}}
		case "stop_exec":
			c.Lifecycle.StopExec = execDef{Line: "undo"}
		case "notify":
			c.Health = &healthDef{Type: "notify", Timeout: time.Second, Retries: 3, StartInterval: 100 * time.Millisecond}
		case "watchdog":
			c.Health.Interval = span()
		case "once":
			c.Health.Interval = 0
		case "retries":
			c.Health.Retries = number()
		case "ready_after":
			c.Lifecycle.ReadyAfter = span()
		case "ports":
			c.Service.Ports = []int{number()}
		case "binds":
			c.Dependencies.Binds = list
		case "mounts":
			c.Dependencies.Mounts = list
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
		if e.text != "" {
			text += ", skipped: " + e.text
		}
		say("%s: %s -> %s%s", e.name, e.from, e.to, text)
	case effectSpawn:
		s.gens[e.name] = e.gen
		say("  spawn %s", e.name)
	case effectCancelSpawn:
		say("  call back the spawn of %s", e.name)
	case effectStop:
		say("  stop signal to %s", e.name)
	case effectUndo:
		s.gens[e.name] = e.gen
		say("  stop_exec of %s", e.name)
	case effectKill:
		say("  SIGKILL to all of %s", e.name)
	case effectSignal:
		to := e.name
		if e.group {
			to = "all of " + to
		}
		say("  signal %d to %s", e.sig, to)
	case effectSend:
		say("  to the stdin of %s: %s", e.name, e.text)
	case effectCheck:
		say("  health check of %s", e.name)
	case effectGuard:
		s.gens["guard "+e.name] = e.gen
		say("  look at what may hinder %s", e.name)
	case effectConfigure:
		say("  configure %s", e.name)
	case effectForget:
		say("  forget %s", e.name)
	case effectClosing:
		text := ""
		if e.limit == noLimit {
			text = ", without a limit"
		}
		say("  shutdown begins: %s, exit code %d%s", e.text, e.sig, text)
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
		say("  request %d refused: %s: %s", n, e.err.Data.Kind, e.err.Message)
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
	ev := event{name: name, wait: has("wait"), tree: has("tree"), force: has("force"), group: has("group"), restart: has("restart"), timeout: timeout, gen: s.gens[name]}
	rest := strings.Join(w[min(2, len(w)):], " ")
	if s.result(w[0], rest, ev) {
		return
	}
	kinds := map[string]eventKind{"start": eventStart, "stop": eventStop, "restart": eventRestart, "kill": eventKill, "send": eventSend, "delete": eventDelete,
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
	case eventSend:
		ev.text = rest
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
	case "main":
		s.g.main, s.g.mainAlone, s.g.now = ev.name, noLimit, s.now
		s.g.add(testUnit(strings.TrimSpace(ev.name + " " + rest)))
		return true
	case "skipped":
		ev.kind, ev.text = eventSkipped, rest
	case "ready":
		ev.kind = eventReady
	case "hopeless":
		ev.kind, ev.text = eventSick, rest
	case "says":
		ev.kind, ev.text = eventSays, rest
	case "reloading":
		ev.kind = eventReloading
	case "quitting":
		ev.kind = eventQuitting
	case "alive":
		ev.kind = eventAlive
	case "errno":
		ev.kind, ev.sig = eventErrno, 2
	case "extend", "watchdog":
		ev.kind = map[string]eventKind{"extend": eventExtend, "watchdog": eventWatchdog}[word]
		ev.timeout, _ = time.ParseDuration(rest)
	case "mainpid":
		s.pids++
		ev.kind, ev.pid = eventMainPID, 100+s.pids
	case "exit":
		code, _ := strconv.Atoi(rest)
		ev.kind, ev.exit = eventExited, exit{Known: true, Code: code}
	case "signal":
		n, _ := strconv.Atoi(rest)
		ev.kind, ev.exit = eventExited, exit{Known: true, Signal: n}
	case "undone":
		ev.kind = eventUndone
	case "unknown":
		ev.kind = eventExited
	case "healthy":
		ev.kind, ev.ok = eventHealth, true
	case "sick":
		ev.kind, ev.text = eventHealth, rest
	case "free", "busy":
		ev.kind, ev.ok, ev.gen = eventGuard, word == "free", s.gens["guard "+ev.name]
		if !ev.ok {
			ev.blocker = blocker{kind: "port", service: "port 80", detail: "port 80 is in use", needsPerson: true}
		}
	case "unmounted":
		ev.kind, ev.gen = eventGuard, s.gens["guard "+ev.name]
		ev.blocker = blocker{kind: "mount", service: "mount " + rest, detail: rest + " is not a mount point", needsPerson: true}
	case "why":
		s.out.WriteString(s.g.why(s.g.unit(ev.name), s.now).text)
		return true
	case "status":
		u := s.g.unit(ev.name)
		fmt.Fprintf(&s.out, "%s is %s, wish up %v, pid %v, restarts %d, blocked by %v\n", u.name, u.state, u.up, u.pid != 0, u.restartCount, s.g.blockedBy(u))
		if u.said != (unitSaid{}) {
			fmt.Fprintf(&s.out, "  has said: %+v\n", u.said)
		}
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
	{"starting, to fork", "unit web pid_file=/run/web.pid delay=1s start_timeout=5s\nboot\nspawned web"},
	{"stopping, to fork", "unit web pid_file=/run/web.pid delay=1s start_timeout=5s\nboot\nspawned web\nstop web"},
	{"running", "unit web health=10s delay=1s\nboot\nspawned web\n+0s\nhealthy web\n+10s"},
	{"running, endings", "unit web restart=always prevent=1 success_signal=9\nboot\nspawned web"},
	{"starting, says when it is ready", "unit web notify watchdog=5s delay=1s start_timeout=5s\nboot\nspawned web\n+3s"},
	{"starting, has to live", "unit web ready_after=1s delay=1s\nboot\nspawned web"},
	{"running, has said so", "unit web notify watchdog=15s delay=1s\nboot\nspawned web\nready web"},
	{"running, ends by itself", "unit web notify stop_timeout=5s delay=1s\nboot\nspawned web\nready web\nquitting web"},
	{"running, required", "unit web delay=1s\nunit user requires=web\nboot\nspawned web\nspawned user"},
	{"running, to stop", "unit web delay=1s\nunit user requires=web\nboot\nspawned web\nspawned user\nstop web"},
	{"running target", "unit web target\nboot"},
	{"stopping, asked", "unit web delay=1s\nboot\nspawned web\nstop web"},
	{"stopping, sick", "unit web health=10s delay=1s start_timeout=5s\nboot\nspawned web\n+5s"},
	{"stopping, again", "unit web delay=1s\nboot\nspawned web\nrestart web"},
	{"exited", "unit web delay=1s\nboot\nspawned web\nexit web 0"},
	{"exited, to be undone", "unit db\nunit web oneshot stop_exec delay=1s requires=db\nunit user requires=web\nboot\nspawned db\nspawned web\nexit web 0"},
	{"exited, required, to stop", "unit web oneshot stop_exec\nunit user requires=web\nboot\nspawned web\nexit web 0\nspawned user\nstop web"},
	{"stopping, being undone", "unit web oneshot stop_exec\nboot\nspawned web\nexit web 0\nstop web"},
	{"exited, skipped", "unit web restart=always\nboot\nskipped web exists /on"},
	{"exited, pending", "unit web delay=1s restart=always\nboot\nspawned web\nexit web 0"},
	{"failed", "unit web restart=never\nboot\nspawned web\nexit web 1"},
	{"failed, pending", "unit web delay=1s\nboot\nspawned web\nexit web 1"},
	{"failed, dependency", "unit web requires=db\nboot"},
	{"running, bound to what runs no more", "unit db delay=1s\nunit web binds=db delay=1s\nboot\nspawned db\nspawned web\nexit db 1"},
	{"running, bound to what is to stop", "unit db\nunit web binds=db delay=1s\nunit user requires=web\nboot\nspawned db\nspawned web\nspawned user\nstop db"},
	{"critical, starting", "unit web critical restart=never health=10s\nboot\nspawned web"},
	{"critical, skipped", "unit web critical restart=always\nboot\nskipped web exists /on"},
	{"critical, restarted while starting", "unit web critical restart=never\nboot\nrestart web"},
	{"critical, running", "unit web critical restart=never health=10s\nboot\nspawned web\n+0s\nhealthy web"},
	{"critical, to restart", "unit web critical restart=never\nunit user requires=web\nboot\nspawned web\nspawned user\nrestart web"},
	{"critical, to come back", "unit db\nunit web critical restart=never requires=db\nunit user requires=web\nboot\nspawned db\nspawned web\nspawned user\nrestart db"},
	{"critical, sick", "unit web critical restart=never health=10s start_timeout=5s\nboot\nspawned web\n+5s"},
	{"critical, sick, again", "unit web critical restart=never health=10s start_timeout=5s\nboot\nspawned web\n+5s\nrestart web"},
	{"critical oneshot", "unit web critical oneshot restart=never\nboot\nspawned web"},
}

// matrixEvents are the columns of the matrix: every event that can meet a unit.
var matrixEvents = []string{"start web", "start web tree wait", "stop web wait", "restart web wait", "kill web", "send web hello", "wait web running", "spawned web", "nospawn web EACCES", "skipped web exists /on",
	"exit web 0", "exit web 1", "signal web 9", "unknown web", "undone web", "healthy web", "sick web refused", "free web", "busy web", "+100ms", "+1s", "+30s", "set web exec=/bin/new",
	"mainpid web", "ready web", "hopeless web closed", "says web busy", "errno web", "reloading web", "quitting web", "alive web", "watchdog web 500ms\n+500ms", "extend web 8s\n+10s",
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

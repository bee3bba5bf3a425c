// proc_limits_test.go tests [limits]: what a service finds of them inside, what cannot be had and says so, and that nobody waits for a stage.

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inside is a service that prints what its process has got, as the kernel sees it.
const inside = `[service]
exec = ["/bin/sh", "-c", "cat /proc/self/limits /proc/self/status /proc/self/oom_score_adj; grep PPid /proc/$$/status; umask; ps -o ni= -p $$; pwd; env; ls /proc/self/fd; echo end of it; exec sleep 1000"]
env = { GOGC = "nonsense", GODEBUG = "panicnil=7", MINE = "a value" }
`

// insideOf is what such a service printed.
func insideOf(s *server, name string) string {
	s.t.Helper()
	s.is("running", name)
	eventually(s.t, name+" has printed all", func() bool { return strings.Contains(s.ok("logs", name), "end of it") })
	return s.ok("logs", name)
}

// TestLimitsInside: every key of [limits] that a process applies to itself is there inside, and nothing else is different, under a server of its own and under PID 1.
func TestLimitsInside(t *testing.T) {
	t.Parallel()
	needs(t, "ps", "sleep")
	limits := `[limits]
nofile = 1234
nproc = 4321
core = 0
as = 8000000000
memlock = 65536
nice = 7
oom_score_adj = 345
umask = "027"
no_new_privs = true
`
	services := map[string]string{
		"plain": inside,
		"all":   inside + limits,
		"user":  inside + "user = 1234\ngroup = 4321\ndir = \"/usr\"\n" + limits + "caps = [\"net_bind_service\", \"cap_CHOWN\"]\n",
		"root":  inside + "[limits]\ncaps = [\"net_bind_service\"]\n",
		"core":  inside + "[limits]\ncore = \"unlimited\"\n",
	}
	try := func(t *testing.T, s *server) {
		plain, all, user := insideOf(s, "plain"), insideOf(s, "all"), insideOf(s, "user")
		rows := []string{"Max open files|1234|1234", "Max processes|4321|4321", "Max core file size|0|0", "Max address space|8000000000|8000000000", "Max locked memory|65536|65536",
			"NoNewPrivs:|1", "345", "0027", "7", "MINE=a value", "GOGC=nonsense", "GODEBUG=panicnil=7"}
		for _, row := range rows {
			for name, text := range map[string]string{"all": all, "user": user} {
				if !hasWords(text, row) {
					t.Errorf("%s: no line %q in\n%s", name, row, text)
				}
			}
		}
		for _, row := range []string{"Uid:|1234|1234|1234|1234", "Gid:|4321|4321|4321|4321", "CapAmb:|0000000000000401", "CapPrm:|0000000000000401", "CapEff:|0000000000000401", "/usr"} {
			if !hasWords(user, row) {
				t.Errorf("user: no line %q in\n%s", row, user)
			}
		}
		for _, key := range []string{"SigBlk:", "SigIgn:", "SigCgt:", "Max open files", "Max stack size"} {
			if a, b := lineWith(plain, key), lineWith(insideOf(s, "core"), key); a != b || a == "" {
				t.Errorf("without limits %q, with one %q", a, b)
			}
		}
		if a, b := lineWith(plain, "CapEff:"), lineWith(insideOf(s, "root"), "CapEff:"); a != b {
			t.Errorf("root has %q, and with ambient capabilities %q", a, b)
		}
		if !strings.Contains(all, "\n0\n1\n2\n3\nend of it") {
			t.Errorf("descriptors are left open:\n%s", all)
		}
	}
	t.Run("standalone", func(t *testing.T) {
		if os.Getuid() != 0 {
			skip(t, "changing the user needs root")
		}
		try(t, startServer(t, services))
	})
	t.Run("container", func(t *testing.T) {
		b := startInit(t, services, boxOptions{}).up()
		try(t, &b.server)
		for name, pid := range map[string]int{"plain": b.status("plain").PID, "all": b.status("all").PID} {
			if st := insideOf(&b.server, name); !hasWords(st, "PPid:|1") {
				t.Errorf("%s (pid %d) is no child of PID 1", name, pid)
			}
		}
	})
}

// hasWords says whether a line of text has these words and no others; | stands for any space between them.
func hasWords(text, words string) bool {
	want := strings.Split(words, "|")
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), want[0])
		if !found {
			continue
		}
		got := strings.Fields(rest)
		if len(got) >= len(want)-1 && strings.Join(got[:len(want)-1], "|") == strings.Join(want[1:], "|") {
			return true
		}
	}
	return false
}

func lineWith(text, key string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, key) {
			return line
		}
	}
	return ""
}

// TestLimitsThatCannotBeHad: the start fails, and the reason names the key and what is missing.
func TestLimitsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	services := map[string]string{}
	cases := map[string]struct{ limits, says string }{
		"nofile":  {"nofile = 2000000000000", "limits.nofile: 2000000000000 is above the hard limit "},
		"nice":    {"nice = -5", "limits.nice: -5 is lower than zinit may set here (it lacks CAP_SYS_NICE)"},
		"oom":     {"oom_score_adj = -999", "limits.oom_score_adj: -999 is lower than zinit may set here (it lacks CAP_SYS_RESOURCE)"},
		"nochr":   {"chroot = \"/no/such\"", "limits.chroot: dir /no/such does not exist"},
		"chr":     {"chroot = \"/\"", "limits.chroot: zinit, as uid "},
		"caps":    {"caps = [\"chown\"]", "limits.caps: chown cannot be given: zinit does not have it here"},
		"program": {"nice = 5", "/no/such/program does not exist"},
	}
	for name, c := range cases {
		exec := "exec = [\"/bin/sleep\", \"1000\"]\n"
		if name == "program" {
			exec = "exec = [\"/no/such/program\"]\n"
		}
		services[name] = "[service]\n" + exec + "[limits]\n" + c.limits + "\n" + once
	}
	services["works"] = "[service]\nexec = [\"/bin/sleep\", \"1000\"]\n[limits]\nnice = 5\nnofile = 300\numask = \"077\"\noom_score_adj = 900\nno_new_privs = true\ncore = 0\npids_max = 20\n"
	s := newServer(t, services)
	s.ordinary()
	s.run()
	s.is("running", "works")
	for name, c := range cases {
		s.is("failed", name)
		says(t, s.status(name).Reason.String(), c.says)
	}
	text, _ := os.ReadFile(s.out.Name())
	says(t, string(text), "works: [limits] of its control group are not applied: ")
	says(t, strings.Join(strings.Fields(s.ok("info")), " "), "cgroup none", "missing services get no control groups (")
	if code := s.ok("why", "nofile"); !strings.Contains(code, "limits.nofile") {
		t.Errorf("why does not name the key:\n%s", code)
	}
}

// TestChrootOfAService: the program, its directory and its interpreter are found in there, through links as they lead in there.
func TestChrootOfAService(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "chroot needs root")
	}
	root := shortDir(t)
	for _, dir := range []string{"bin", "real", "work"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, actorBinary(t), filepath.Join(root, "real/actor"))
	if err := os.Symlink("/real/actor", filepath.Join(root, "bin/app")); err != nil { // from outside it leads nowhere
		t.Fatal(err)
	}
	chroot := fmt.Sprintf("[limits]\nchroot = %q\n", root)
	s := startServer(t, map[string]string{
		"path":    "[service]\nexec = [\"app\", \"print=found\", \"block\"]\ndir = \"/work\"\nuser = 1234\nenv = { PATH = \"/bin\" }\n" + chroot,
		"full":    "[service]\nexec = \"/bin/app print=found block\"\n" + chroot,
		"nowhere": "[service]\nexec = [\"/bin/sleep\", \"9\"]\n" + chroot + once,
		"nodir":   "[service]\nexec = [\"/bin/app\"]\ndir = \"/tmp\"\n" + chroot + once,
		"noshell": "[service]\nexec = \"app | app\"\n" + chroot + once,
	})
	s.is("running", "path", "full")
	for name, dir := range map[string]string{"path": "/work", "full": ""} {
		pid := s.status(name).PID
		if got, _ := os.Readlink(procPath(pid, "/root")); got != root {
			t.Errorf("the root of %s is %s, not %s", name, got, root)
		}
		if got, _ := os.Readlink(procPath(pid, "/cwd")); got != root+dir {
			t.Errorf("the directory of %s is %s, not %s", name, got, root+dir)
		}
		eventually(t, name+" has printed", func() bool { return strings.Contains(s.ok("logs", name), "found") })
	}
	for name, text := range map[string]string{"nowhere": "in " + root + ": /bin/sleep does not exist", "nodir": "dir /tmp does not exist", "noshell": "/bin/sh does not exist"} {
		s.is("failed", name)
		says(t, s.status(name).Reason.String(), "limits.chroot: ", text)
	}
}

// TestHelpersHaveTheLimitsToo: a check and a stop_exec run in the surroundings of their service.
func TestHelpersHaveTheLimitsToo(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	show := fmt.Sprintf("[\"/bin/sh\", \"-c\", \"umask > %s/$0\", ", dir)
	s := startServer(t, map[string]string{"app": playing("[limits]\numask = \"035\"\n[health]\ntype = \"exec\"\ntarget = "+show+"\"check\"]\n[lifecycle]\nstop_exec = "+show+"\"stop\"]\nstop_timeout_ms = 1000\n", "block")})
	s.is("running", "app")
	s.ok("stop", "--wait", "app")
	for _, name := range []string{"check", "stop"} {
		eventually(t, name+" has written", func() bool {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			return string(text) == "0035\n"
		})
	}
}

// TestRow57_TheStageHasNoForeignEnvironment: what a service is given for itself means nothing to the stage, which is a Go program.
func TestRow57_TheStageHasNoForeignEnvironment(t *testing.T) {
	t.Parallel()
	s := startServer(t, map[string]string{"app": "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo started; exec sleep 1000\"]\nenv = { GOTRACEBACK = \"crash\", GODEBUG = \"schedtrace=1,inittrace=1\", GOMEMLIMIT = \"1B\" }\n[limits]\nnice = 1\n"})
	s.is("running", "app")
	eventually(t, "it has printed", func() bool { return s.ok("logs", "app") != "" })
	if out := s.ok("logs", "app"); out != "started\n" {
		t.Errorf("it printed %q", out)
	}
}

// TestAStageThatHangsHoldsNobodyUp: a wait for it ends at its limit, and soon when the service is not wanted any more.
func TestAStageThatHangsHoldsNobodyUp(t *testing.T) {
	sp := childSpec(-1, []string{"ZINIT_SERVICE=app"}, "/bin/true")
	for _, hurry := range []bool{true, false} {
		nice := int64(1)
		g := &stageStart{order: stageOrder{Nice: &nice}}
		if err := g.open(sp); err != nil {
			t.Fatal(err)
		}
		limit := 10 * time.Millisecond
		if hurry {
			limit = time.Hour
			g.hurry()
		}
		if err := g.wait(limit); err == nil || !strings.Contains(err.Error(), "/bin/true does not answer") {
			t.Errorf("hurry %v: %v", hurry, err)
		}
	}
}

// TestTerminalOfAService: what a service has at its terminal, as its user, and how the terminal is taken away from it.
func TestTerminalOfAService(t *testing.T) {
	t.Parallel()
	needs(t, "sleep")
	if os.Getuid() != 0 {
		skip(t, "giving a terminal to another user needs root")
	}
	master, slave := openPTY(t)
	name := slave.Name()
	heard := &lockedText{}
	go func() { _, _ = io.Copy(heard, master) }()
	s := startServer(t, map[string]string{
		"shell": fmt.Sprintf("[service]\nexec = [\"/bin/sh\", \"-c\", \"echo at $(tty) by $(id -u); read line </dev/tty; echo read $line; (setsid sleep 1000 &); exec sleep 1000\"]\nuser = 1234\ntty = %q\n", name),
		"none":  "[service]\nexec = [\"/bin/sleep\", \"1000\"]\ntty = \"/dev/null\"\n" + once,
		"both":  fmt.Sprintf("[service]\nexec = \"x\"\nstdin = \"pipe\"\ntty = %q\n", name),
	})
	eventually(t, "it has written", func() bool { return strings.Contains(heard.String(), "at "+name+" by 1234") })
	if _, err := master.WriteString("a word\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has read", func() bool { return strings.Contains(heard.String(), "read a word") })
	owner := func() (uid uint32) {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		return st.Uid
	}
	if uid := owner(); uid != 1234 {
		t.Errorf("the terminal belongs to %d", uid)
	}
	s.is("running", "shell")
	if out := s.ok("logs", "shell"); out != "" {
		t.Errorf("it is logged: %q", out)
	}
	s.is("failed", "none")
	says(t, s.status("none").Reason.String(), "tty: /dev/null: inappropriate ioctl for device")
	text, _ := s.zinit("check", filepath.Join(s.dir, "services"))
	says(t, text, "with `tty` the terminal is its stdin")
	s.ok("stop", "--wait", "shell")
	if uid := owner(); uid != 0 {
		t.Errorf("afterwards the terminal belongs to %d", uid)
	}
	for _, pid := range sysAllPids() {
		if to, _ := os.Readlink(procPath(pid, "/fd/0")); to == name && pid != os.Getpid() {
			t.Errorf("process %d still has the terminal", pid)
		}
	}
}

// lockedText is what comes from a terminal.
type lockedText struct {
	mu   sync.Mutex
	text []byte
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// TestLimitsNeedProc: without /proc our own program is not known, and no other is executed in its place.
func TestLimitsNeedProc(t *testing.T) {
	b := startInit(t, map[string]string{"web": service(t, "block", "[limits]\nnofile = 64")}, boxOptions{enter: []string{"tmpfs=/proc"}})
	b.says("web failed")
	if text := b.output(); !strings.Contains(text, "need /proc") {
		t.Errorf("it says\n%s", text)
	}
}

// proc_cgroup_test.go tests the control groups of services where no controllers are needed: who is in them, what is left, who takes them over. What they limit is tested in a machine.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// ownCgroup makes a control group for the program of a test, which is removed at its end.
func ownCgroup(t *testing.T) (dir string, enter func(*exec.Cmd)) {
	t.Helper()
	at := sysCgroup(os.Getpid())
	dir, err := os.MkdirTemp(at, "test-zinit-")
	if at == "" || err != nil {
		skip(t, "no cgroup v2 hierarchy in which we may make groups")
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		leaf(dir).kill()
		eventually(t, "the group of the test is empty", func() bool { return leaf(dir).remove() == nil })
	})
	return dir, func(cmd *exec.Cmd) {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(f.Fd())
	}
}

// TestRow05_NothingLeavesAControlGroup: what leaves its session, wipes its environment and loses its parent in an unexpected death is found all the same, by a server that adopted its service and went over to another binary.
func TestRow05_NothingLeavesAControlGroup(t *testing.T) {
	t.Parallel()
	grouped := "[limits]\npids_max = 0\n" + once
	const runaway = "clean-runaway=ignore=TERM,block"
	services := map[string]string{
		"dies":  playing(grouped, runaway, runaway, "block"),
		"stops": playing(grouped+"stop_timeout_ms = 300\n", runaway, runaway, "block"),
		"lets":  playing(grouped+"kill_mode = \"process\"\n", runaway, runaway, "block"),
		"plain": playing(once, "block"),
	}
	try := func(t *testing.T, s *server, own, base string, again func()) {
		group := func(name string) string { return filepath.Join(own, base, name) }
		pids := map[string][]int{}
		for _, name := range []string{"dies", "stops", "lets"} {
			eventually(t, name+" has run away", func() bool {
				var st statsResult
				_ = json.Unmarshal([]byte(s.ok("--json", "stats", name)), &st)
				pids[name] = cgroupProcs(group(name))
				return st.Processes == 3 && len(st.Children) == 0 && len(pids[name]) == 3
			})
		}
		s.is("running", "plain")
		if sysExists(group("plain")) || len(cgroupProcs(own)) > 0 {
			t.Errorf("plain has a group, or %v are beside the groups", cgroupProcs(own))
		}
		stale := group("stale")
		if err := os.MkdirAll(stale+"/below", 0o755); err != nil {
			t.Fatal(err)
		}
		again()
		eventually(t, "the group of nobody has gone", func() bool { return !sysExists(stale) })
		s.ok("upgrade")
		s.ok("kill", "dies", "KILL")
		s.is("failed", "dies")
		s.ok("stop", "--wait", "stops")
		s.ok("stop", "--wait", "lets")
		for _, name := range []string{"dies", "stops"} {
			if i := slices.IndexFunc(pids[name], alive); i >= 0 || sysExists(group(name)) {
				t.Errorf("%s has left %d, or its group", name, i)
			}
		}
		if left := cgroupProcs(group("lets")); len(left) != 2 {
			t.Errorf("in mode process %d are left", len(left))
		}
		text, _ := os.ReadFile(s.out.Name())
		says(t, string(text), "dies left 2 processes behind: ")
		s.ok("start", "--wait", "stops")
	}
	t.Run("standalone", func(t *testing.T) {
		own, enter := ownCgroup(t)
		s := newServer(t, services)
		s.prepare = enter
		s.run()
		base := newCgroups(s.socket, false, false).name
		try(t, s, own, base, func() {
			_ = s.cmd.Process.Kill()
			<-s.ended
			s.ended <- nil
			s.run()
		})
		leaf(filepath.Join(own, base, "lets")).kill()
		s.stop()
		if sysExists(filepath.Join(own, base)) {
			t.Error("the directory of the groups is left")
		}
	})
	t.Run("container", func(t *testing.T) {
		own, enter := ownCgroup(t)
		b := startInit(t, services, boxOptions{prepare: enter}).up()
		try(t, &b.server, own, "zinit", func() {
			old := b.serverPID()
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			b.up()
		})
	})
}

// pingBound is what a ping may take, in ms, on a machine of one processor with three hogs.
const pingBound = 50

// TestRow08_HogsInAMachine: a fork bomb, a memory hog and a CPU hog get what [limits] gives them and no more, and the server answers all the while. The end of the memory
// hog says why, and a stop leaves nothing of a bomb, nor of what ran away without an environment.
func TestRow08_HogsInAMachine(t *testing.T) {
	t.Parallel()
	once := once + "stop_timeout_ms = 1000\n"
	hog := func(script, limits string) string {
		return fmt.Sprintf("[service]\nexec = [\"/bin/sh\", \"-c\", %q]\nstatus = \"stop\"\n%s[limits]\n%s\n", script, once, limits)
	}
	m := shellMachine(t, machineSpec{qemu: countedClock, files: map[string]string{
		"/bomb":                          "setsid sh /bomb &\nexec sh /bomb\n",
		"/run.sh":                        "env -i /bin/setsid /bin/sh -c '/bin/sleep 7777 & exec /bin/sleep 7777' &\necho away; exec sleep 7777\n",
		"/etc/zinit/services/bomb.toml":  hog("sh /bomb & exec sleep 10000", "pids_max = 40\ncpu_max_percent = 20"),
		"/etc/zinit/services/eat.toml":   hog("x=aaaaaaaa; while :; do x=$x$x; done", "memory_max_bytes = 33554432"),
		"/etc/zinit/services/spin.toml":  hog("while :; do :; done", "cpu_max_percent = 20"),
		"/etc/zinit/services/away.toml":  hog("exec sh /run.sh", "pids_max = 10"),
		"/etc/zinit/services/tight.toml": hog("exec sleep 10000", "pids_max = 1\nmemory_max_bytes = 2000000\nnofile = 20"),
	}})
	ask := func(command string) string {
		t.Helper()
		m.does("echo begin-$((40+1)); "+command+"; echo end-$((40+2))", "begin-41")
		return m.expect("end-42")
	}
	says(t, ask("zinit info; cat /proc/1/oom_score_adj /proc/$(pidof zinit)/oom_score_adj /proc/self/oom_score_adj"), "/sys/fs/cgroup/zinit\n", "\n-1000\n0\n0\n")
	ask("zinit start spin bomb away tight --wait")
	ask("until zinit logs away | grep -q away; do sleep 1; done; zinit start eat")
	_, pings, _ := strings.Cut(ask("actor pings=40"), "slowest ")
	if ms, rest, _ := strings.Cut(pings, " "); rest != "ms <nil>\n" || number(ms) > pingBound {
		t.Errorf("the slowest ping took %s", pings)
	} else {
		t.Logf("the slowest ping took %s ms", ms)
	}
	says(t, ask("zinit wait eat --state failed; zinit status eat; zinit status eat --json"), "killed by SIGKILL (out of memory)", `"oom":true`)
	if text := ask("cd /sys/fs/cgroup; cat */cgroup.procs | grep -c .; cat zinit/bomb/pids.max zinit/bomb/pids.current zinit/bomb/cpu.max zinit/tight/pids.current zinit/tight/memory.max; grep . /proc/1/cgroup; cd /"); !strings.Contains(text, "\n1\n1998848\n0::/zinit.init\n") || !strings.Contains(text, "\n20000 100000\n") {
		t.Errorf("the groups are\n%s", text)
	}
	says(t, ask("zinit kill tight KILL; zinit wait tight --state failed; zinit status tight"), "killed by SIGKILL\n")
	stats := ask("zinit stats spin --json")
	var st statsResult
	if err := json.Unmarshal([]byte(stats), &st); err != nil || st.CPUPercent < 5 || st.CPUPercent > 30 || st.MemoryBytes == 0 {
		t.Errorf("spin uses %s", stats)
	}
	text := ask("kill -9 $(pidof zinit); zinit wait bomb; zinit stop bomb away spin --wait")
	if says(t, text, "adopted 5 running services"); strings.Contains(text, "memory was used up") {
		t.Error("the memory that a service had used up is taken for that of the server")
	}
	if text := ask("ls -d /sys/fs/cgroup/zinit/*/; ps | grep -v grep | grep 'bomb\\|7777\\|do :'"); !strings.Contains(text, "No such file or directory\n") || strings.Count(text, "\n") != 2 {
		t.Errorf("left are\n%s", text)
	}
}

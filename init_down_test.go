// init_down_test.go tries the end: order and time of a shutdown, exit codes, unmounting and power-off.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnmountOrder(t *testing.T) {
	mounts := parseMountinfo(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /sys rw - sysfs sysfs rw
25 24 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
26 22 0:24 / /dev rw - devtmpfs dev rw
27 22 254:1 / /srv/my\040data rw,noatime - ext4 /dev/vdb rw,errors=remount-ro
28 27 0:25 / /srv/my\040data/cache rw - tmpfs tmpfs rw
29 22 0:26 / /run rw - tmpfs run rw
broken line
`)
	if want := []string{"/run", "/srv/my data/cache", "/srv/my data"}; !slices.Equal(newBoot("/").toUnmount(mounts), want) {
		t.Errorf("got %q, want %q", newBoot("/").toUnmount(mounts), want)
	}
	if want := (mountEntry{"/dev/vdb", "/srv/my data", "ext4", "rw,noatime,rw,errors=remount-ro"}); mounts[5] != want {
		t.Errorf("got %+v", mounts[5])
	}
}

func TestPowerOffReturnsWhereTheMachineIsNotOurs(t *testing.T) {
	machineDown("poweroff", nil) // this process is not PID 1
	if onMachine() {
		t.Error("the test believes to be PID 1 of a machine")
	}
}

func TestBoundedGivesUp(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	if bounded("wait for ever", time.Millisecond, nil, func() { <-block }) || !bounded("panic", time.Minute, nil, func() { panic("oh") }) {
		t.Error("bounded does not tell what was done in time from what was not")
	}
}

func TestUnmountAllInNamespaces(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	b := treeOf(t, nil)
	dir := b.root
	for _, step := range []error{
		unix.Mount("tmpfs", dir, "tmpfs", 0, ""), os.Mkdir(dir+"/busy", 0o755), unix.Mount("tmpfs", dir+"/busy", "tmpfs", 0, ""),
		os.Mkdir(dir+"/free", 0o755), unix.Mount("tmpfs", dir+"/free", "tmpfs", 0, ""), os.Chdir(dir + "/busy"),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	outside := len(b.toUnmount(newBoot("/").mounts()))
	if outside != 2 {
		t.Fatalf("%d mounts below the tree, want 2", outside)
	}
	b.unmountAll(newBoot("/").mounts)
	if sysMounted(dir + "/free") {
		t.Error("what is free is still mounted")
	}
	if err := os.WriteFile("x", nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("what is busy can still be written: %v", err)
	}
	if err := os.WriteFile(dir+"/x", nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("the root can still be written: %v", err)
	}
}

func TestRow21_ShutdownOrder(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	word := "sign=15:" + dir + "/order print=up block"
	requires := func(n string) string { return "[dependencies]\nrequires = [\"" + n + "\"]" }
	b := startInit(t, map[string]string{"db": service(t, word), "app": service(t, word, requires("db")), "web": service(t, word, requires("app"))}, boxOptions{}).up()
	for _, name := range []string{"db", "app", "web"} { // a signal would find no handler before
		b.says(name + " | up")
	}
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	order, _ := os.ReadFile(dir + "/order")
	if string(order) != "web\napp\ndb\n" {
		t.Errorf("they stopped in the order %q", order)
	}
}

// TestRow19_ShutdownTime: 8 s are the default in a container; at three quarters even what waits for its turn is asked to stop.
func TestRow19_ShutdownTime(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"db":       service(t, "sign=15:"+dir+"/order block"),
		"stubborn": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 60000\n[dependencies]\nrequires = [\"db\"]"),
	}, boxOptions{}).up()
	b.says("stubborn | up")
	began := time.Now()
	b.signal(sigTerm)
	code := b.ends(patience)
	if took := time.Since(began); code != 0 || took < 6*time.Second || took > 8*time.Second+slack {
		t.Errorf("exit code %d after %v", code, took)
	}
	if order, _ := os.ReadFile(dir + "/order"); string(order) != "db\n" {
		t.Errorf("db was killed without having been asked: %q", order)
	}
}

// TestKeeperEndsAShutdown: a server that hangs does not keep the container from ending in time.
func TestKeeperEndsAShutdown(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"db":       service(t, "sign=15:"+dir+"/order print=up block"),
		"stubborn": service(t, "ignore=15 print=up block"),
	}, boxOptions{flags: []string{"--shutdown-timeout-ms", "6000"}}).up()
	b.says("db | up")
	b.says("stubborn | up")
	_ = syscall.Kill(b.serverPID(), syscall.SIGSTOP)
	began := time.Now()
	b.signal(sigTerm)
	code := b.ends(patience)
	if took := time.Since(began); code != 0 || took > 6*time.Second+slack {
		t.Errorf("exit code %d after %v", code, took)
	}
	if order, _ := os.ReadFile(dir + "/order"); string(order) != "db\n" {
		t.Errorf("db was not asked to stop: %q", order)
	}
}

// TestRow66_WhatCMDLeavesIsAskedFirst: whatever ends CMD, what it leaves behind gets SIGTERM and a moment; what is deaf to that is killed.
func TestRow66_WhatCMDLeavesIsAskedFirst(t *testing.T) {
	t.Parallel()
	needs(t, "setsid")
	for _, row := range []struct {
		name, by, trap, then string
		stop, deaf           bool
	}{
		{"stopped", "setsid", "sleep 0.2; echo saved; exit 0", "wait", true, false},
		{"ended", "setsid", "sleep 0.2; echo saved; exit 0", "exit 0", false, false},
		{"deaf", "setsid", "", "wait", true, true},
		{"stopped, in its group", "", "sleep 0.2; echo saved; exit 0", "wait", true, false},
		{"ended, in its group", "", "sleep 0.2; echo saved; exit 0", "exit 0", false, false},
		{"deaf, in its group", "", "", "wait", true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			script := fmt.Sprintf(`%s sh -c 'trap "%s" TERM; echo $$ >%s/pid; while :; do sleep 0.05; done' & while ! [ -s %[3]s/pid ]; do sleep 0.05; done; echo here; %s`, row.by, row.trap, dir, row.then)
			b := startInit(t, nil, boxOptions{notOne: row.deaf, cmd: []string{"/bin/sh", "-c", script}})
			b.says("\nhere\n")
			began := time.Now()
			if row.stop {
				b.signal(sigTerm)
			}
			code := b.ends(patience)
			if want := map[bool]int{true: 128 + sigTerm}[row.stop]; code != want || time.Since(began) > slack {
				t.Errorf("exit code %d, not %d, after %v", code, want, time.Since(began))
			}
			if row.deaf != strings.Contains(b.output(), "killing what has not ended") || row.deaf == strings.Contains(b.output(), "\nsaved\n") {
				t.Errorf("it prints\n%s", b.output())
			}
		})
	}
}

func TestRow42_SecondSIGTERMKills(t *testing.T) {
	t.Parallel()
	for _, hung := range []bool{false, true} {
		t.Run(fmt.Sprintf("server hung %v", hung), func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"stubborn": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 60000")},
				boxOptions{flags: []string{"--shutdown-timeout-ms", "60000"}}).up()
			b.says("stubborn | up")
			if hung {
				_ = syscall.Kill(b.serverPID(), syscall.SIGSTOP)
			}
			b.signal(sigTerm)
			if !hung {
				eventually(t, "it stops", func() bool { return b.status("stubborn").State == stopping })
			}
			b.signal(sigInt)
			if hung {
				b.signal(sigTerm) // two that came at once may be seen as one
			}
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestCriticalExitCodes(t *testing.T) {
	t.Parallel()
	noexec := filepath.Join(shortDir(t), "noexec")
	if err := os.WriteFile(noexec, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	never := "critical = true\n[lifecycle]\nrestart = \"never\"\n"
	for _, row := range []struct {
		name, text string
		code       int
	}{
		{"its exit code", service(t, "exit=3", never), 3},
		{"ended by itself with 0", service(t, "exit=0", never), 0},
		{"128+9", service(t, "die=9", never), 137},
		{"128+11", "[service]\nexec = [\"/bin/sh\", \"-c\", \"kill -11 $$\"]\n" + never, 139},
		{"not found", "[service]\nexec = \"/no/such\"\n" + never, 127},
		{"not executable", "[service]\nexec = \"" + noexec + "\"\n" + never, 126},
		{"after its last restart", service(t, "exit=4", "critical = true\n[lifecycle]\nmax_restarts = 1\nrestart_delay_ms = 10"), 4},
		{"health", service(t, "block", never, "[health]\ntype = \"exec\"\ntarget = \"mkdir "+filepath.Dir(noexec)+"/once\"\ninterval_ms = 20\nretries = 2"), 1},
		{"start timeout", service(t, "block", never, "start_timeout_ms = 100\n[health]\ntype = \"exec\"\ntarget = \"/bin/false\""), 1},
		{"missing dependency", service(t, "block", "critical = true\n[dependencies]\nrequires = [\"nothing\"]"), 1},
		{"a oneshot that fails", service(t, "exit=5", "oneshot = true", never), 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"main": row.text, "side": service(t, "block")}, boxOptions{})
			if code := b.ends(patience); code != row.code {
				t.Errorf("exit code %d, not %d", code, row.code)
			}
		})
	}
	t.Run("a oneshot that is done, and one that a person stops, end nothing", func(t *testing.T) {
		t.Parallel()
		b := startInit(t, map[string]string{"done": service(t, "exit=0", "oneshot = true", never), "stopped": service(t, "block", never)}, boxOptions{}).up()
		b.is("exited", "done")
		b.ok("stop", "stopped", "--wait")
		b.is("exited", "stopped")
		if b.serverPID() == 0 {
			t.Error("the server has ended")
		}
	})
}

func TestCriticalBesideCommand(t *testing.T) {
	t.Parallel()
	never := "critical = true\n[lifecycle]\nrestart = \"never\"\n"
	for _, row := range []struct {
		name, words string
		code        int
		kill        bool // the server, once the shutdown has begun
	}{
		{"its exit code", "await=%s/go exit=3", 3, false},
		{"ended by itself with 0", "await=%s/go exit=0", 0, false},
		{"a signal", "await=%s/go die=9", 137, false},
		{"with another server in between", "await=%s/go exit=3", 3, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			services := map[string]string{"main": service(t, fmt.Sprintf(row.words, dir), never)}
			if row.kill {
				services["slow"] = service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 3000")
			}
			b := startInit(t, services, boxOptions{cmd: []string{actorBinary(t), "print=here", "on=15:43", "block"}, flags: []string{"--shutdown-timeout-ms", "8000"}}).up()
			b.says("\nhere\n")
			b.is("running", "cmd")
			if row.kill {
				b.says("slow | up")
			}
			if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if row.kill {
				b.says("the critical service main")
				old := b.serverPID()
				_ = syscall.Kill(old, syscall.SIGKILL)
			}
			if code := b.ends(patience); code != row.code {
				t.Errorf("exit code %d, not %d", code, row.code)
			}
		})
	}
}

// TestShutdownSurvives: one that has begun goes on with the next server, in its time, to the same exit code.
func TestShutdownSurvives(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"SIGTERM", "critical", "call"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{
				"stubborn": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 60000"),
				"main":     service(t, "on=12:5 print=up block", "critical = true\n[lifecycle]\nrestart = \"never\""),
			}, boxOptions{flags: []string{"--shutdown-timeout-ms", "6000"}}).up()
			b.says("stubborn | up")
			b.says("main | up")
			began, want := time.Now(), 0
			switch how {
			case "SIGTERM":
				b.signal(sigTerm)
			case "critical":
				want = 5
				b.ok("kill", "main", "SIGUSR2")
			case "call":
				b.ok("call", "system.shutdown")
			}
			eventually(t, "stubborn is stopping", func() bool { return b.status("stubborn").State == stopping })
			old := b.serverPID()
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			code := b.ends(patience)
			if took := time.Since(began); code != want || took > 6*time.Second+slack || took < 5*time.Second {
				t.Errorf("exit code %d after %v", code, took)
			}
		})
	}
}

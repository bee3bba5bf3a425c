// supervisor_spawn_faults_test.go tests that many starts leave none behind, and what happens where no more processes or threads are allowed.

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEveryServiceOfABootStarts: no start is left behind, however often a boot is done.
func TestEveryServiceOfABootStarts(t *testing.T) {
	services := map[string]string{}
	for n := range 40 {
		services[fmt.Sprintf("s%02d", n)] = "[service]\nexec = \"sleep 1000\"\n"
	}
	for range 15 {
		s := startServer(t, services)
		c := s.dial()
		eventually(t, "all run", func() bool {
			return strings.Count(string(c.call("service.list_full", "[]")), `"state":"running"`) == len(services)
		})
		s.stop()
	}
}

// TestChainOfStarts: each link starts after the one before and prints what it prints once, what cannot start says so, and no pipe is left of what did not.
func TestChainOfStarts(t *testing.T) {
	nowhere := "[service]\nexec = [\"/nowhere\"]\n" + once
	services := map[string]string{"x0": nowhere, "y0": playing("", "block")}
	const n = 40
	requires := func(name string) string { return "[dependencies]\nrequires = [\"" + name + "\"]\n" }
	for i := range n {
		more := ""
		if i > 0 {
			more = requires(fmt.Sprintf("s%02d", i-1))
		}
		services[fmt.Sprintf("s%02d", i)] = playing(more, fmt.Sprintf("print=this is %d", i), "block")
	}
	for i := range 3 {
		services[fmt.Sprintf("x%d", i+1)] = playing(requires(fmt.Sprintf("x%d", i)), "print=never", "block")
		services[fmt.Sprintf("y%d", i+1)] = nowhere + requires(fmt.Sprintf("y%d", i))
	}
	s := newServer(t, services)
	s.run()
	s.is("running", fmt.Sprintf("s%02d", n-1))
	s.is("failed", "x0", "x1", "x2", "x3", "y1", "y2", "y3")
	before := int64(0)
	for i := range n {
		name := fmt.Sprintf("s%02d", i)
		st := s.status(name)
		if st.State != running || st.LastStart < before {
			t.Errorf("%s is %s, started at %d, the one before at %d", name, st.State, st.LastStart, before)
		}
		before = st.LastStart
		eventually(t, name+" has printed", func() bool { return strings.Contains(s.ok("logs", name), "this is") })
		if out := s.ok("logs", name); strings.Count(out, "\n") != 1 || !strings.Contains(out, fmt.Sprintf("this is %d", i)) {
			t.Errorf("%s printed %q", name, out)
		}
	}
	says(t, s.status("y1").Reason.String(), "/nowhere does not exist")
	eventually(t, "the server has two pipes for each service that runs, and no more", func() bool {
		if os.Getuid() != 0 { // only root may look at them
			return true
		}
		pipes := 0
		fds, _ := filepath.Glob(procPath(s.cmd.Process.Pid, "/fd/*"))
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.HasSuffix(to, ".stdout") || strings.HasSuffix(to, ".stderr") {
				pipes++
			}
		}
		return pipes == 2*(n+1)
	})
	s.stop()
}

// TestRow07_NoMoreProcesses: when the kernel grants no further process, a start fails with that reason and is tried again; all that runs goes on.
func TestRow07_NoMoreProcesses(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		skip(t, "no prlimit")
	}
	const sleeps = "[service]\nexec = \"sleep 1000\"\n"
	s := newServer(t, map[string]string{
		"bystander": sleeps,
		"late":      sleeps + waiting + "[lifecycle]\nrestart_delay_ms = 10\nrestart_delay_max_ms = 200\n",
		"probed":    sleeps + "[health]\ntype = \"exec\"\ntarget = [\"/bin/true\"]\ninterval_ms = 20\nretries = 1000000\n",
	})
	s.ordinary()
	user := s.prepare
	s.prepare = func(cmd *exec.Cmd) { // with few from the start it keeps spare threads, as the runtime ends a process that needs a new one and gets none
		cmd.Args = append([]string{"prlimit", "--nproc=900:", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = prlimit
		if user != nil {
			user(cmd)
		}
	}
	s.run()
	s.is("running", "bystander", "probed")
	limit := func(soft string) { // by the same user: nobody else may, without CAP_SYS_RESOURCE
		cmd := exec.Command("prlimit", "--pid", strconv.Itoa(s.cmd.Process.Pid), "--nproc="+soft+":")
		cmd.SysProcAttr = s.cmd.SysProcAttr
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	var ours unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &ours); err != nil {
		t.Fatal(err)
	}
	pid := s.status("bystander").PID
	limit("1")
	s.zinit("start", "late")
	eventually(t, "the start was tried again and again", func() bool { return s.status("late").RestartCount > 3 })
	st := s.status("late")
	for st.Reason == nil { // between two tries
		st = s.status("late")
	}
	says(t, st.Reason.String(), "no more processes allowed here (pids limit or RLIMIT_NPROC of the user)")
	for range 50 {
		s.ok("ping")
	}
	if now := s.status("bystander"); now.PID != pid || now.State != running {
		t.Errorf("the bystander was %d, and is %+v", pid, now)
	}
	limit(strconv.FormatInt(int64(ours.Cur), 10)) // -1: none
	s.is("running", "late")
	s.stop()
}

// TestRow07_NoMoreThreads: when services have taken all processes that a user may have, the server and its keeper, which count too, live on and serve.
func TestRow07_NoMoreThreads(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		skip(t, "no prlimit")
	}
	if os.Getuid() != 0 {
		skip(t, "the limit counts all processes of a user: that needs a user of its own")
	}
	const limit, uid = 44, 61007
	for what, role := range map[string][]string{"server": {"server"}, "keeper and server": {"init", "-c"}} {
		t.Run(what, func(t *testing.T) {
			s := newServer(t, nil)
			for i := range 60 {
				s.write(fmt.Sprintf("s%02d", i), "[service]\nexec = \"sleep 1000\"\n[lifecycle]\nrestart_delay_ms = 50\nrestart_delay_max_ms = 100\n")
			}
			s.ordinary()
			for _, dir := range []string{s.dir, filepath.Join(s.dir, "services")} {
				if err := os.Chown(dir, uid, uid); err != nil {
					t.Fatal(err)
				}
			}
			s.prepare = func(cmd *exec.Cmd) {
				argv := append([]string{"prlimit", "--nproc=" + strconv.Itoa(limit), cmd.Path}, role...)
				cmd.Path, cmd.Args = prlimit, append(argv, cmd.Args[2:]...)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
			}
			s.run()
			refused := func() (n int) {
				for i := range 60 {
					if st := s.status(fmt.Sprintf("s%02d", i)); st.RestartCount > 5 {
						n++
					}
				}
				return n
			}
			eventually(t, "ten services were refused again and again", func() bool { return refused() >= 10 })
			var clients sync.WaitGroup
			for range 4 {
				clients.Go(func() {
					c, err := net.Dial("unix", s.socket)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					lines := bufio.NewReader(c)
					for range 20 {
						_, _ = io.WriteString(c, `{"jsonrpc":"2.0","id":1,"method":"service.list_full"}`+"\n")
						if _, err := lines.ReadBytes('\n'); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			clients.Wait()
			s.ok("status", "--json")
			s.stop()
		})
	}
}

func TestRow55_ManyServicesNeedFewThreads(t *testing.T) {
	services := map[string]string{}
	for n := range 300 {
		services[fmt.Sprintf("s%03d", n)] = "[service]\nexec = \"sleep 1000\"\n"
	}
	s := startServer(t, services)
	c := s.dial()
	eventually(t, "all run", func() bool {
		return strings.Count(string(c.call("service.list_full", "[]")), `"state":"running"`) == len(services)
	})
	if st, err := readStat(s.cmd.Process.Pid); err != nil || st.Threads > 24 {
		t.Errorf("%d threads, %v", st.Threads, err)
	}
	if h := s.holds(c); h.goroutines > 40 {
		t.Errorf("%d goroutines", h.goroutines)
	}
	s.stop()
}

// supervisor_adopt_kill_test.go kills servers in the middle of a boot: the next one must find every service, each once, with all that it wrote.

//go:build linux

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var killBoots = flag.Int("kill-boots", 1, "how many boots TestKilledInBoot kills servers in, for each case")

// TestKilledInBoot: servers are killed at random moments of a boot.
func TestKilledInBoot(t *testing.T) {
	for _, mode := range []string{"container", "standalone"} {
		t.Run(mode, func(t *testing.T) {
			for n := range *killBoots {
				killInBoot(t, mode == "container", false, n)
			}
		})
		t.Run(mode+"-without-proc", func(t *testing.T) {
			for n := range *killBoots {
				killInBoot(t, mode == "container", true, n)
			}
		})
		for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOSYS} {
			t.Run(mode+"-pidfd-"+unix.ErrnoName(errno), func(t *testing.T) {
				if withSyscallRefused(t, unix.SYS_PIDFD_OPEN, errno) {
					for n := range *killBoots {
						killInBoot(t, mode == "container", false, n)
					}
				}
			})
		}
	}
}

// killInBoot boots many services once, kills three servers meanwhile, and looks at what runs then, at what is left after the end, and at the log files.
func killInBoot(t *testing.T, container, blind bool, boot int) {
	const many, kills = 200, 3
	if *soakSeed == 0 {
		*soakSeed = rand.Uint64N(1 << 32)
	}
	rng := rand.New(rand.NewPCG(*soakSeed, uint64(boot)))
	t.Logf("-soak-seed %d", *soakSeed)
	s := &soak{t: t, dir: shortDir(t), ended: make(chan struct{}), said: map[string]int{}, began: time.Now()}
	services := map[string]string{}
	for i := range many {
		n := fmt.Sprint("s", i)
		more := fmt.Sprintf("[logging]\nconsole = false\nfile = \"%s/%s.log\"", s.dir, n)
		if i > many/2 && i%4 > 0 {
			more = fmt.Sprintf("[dependencies]\nafter = [\"s%d\"]\n", i-1) + more
		}
		if i%3 == 0 && !blind { // limits need /proc
			more += "\n[limits]\nnofile = 4096\n" // goes through a stage
		}
		services[n] = service(t, fmt.Sprintf("sole=%s/%s serial=%s/%s:200000:3", s.dir, n, s.dir, n), more)
		s.print = append(s.print, n)
	}
	var enter []string
	if blind {
		enter = []string{"tmpfs=/proc"}
	}
	if container {
		s.inBox(services, boxOptions{enter: enter})
	} else {
		s.socket = filepath.Join(s.dir, "s.sock")
		if err := os.Mkdir(s.servicesDir(), 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range services {
			s.write(name, text)
		}
		s.out, _ = os.Create(filepath.Join(s.dir, "server.log"))
		defer func() { _ = s.cmd.Load().Process.Kill() }()
	}
	for n := range kills + 1 {
		if !container {
			s.begin(enter)
		}
		if n == kills {
			break
		}
		time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
		if pid := s.serverPID(); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if !container {
			_ = s.cmd.Load().Wait()
		}
	}
	s.allRun(many)
	_ = s.cmd.Load().Process.Signal(syscall.SIGTERM)
	if container {
		<-s.box.ended
		s.box.ended <- nil
	} else {
		_ = s.cmd.Load().Wait()
	}
	s.nothingLeft("after the end")
	s.noPanic()
	if starts, lines := s.ids(), s.printed(); starts < many || starts > many+kills {
		s.fault("starts", "%d of %d services, %d lines", starts, many, lines)
	}
	doubles, _ := filepath.Glob(s.dir + "/*.double")
	for _, f := range doubles {
		text, _ := os.ReadFile(f)
		s.fault("two at once", "%s", text)
	}
	if t.Failed() {
		text, _ := os.ReadFile(s.out.Name())
		t.Logf("%s", text[max(0, len(text)-6000):])
	}
}

// begin runs a server without a keeper.
func (s *soak) begin(enter []string) {
	argv := append(append([]string{"@pid1"}, enter...), "--", zinitBinary(s.t), "server", "--socket", s.socket, "--config-dir", s.servicesDir())
	cmd := exec.Command("/proc/self/exe", argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Store(cmd)
}

// allRun waits until every service is said to run, and looks whether each has its one process.
func (s *soak) allRun(many int) {
	c := s.client(1)
	defer c.close()
	text := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a := c.ask("service.list_full", nil, patience)
		var all []serviceStatusFull
		if json.Unmarshal(a.Result, &all) != nil {
			continue
		}
		n := 0
		text = ""
		for _, st := range all {
			if st.State == running && st.PID != 0 {
				n++
			} else {
				text += fmt.Sprintf(" %s is %s: %s", st.Name, st.State, mustJSON(st.Reason))
			}
		}
		if n == many {
			eventually(s.t, "each has printed", func() bool {
				files, _ := filepath.Glob(s.dir + "/s[0-9]*.log") // not that of the server
				return len(files) >= many
			})
			pids, text := s.left()
			if len(pids) != many {
				s.fault("processes", "%d of %d services: %s", len(pids), many, text)
			}
			return
		}
	}
	s.fault("not all run", "%s", text)
}

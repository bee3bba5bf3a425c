// examples_test.go runs everything under examples/ against a real server, the way its first lines say.

//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// example is a program under examples/ with `zinit` in its PATH and the server's socket in its environment.
func (s *server) example(words ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join("examples", words[0]), words[1:]...)
	cmd.Env = append(os.Environ(), "ZINIT_SOCKET="+s.socket, "PATH="+filepath.Dir(zinitBinary(s.t))+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// runExample runs one to its end and returns what it printed.
func (s *server) runExample(words ...string) string {
	s.t.Helper()
	out, err := s.example(words...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// watchExample runs one that goes on for ever, and ends it with the test. Its lines come over the channel, which is closed at its end.
func (s *server) watchExample(words ...string) <-chan string {
	s.t.Helper()
	cmd := s.example(words...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// seesLine waits for a line that contains text.
func seesLine(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	var all []string
	eventually(t, "a line with "+text, func() bool {
		for {
			select {
			case l, open := <-lines:
				all = append(all, l)
				if strings.Contains(l, text) {
					return true
				}
				if !open {
					t.Fatalf("no line with %q; there were:\n%s", text, strings.Join(all, "\n"))
				}
			default:
				return false
			}
		}
	})
}

// exampleServices is a small graph: two services that stay up, one that waits for a person.
func exampleServices() map[string]string {
	return map[string]string{
		"db":   "[service]\nexec = \"sleep 600\"\n",
		"web":  "[service]\nexec = \"sleep 600\"\n[dependencies]\nrequires = [\"db\"]\n[lifecycle]\nrestart = \"never\"\n",
		"rest": "[service]\nexec = \"sleep 600\"\nstatus = \"stop\"\n",
	}
}

func TestExampleScripts(t *testing.T) {
	needs(t, "sh", "sleep")
	s := startServer(t, exampleServices())
	s.is("running", "db", "web")
	says(t, s.runExample("list_services.sh"), "NAME", "rest  inactive", "running now:\n  db\n  web\n")
	says(t, s.runExample("dependency_graph.sh"), "web (running)\n`- db (running)", "flowchart LR", "-->|requires|")
	out := s.runExample("create_service.sh", "demo")
	says(t, out, "demo is added", "demo: running", "made by create_service.sh", "hello from demo", "demo-follower (running)\n`- demo (running)", "demo is deleted")
	if out, code := s.zinit("status", "demo"); code != exitNoService {
		t.Errorf("create_service.sh leaves its service: exit code %d\n%s", code, out)
	}

	lines := s.watchExample("monitor_service.sh", "web")
	seesLine(t, lines, "web is running")
	s.restartUntil(lines, "web: running -> stopping")
	if err := syscall.Kill(s.status("web").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	seesLine(t, lines, "running -> failed (killed by SIGKILL)")
	seesLine(t, lines, "what to do:")
}

// restartUntil restarts web until a watcher, which may not have subscribed yet, prints text; web is running afterwards.
func (s *server) restartUntil(lines <-chan string, text string) {
	s.t.Helper()
	eventually(s.t, "an event of a restart", func() bool {
		s.ok("restart", "web", "--wait")
		for len(lines) > 0 {
			if strings.Contains(<-lines, text) {
				return true
			}
		}
		return false
	})
	s.is("running", "web")
}

func TestExampleClient(t *testing.T) {
	needs(t, "python3", "sleep")
	s := startServer(t, exampleServices())
	s.is("running", "db", "web")
	says(t, s.runExample("client.py", "list"), "db                   running", "rest                 inactive   0\n")
	says(t, s.runExample("client.py", "graph"), "flowchart LR", "-->|requires|")
	says(t, s.runExample("client.py", "create", "made", "sleep", "600"), "made is running\n")
	lines := s.watchExample("client.py", "watch")
	s.restartUntil(lines, "web running -> stopping")
	if out, err := s.example("client.py", "create", "made", "sleep", "600").CombinedOutput(); err == nil || !strings.Contains(string(out), "exists already") {
		t.Errorf("a service that exists is created again: %v\n%s", err, out)
	}
}

// TestExampleServices boots examples/services as the README says, on a copy without its absolute paths.
func TestExampleServices(t *testing.T) {
	needs(t, "sh", "date", "mkdir", "touch", "test")
	dir := shortDir(t)
	services := map[string]string{}
	files, _ := filepath.Glob("examples/services/*.toml")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		services[strings.TrimSuffix(filepath.Base(f), ".toml")] = strings.ReplaceAll(string(text), "/tmp/zinit-example", filepath.Join(dir, "run"))
	}
	s := startServer(t, services)
	s.is("running", "boot", "clock", "web")
	s.is("exited", "prepare")
	s.is("inactive", "maintenance")
	eventually(t, "clock tells the time", func() bool { return strings.Contains(s.ok("logs", "clock"), "hello, it is ") })
	says(t, s.ok("start", "maintenance"), "blocked")
	says(t, s.ok("why", "maintenance"), "conflicts with web", "zinit stop web")
	s.ok("stop", "web", "--wait")
	s.is("running", "maintenance")
	s.is("blocked", "boot")
}

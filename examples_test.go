// examples_test.go runs the clients and the services of examples/ against a real server; its machines boot in init_debian_test.go and init_initramfs_test.go.

//go:build linux

package main

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// exampleWays are the examples in each language: how the one of a name is run.
var exampleWays = map[string]func(t testing.TB, name string) []string{
	"python": func(t testing.TB, name string) []string {
		needs(t, "python3")
		return []string{"python3", "examples/python/" + name + ".py"}
	},
	"go": func(t testing.TB, name string) []string {
		needs(t, "go")
		return []string{goProgram(t, "examples/go", name)}
	},
}

// runExample runs one to its end and returns what it printed.
func (s *server) runExample(argv ...string) string {
	s.t.Helper()
	out, err := s.clientProgram(argv...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// watchExample runs one that goes on for ever, and ends it with the test. Its lines come over the channel, which is closed at its end.
func (s *server) watchExample(argv ...string) <-chan string {
	s.t.Helper()
	cmd := s.clientProgram(argv...)
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

// TestClientExamples runs each example in each language.
func TestClientExamples(t *testing.T) {
	needs(t, "sh", "sleep")
	for language, argv := range exampleWays {
		t.Run(language, func(t *testing.T) {
			s := startServer(t, exampleServices())
			s.is("running", "db", "web")
			says(t, s.runExample(argv(t, "list_services")...), "db                   running  ", "\nrest                 inactive ")
			says(t, s.runExample(argv(t, "dependency_graph")...), "web (running)\n`- db (running)", "flowchart LR", "-->|requires|")
			says(t, s.runExample(append(argv(t, "dependency_graph"), "dot")...), "digraph")
			create := append(argv(t, "create_service"), "demo")
			says(t, s.runExample(create...), "demo is running\nhello from demo\ndemo-follower (running)\n`- demo (running)")
			if names := s.ok("--json", "list"); strings.Contains(names, "demo") {
				t.Errorf("create_service leaves its services: %s", names)
			}
			s.ok("create", "demo", "--", "sleep", "600")
			if out, err := s.clientProgram(create...).CombinedOutput(); err == nil || !strings.Contains(string(out), "exists already") {
				t.Errorf("a service that exists is created again: %v\n%s", err, out)
			}

			lines := s.watchExample(append(argv(t, "monitor_service"), "web")...)
			seesLine(t, lines, "web is running")
			s.ok("restart", "web", "--wait")
			seesLine(t, lines, "web: running -> stopping")
			if err := syscall.Kill(s.status("web").PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			seesLine(t, lines, "web: running -> failed")
			seesLine(t, lines, "killed by SIGKILL")
		})
	}
}

// TestExampleServices boots examples/services, on a copy without its absolute paths.
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

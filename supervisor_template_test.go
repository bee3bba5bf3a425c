// supervisor_template_test.go tries instances of templates with a server: started by name, over the death of the server, and over reloads.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestInstancesByName(t *testing.T) {
	s := startServer(t, map[string]string{
		"job@":  "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo this is ${instance}; exec sleep 1000\"]\ninstances = [\"one\", \"two\"]\n[dependencies]\nrequires = [\"base@${instance}\"]\n",
		"base@": "[service]\nexec = [\"/bin/sleep\", \"1000\"]\n",
		"bad@":  "[service]\nexec = 1\n",
	})
	s.is("running", "job@one", "job@two", "base@one", "base@two")
	s.logged("job@two", "this is two")
	s.ok("start", "job@three", "--wait")
	s.is("running", "job@three", "base@three")
	if out, code := s.zinit("start", "job@a b"); code != exitNoService {
		t.Errorf("a name that no instance may have: exit code %d, %s", code, out)
	}
	if out, code := s.zinit("start", "nobody@x"); code != exitNoService {
		t.Errorf("no template: exit code %d, %s", code, out)
	}
	if out, code := s.zinit("start", "bad@x"); code == 0 || !strings.Contains(out, "exec") {
		t.Errorf("a bad template: exit code %d, %s", code, out)
	}
	if out, code := s.zinit("edit", "job@one"); code != exitRefused || !strings.Contains(out, "is an instance of the template") {
		t.Errorf("edit: exit code %d, %s", code, out)
	}

	pid := s.status("job@three").PID
	if err := os.Remove(filepath.Join(s.dir, "services", "bad@.toml")); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Process.Kill()
	s.ended <- <-s.ended
	s.run()
	if got := s.status("job@three"); got.PID != pid || got.State != running {
		t.Errorf("after the death of the server job@three is %s with pid %d, not %d", got.State, got.PID, pid)
	}
	s.ok("reload")
	s.is("running", "job@three")
	s.ok("stop", "job@t*", "--wait")
	s.ok("reload")
	want := []string{"base@one", "base@three", "base@two", "job@one", "job@two"} // base@three is still wanted
	var got []string
	for _, status := range s.all() {
		got = append(got, status.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	if err := os.Remove(filepath.Join(s.dir, "services", "job@.toml")); err != nil {
		t.Fatal(err)
	}
	s.ok("reload")
	eventually(t, "the instances leave with their template", func() bool { return !strings.Contains(s.ok("list"), "job@") })
	s.ok("create", "user", "--exec", "/bin/sleep 1000", "--requires", "base@four")
	s.is("running", "user", "base@four")
}

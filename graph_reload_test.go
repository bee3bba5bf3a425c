// graph_reload_test.go tries reloads: with directories that vanish, and with the real server while services run.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReloadOfAVanishedDirectory: a directory that was there and is gone is an error and removes nothing; one that never was is a warning.
func TestReloadOfAVanishedDirectory(t *testing.T) {
	empty, full, never := t.TempDir()+"/", t.TempDir()+"/", t.TempDir()+"/never"
	if err := os.WriteFile(full+"web.toml", []byte("[service]\nexec = \"/bin/web\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := newStage(time.Second)
	reload := func() string {
		s.out.Reset()
		s.step(event{kind: eventReload, load: loadDirs("", []string{empty, full, never}, nil), to: s.ticket()})
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

func TestRow28_ReloadWhileRunning(t *testing.T) {
	unharmed(t, map[string]string{"web": playing("", "print=old", "block"), "api": playing("", "block")}, func(s *server) {
		s.is("running", "web", "api")
		pid := s.status("web").PID
		s.write("web", playing("[dependencies]\nafter = [\"api\"]\n", "print=new", "block"))
		s.write("api", "[service]\nexec = 5\n")
		if out, code := s.zinit("reload"); code != 1 || !strings.Contains(out, "api.toml:2:") {
			t.Errorf("reload: exit code %d\n%s", code, out)
		}
		if st := s.status("web"); st.PID != pid || !st.ConfigChanged {
			t.Errorf("a changed file: %+v", st)
		}
		if st := s.status("api"); st.State != running || st.ConfigChanged {
			t.Errorf("a file that became wrong: %+v", st)
		}
		s.write("api", playing("[dependencies]\nrequires = [\"web\"]\n", "block"))
		if out, code := s.zinit("reload"); code != 1 || !strings.Contains(out, "api -> web -> api") {
			t.Errorf("a cycle: exit code %d\n%s", code, out)
		}
		if st := s.status("api"); st.State != running || st.ConfigChanged {
			t.Errorf("a file that would close a cycle: %+v", st)
		}
		s.write("api", playing("", "block"))
		if out := s.ok("reload", "--restart"); !strings.Contains(out, "web") {
			t.Errorf("reload --restart: %s", out)
		}
		eventually(t, "web runs as its file says", func() bool { st := s.status("web"); return st.State == running && st.PID != pid && !st.ConfigChanged })
		os.Remove(filepath.Join(s.dir, "services", "api.toml"))
		_ = s.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the removed service is gone", func() bool { return !strings.Contains(s.ok("call", "service.list"), "api") })
	})
}

// proc_condition_test.go tests conditions: which hold, and that a service is skipped where one does not.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConditionsOfAnEnvironment(t *testing.T) {
	dir := shortDir(t)
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("FROM_FILE=1\nEMPTY=\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ZINIT_SERVICE", "of the server")
	for _, c := range []struct {
		name        string
		env, exists []string
		unmet       string
	}{
		{"none", nil, nil, ""},
		{"set", []string{"OWN", "FROM_FILE", "PATH"}, nil, ""},
		{"not set", []string{"OWN", "NO_SUCH_VARIABLE"}, nil, "env NO_SUCH_VARIABLE"},
		{"set and empty", []string{"EMPTY"}, nil, "env EMPTY"},
		{"has the value", []string{"OWN=web", "EMPTY=", "ZINIT_SERVICE=app"}, nil, ""},
		{"has another", []string{"OWN=we"}, nil, "env OWN=we"},
		{"opposites", []string{"!EMPTY", "!NO_SUCH_VARIABLE", "!OWN=we"}, nil, ""},
		{"opposite of what holds", []string{"!OWN=web"}, nil, "env !OWN=web"},
		{"is there", nil, []string{there, dir, "!" + there + "/x"}, ""},
		{"is not there", []string{"OWN"}, []string{dir, there + "x"}, "exists " + there + "x"},
		{"should not be there", nil, []string{"!" + dir}, "exists !" + dir},
	} {
		conf := good(t, "[service]\nexec = \"x\"\nenv = { OWN = \"web\" }\nenv_file = \""+there+"\"\n")
		conf.Conditions = conditionDef{c.env, c.exists}
		if unmet, err := unmetCondition(conf, "id", func(string) {}); unmet != c.unmet || err != nil {
			t.Errorf("%s: %q does not hold (%v), want %q", c.name, unmet, err, c.unmet)
		}
	}
}

// TestSkipped: a service whose condition does not hold is skipped and counts as done; also after another server has taken over; and it is looked at again.
func TestSkipped(t *testing.T) {
	flag := filepath.Join(shortDir(t), "on")
	s := startServer(t, map[string]string{
		"app":  "[service]\nexec = [\"/no/such/program\"]\n[conditions]\nexists = [\"" + flag + "\"]\n[lifecycle]\nrestart = \"always\"\n",
		"user": playing("[dependencies]\nrequires = [\"app\"]\n[conditions]\nenv = [\"ZINIT_SERVICE=user\"]\n", "block"),
	})
	s.is("running", "user")
	want := "exists " + flag
	look := func() {
		t.Helper()
		if st := s.status("app"); st.State != exited || st.Skipped != want || st.Reason != nil || st.RestartInMS != nil || st.Wish != "up" || st.PID != 0 {
			t.Errorf("skipped: %+v", st)
		}
		says(t, s.ok("status", "app"), "skipped", want+" does not hold")
		says(t, s.ok("why", "app"), want, "zinit start app")
		says(t, s.ok("list"), "skipped: "+want)
	}
	look()
	s.ok("health")
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.ended <- nil
	s.run()
	s.is("running", "user")
	look()
	if out := s.ok("start", "app", "--wait"); !strings.Contains(out, "exited") {
		t.Error(out)
	}
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := s.zinit("start", "app", "--wait"); code != 3 || !strings.Contains(out, "/no/such/program") {
		t.Errorf("the condition holds: exit code %d\n%s", code, out)
	}
	if st := s.status("app"); st.State != failed || st.Skipped != "" {
		t.Errorf("the condition holds: %+v", st)
	}
	s.ok("stop", "app")
}

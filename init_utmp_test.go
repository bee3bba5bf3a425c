// init_utmp_test.go tries the records of boots and shutdowns with the programs that read them.

//go:build linux

package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestUtmp(t *testing.T) {
	needs(t, "who", "last")
	b := treeOf(t, map[string]string{"/var/log/wtmp": "", "/run/utmp": "what an earlier boot has left"})
	if err := os.Chmod(b.path("/var/log/wtmp"), 0o664); err != nil {
		t.Fatal(err)
	}
	for _, step := range []error{runSteps(b.utmpSteps()), b.noteDown()} {
		if step != nil {
			t.Fatal(step)
		}
	}
	_, release, _ := strings.Cut(kernelName(), " ")
	for _, c := range []struct {
		argv []string
		want []string
	}{
		{[]string{"who", "-b", b.path("/run/utmp")}, []string{"system boot", time.Now().Format("2006-")}},
		{[]string{"last", "-x", "-F", "-f", b.path("/var/log/wtmp")}, []string{"reboot   system boot  " + release[:10], "shutdown system down  " + release[:10], time.Now().Format("Jan _2")}},
	} {
		out, err := exec.Command(c.argv[0], c.argv[1:]...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", c.argv, err)
		}
		says(t, string(out), c.want...)
	}
	if st, err := os.Stat(b.path("/run/utmp")); err != nil || st.Mode().Perm() != 0o664 || st.Size() != int64(len(utmpRecord(0, "", "", time.Time{}, ""))) {
		t.Errorf("utmp: %v, %v", st, err)
	}
	arm := utmpRecord(utmpBoot, "reboot", "6.1", time.Unix(1, 2000), "arm64")
	if len(arm) != 400 || binary.NativeEndian.Uint64(arm[344:]) != 1 || binary.NativeEndian.Uint64(arm[352:]) != 2 {
		t.Errorf("for arm64: %v", arm)
	}
}

// TestNoUtmpWithoutWtmp: a machine that keeps no such files gets none.
func TestNoUtmpWithoutWtmp(t *testing.T) {
	b := treeOf(t, map[string]string{"/run/.keep": ""})
	if steps := b.utmpSteps(); len(steps) != 1 || steps[0].done == "" || b.noteDown() != nil {
		t.Errorf("steps: %+v", steps)
	}
	if _, err := os.Stat(b.path("/run/utmp")); err == nil {
		t.Error("there is one")
	}
}

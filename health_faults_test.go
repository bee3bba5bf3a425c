// health_faults_test.go tests that a check ends with its service.

//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Stop means that nothing is left, also of a check that was asking the service when it ended.
func TestRow29_ACheckEndsWithItsService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "check")
	argv, _ := json.Marshal(childArgv("ignore=TERM", "touch="+file, "block"))
	s := startServer(t, map[string]string{"web": playing("[health]\ntype = \"exec\"\ntimeout_ms = 600000\ntarget = "+string(argv)+
		"\n[lifecycle]\nstart_timeout_ms = 0\n", "block")})
	eventually(t, "the check runs", func() bool { _, err := os.Stat(file); return err == nil })
	check := pidIn(t, file)
	s.ok("stop", "web", "--wait")
	if alive(check) {
		t.Errorf("the check (process %d) outlived its service", check)
	}
	s.stop()
}

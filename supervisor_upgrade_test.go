// supervisor_upgrade_test.go replaces a server without a keeper by a new image of itself.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpgradeInPlaceLosesNoOutput: what a service printed that ended while the new image was not there yet is in its log.
func TestUpgradeInPlaceLosesNoOutput(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	files := map[string]string{}
	for n := range 20 {
		name := fmt.Sprint("w", n)
		files[name] = service(t, fmt.Sprintf("sole=%s/%s print=up doze=1:20 exit=0", dir, name),
			fmt.Sprintf("[lifecycle]\nrestart = \"always\"\nrestart_delay_ms = 1\nrestart_delay_max_ms = 1\n[logging]\nconsole = false\nfile = \"%s/%s.log\"", dir, name))
	}
	s := startServer(t, files)
	for range 15 {
		s.ok("upgrade")
	}
	s.stop()
	for name := range files {
		started := lines(filepath.Join(dir, name+".ids"))
		text, err := os.ReadFile(filepath.Join(dir, name+".log"))
		if printed := strings.Count(string(text), "up\n"); err != nil || printed < len(started)-1 || len(started) < 5 { // the last start may have been stopped first
			t.Errorf("%s: %d starts, %d lines; %v", name, len(started), printed, err)
		}
	}
}

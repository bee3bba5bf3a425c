// graph_reload_test.go tries reloads with directories that vanish.

//go:build unix

package main

import (
	"os"
	"strings"
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

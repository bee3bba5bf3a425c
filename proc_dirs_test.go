// proc_dirs_test.go tests the directories that are made before a start.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// owned is the mode and owner of a path.
func owned(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
}

func TestRuntimeDirs(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "only root may give directories to others")
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	top := t.TempDir()
	at := func(name string) string { return filepath.Join(top, name) }
	for _, dir := range []string{"empty", "full/x", "its/x"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(at("its"), 4321, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("empty"), at("link")); err != nil {
		t.Fatal(err)
	}
	var looked []string
	dirs := []string{at("a/b/c"), at("a/d") + "/", at("empty"), at("full"), at("its")}
	for range 2 {
		if err := makeRuntimeDirs(dirs, 4321, 1234, func(path string) { looked = append(looked, path) }); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"a": "drwxr-xr-x 0:0", "a/b": "drwxr-xr-x 0:0", "a/b/c": "drwxr-xr-x 4321:1234", "a/d": "drwxr-xr-x 4321:1234", "empty": "drwxr-xr-x 4321:1234", "full": "drwx------ 0:0", "its": "drwxr-xr-x 4321:1234",
	} {
		if got := owned(t, at(name)); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if len(looked) != 2*len(dirs) {
		t.Errorf("looked at %q", looked)
	}
	for name, want := range map[string]string{"file": "not a directory", "file/x": "not a directory", "link": "not a directory"} {
		err := makeRuntimeDirs([]string{at(name)}, 1, 1, func(string) {})
		if err == nil || !strings.Contains(err.Error(), "cannot make "+at(name)+", one of runtime_dirs: "+want) {
			t.Errorf("%s gives %v", name, err)
		}
	}
	if err := makeRuntimeDirs([]string{at("ours")}, -1, -1, func(string) {}); err != nil || owned(t, at("ours")) != "drwxr-xr-x 0:0" {
		t.Errorf("without a user: %v, %s", err, owned(t, at("ours")))
	}
}

// TestRuntimeDirsAreMadeBeforeEachStart: a service finds its directory, also after somebody has removed it.
func TestRuntimeDirsAreMadeBeforeEachStart(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "only root may be another user")
	}
	top := t.TempDir()
	for dir := top; dir != "/tmp"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(top, "run/app")
	s := startServer(t, map[string]string{
		"app": "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo $$ >" + dir + "/pid; exec sleep 1000\"]\nuser = 4321\nruntime_dirs = [\"" + dir + "\"]\n",
		"bad": "[service]\nexec = \"sleep 1000\"\nruntime_dirs = [\"/proc/zinit-cannot\"]\n[lifecycle]\nrestart = \"never\"\n",
	})
	written := func() bool { _, err := os.Stat(dir + "/pid"); return err == nil }
	eventually(t, "the service writes into its directory", written)
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	s.ok("restart", "app", "--wait")
	eventually(t, "the service writes into its directory again", written)
	s.is("failed", "bad")
	says(t, s.status("bad").Reason.String(), "cannot make /proc/zinit-cannot, one of runtime_dirs: ")
}

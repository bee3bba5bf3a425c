// config_load_test.go tests what is read from directories and how a file is replaced.

//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// files makes a directory with the named files.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDirectories(t *testing.T) {
	const app = "[service]\nexec = \"x\"\n"
	system := files(t, map[string]string{"net.toml": app, "boot.toml": "[target]"})
	user := files(t, map[string]string{
		"web.toml": app, "db.toml": app, ".hidden.toml": "bad", "note.txt": "bad", "old.toml~": "bad",
		"broken.toml": "[service]\nexec = 5\n", "second.toml": app + "name = \"web\"\n", "x.toml": app + "name = \"net\"\n", "early.toml": app + "name = \"zz\"\n",
	})
	gone := filepath.Join(user, "gone")
	l := loadDirs(system, []string{user, gone, user + "/"}, nil)
	var names []string
	for _, c := range l.configs {
		names = append(names, c.Service.Name+":"+string(c.Service.Class))
		if c.persist == c.system || c.path == "" {
			t.Errorf("%s: path %q, system %v, persist %v", c.Service.Name, c.path, c.system, c.persist)
		}
	}
	if got, want := strings.Join(names, " "), "boot:system net:system db:user zz:user web:user"; got != want {
		// web is the name inside second.toml as well, which is read before web.toml
		t.Errorf("loaded %s, want %s", got, want)
	}
	for _, want := range []string{"broken.toml:2:8: `exec` must be", "web.toml:1:1: the name \"web\" is already taken by " + user + "/second.toml", "x.toml:3:8: the name \"net\" is already taken by " + system + "/net.toml"} {
		if !slices.ContainsFunc(l.errors, func(p problem) bool { return strings.Contains(p.String(), want) }) {
			t.Errorf("no error %q in %v", want, l.errors)
		}
	}
	if len(l.errors) != 3 || len(l.warnings) != 1 || l.warnings[0].Path != gone || !slices.Equal(l.missing, []string{gone}) || len(l.unreadable) != 0 {
		t.Errorf("errors %v\nwarnings %v\nmissing %v unreadable %v", l.errors, l.warnings, l.missing, l.unreadable)
	}
	l = loadDirs("", []string{filepath.Join(user, "web.toml")}, nil)
	if len(l.errors) != 1 || len(l.unreadable) != 1 {
		t.Errorf("a file as a directory: %+v", l)
	}
}

// TestManyFilesAtOnce: files are read side by side, and each has what it would have alone.
func TestManyFilesAtOnce(t *testing.T) {
	content := map[string]string{}
	for n := range 500 {
		content[fmt.Sprintf("s%03d.toml", n)] = fmt.Sprintf("[service]\nexec = \"x %d\"\n[lifecycle]\nsuccess_codes = [%d, 1]\n[health]\ntype = \"tcp\"\ntarget = \":%d\"\n", n, n%200, n+1)
		content[fmt.Sprintf("t%03d.toml", n)] = "[service]\nexec = \"y\"\n"
	}
	dir := files(t, content)
	l := loadDirs("", []string{dir}, nil)
	if len(l.configs) != len(content) || len(l.errors) > 0 {
		t.Fatalf("%d of %d files, errors %v", len(l.configs), len(content), l.errors)
	}
	for _, c := range l.configs {
		alone, _, _ := parseTOML([]byte(content[c.Service.Name+".toml"]), c.path, c.Service.Name)
		if alone == nil || !c.same(alone) {
			t.Fatalf("%s is\n%s\nalone it is\n%+v", c.Service.Name, c.toml(), alone)
		}
	}
}

func TestOnlyRegularFilesOfOneMegabyte(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := exec.Command("mkfifo", at("fifo.toml")).Run(); err != nil {
		skip(t, "no mkfifo here: "+err.Error())
	}
	os.Mkdir(at("dir.toml"), 0o755)
	os.Symlink("/dev/zero", at("zero.toml"))
	os.Symlink("nowhere", at("dangling.toml"))
	os.WriteFile(at("big.toml"), []byte("[service]\nexec = \"x\"\n#"+strings.Repeat("x", maxFileBytes)), 0o644)
	os.WriteFile(at("real"), []byte("[service]\nexec = \"x\"\n"), 0o644)
	os.Symlink("real", at("link.toml"))
	for name, want := range map[string]string{
		"fifo.toml": "it is a named pipe", "dir.toml": "it is a directory", "zero.toml": "it is a device", "dangling.toml": "no such file", "big.toml": "larger than 1048576 bytes",
	} {
		c, errs, _ := parseFile(at(name), false)
		if c != nil || len(errs) != 1 || !strings.Contains(errs[0].String(), want) {
			t.Errorf("%s gives %v, want %q", name, errs, want)
		}
	}
	if c, errs, _ := parseFile(at("link.toml"), false); c == nil || c.Service.Name != "link" {
		t.Errorf("a symbolic link to a file gives %v", errs)
	}
}

func TestSave(t *testing.T) {
	dir := files(t, map[string]string{"other.toml": "[service]\nname = \"app\"\nexec = \"x\"\n", "elsewhere": "mine"})
	c := good(t, "[service]\nname = \"web\"\nexec = \"x\"\n")
	target := filepath.Join(dir, "web.toml")
	os.Symlink("elsewhere", target)
	if err := saveFile(target, c, c.toml()); err != nil {
		t.Fatal(err)
	}
	path := target
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o644 {
		t.Errorf("the file is %v (%v), want a regular one with mode 0644", info, err)
	}
	if data, _ := os.ReadFile(filepath.Join(dir, "elsewhere")); string(data) != "mine" {
		t.Errorf("the symbolic link was followed: %q", data)
	}
	if again, errs, _ := parseFile(path, false); again == nil || !again.same(c) {
		t.Errorf("read again: %v", errs)
	}

	c.Service.Name = "other"
	if err := saveFile(filepath.Join(dir, "other.toml"), c, c.toml()); err == nil || !strings.Contains(err.Error(), `describes "app"`) {
		t.Errorf("the file of another service is replaced: %v", err)
	}
	c.Service.Name = "../x"
	if err := saveFile(filepath.Join(dir, "x.toml"), c, c.toml()); err == nil {
		t.Error("a name with a slash is saved")
	}
	os.MkdirAll(filepath.Join(dir, "full.toml", "x"), 0o755)
	c.Service.Name = "full"
	if err := saveFile(filepath.Join(dir, "full.toml"), c, c.toml()); err == nil {
		t.Error("a directory is replaced")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestExamples(t *testing.T) {
	l := loadDirs("", []string{"examples/services"}, nil)
	if len(l.errors) > 0 || len(l.warnings) > 0 || len(l.configs) != 5 {
		t.Errorf("%d examples, errors %v, warnings %v", len(l.configs), l.errors, l.warnings)
	}
	for _, c := range l.configs {
		roundTrip(t, c)
	}
}

// TestRow64_ALimitThatIsNotTheirOwn: a stop_timeout_ms that a file sets, and that a shutdown cuts short, is said; the default of the key is not.
func TestRow64_ALimitThatIsNotTheirOwn(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"default": "[service]\nexec = \"x\"\n# stop_timeout_ms\n", "long": "[service]\nexec = \"x\"\n[lifecycle]\nstop_timeout_ms = 9000\n", "short": "[service]\nexec = \"x\"\n[lifecycle]\nstop_timeout_ms = 8000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := filepath.Join(dir, "long.toml") + ":4:19: stop_timeout_ms (9000) is longer than a shutdown may take (--shutdown-timeout-ms 8000): in a shutdown it is killed earlier"
	if got := shutdownWarnings(loadDirs("", []string{dir}, nil).configs, 8*time.Second); len(got) != 1 || got[0].String() != want {
		t.Errorf("%v, want %s", got, want)
	}
	for _, c := range []struct {
		env, container string
		warned         bool
	}{{"", "", false}, {"", "1", true}, {"8999", "", true}, {"9000", "1", false}, {"0", "1", false}} {
		t.Setenv("ZINIT_SHUTDOWN_TIMEOUT_MS", c.env)
		t.Setenv("ZINIT_CONTAINER", c.container)
		out, err := exec.Command(zinitBinary(t), "check", dir).CombinedOutput()
		if warned := strings.Contains(string(out), "is longer than a shutdown"); err != nil || warned != c.warned {
			t.Errorf("check with %+v: %v\n%s", c, err, out)
		}
	}
}

func TestShutdownLimit(t *testing.T) {
	for _, c := range []struct {
		flag, env string
		container bool
		want      time.Duration
		set       bool
	}{
		{"", "", false, 30 * time.Second, false}, {"", "", true, 8 * time.Second, false}, {"", "500", true, 500 * time.Millisecond, true},
		{"700", "500", false, 700 * time.Millisecond, true}, {"0", "500", false, noLimit, true}, {"", "0", true, noLimit, true},
	} {
		t.Setenv("ZINIT_SHUTDOWN_TIMEOUT_MS", c.env)
		if got, set, err := shutdownLimit(c.flag, c.container); got != c.want || set != c.set || err != nil {
			t.Errorf("%+v: %v %v %v", c, got, set, err)
		}
	}
	t.Setenv("ZINIT_SHUTDOWN_TIMEOUT_MS", "soon")
	if _, _, err := shutdownLimit("", false); err == nil || err.Error() != "bad ZINIT_SHUTDOWN_TIMEOUT_MS `soon`: a number of milliseconds" {
		t.Errorf("soon: %v", err)
	}
}

// client_config_test.go is the manual of the commands that change service files: who writes what, and what is left when it does not work.

//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const commented = "# why it is so\n[service]\nname = \"web\" # ours\nexec = \"sleep 1000\"\n"

// secretService writes a service file that only its owner may read, and gives it to another user if we may.
func (s *server) secretService(name, text string) (path string, owner uint32) {
	s.t.Helper()
	s.write(name, text)
	path, owner = filepath.Join(s.dir, "services", name+".toml"), uint32(os.Getuid())
	if err := os.Chmod(path, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if os.Getuid() == 0 {
		owner = 1234
		if err := os.Chown(path, 1234, 1234); err != nil {
			s.t.Fatal(err)
		}
	}
	s.ok("reload")
	return path, owner
}

// hasFile fails the test unless a file is what it should be.
func hasFile(t *testing.T, path, text string, mode os.FileMode, owner uint32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != text {
		t.Errorf("%s has\n%s--- want\n%s", path, data, text)
	}
	if info.Mode() != mode || info.Sys().(*syscall.Stat_t).Uid != owner {
		t.Errorf("%s has mode %v of %d, want %v of %d", path, info.Mode(), info.Sys().(*syscall.Stat_t).Uid, mode, owner)
	}
}

// A file that is replaced keeps its mode and owner, and the comments of the text that was set; nothing lies beside it afterwards.
func TestSetKeepsModeOwnerAndComments(t *testing.T) {
	s := startServer(t, nil)
	path, owner := s.secretService("web", commented)
	text := strings.Replace(commented, "1000", "2000", 1)
	file := filepath.Join(s.dir, "new.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	says(t, s.ok("set", file), "web is set, file "+path)
	hasFile(t, path, text, 0o600, owner)
	s.ok("call", "service.set", `{"config": {"service": {"name": "web", "exec": "sleep 3000"}}}`)
	data, _ := os.ReadFile(path)
	says(t, string(data), "sleep 3000")
	hasFile(t, path, string(data), 0o600, owner)
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A service in a file of another name stays in that file.
func TestSetKeepsTheFile(t *testing.T) {
	s := startServer(t, map[string]string{"10-web": commented})
	path := filepath.Join(s.dir, "services", "10-web.toml")
	text := strings.Replace(commented, "1000", "2000", 1)
	file := filepath.Join(s.dir, "web.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	says(t, s.ok("set", file), "file "+path)
	hasFile(t, path, text, 0o644, uint32(os.Getuid()))
	if err := os.WriteFile(file, []byte("[service]\nexec = \"sleep 1\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, code := s.zinit("set", file)
	if code != exitRefused {
		t.Errorf("a text that names another service there: exit code %d", code)
	}
	says(t, out, `describes 10-web, not web; give it name = "web"`)
	hasFile(t, path, text, 0o644, uint32(os.Getuid()))
}

// What cannot be written leaves the file as it was, and is named.
func TestSetThatCannotWriteLosesNothing(t *testing.T) {
	s := newServer(t, map[string]string{"web": commented})
	s.ordinary() // root may write everywhere
	s.run()
	dir := filepath.Join(s.dir, "services")
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(dir, 0o755) }()
	out, code := s.zinit("--json", "call", "service.set", `{"config": {"service": {"name": "web", "exec": "sleep 3000"}}}`)
	if code != exitRefused {
		t.Errorf("exit code %d", code)
	}
	says(t, out, "cannot write")
	hasFile(t, filepath.Join(dir, "web.toml"), commented, 0o644, uint32(os.Getuid()))
}

// editsBy makes a shell command the editor, and keeps the copies that it works on in a directory of their own.
func editsBy(t *testing.T, command string) (copies func() []string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", command)
	return func() []string {
		found, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
		return found
	}
}

func TestEdit(t *testing.T) {
	s := startServer(t, nil)
	path, owner := s.secretService("web", commented)
	text := strings.Replace(commented, "1000", "2000", 1)

	copies := editsBy(t, "true")
	says(t, s.ok("edit", "web"), "nothing changed")
	copies2 := editsBy(t, "sed -i s/1000/2000/")
	says(t, s.ok("edit", "web"), "web is set, file "+path)
	hasFile(t, path, text, 0o600, owner)
	if left := append(copies(), copies2()...); len(left) > 0 {
		t.Errorf("copies are left: %v", left)
	}

	for _, c := range []struct{ editor, says string }{
		{"sed -i s/exec/exce/", "did you mean"},
		{"sed -i s/web/other/", "the name may not change from web to other"},
		{"sed -i 's/# ours/\\nrequires = 1/'", "requires"},
		{"f() { sed -i s/2000/3000/ \"$1\"; return 3; }; f", "exit status 3"},
	} {
		copies := editsBy(t, c.editor)
		out, code := s.zinit("edit", "web")
		if code != exitRefused {
			t.Errorf("%s: exit code %d", c.editor, code)
		}
		left := copies()
		if len(left) != 1 {
			t.Fatalf("%s: the copies %v are left, want one", c.editor, left)
		}
		says(t, out, c.says, "your text is in "+left[0], "zinit set "+left[0])
		hasFile(t, path, text, 0o600, owner)
	}
	copies = editsBy(t, "/nonexistent/editor")
	out, code := s.zinit("edit", "web")
	if code != exitRefused || len(copies()) > 0 {
		t.Errorf("no editor: exit code %d, left %v", code, copies())
	}
	says(t, out, "EDITOR names the editor")
}

// The server may be replaced while a person edits. When it is gone the text is not.
func TestEditWhileTheServerGoes(t *testing.T) {
	s := startServer(t, map[string]string{"web": commented})
	path := filepath.Join(s.dir, "services", "web.toml")
	copies := editsBy(t, fmt.Sprintf("f() { sed -i s/1000/2000/ \"$1\"; kill %d; while kill -0 %d 2>/dev/null; do sleep 0.02; done; }; f", s.cmd.Process.Pid, s.cmd.Process.Pid))
	out, code := s.zinit("edit", "web")
	left := copies()
	if code != exitNoServer || len(left) != 1 {
		t.Fatalf("exit code %d, left %v:\n%s", code, left, out)
	}
	says(t, out, "no server answers", "your text is in "+left[0])
	hasFile(t, path, commented, 0o644, uint32(os.Getuid()))
	s.run()
	says(t, s.ok("set", left[0]), "web is set")
	hasFile(t, path, strings.Replace(commented, "1000", "2000", 1), 0o644, uint32(os.Getuid()))
}

// The client writes nothing: a server that says yes and writes nothing leaves the file as it was.
func TestOnlyTheServerWritesFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.toml")
	if err := os.WriteFile(path, []byte(commented), 0o600); err != nil {
		t.Fatal(err)
	}
	s := fakeServe(t, map[string]string{
		"service.status_full": strings.Replace(webFull, "/etc/zinit/services/web.toml", path, 1),
		"service.set":         `{"ok":true,"name":"web","path":"` + path + `","warnings":[]}`,
	})
	editsBy(t, "sed -i s/1000/2000/")
	s.via(t, "edit", "web").exits(t, exitDone)
	hasFile(t, path, commented, 0o600, uint32(os.Getuid()))
	if sent := strings.Join(s.requests(), "\n"); !strings.Contains(sent, `"text":"# why it is so\n`) {
		t.Errorf("the comments were not sent: %s", sent)
	}
}

// The text of a file must say what the configuration says. When it does not, or is no TOML, nothing is written.
func TestTextOfAFile(t *testing.T) {
	s := startServer(t, map[string]string{"web": commented})
	path := filepath.Join(s.dir, "services", "web.toml")
	for text, want := range map[string]string{
		`[service]\nexec = \"sleep 2\"`:                "does not say the same as config",
		`[service]\nexec = \"sleep 1`:                  path + ":2:",
		`[service]\nname = \"db\"\nexec = \"sleep 1\"`: "describes db, not web",
	} {
		out, code := s.zinit("call", "service.set", `{"config": {"service": {"name": "web", "exec": "sleep 1"}}, "text": "`+text+`"}`)
		if code != exitRefused {
			t.Errorf("%s: exit code %d", text, code)
		}
		says(t, out, want)
		hasFile(t, path, commented, 0o644, uint32(os.Getuid()))
	}
	text := "[service]\nexec = \"sleep 1\" # new\n"
	s.ok("call", "service.create", `{"config": {"service": {"name": "new", "exec": "sleep 1"}}, "persist": true, "text": "[service]\nexec = \"sleep 1\" # new\n"}`)
	hasFile(t, filepath.Join(s.dir, "services", "new.toml"), text, 0o644, uint32(os.Getuid()))
	says(t, s.ok("reload"), "nothing changed")
}

func TestCreateBuildsAConfiguration(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.create": `{"ok":true,"name":"web","path":"/x/web.toml","warnings":[]}`})
	r := s.via(t, "create", "web", "--after", "a,b", "--env", "K=V=W", "--oneshot", "--persist", "--", "sleep", "--json", "5").exits(t, exitDone)
	expect(t, "stdout", r.out, "web is added, file /x/web.toml\n")
	expect(t, "request", s.requests()[0], `service.create {"config":{"dependencies":{"after":["a","b"]},"service":{"env":{"K":"V=W"},"exec":["sleep","--json","5"],"name":"web","oneshot":true}},"persist":true}`)
	s.via(t, "create", "web").exits(t, exitUsage)
}

func TestConfigErrorsAreListed(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.create": `!{"code":-32005,"message":"web is not valid","data":{"kind":"config_error","errors":[{"path":"","line":0,"column":0,"message":"unknown signal BOO\u001b"}]}}`})
	expect(t, "stderr", s.via(t, "create", "web", "--exec", "x").exits(t, exitRefused).err, "zinit: web is not valid\n  unknown signal BOO^[\n")
}

func TestCheckNeedsNoServer(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("web.toml", "[service]\nexec = \"true\"\n[dependencies]\nrequires = [\"databas\"]\n")
	good := write("database.toml", "[service]\nexec = \"true\"\n")
	r := zinit(t, 80, "check", dir).exits(t, exitDone)
	if !strings.Contains(r.out, "warning: "+filepath.Join(dir, "web.toml")) || !strings.Contains(r.out, "did you mean `database`?") {
		t.Errorf("no word of the name that nobody has:\n%s", r.out)
	}
	bad := write("bad.toml", "[service]\nexec = \"true\"\nrestat = 1\n")
	r = zinit(t, 80, "check", dir).exits(t, exitRefused)
	if !strings.Contains(r.out, bad+":3:1: ") || !strings.Contains(r.out, "2 good files, 1 error") {
		t.Errorf("the mistake is not shown:\n%s", r.out)
	}
	expect(t, "one file as JSON", zinit(t, 80, "check", "--json", good).exits(t, exitDone).out, `{"ok":true,"errors":[],"warnings":[]}`+"\n")
	zinit(t, 80, "check", filepath.Join(dir, "none")).exits(t, exitRefused)
	write("a.toml", "[service]\nexec = \"true\"\n[dependencies]\nrequires = [\"b\"]\n")
	write("b.toml", "[service]\nexec = \"true\"\n[dependencies]\nrequires = [\"a\"]\n")
	write("tty@.toml", "[service]\nexec = \"true\"\ninstances = [\"a\", \"b\"]\n")
	if r := zinit(t, 80, "check", dir).exits(t, exitRefused); !strings.Contains(r.out, "a -> b -> a") || !strings.Contains(r.out, "\n3 good files, 3 errors, 1 warning\n") {
		t.Errorf("the cycle is not shown, or its files and instances are counted as good files:\n%s", r.out)
	}
}

// TestDeleteSaysHowToForceIt: the server's words are for all its clients, the flag is the command line's.
func TestDeleteSaysHowToForceIt(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.delete": `!{"code":-32010,"message":"cannot delete db: required by web","data":{"kind":"dependency_error","names":["web"]}}`})
	if r := s.via(t, "delete", "db").exits(t, exitRefused); !strings.Contains(r.err, "zinit delete --force db, or first zinit delete web") {
		t.Errorf("%q", r.err)
	}
}

// TestAddShowsWarnings: a service whose dependency does not exist is added, and the person is told.
func TestAddShowsWarnings(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.create": `{"ok":true,"name":"x","path":null,"warnings":[{"path":"","line":0,"column":0,"message":"x requires gone, which does not exist"}]}`,
		"service.add": `{"ok":true,"name":"x","path":null,"warnings":[{"path":"","line":0,"column":0,"message":"x requires gone, which does not exist"}]}`})
	if r := s.via(t, "create", "x", "--requires", "gone", "--", "/bin/true").exits(t, exitDone); !strings.Contains(r.err, "warning: x requires gone, which does not exist") {
		t.Errorf("%q", r.err)
	}
}

// TestReloadSaysHowToStartWhatIsDown: what does not run is not restarted, and the way on is a start.
func TestReloadSaysHowToStartWhatIsDown(t *testing.T) {
	for answer, want := range map[string]string{
		`"changed":["a","b"],"restarted":["a"]`: "not running, so not restarted: zinit start b\n",
		`"changed":["a"],"restarted":["a"]`:     "",
	} {
		s := fakeServe(t, map[string]string{"service.reload": `{"added":[],"removed":[],"unchanged":[],"errors":[],"warnings":[],` + answer + `}`})
		out := s.via(t, "reload", "--restart").exits(t, exitDone).out
		if !strings.Contains(out, want) || want == "" && strings.Contains(out, "zinit ") {
			t.Errorf("%s: printed %q, want %q", answer, out, want)
		}
	}
	s := fakeServe(t, map[string]string{"service.reload": `{"added":[],"removed":[],"unchanged":[],"errors":[],"warnings":[],"changed":["a"],"restarted":[]}`})
	says(t, s.via(t, "reload").exits(t, exitDone).out, "what changed counts from the next start: zinit restart NAME")
}

// TestProposalsAreCommands: where the server proposes a method, the command line has the command for it; who makes calls reads of methods.
func TestProposalsAreCommands(t *testing.T) {
	refused := func(text string) string {
		return `!{"code":-32007,"message":"` + text + `","data":{"kind":"already_exists"}}`
	}
	s := fakeServe(t, map[string]string{"service.create": refused("web exists already; service.set replaces it"), "system.reboot": refused("cannot reboot: this server is not PID 1; system.shutdown ends it")})
	expect(t, "create", s.via(t, "create", "web", "--exec", "true").exits(t, exitRefused).err, "zinit: web exists already; `zinit set FILE` replaces it\n")
	expect(t, "reboot", s.via(t, "reboot").exits(t, exitRefused).err, "zinit: cannot reboot: this server is not PID 1; `zinit shutdown` ends it\n")
	expect(t, "call", s.via(t, "call", "service.create", `{"config":{}}`).exits(t, exitRefused).err, "zinit: web exists already; service.set replaces it\n")
}

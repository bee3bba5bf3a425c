// config_faults_test.go tests broken service files beside good ones, and that what service.get says changes nothing when it is set.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRow23_BrokenFilesAndCyclesBesideGoodOnes(t *testing.T) {
	sleeps := func(deps string) string { return playing("[dependencies]\n"+deps+"\n", "block") }
	unharmed(t, map[string]string{
		"typo":    "[service]\nexec = \"sleep 1\"\nrestat = \"always\"\n",
		"syntax":  "[service\nexec = 1",
		"types":   "[service]\nexec = 5\noneshot = \"yes\"\n",
		"empty":   "",
		"binary":  "\x00\x01\xff\xfe",
		"a":       sleeps(`requires = ["b"]`),
		"b":       sleeps(`after = ["c"]`),
		"c":       sleeps(`requires = ["a"]`),
		"needs-a": sleeps(`requires = ["a"]`),
		"self":    sleeps(`after = ["self"]`),
		"torn":    sleeps("requires = [\"bystander\"]\nconflicts = [\"bystander\"]"),
		"orphan":  sleeps(`requires = ["nowhere"]`),
		"leans":   sleeps(`requires = ["bystander"]`),
		"a b":     playing("", "block"),
	}, func(s *server) {
		s.is("running", "leans")
		if got := s.ok("call", "service.list"); strings.Join(strings.Fields(got), "") != `["bystander","leans","needs-a","orphan"]` {
			t.Errorf("loaded: %s", got)
		}
		out, code := s.zinit("check", filepath.Join(s.dir, "services"))
		if code != 1 {
			t.Errorf("check: exit code %d", code)
		}
		reload, code := s.zinit("reload")
		if code != 1 {
			t.Errorf("reload: exit code %d", code)
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
		for who, text := range map[string]string{"check": out, "reload": reload, "the log": string(log)} {
			t.Log(who)
			says(t, text, "typo.toml:3:1: unknown key `restat`; did you mean `restart`?", "syntax.toml:1:", "types.toml:2:", "types.toml:3:",
				"empty.toml:1:1:", "binary.toml:1:", "a.toml:4:13: ", "b.toml:4:10: ", "c.toml:4:13: ", "a -> b -> c -> a", "self -> self", "torn.toml:", "a b.toml:")
		}
		out, code = s.zinit("why", "orphan")
		says(t, out, "nowhere")
		leans, _ := s.zinit("why", "needs-a")
		says(t, leans, "requires a, whose file is not loaded", "a.toml:4:13: dependency cycle: a -> b -> c -> a")
		lost, gone := s.zinit("start", "b")
		if gone != 4 {
			t.Errorf("start of what is not loaded: exit code %d", gone)
		}
		says(t, lost, "its file is not loaded", "a -> b -> c -> a")
		if st := s.status("orphan"); code != 0 || st.State != failed || st.Reason == nil || st.Reason.Type != "missing_dependency" {
			t.Errorf("orphan: %+v", st)
		}
		cycle := `{"config":{"service":{"name":"bystander","exec":"sleep 1"},"dependencies":{"requires":["leans"]}}}`
		if _, fail := s.dial().try("service.set", cycle); fail == nil || fail.Code != -32010 || !strings.Contains(fail.Message, "bystander -> leans -> bystander") {
			t.Errorf("set that closes a cycle: %+v", fail)
		}
		for _, name := range []string{"typo", "syntax", "types", "empty", "binary", "a", "b", "c", "self", "torn", "a b"} {
			os.Remove(filepath.Join(s.dir, "services", name+".toml"))
		}
		s.ok("reload")
	})
}

// TestGetFillsInTheDefaults: service.get says what counts, `zinit get` only what differs, and set with either changes nothing.
func TestGetFillsInTheDefaults(t *testing.T) {
	s := startServer(t, map[string]string{"one": playing(waiting)})
	said := s.ok("--json", "get", "one")
	says(t, said, `"console":false`, `"stop_signal":"SIGTERM"`, `"start_timeout_ms":30000`)
	text := s.ok("get", "one")
	if strings.Contains(text, "console") || strings.Contains(text, "timeout") {
		t.Errorf("defaults in\n%s", text)
	}
	s.ok("call", "service.set", `{"config": `+said+`}`)
	if again := s.ok("--json", "get", "one"); again != said {
		t.Errorf("set with\n%s\nit is\n%s", said, again)
	}
}

// config_test.go tests the table of keys: defaults, targets, and when two configurations are the same.

//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// good parses a text that must be without errors.
func good(t *testing.T, text string) *config {
	t.Helper()
	c, errs, _ := parseTOML([]byte(text), "app.toml", "app")
	if c == nil || len(errs) > 0 {
		t.Fatalf("%s\nis refused: %v", text, errs)
	}
	return c
}

// complaints parses a text and gives its errors as people see them.
func complaints(text string) (lines []string) {
	_, errs, _ := parseTOML([]byte(text), "app.toml", "app")
	for _, e := range errs {
		lines = append(lines, e.String())
	}
	return lines
}

func TestDefaults(t *testing.T) {
	got := good(t, "[service]\nexec = \"/usr/bin/app --port 80\"\n[health]\ntype = \"tcp\"\ntarget = \"localhost:8080\"\n")
	data, err := json.Marshal(got.value())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"conditions":{"env":[],"exists":[]},"dependencies":{"after":[],"binds":[],"conflicts":[],"mounts":[],"requires":[],"wants":[]},` +
		`"health":{"interval_ms":10000,"retries":3,"start_interval_ms":100,"target":"localhost:8080","timeout_ms":5000,"type":"tcp"},` +
		`"lifecycle":{"kill_mode":"group","max_restarts":0,"ready_after_ms":0,"restart":"on-failure","restart_delay_max_ms":60000,"restart_delay_ms":1000,"restart_prevent":[],"stability_period_ms":10000,` +
		`"start_timeout_ms":30000,"stop_signal":"SIGTERM","stop_timeout_ms":10000,"success_codes":[0]},` +
		`"logging":{"buffer_lines":1000,"console_format":"prefix","file":"","format":"raw","keep":3,"max_size_bytes":10485760},` +
		`"service":{"class":"user","critical":false,"description":"","dir":"","env":{},"env_file":"","exec":"/usr/bin/app --port 80","expand":false,"group":"","instances":[],` +
		`"kill_others":false,"name":"app","oneshot":false,"pid_file":"","ports":[],"process_filter":"","runtime_dirs":[],"status":"start","stdin":"null","tty":"","user":""}}`
	if string(data) != want {
		t.Errorf("defaults are\n%s\nwant\n%s", data, want)
	}
	if text := string(got.toml()); strings.Contains(text, "interval") || !strings.Contains(text, "name = \"app\"") {
		t.Errorf("the file says its defaults, or not its name:\n%s", text)
	}
}

func TestTarget(t *testing.T) {
	c := good(t, "[target]\nstatus = \"stop\"\n[dependencies]\nrequires = [\"a\", \"a\"]\n")
	if c.Kind != "target" || c.Service.Name != "app" || c.Service.Status != "stop" || len(c.Dependencies.Requires) != 2 {
		t.Errorf("target is %+v", c)
	}
	if got, want := string(c.toml()), "[target]\nname = \"app\"\nstatus = \"stop\"\n\n[dependencies]\nrequires = [\"a\", \"a\"]\n"; got != want {
		t.Errorf("target is written as\n%s\nwant\n%s", got, want)
	}
	roundTrip(t, c)
}

func TestTheTableOfKeysIsComplete(t *testing.T) {
	schema := configSchema()["properties"].(map[string]any)
	seen, c := map[string]bool{}, newConfig()
	c.Health, c.Limits, c.Xinet = &healthDef{}, &limitsDef{}, &xinetDef{}
	for _, f := range fields {
		id := f.section + "." + f.key
		if seen[id] || f.doc == "" || !slices.Contains(allSections, f.section) {
			t.Errorf("%s stands twice, or lacks its help or section", id)
		}
		seen[id] = true
		if f.def != nil {
			if bad := f.set(c, plainValue(f.def)); bad != nil {
				t.Errorf("the default of %s is refused: %v", id, bad)
			}
		}
		if schema[f.section].(map[string]any)["properties"].(map[string]any)[f.key] == nil {
			t.Errorf("%s is not in the schema", id)
		}
	}
	if _, err := json.Marshal(schema); err != nil {
		t.Error(err)
	}
}

// TestSame: two configurations are the same exactly when their files would be.
func TestSame(t *testing.T) {
	var all []*config
	for _, more := range []string{"", "critical = true", "env = {A = \"1\"}", "env = {A = \"2\"}", "env = {B = \"1\"}", "env = {}", "ports = [1]", "ports = [1, 2]", "ports = []", "user = 1000", "user = \"1000\"",
		"[dependencies]", "[dependencies]\nrequires = [\"a\", \"b\"]", "[dependencies]\nrequires = [\"b\", \"a\"]", "[lifecycle]\nstop_timeout_ms = 10000", "[lifecycle]\nstop_timeout_ms = 1",
		"[health]\ntype = \"tcp\"\ntarget = \"localhost:1\"", "[logging]\nconsole = false", "[logging]\nconsole = true", "[limits]", "[limits]\nnice = 0", "[limits]\nnice = 1", "[limits]\ncaps = []"} {
		c, errs, _ := parseTOML([]byte("[service]\nexec = \"/bin/a\"\n"+more+"\n"), "/x/app.toml", "app")
		if c == nil {
			t.Fatalf("%s: %v", more, errs)
		}
		all = append(all, c)
	}
	for _, c := range all {
		for _, d := range all {
			if want := bytes.Equal(c.toml(), d.toml()); c.same(d) != want {
				t.Errorf("same is %v for\n%s\n%s", !want, c.toml(), d.toml())
			}
		}
	}
}

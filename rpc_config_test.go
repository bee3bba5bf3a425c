// rpc_config_test.go tests the methods that write service files.

//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigFiles: what create, set, update and delete do to the files, and that a refused change changes nothing.
func TestConfigFiles(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	file := filepath.Join(d.s.opts.configDirs[0], "web.toml")
	text := func() string { b, _ := os.ReadFile(file); return string(b) }
	conf := func(extra string) string {
		return `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"}` + extra + `}}`
	}
	refused := func(method, params string, code int) {
		t.Helper()
		before := text()
		if _, fail := c.try(method, params); fail == nil || fail.Code != code {
			t.Errorf("%s %s: %+v, want %d", method, params, fail, code)
		}
		if text() != before {
			t.Errorf("%s %s was refused, but changed the file", method, params)
		}
	}
	refused("service.update", conf(""), -32000)
	if got := string(c.call("service.monitor", conf(""))); got != `{"ok":true,"name":"web","path":null,"warnings":[]}` || text() != "" {
		t.Errorf("monitor: %s, file %q", got, text())
	}
	refused("service.create", conf(""), -32007)
	if got := string(c.call("service.set", conf(""))); !strings.Contains(got, file) || !strings.Contains(text(), "/bin/true") {
		t.Errorf("set: %s, file %q", got, text())
	}
	c.call("service.update", conf(`,"dependencies":{"requires":["db"]}`))
	if !strings.Contains(text(), "db") {
		t.Errorf("update kept the file %q", text())
	}
	c.call("service.add", `{"config":{"target":{"name":"db","status":"stop"},"dependencies":{"requires":["base"]}}}`)
	refused("service.set", conf(`,"dependencies":{"requires":["web"]}`), -32010)
	refused("service.register", `{"config":{"target":{"name":"base"},"dependencies":{"after":["web"]}}}`, -32010)
	refused("service.set", `{"config":{"service":{"name":"web","exce":"x"}}}`, -32005)
	refused("service.delete", `["db"]`, -32010)
	if got := string(c.call("service.check", `{"config":{"target":{"name":"base"},"dependencies":{"after":["web"]}}}`)); !strings.Contains(got, `"ok":false`) {
		t.Errorf("check of a cycle: %s", got)
	}
	c.call("service.delete", `["web"]`)
	if _, err := os.Lstat(file); err == nil {
		t.Error("the file of a deleted service is still there")
	}
	if err := os.WriteFile(file, []byte("[service]\nexce = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("service.register", conf(""), -32008)
	if got := string(c.call("service.reload", `{}`)); !strings.Contains(got, "exce") {
		t.Errorf("reload: %s", got)
	}
}

// TestMissingDependencyIsAWarning: a service is added although what it requires is not there, and the answer names it.
// TestStopLongerThanAShutdownIsAWarning: the server of these tests takes a second for a shutdown.
func TestStopLongerThanAShutdownIsAWarning(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	long := `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"},"lifecycle":{"stop_timeout_ms":2000}}}`
	const message = `stop_timeout_ms (2000) is longer than a shutdown may take (--shutdown-timeout-ms 1000): in a shutdown it is killed earlier`
	for _, method := range []string{"service.check", "service.monitor", "service.set", "service.update"} {
		if got := string(c.call(method, long)); strings.Count(got, message) != 1 {
			t.Errorf("%s: %s", method, got)
		}
	}
	file := filepath.Join(d.dir, "services/web.toml")
	if got := string(c.call("service.set", long)); !strings.Contains(got, fmt.Sprintf(`{"path":%q,"line":7,`, file)) {
		t.Errorf("set does not say where in %s: %s", file, got)
	}
	short := strings.Replace(long, "2000", "1000", 1)
	if got := string(c.call("service.set", short)); !strings.Contains(got, `"warnings":[]`) {
		t.Errorf("a stop that is short enough: %s", got)
	}
}

func TestMissingDependencyIsAWarning(t *testing.T) {
	c := newTestDoor(t).dial(t)
	for _, method := range []string{"service.monitor", "service.set"} {
		got := string(c.call(method, `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"},"dependencies":{"requires":["gone"],"wants":["lost"],"after":["later"]}}}`))
		for _, want := range []string{`"ok":true`, "web requires gone, which does not exist", "web wants lost, which does not exist"} {
			if !strings.Contains(got, want) || strings.Contains(got, "later") {
				t.Errorf("%s: %s, want %s", method, got, want)
			}
		}
	}
}

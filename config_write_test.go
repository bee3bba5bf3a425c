// config_write_test.go tests that nothing is lost on the way through a file and through RPC.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestEveryKeyIsKept(t *testing.T) {
	c := good(t, manual)
	s, l := c.Service, c.Lifecycle
	for _, row := range []struct {
		what      string
		got, want any
	}{
		{"name", s.Name, "app"}, {"exec", s.Exec.Argv, []string{"/usr/bin/app", "--port", "80"}}, {"dir", s.Dir, "/opt/app"},
		{"env", s.Env, map[string]string{"LOG": "debug", "A B": "x\"y"}}, {"env_file", s.EnvFiles, []string{"-/etc/app.env", "/etc/more.env"}}, {"expand", s.Expand, true}, {"runtime_dirs", s.RuntimeDirs, []string{"/run/app"}}, {"status", s.Status, "ignore"},
		{"class", s.Class, "system"}, {"critical", s.Critical, true}, {"user", s.User, "app"}, {"group", s.Group, "+1000"},
		{"ports", s.Ports, []int{8080, 8081}}, {"process_filter", s.ProcessFilter, "old-app"}, {"kill_others", s.KillOthers, true},
		{"requires", c.Dependencies.Requires, []string{"database"}}, {"conflicts", c.Dependencies.Conflicts, []string{"dev-mode"}},
		{"binds", c.Dependencies.Binds, []string{"vm"}}, {"mounts", c.Dependencies.Mounts, []string{"/srv/data"}},
		{"conditions", c.Conditions, conditionDef{[]string{"ENABLE_APP", "MODE=web", "!NO_APP"}, []string{"/etc/app.conf", "!/run/nologin"}}},
		{"restart_delay_ms", l.RestartDelay, 5 * time.Millisecond}, {"stop_signal", l.StopSignal, 2}, {"stop_exec", l.StopExec.Line, "app --quit"},
		{"kill_mode", l.KillMode, killMixed}, {"stdin", s.Stdin, stdinFromPipe}, {"pid_file", s.PIDFile, "/run/app.pid"},
		{"success_codes", l.SuccessCodes, []ending{{Code: 0}, {Code: 255}, {Signal: 15}}}, {"restart_prevent", l.RestartPrevent[1], ending{Code: 125}}, {"health target", c.Health.Exec.Argv, []string{"app", "--check"}},
		{"console", *c.Logging.Console, false}, {"max_size_bytes", c.Logging.MaxSize, int64(1 << 40)},
		{"nofile", *c.Limits.Nofile, int64(-1)}, {"nice", *c.Limits.Nice, int64(-5)}, {"caps", c.Limits.Caps, []string{"net_bind_service"}},
	} {
		if got, want := fmt.Sprintf("%#v", row.got), fmt.Sprintf("%#v", row.want); got != want {
			t.Errorf("%s is %s, want %s", row.what, got, want)
		}
	}
	for _, f := range fields {
		if f.section == "target" || f.section == "xinet" || f.key == "instances" || f.key == "tty" { // instances are of templates, and tty cannot stand beside stdin
			continue
		}
		if text := tomlText(f.value(c)); text == "" || text == f.defaultText(c) {
			t.Errorf("the manual does not try %s.%s", f.section, f.key)
		}
	}
	roundTrip(t, c)
}

// manual has every key with a value that is not its default.
const manual = `
[service]
name = "app"
exec = ["/usr/bin/app", "--port", "80"]
dir = "/opt/app"
description = "the app\n\u001b[31m"
env = { LOG = "debug", "A B" = 'x"y' }
env_file = ["-/etc/app.env", "/etc/more.env"]
runtime_dirs = ["/run/app"]
expand = true
status = "ignore"
stdin = "pipe"
pid_file = "/run/app.pid"
class = "system"
critical = true
oneshot = true
user = "app"
group = 1000
ports = [8080, 8081]
process_filter = "old-app"
kill_others = true
[dependencies]
requires = ["database"]
after = ["logger"]
wants = ["cache"]
conflicts = ["dev-mode"]
binds = ["vm"]
mounts = ["/srv/data"]
[conditions]
env = ["ENABLE_APP", "MODE=web", "!NO_APP"]
exists = ["/etc/app.conf", "!/run/nologin"]
[lifecycle]
restart = "never"
restart_delay_ms = 5
restart_delay_max_ms = 6
stability_period_ms = 7
max_restarts = 3
ready_after_ms = 8
start_timeout_ms = 30000
stop_timeout_ms = 0
stop_signal = "int"
stop_exec = "app --quit"
kill_mode = "mixed"
success_codes = [0, 255, "TERM"]
restart_prevent = ["sigrtmin+1", 125]
[health]
type = "exec"
target = ["app", "--check"]
interval_ms = 1
timeout_ms = 2
retries = 1
start_interval_ms = 3
[logging]
buffer_lines = 0
file = "/var/log/app.log"
max_size_bytes = 1_099_511_627_776
keep = 0
format = "json"
console = false
console_format = "plain"
[limits]
nofile = "infinity"
nproc = 0
core = "unlimited"
as = 1
memlock = 2
nice = -5
oom_score_adj = -1000
umask = "022"
no_new_privs = true
caps = ["CAP_NET_BIND_SERVICE"]
chroot = "/srv/app"
memory_max_bytes = 0
cpu_max_percent = 150
pids_max = 10
`

// roundTrip checks that nothing is lost on the way through a file and through RPC.
func roundTrip(t *testing.T, c *config) {
	t.Helper()
	text := c.toml()
	again, errs, _ := parseTOML(text, "again.toml", "again")
	if len(errs) > 0 || !c.same(again) {
		t.Fatalf("written as\n%s\nit is read with %v as\n%+v\nwant\n%+v", text, errs, again, c)
	}
	data, err := json.Marshal(c.value())
	if err != nil {
		t.Fatal(err)
	}
	again, errs, _ = parseJSON(data)
	if len(errs) > 0 || !c.same(again) {
		t.Fatalf("CONFIG %s\nis read with %v as\n%+v", data, errs, again)
	}
	if back, _ := json.Marshal(again.value()); string(back) != string(data) {
		t.Fatalf("CONFIG %s\ncomes back as\n%s", data, back)
	}
}

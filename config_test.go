// config_test.go is the manual of the configuration, row by row: what a file may say, what is wrong with it and where, and that nothing is lost on the way back.

//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
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
	want := `{"dependencies":{"after":[],"conflicts":[],"requires":[],"wants":[]},` +
		`"health":{"interval_ms":10000,"retries":3,"start_interval_ms":100,"target":"localhost:8080","timeout_ms":5000,"type":"tcp"},` +
		`"lifecycle":{"max_restarts":0,"restart":"on-failure","restart_delay_max_ms":60000,"restart_delay_ms":1000,"stability_period_ms":10000,` +
		`"start_timeout_ms":30000,"stop_signal":"SIGTERM","stop_timeout_ms":10000,"success_codes":[0]},` +
		`"logging":{"buffer_lines":1000,"file":"","format":"raw","keep":3,"max_size_bytes":10485760},` +
		`"service":{"class":"user","critical":false,"description":"","dir":"","env":{},"env_file":"","exec":"/usr/bin/app --port 80","group":"",` +
		`"kill_others":false,"name":"app","oneshot":false,"ports":[],"process_filter":"","status":"start","user":""}}`
	if string(data) != want {
		t.Errorf("defaults are\n%s\nwant\n%s", data, want)
	}
	if text := string(got.toml()); strings.Contains(text, "interval") || !strings.Contains(text, "name = \"app\"") {
		t.Errorf("the file says its defaults, or not its name:\n%s", text)
	}
}

func TestEveryKeyIsKept(t *testing.T) {
	c := good(t, manual)
	s, l := c.Service, c.Lifecycle
	for _, row := range []struct {
		what      string
		got, want any
	}{
		{"name", s.Name, "app"}, {"exec", s.Exec.Argv, []string{"/usr/bin/app", "--port", "80"}}, {"dir", s.Dir, "/opt/app"},
		{"env", s.Env, map[string]string{"LOG": "debug", "A B": "x\"y"}}, {"env_file", s.EnvFile, "-/etc/app.env"}, {"status", s.Status, "ignore"},
		{"class", s.Class, "system"}, {"critical", s.Critical, true}, {"user", s.User, "app"}, {"group", s.Group, "+1000"},
		{"ports", s.Ports, []int{8080, 8081}}, {"process_filter", s.ProcessFilter, "old-app"}, {"kill_others", s.KillOthers, true},
		{"requires", c.Dependencies.Requires, []string{"database"}}, {"conflicts", c.Dependencies.Conflicts, []string{"dev-mode"}},
		{"restart_delay_ms", l.RestartDelay, 5 * time.Millisecond}, {"stop_signal", l.StopSignal, 2}, {"stop_exec", l.StopExec.Line, "app --quit"},
		{"success_codes", l.SuccessCodes, []int{0, 255}}, {"health target", c.Health.Exec.Argv, []string{"app", "--check"}},
		{"console", *c.Logging.Console, false}, {"max_size_bytes", c.Logging.MaxSize, int64(1 << 40)},
		{"nofile", *c.Limits.Nofile, int64(-1)}, {"nice", *c.Limits.Nice, int64(-5)}, {"caps", c.Limits.Caps, []string{"net_bind_service"}},
	} {
		if got, want := fmt.Sprintf("%#v", row.got), fmt.Sprintf("%#v", row.want); got != want {
			t.Errorf("%s is %s, want %s", row.what, got, want)
		}
	}
	for i := range fields {
		f := &fields[i]
		if f.section == "target" || f.section == "xinet" {
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
env_file = "-/etc/app.env"
status = "ignore"
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
[lifecycle]
restart = "never"
restart_delay_ms = 5
restart_delay_max_ms = 6
stability_period_ms = 7
max_restarts = 3
start_timeout_ms = 30000
stop_timeout_ms = 0
stop_signal = "int"
stop_exec = "app --quit"
success_codes = [0, 255]
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

func TestStartTimeoutOfAOneshot(t *testing.T) {
	for _, row := range []struct {
		text string
		want time.Duration
		file string // what toml says about it
	}{
		{"exec = \"x\"", 30 * time.Second, ""},
		{"exec = \"x\"\noneshot = true", 0, ""},
		{"exec = \"x\"\noneshot = true\n[lifecycle]\nstart_timeout_ms = 30000", 30 * time.Second, "start_timeout_ms = 30000"},
		{"exec = \"x\"\n[lifecycle]\nstart_timeout_ms = 0", 0, "start_timeout_ms = 0"},
	} {
		c := good(t, "[service]\n"+row.text)
		if c.Lifecycle.StartTimeout != row.want {
			t.Errorf("%q: %v, want %v", row.text, c.Lifecycle.StartTimeout, row.want)
		}
		if text := string(c.toml()); row.file == "" && strings.Contains(text, "start_timeout") || !strings.Contains(text, row.file) {
			t.Errorf("%q is written as\n%s", row.text, text)
		}
		roundTrip(t, c)
	}
}

func TestComplaints(t *testing.T) {
	const service = "[service]\nexec = \"x\"\n"
	for _, row := range []struct{ text, want string }{
		{"", "1:1: the configuration is empty; a file needs [service]"},
		{"# nothing\n", "1:1: the configuration is empty"},
		{"[dependencies]\nafter = [\"x\"]", "1:1: nothing says what this is"},
		{"exec = \"x\"\n", "1:1: `exec` stands outside a section; it belongs below [service]"},
		{"[servce]\nexec = \"x\"\n", "1:1: unknown section [servce]; did you mean [service]?"},
		{service + "[lifecycel]\n", "3:1: unknown section [lifecycel]; did you mean [lifecycle]?"},
		{"[[service]]\nexec = \"x\"\n", "1:1: `service` must be a section, not a list; write [service]"},
		{service + "[target]\n", "3:1: a file describes one thing: [service] and [target]"},
		{"[target]\n[lifecycle]\n", "2:1: [lifecycle] has no meaning for a [target]"},
		{"\n[service]\nname = \"x\"\n", "2:1: [service] lacks the key `exec`"},
		{service + "  restat = true\n", "3:3: unknown key `restat`; did you mean `restart`? It belongs in [lifecycle]"},
		{service + "[lifecycle]\nrestat = true\n", "4:1: unknown key `restat`; did you mean `restart`?"},
		{service + "restart = \"always\"\n", "3:1: unknown key `restart` in [service]; `restart` belongs in [lifecycle]"},
		{service + "depends_on = []\n", "`requires` belongs in [dependencies]"},
		{service + "Dir = \"/\"\n", "did you mean `dir`?"},
		{service + "cwd = \"/\"\n", "did you mean `dir`?"},
		{service + "zzzz = 1\n", "3:1: unknown key `zzzz` in [service]; there are name, exec, dir"},
		{service + "\"a\\u001b\" = 1\n", "unknown key `a^[`"},
		{service + "[health]\ninterval = 1\n", "did you mean `interval_ms`?"},
		{service + "status = \"started\"\n", "3:10: `status` must be one of \"start\", \"stop\", \"ignore\", not \"started\"; did you mean \"start\"?"},
		{service + "class = \"sytem\"\n", "did you mean \"system\"?"},
		{service + "critical = \"yes\"\n", "3:12: `critical` must be true or false, not a string; write critical = true"},
		{service + "oneshot = 0\n", "write oneshot = false"},
		{service + "ports = 80\n", "`ports` must be a list of integers, not an integer; write ports = [80]"},
		{service + "ports = [80,\n  \"81\"]\n", "4:3: `ports` must be a list of integers, but element 2 is a string"},
		{service + "ports = [0]\n", "`ports` must be from 1 to 65535, but is 0"},
		{service + "env = { A = 1 }\n", "3:13: `env`: the value of \"A\" must be a string, not an integer; write A = \"1\""},
		{service + "env = { \"A=B\" = \"\" }\n", "is no name of a variable"},
		{service + "env = \"A=1\"\n", "write env = { NAME = \"value\" }"},
		{service + "dir = \"a\\u0000\"\n", "contains a NUL character"},
		{service + "user = -1\n", "`user` must be a name or a number from 0 to 4294967294"},
		{service + "group = \"a:b\"\n", "is no name of a user or group"},
		{service + "name = \"../x\"\n", "3:8: `name`: \"../x\" is not allowed as a name"},
		{service + "name = \"" + strings.Repeat("a", 65) + "\"\n", "longer than 64 bytes"},
		{service + "[dependencies]\nrequires = \"db\"\n", "4:12: `requires` must be a list of strings, not a string; write requires = [\"db\"]"},
		{service + "[dependencies]\nrequires = [\"a b\"]\n", "4:13: `requires`: \"a b\" is not allowed as a name because of \" \" at character 2"},
		{service + "[dependencies]\nafter = [\"x\", \"app\"]\n", "4:15: app depends on itself: dependency cycle: app -> app"},
		{service + "[dependencies]\nconflicts = [\"app\"]\n", "app conflicts with itself"},
		{service + "[dependencies]\nrequires = [\"db\"]\nconflicts = [\"db\"]\n", "5:14: app both requires and conflicts with db: app -> db -> app"},
		{service + "[lifecycle]\nrestart = true\n", "4:11: `restart` must be one of \"always\", \"on-failure\", \"never\", not a boolean; write restart = \"on-failure\""},
		{service + "[lifecycle]\nrestart = \"on_failure\"\n", "did you mean \"on-failure\"?"},
		{service + "[lifecycle]\nrestart_delay_ms = \"10s\"\n", "must be an integer (milliseconds), not a string; write restart_delay_ms = 10000"},
		{service + "[lifecycle]\nrestart_delay_ms = 1.5\n", "must be an integer (milliseconds), not a number with a fraction; write restart_delay_ms = 1000"},
		{service + "[lifecycle]\nstop_timeout_ms = -1\n", "`stop_timeout_ms` must not be negative, but is -1"},
		{service + "[lifecycle]\nstop_timeout_ms = 9223372036854775807\n", "`stop_timeout_ms` must be at most 3153600000000 (a hundred years in milliseconds)"},
		{service + "[lifecycle]\nstop_timeout_ms = 99999999999999999999\n", "4:19: 99999999999999999999 is out of range"},
		{service + "[lifecycle]\nmax_restarts = 4000000000\n", "must be from 0 to 2147483647"},
		{service + "[lifecycle]\nsuccess_codes = [256]\n", "4:18: `success_codes` must be from 0 to 255"},
		{service + "[lifecycle]\nstop_signal = \"TREM\"\n", "unknown signal \"TREM\"; did you mean \"SIGTERM\"?"},
		{service + "[lifecycle]\nstop_signal = 65\n", "signal numbers go from 1 to"},
		{service + "[health]\n", "3:1: [health] lacks the key `type`"},
		{service + "[health]\ntype = \"htp\"\n", "did you mean \"http\"?"},
		{service + "[health]\ntype = \"tcp\"\n", "3:1: [health] lacks the key `target`: what to look at; for type \"tcp\" it is like \"localhost:8080\""},
		{service + "[health]\ntype = \"tcp\"\ntarget = \"\"\n", "5:10: `target` is empty"},
		{service + "[health]\ntype = \"tcp\"\ntarget = \"localhost\"\n", "\"localhost\" is no host:port"},
		{service + "[health]\ntype = \"tcp\"\ntarget = \"localhost:0\"\n", "no port from 1 to 65535"},
		{service + "[health]\ntype = \"tcp\"\ntarget = [\"x\"]\n", "a list is a command, which is for type \"exec\" only"},
		{service + "[health]\ntype = \"http\"\ntarget = \"https://x/\"\n", "https is not offered"},
		{service + "[health]\ntype = \"http\"\ntarget = \"localhost:80/\"\n", "does not begin with http://"},
		{service + "[health]\ntype = \"http\"\ntarget = \"http:///x\"\n", "names no host"},
		{service + "[health]\ntype = \"exec\"\ntarget = \"test 'x\"\n", "the single quote at character 6 is never closed"},
		{service + "[health]\ntype = \"notify\"\n", "4:8: health checks of type \"notify\" do not work yet"},
		{service + "[health]\ntype = \"notify\"\ntarget = \"x\"\n", "has no `target`"},
		{service + "[health]\ntype = \"tcp\"\ntarget = \"a:1\"\nretries = 0\n", "`retries` must be at least 1"},
		{service + "[logging]\nmax_size_bytes = \"10M\"\n", "write max_size_bytes = 10485760"},
		{service + "[logging]\nbuffer_lines = 100000000\n", "`buffer_lines` must be from 0 to 1000000"},
		{service + "[limits]\numask = 22\n", "`umask` must be a string, not an integer; write umask = \"022\""},
		{service + "[limits]\numask = \"999\"\n", "a umask is octal"},
		{service + "[limits]\nnice = 20\n", "`nice` must be from -20 to 19"},
		{service + "[limits]\nnofile = \"many\"\n", "must be an integer or \"unlimited\""},
		{service + "[limits]\nnofile = -1\n", "`nofile` must not be negative"},
		{service + "[limits]\ncaps = [\"net_bind\"]\n", "did you mean \"net_bind_service\"?"},
		{service + "[limits]\nchroot = \"srv\"\n", "is not an absolute path"},
		{"[service]\nexec = \"\"\n", "2:8: `exec`: the command is empty"},
		{"[service]\nexec = []\n", "`exec` names no program"},
		{"[service]\nexec = [\"a\", 1]\n", "2:14: `exec` must be a list of strings, but element 2 is an integer"},
		{"[service]\nexec = 'x \"y'\n", "2:8: `exec`: the double quote at character 3 is never closed"},
		{"[service]\nexec = /bin/x\n", "2:8: expected value but found '/' instead; strings stand in quotes"},
		{"[service]\nexec = \"x\n", "strings cannot contain newlines; is the closing quote missing?"},
		{"[service]\nexec = \"x\"\nexec = \"y\"\n", "3:1: key 'service.exec' has already been defined"},
		{"[service]\nexec = 2020-01-01\n", "not a date"},
		{"[service]\nexec = \"\xff\"\n", "invalid UTF-8"},
		{"[xinet]\nlisten = [\"80\"]\nservice = \"x\"\n", "2:11: `listen`: \"80\" is no host:port"},
		{"[xinet]\nlisten = [\":80\"]\nservice = \"x\"\n", "1:1: [xinet] lacks the key `backend`"},
		{"[xinet]\nlisten = [\":80\", \"unix:/run/x\", \"/run/y\", \"tcp:[::1]:5\"]\nservice = \"x\"\npass = true\n", "1:1: [xinet] proxies do not work yet"},
		{"[xinet]\nlisten = [\"unix:x\"]\n", "behind unix: comes an absolute path"},
	} {
		got := complaints(row.text)
		found := func(line string) bool { return strings.Contains(line, row.want) }
		if !slices.ContainsFunc(got, found) {
			t.Errorf("%s\n  gives %q\n  want  %q", row.text, got, row.want)
		}
		for _, line := range got {
			if !strings.HasPrefix(line, "app.toml:") || strings.ContainsAny(line, "\x1b\n") {
				t.Errorf("%s\n  gives %q without a position, or with raw control characters", row.text, line)
			}
		}
	}
}

func TestAllProblemsAtOnceInOrder(t *testing.T) {
	got := complaints("[service]\nstatus = \"x\"\n[heatlh]\n[lifecycle]\nmax_restarts = -1\nrestrat = 1\n")
	want := []string{"app.toml:1:1: ", "app.toml:2:10: ", "app.toml:3:1: ", "app.toml:5:16: ", "app.toml:6:1: "}
	if len(got) != len(want) {
		t.Fatalf("%d problems, want %d: %q", len(got), len(want), got)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("problem %d is %q, want it at %q", i, got[i], want[i])
		}
	}
}

func TestPositionsAreThoseOfTheText(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"service.exec = \"x\"\nservice.dri = \"/\"\n", "2:1:"},
		{"service = { exec = \"x\", dri = \"/\" }\n", "1:25:"},
		{"[ service ]\nexec = \"x\"\n\t\"dri\"=1\n", "3:2:"},
		{"\ufeff[service]\r\nexec = \"x\"\r\ndri = 1\r\n", "3:1:"},
		{"[service]\nexec = \"x\"\n[service.env]\nA = 1\n", "4:5:"},
		{"[service]\nexec = '''\n[lifecycle]\nmore'''\ndri = 1\n", "5:1:"},
		{"[service]\ndescription = \"\"\"\\\"\"\"\\\n  dri = 1\"\"\"\nexec = 1\n", "4:8:"},
		{"[service]\nexec = \"x\"\ndescription = \"äöü\"; dir = 1\n", "3:20:"},
		{"[service]\nexec = [\n \"x\", # ]\n 1]\n", "4:2:"},
		{"[service] # [lifecycle]\nexec = \"# dri = 1\"\ndri = 1", "3:1:"},
	} {
		got := complaints(row.text)
		if len(got) != 1 || !strings.HasPrefix(got[0], "app.toml:"+row.want) {
			t.Errorf("%q gives %q, want one at %s", row.text, got, row.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"oneshot = true\n[lifecycle]\nrestart = \"always\"", "5:1: a oneshot with restart = \"always\" runs again for ever and never satisfies what requires it"},
		{"[lifecycle]\nrestart_delay_ms = 120000", "4:1: restart_delay_ms (120000) is more than restart_delay_max_ms (60000)"},
		{"[lifecycle]\nsuccess_codes = []", "4:1: with no success_codes every exit counts as a failure"},
		{"kill_others = true", "3:1: kill_others does nothing without process_filter"},
		{"dir = \"data\"", "3:1: `dir` is relative"},
		{"[limits]\nnice = 5\nnofile = 10", "3:1: [limits] is not applied yet in version " + version + ": nofile, nice"},
		{"oneshot = true\ndir = \"/\"\n[limits]", ""},
	} {
		c, errs, warns := parseTOML([]byte("[service]\nexec = \"x\"\n"+row.text), "app.toml", "app")
		var got []string
		for _, w := range warns {
			got = append(got, w.String())
		}
		if c == nil || len(errs) > 0 {
			t.Errorf("%q is refused: %v", row.text, errs)
		}
		if row.want == "" && len(got) > 0 || row.want != "" && (len(got) != 1 || !strings.Contains(got[0], row.want)) {
			t.Errorf("%q warns %q, want %q", row.text, got, row.want)
		}
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

func TestRow35_NamesOfServices(t *testing.T) {
	for _, name := range []string{"a", "A-Z_0.9", "0", strings.Repeat("x", 64)} {
		if err := validName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "-a", "_a", ".a", "a b", "a\x00", "a\n", "ä", "a\x1b[0m", strings.Repeat("x", 65), strings.Repeat("x", 4096)} {
		err := validName(name)
		if err == nil {
			t.Errorf("%q is accepted as a name", name)
		} else if strings.ContainsAny(err.Error(), "\x00\n\x1b") || len(err.Error()) > 300 {
			t.Errorf("%q: the message %q is not fit to be shown", name, err)
		}
	}
	if got := complaintsOfFile("my app"); !strings.Contains(got, "the file's name cannot be the name of the service") {
		t.Errorf("a file with a bad name gives %q", got)
	}
}

func complaintsOfFile(stem string) string {
	_, errs, _ := parseTOML([]byte("[service]\nexec = \"x\""), stem+".toml", stem)
	return fmt.Sprint(errs)
}

func TestHostileFilesAreBounded(t *testing.T) {
	many := func(n int, form string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, form, i)
		}
		return b.String()
	}
	for _, row := range []struct{ what, text, want string }{
		{"deep lists", "a = " + strings.Repeat("[", 500000), "nested more than 16 deep"},
		{"deep tables", "a = " + strings.Repeat("{a=", 100000), "nested more than 16 deep"},
		{"long dotted key", strings.Repeat("a.", 500000) + "a = 1", "nested more than 16 deep"},
		{"dotted header", "[" + strings.Repeat("a.", 500000) + "a]", "nested more than 16 deep"},
		{"long key", strings.Repeat("a", 500000) + " = 1", "the key is longer than 256 bytes"},
		{"many keys", many(50000, "a%d = 1\n"), "more than 10000 keys and values"},
		{"long list", "a = [" + strings.Repeat("1,", 400000) + "]", "more than 10000 keys and values"},
		{"many mistakes", "[service]\n" + many(2000, "zz%d = 1\n"), "and 1901 more of this kind"},
		{"open string", "a = \"\"\"" + strings.Repeat("\\", 99999), "app.toml:1:"},
		{"brackets behind a mistake", "a ! 1\nb = " + strings.Repeat("[", 500000), "app.toml:1:"},
	} {
		start := time.Now()
		got := complaints(row.text)
		if len(got) == 0 || !strings.Contains(got[len(got)-1], row.want) {
			t.Errorf("%s: %.200q, want %q", row.what, got, row.want)
		}
		if took := time.Since(start); took > slack {
			t.Errorf("%s took %v", row.what, took)
		}
	}
}

func TestCommandLines(t *testing.T) {
	const sh = "\x00shell" // the row goes to /bin/sh
	for _, row := range []struct {
		line string
		want string // the words joined by "|", or sh, or "error: …"
	}{
		{"/usr/bin/app --port 80", "/usr/bin/app|--port|80"},
		{"  app \t x  ", "app|x"},
		{"app ''", "app|"},
		{`app ""x""`, "app|x"},
		{`app "a b" 'c d' e\ f`, "app|a b|c d|e f"},
		{`app a"b c"'d e'f`, "app|ab cd ef"},
		{`app 'it'\''s'`, "app|it's"},
		{`app "it's"`, "app|it's"},
		{`app 'say "hi"'`, `app|say "hi"`},
		{`app "say \"hi\" \\ \x"`, `app|say "hi" \ \x`},
		{`app '\'`, `app|\`},
		{`app \\ \" \'`, `app|\|"|'`},
		{`app \$HOME \* \| \# \~ \!`, "app|$HOME|*|||#|~|!"},
		{`app "\$HOME \` + "`" + `x"`, "app|$HOME `x"},
		{`app '$HOME * ? [a] {b} ~ # ! ; & | < > ( ) ` + "`'", "app|$HOME * ? [a] {b} ~ # ! ; & | < > ( ) `"},
		{`app "* ? [a] {b} ~ # ! ; & | < > ( )"`, "app|* ? [a] {b} ~ # ! ; & | < > ( )"},
		{"app 'a\nb' \"c\nd\"", "app|a\nb|c\nd"},
		{"app a\\\nb \"c\\\nd\"", "app|ab|cd"},
		{"app \\\n x", "app|x"},
		{"\n app x\n", "app|x"},
		{"app a=b --x=y", "app|a=b|--x=y"},
		{"env A=b app", "env|A=b|app"},
		{`"A"=b app`, "A=b|app"},
		{`\A=b app`, "A=b|app"},
		{"=b app", "=b|app"},
		{"a-b=c app", "a-b=c|app"},
		{"1a=c app", "1a=c|app"},
		{"app ä ☃", "app|ä|☃"},
		{"app % ^ + , - . / : @", "app|%|^|+|,|-|.|/|:|@"},
		{"A=b app", sh}, {"_a1=b app", sh}, {"A= app", sh}, {"A=b", sh}, {" A='x y' app", sh},
		{"app | cat", sh}, {"app &", sh}, {"a; b", sh}, {"app < f", sh}, {"app >f", sh}, {"app 2>&1", sh}, {"(app)", sh},
		{"app $HOME", sh}, {`app "$HOME"`, sh}, {`app "a$"`, sh}, {"app `x`", sh}, {"app \"`x`\"", sh}, {"app $(x)", sh},
		{"app *.c", sh}, {"app a?", sh}, {"app [a]", sh}, {"app {a,b}", sh}, {"app ~/x", sh}, {"app x # y", sh}, {"app a#b", sh}, {"! app", sh},
		{"a\nb", sh}, {"a \n\n b", sh}, {"# it's a comment\napp", sh}, {"cat <<E\nit's\nE", sh}, {`app "$(echo 'it"s')"`, sh},
		{"app 'x", "error: the single quote at character 5 is never closed"},
		{`app ä "x`, "error: the double quote at character 7 is never closed"},
		{`app $HOME "x`, "error: the double quote at character 11 is never closed"},
		{`app "x\"`, "error: the double quote at character 5 is never closed"},
		{`app x\`, "error: the backslash at character 6"},
		{"", "error: the command is empty"}, {" \n\t", "error: the command is empty"}, {"'' x", "error: the command begins with an empty word"},
	} {
		argv, shell, err := splitExec(row.line)
		got := strings.Join(argv, "|")
		switch {
		case err != nil:
			got = "error: " + err.Error()
		case shell:
			got = sh
		}
		if got != row.want && !(strings.HasPrefix(row.want, "error: ") && strings.HasPrefix(got, row.want)) {
			t.Errorf("%q gives %q, want %q", row.line, got, row.want)
		}
		if err == nil && !shell {
			sameAsShell(t, strings.TrimSpace(row.line), argv)
		}
	}
}

// sameAsShell asks the real shell how it splits the line.
func sameAsShell(t *testing.T, line string, argv []string) {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "printf '%s|' "+line).Output()
	if err != nil {
		t.Fatalf("/bin/sh with %q: %v", line, err)
	}
	if got, want := string(out), strings.Join(argv, "|")+"|"; got != want {
		t.Errorf("%q: the shell has %q, we have %q", line, got, want)
	}
}

func TestSignals(t *testing.T) {
	for _, row := range []struct {
		word, name string
	}{
		{"TERM", "SIGTERM"}, {"SIGTERM", "SIGTERM"}, {"sigterm", "SIGTERM"}, {"15", "SIGTERM"}, {"9", "SIGKILL"}, {"SIGCLD", "SIGCHLD"}, {"usr1", "SIGUSR1"}, {"WINCH", "SIGWINCH"},
	} {
		n, err := parseSignal(row.word)
		if err != nil || signalName(n) != row.name {
			t.Errorf("%s is %s (%v), want %s", row.word, signalName(n), err, row.name)
		}
	}
	for _, word := range []string{"", "0", "-1", "65", "SIGFOO", "RTMIN+31", "RTMAX+1", "RTMINx", "SIG", "-", "SIG-", "TERM "} {
		if n, err := parseSignal(word); err == nil {
			t.Errorf("%q is accepted as signal %d", word, n)
		}
	}
	if runtime.GOOS != "linux" {
		return
	}
	for word, want := range map[string]int{"HUP": sigHup, "INT": sigInt, "USR1": sigUsr1, "USR2": sigUsr2, "PIPE": sigPipe, "CHLD": sigChld, "CONT": sigCont, "STOP": sigStop,
		"TSTP": sigTstp, "TTIN": sigTtin, "TTOU": sigTtou, "URG": sigUrg, "PROF": sigProf, "PWR": sigPwr, "RTMIN": sigRtmin, "RTMAX": sigRtmax} {
		if n, err := parseSignal(word); err != nil || n != want {
			t.Errorf("%s is %d (%v), and %d for the keeper", word, n, err, want)
		}
	}
	for word, want := range map[string]int{"SIGRTMIN": 34, "RTMIN+3": 37, "RTMAX": 64, "SIGRTMAX-1": 63, "SIGPWR": 30, "SYS": 31, "32": 32} {
		if n, err := parseSignal(word); err != nil || n != want {
			t.Errorf("%s is %d (%v), want %d", word, n, err, want)
		}
	}
	for n := 1; n <= 64; n++ {
		if back, err := parseSignal(signalName(n)); err != nil || back != n {
			t.Errorf("signal %d is called %s, which is %d (%v)", n, signalName(n), back, err)
		}
	}
}

func TestConfigOverRPC(t *testing.T) {
	c, errs, _ := parseJSON([]byte(`{"service": {"name": "x", "exec": ["a"], "user": 1000, "group": "1000", "dir": null, "ports": [8e3]}, "lifecycle": {"restart_delay_ms": 20.0}, "health": null}`))
	if len(errs) > 0 || c.Service.User != "+1000" || c.Service.Group != "1000" || c.Service.Ports[0] != 8000 || c.Lifecycle.RestartDelay != 20*time.Millisecond || c.Health != nil || c.persist {
		t.Errorf("%+v, %v", c, errs)
	}
	if text := string(c.toml()); !strings.Contains(text, "user = 1000\ngroup = \"1000\"\n") {
		t.Errorf("a number is written as it was, but here\n%s", text)
	}
	for _, row := range []struct{ text, want string }{
		{`{`, "the config is not JSON"},
		{`{} {}`, "after top-level value"},
		{`[]`, "must be an object of sections"},
		{`null`, "must be an object of sections"},
		{`{}`, "the configuration is empty"},
		{`{"service": {"exec": "x"}}`, "[service] lacks the key `name`"},
		{`{"service": {"name": "x", "exec": "x", "restat": 1}}`, "did you mean `restart`?"},
		{`{"service": {"name": "x", "exec": "x"}, "lifecycle": {"restart_delay_ms": 0.5}}`, "not a number with a fraction"},
		{`{"service": {"name": "x", "exec": "x"}, "lifecycle": {"restart_delay_ms": 1e300}}`, "`restart_delay_ms`"},
		{`{"service": "x"}`, "`service` must be a section"},
	} {
		c, errs, _ := parseJSON([]byte(row.text))
		if c != nil || len(errs) == 0 || !strings.Contains(fmt.Sprint(errs), row.want) || errs[0].Line != 0 || errs[0].Path != "" {
			t.Errorf("%s gives %v, want %q", row.text, errs, row.want)
		}
	}
}

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

func FuzzTOML(f *testing.F) {
	f.Add(manual)
	f.Add("[target]\nname = 'x'\n")
	f.Add("[xinet]\nlisten = [':80']\n[service.env]\n'' = 1\n")
	f.Add("service = {exec = [\"a\", '''b\n'''], env.\"c d\" = \"\\u0001\"}")
	f.Add("\ufeff[[a]]\r\n\"\\x\"=\"\"\"\\\n\"\"\"\"\"\n[a.b.c]")
	f.Fuzz(func(t *testing.T, text string) {
		c, errs, warns := parseTOML([]byte(text), "f.toml", "f")
		if (c == nil) != (len(errs) > 0) {
			t.Fatalf("config %v with errors %v", c, errs)
		}
		for _, p := range append(errs, warns...) {
			if p.Line < 1 || p.Column < 1 || p.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("%v is outside of the text", p)
			}
			if visible(p.Message) != p.Message {
				t.Fatalf("the message %q has control characters", p.Message)
			}
		}
		if c != nil {
			roundTrip(t, c)
		}
	})
}

func FuzzExec(f *testing.F) {
	for _, line := range []string{"a 'b c' \"d\\\"e\"", "A=b c", "a\\\nb", "a $(b \"c", "# '", "'", "\\"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		argv, shell, err := splitExec(line)
		if err == nil && shell == (len(argv) > 0) || err != nil && (shell || argv != nil) {
			t.Fatalf("%q gives %q, %v, %v", line, argv, shell, err)
		}
		if err != nil || shell {
			return
		}
		var b strings.Builder
		for _, word := range argv {
			b.WriteString("'" + strings.ReplaceAll(word, "'", `'\''`) + "' ")
		}
		again, shell, err := splitExec(b.String())
		if err != nil || shell || !slices.Equal(argv, again) {
			t.Fatalf("%q gives %q; quoted as %s it gives %q, %v, %v", line, argv, b.String(), again, shell, err)
		}
	})
}

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
	l := loadDirs(system, []string{user, gone, user + "/"})
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
	l = loadDirs("", []string{filepath.Join(user, "web.toml")})
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
	l := loadDirs("", []string{dir})
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

func TestEnvFile(t *testing.T) {
	dir := files(t, map[string]string{
		"ok.env":  "# comment\n\nA=1\r\n  B = two words \nC=\"q\"\nD=\nE=a=b\n   # more\n",
		"bad.env": "A=1\nnonsense\n", "export.env": "export A=1\n", "space.env": "A B=1\n", "nul.env": "A=\x00\n", "empty.env": "=x\n",
	})
	read := func(name string) ([]string, error) { return (&serviceDef{EnvFile: name}).envFile() }
	got, err := read(filepath.Join(dir, "ok.env"))
	if want := []string{"A=1", "B= two words ", "C=\"q\"", "D=", "E=a=b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
	for name, want := range map[string]string{
		"bad.env": "bad.env:2: \"nonsense\" is not KEY=VALUE", "export.env": "leave out `export`", "space.env": "is no name of a variable", "nul.env": "is no name", "empty.env": "is not KEY=VALUE",
		"gone.env": "a leading - in env_file makes a missing one no error",
	} {
		if _, err := read(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", name, err, want)
		}
	}
	for _, name := range []string{"", "-" + filepath.Join(dir, "gone.env")} {
		if got, err := read(name); err != nil || got != nil {
			t.Errorf("env_file %q gives %q, %v", name, got, err)
		}
	}
	if _, err := read("-" + filepath.Join(dir, "bad.env")); err == nil {
		t.Error("a bad file is no error because of the -")
	}
}

func TestRow36_ForeignTextIsMadeVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tä ☃": "plain\tä ☃", "\x1b[31mred": "^[[31mred", "a\x00b\x07\x7f": `a^@b^G^?`, "a\r\nb": `a\r\nb`,
		"\u009b31m": `\u009b31m`, "\u202eabc": `\u202eabc`, "\xff\xc3": `\xff\xc3`, "": "",
	} {
		if got := visible(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"exec", "env", "env_file", "start_timeout_ms", "database", "data"}
	for word, want := range map[string]string{
		"exce": "exec", "EXEC": "exec", "env-file": "env_file", "start_timeout": "start_timeout_ms", "databse": "database", "dat": "data", "x": "", "zzzz": "", "": "", "start": "start_timeout_ms",
		strings.Repeat("x", 5000): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest to %.20q is %q, want %q", word, got, want)
		}
	}
}

func TestTheTableOfKeysIsComplete(t *testing.T) {
	schema := configSchema()["properties"].(map[string]any)
	seen, c := map[string]bool{}, newConfig()
	c.Health, c.Limits, c.Xinet = &healthDef{}, &limitsDef{}, &xinetDef{}
	for i := range fields {
		f := &fields[i]
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
	for _, p := range foreignKeys {
		word, meant := p[0], p[1]
		if !slices.ContainsFunc(fields, func(f field) bool { return f.key == meant }) {
			t.Errorf("%s leads to %s, which is no key", word, meant)
		}
	}
}

func TestExamples(t *testing.T) {
	l := loadDirs("", []string{"examples/services"})
	if len(l.errors) > 0 || len(l.warnings) > 0 || len(l.configs) != 5 {
		t.Errorf("%d examples, errors %v, warnings %v", len(l.configs), l.errors, l.warnings)
	}
	for _, c := range l.configs {
		roundTrip(t, c)
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if c, _, _ := parseTOML([]byte(manual), "app.toml", "app"); c == nil {
			b.Fatal("refused")
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, ok := range map[string]bool{
		"db:80": true, ":80": true, "[::1]:80": true, "[fe80::1%eth0]:80": true, "127.0.0.1:65535": true,
		"db:": false, "db": false, "::1": false, "[::1]": false, "[::1]80": false, "a[b]:80": false, "[[::1]]:80": false, "[::1]x:80": false, "": false,
		"db:http": false, "db:0": false, "db:65536": false, "db:+80": false, "d b:80": false, "a/b:80": false,
	} {
		if err := hostPort(text); (err == nil) != ok {
			t.Errorf("hostPort(%q): %v", text, err)
		}
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

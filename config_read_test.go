// config_read_test.go tests what is wrong with a file, where it is, and that it cannot harm us.

//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

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
		{service + "restart = \"always\"\n", "3:1: unknown key `restart` in [service]; it belongs in [lifecycle]"},
		{service + "depends_on = []\n", "unknown key `depends_on`; in zinit this is `requires` in [dependencies]"},
		{service + "Dir = \"/\"\n", "did you mean `dir`?"},
		{service + "cwd = \"/\"\n", "unknown key `cwd`; in zinit this is `dir` in [service]"},
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
		{service + "[lifecycle]\nsuccess_codes = [\"SIGTREM\"]\n", "4:18: `success_codes`: unknown signal \"SIGTREM\"; did you mean \"SIGTERM\"?"},
		{service + "[lifecycle]\nrestart_prevent = [0, \"15\"]\n", "4:23: `restart_prevent`: \"15\" is a string; write the exit code without quotes, or the name of a signal"},
		{service + "[lifecycle]\nrestart_prevent = \"KILL\"\n", "write restart_prevent = [\"KILL\"]"},
		{service + "[lifecycle]\nrestart_prevent = [0.5]\n", "must be a list of exit codes and names of signals, but element 1 is a number with a fraction"},
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
		{service + "[health]\ntype = \"notify\"\ntarget = \"x\"\n", "has no `target`"},
		{service + "[health]\ntype = \"tcp\"\ntarget = \"a:1\"\nretries = -1\n", "`retries` must not be negative"},
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
		{"[xinet]\nlisten = [\":80\", \"unix:/run/x\", \"/run/y\", \"tcp:[::1]:5\"]\nservice = \"x\"\npass = 1\n", "`pass`"},
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

func FuzzTOML(f *testing.F) {
	f.Add(manual)
	f.Add("[target]\nname = 'x'\n")
	f.Add("[xinet]\nlisten = [':80']\n[service.env]\n'' = 1\n")
	f.Add("service = {exec = [\"a\", '''b\n'''], env.\"c d\" = \"\\u0001\"}")
	f.Add("[service]\nname = 'x'\nlifecycle.# a comment up to the end of the file, in place of a key")
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

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if c, _, _ := parseTOML([]byte(manual), "app.toml", "app"); c == nil {
			b.Fatal("refused")
		}
	}
}

// config_expand_test.go tests which texts of a file are expanded, with what, and how a command line is split then.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"A": "a b", "EMPTY": "", "REF": "${A}$$"}
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	for text, want := range map[string]string{
		"": "", "plain": "plain", "${A}": "a b", "x${A}y${A}": "xa bya b", "${GONE:-d e}": "d e", "${EMPTY:-d}": "d", "${EMPTY}": "", "${A:-d}": "a b", "${GONE:-}": "",
		"$$": "$", "$${A}": "${A}", "$$$$": "$$", "$A $ $1 $(x)": "$A $ $1 $(x)", "end$": "end$", "${REF}": "${A}$$", "${GONE:-$$}": "$$", "{A}": "{A}",
	} {
		if got, err := expand(text, lookup); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${GONE}": "${GONE} is not set", "x${A": `"${A" is never closed`, "${}": `"${}" is neither ${NAME} nor ${NAME:-default}`, "${A-x}": "is neither", "${1}": "is neither",
		"${A:+x}": "is neither", "${GONE:-${A}}": "may have no ${ in it",
	} {
		if got, err := expand(text, lookup); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestExpandedCommands: a reference is one word and needs no shell; what else needs one leaves all of the line to it.
func TestExpandedCommands(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"app", "my app"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for line, want := range map[string]string{
		`app ${TWO} x`:             `app|one two|x`,
		`app --dir=${TWO}/x ${A}`:  `app|--dir=one two/x|a`,
		`app ${GONE:-two words}`:   `app|two words`,
		`app "${A} ${TWO}" '${A}'`: `app|a one two|a`,
		`app $$ "$${A}"`:           `app|$|${A}`,
		`${PROGRAM} ${A}`:          `my app|a`,
		`app ${A} | cat`:           `/bin/sh|-c|app ${A} | cat`,
		`app ${A:+x}`:              `/bin/sh|-c|app ${A:+x}`,
		`app $A`:                   `/bin/sh|-c|app $A`,
		`A=1 app ${A}`:             `/bin/sh|-c|A=1 app ${A}`,
		`app ${GONE:-${A}}`:        `/bin/sh|-c|app ${GONE:-${A}}`,
		`app ${GONE}`:              `error: exec: ${GONE} is not set`,
		`${EMPTY} x`:               `error: exec is empty`,
	} {
		c := good(t, "[service]\nexec = "+tomlString(line)+"\nexpand = true\n")
		c.Service.Env = map[string]string{"PATH": bin, "A": "a", "TWO": "one two", "PROGRAM": "my app", "EMPTY": "", "ZINIT_SERVICE": "x"}
		sp, err := resolve(c, c.Service.Exec, "", func(string) {})
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			got = strings.Join(sp.Argv, "|")
		}
		if got != want && !(err != nil && strings.HasPrefix(got, want)) {
			t.Errorf("%s is %s, want %s", line, got, want)
		}
	}
	argv := []string{"app", "${TWO}", "$HOME", "$$", "| cat"}
	c := &config{Service: serviceDef{Expand: true, Env: map[string]string{"PATH": bin, "TWO": "one two"}}}
	if sp, err := resolve(c, execDef{Argv: argv}, "", func(string) {}); err != nil || !slices.Equal(sp.Argv, []string{"app", "one two", "$HOME", "$", "| cat"}) || argv[1] != "${TWO}" {
		t.Errorf("the list is %+v, %v", sp, err)
	}
	c.Service.Expand = false
	if sp, err := resolve(c, execDef{Argv: argv}, "", func(string) {}); err != nil || !slices.Equal(sp.Argv, argv) {
		t.Errorf("without expand the list is %+v, %v", sp, err)
	}
}

// TestWhatExpandSees: env sees the server's environment and env_file, env_file what is above, everything else what the service gets.
func TestWhatExpandSees(t *testing.T) {
	dir := files(t, map[string]string{"app.env": "ONE=1\nTWO=${ONE}2\nTHREE='${ONE}$$'\nFOUR=\"\\${ONE}${TWO}\"\n", "bad.env": "\nA=${GONE}\n"})
	s := serviceDef{Name: "app", Expand: true, Dir: "/${ZINIT_SERVICE}/${FIVE}", EnvFiles: []string{filepath.Join(dir, "app.env")},
		Env: map[string]string{"FIVE": "${TWO}5", "PATH": "/opt/bin:${PATH}", "SIX": "$${ONE}"}}
	env, err := serviceEnv(&s, "", "", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	look := variableIn(env)
	serverPath, _ := variableIn(serverEnv())("PATH")
	for name, want := range map[string]string{"TWO": "12", "THREE": "${ONE}$$", "FOUR": "${ONE}12", "FIVE": "125", "PATH": "/opt/bin:" + serverPath, "SIX": "${ONE}"} {
		if got, _ := look(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got, err := expandedFor(&config{Service: s}, "dir", s.Dir); err != nil || got != "/app/125" {
		t.Errorf("dir is %q, %v", got, err)
	}
	s.Env = map[string]string{"FIVE": "${SIX}", "SIX": "6"}
	if _, err := serviceEnv(&s, "", "", func(string) {}); err == nil || !strings.Contains(err.Error(), "env FIVE: ${SIX} is not set") {
		t.Errorf("env sees itself: %v", err)
	}
	s.Env, s.EnvFiles = nil, []string{filepath.Join(dir, "bad.env")}
	if _, err := serviceEnv(&s, "", "", func(string) {}); err == nil || !strings.Contains(err.Error(), "bad.env:2: ${GONE} is not set") {
		t.Errorf("a line of env_file without a value: %v", err)
	}
}

// TestReferencesAreCheckedWhenTheyAreLoaded: what no environment can make right is a mistake of the file.
func TestReferencesAreCheckedWhenTheyAreLoaded(t *testing.T) {
	rest := map[string]string{
		`exec = ["app", "${A"]`: "3:16: `exec`: \"${A\" is never closed", "exec = \"app '${A:+x}'\"": "3:8: `exec`: \"${A:+x}\" is neither",
		"exec = \"app\"\ndir = \"/${1}\"": "4:7: `dir`: \"${1}\" is neither", "exec = \"app\"\nenv = { A = \"${\" }": "4:13: `env`: \"${\" is never closed",
		"exec = \"app\"\n[logging]\nfile = \"${}\"":                        "5:8: `file`: \"${}\" is neither",
		"exec = \"app\"\n[health]\ntype = \"tcp\"\ntarget = \"${A:0}:80\"": "6:10: `target`: \"${A:0}\" is neither",
		"exec = \"app\"\n[lifecycle]\nstop_exec = [\"x\", \"${A:-${B}}\"]": "5:19: `stop_exec`: the default in \"${A:-${B}\" may have no ${ in it",
	}
	for text, want := range rest {
		got := strings.Join(complaints("[service]\nexpand = true\n"+text+"\n"), "\n")
		if !strings.Contains(got, want) {
			t.Errorf("%s\ngives %s\nwant %s", text, got, want)
		}
		if plain := complaints("[service]\n" + text + "\n"); len(plain) > 0 && !strings.Contains(text, "target") {
			t.Errorf("%s\nwithout expand gives %q", text, plain)
		}
	}
	good(t, "[service]\nexec = \"app\"\nexpand = true\n[health]\ntype = \"tcp\"\ntarget = \"localhost:${PORT}\"\n[logging]\nfile = \"/var/log/${ZINIT_SERVICE}.log\"\n")
}

// TestExpandedServices: the real server runs what the variables say and writes the log where they lead, also after a server that died.
func TestExpandedServices(t *testing.T) {
	logs := t.TempDir()
	script := `echo "$(pwd) $1"; trap 'echo end; exit 0' TERM; trap 'echo again' USR1; while :; do sleep 0.05; done`
	s := startServer(t, map[string]string{
		"app": "[service]\nexec = [\"/bin/sh\", \"-c\", " + tomlString(strings.ReplaceAll(script, "$", "$$")) + ", \"sh\", \"${GREETING:-hello} ${NAME}\"]\n" +
			"dir = \"${WHERE}\"\nenv = { NAME = \"world\", WHERE = \"/usr\", HOST = \"local\" }\nexpand = true\n" +
			"[health]\ntype = \"exec\"\ntarget = [\"/bin/sh\", \"-c\", \"test \\\"$0\\\" = localhost\", \"${HOST}host\"]\n" +
			"[logging]\nfile = \"" + logs + "/${ZINIT_SERVICE}-${NAME}.log\"\n",
		"gone": "[service]\nexec = [\"/bin/true\", \"${GONE_PORT}\"]\nexpand = true\n[lifecycle]\nrestart = \"never\"\n",
		"tcp":  "[service]\nexec = \"sleep 1000\"\nexpand = true\nenv = { SOCKET = \"s.sock\" }\n[health]\ntype = \"tcp\"\ntarget = \"${WHERE_SOCKETS:-/nowhere}/${SOCKET}\"\n",
	})
	s.is("running", "app")
	s.is("failed", "gone")
	says(t, s.status("gone").Reason.String(), "exec: ${GONE_PORT} is not set")
	eventually(t, "the check of tcp", func() bool { return strings.Contains(s.ok("why", "tcp"), "/nowhere/s.sock: no such socket") })
	said := func() string {
		text, _ := os.ReadFile(logs + "/app-world.log")
		return string(text)
	}
	eventually(t, "the log of app", func() bool { return said() == "/usr hello world\n" })
	_ = s.cmd.Process.Kill()
	s.ended <- <-s.ended
	s.run()
	s.is("running", "app")
	s.ok("kill", "app", "USR1")
	eventually(t, "the log of app after a server died", func() bool { return strings.HasSuffix(said(), "again\n") })
	s.ok("stop", "app", "--wait")
	if got := said(); !strings.HasPrefix(got, "/usr hello world\n") || !strings.HasSuffix(got, "end\n") || strings.Count(got, "again\n") != 1 {
		t.Errorf("the log is %q", got)
	}
}

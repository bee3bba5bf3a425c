// client_complete_test.go types the beginning of a line in every shell and in the REPL, and looks at what it becomes.

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCompletionOfAWord(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["db","web"]`})
	for words, want := range map[string]string{
		"sto": "stop\tstop services; what requires them stops first\nstop-all\tstop all services of class user\n", "stop w": "web\n", "--socket " + s.path + " stop d": "db\n",
		"stop --w": "--wait\tuntil it is done; --timeout limits how long\n", "graph --format = m": "mermaid\n", "graph --format=m": "--format=mermaid\n", "graph --format =": "dot\nmermaid\njson\n",
		"kill web US": "USR1\nUSR2\n", "add /e": ":\n", "server --keep": "", "nonsense w": "", "create x -- /bin/w": ":\n",
	} {
		expect(t, words, s.via(t, append([]string{"__complete"}, strings.Split(words, " ")...)...).exits(t, exitDone).out, want)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if r := s.via(t, "completion", shell).exits(t, exitDone); !strings.Contains(r.out, "start-all") || strings.Contains(r.out, "PROGRAM") {
			t.Errorf("%s: %s", shell, r.out)
		}
	}
	s.via(t, "completion", "tcsh").exits(t, exitUsage)
}

// TestCompletionInShells types the beginning of a line, Tab and Enter into each shell, and looks at what the shell then runs.
func TestCompletionInShells(t *testing.T) {
	s := startServer(t, map[string]string{"web": playing(waiting, "block"), "worker": playing(waiting, "block"), "db": playing(waiting, "block")})
	ran := filepath.Join(s.dir, "ran")
	script := "#!/bin/sh\ncase $1 in __complete | completion) exec " + zinitBinary(t) + ` "$@";; esac` + "\necho \"$@\" >>" + ran + "\n"
	for name, text := range map[string]string{"bin/zinit": script, "a file.toml": ""} {
		path := filepath.Join(s.dir, name)
		if os.MkdirAll(filepath.Dir(path), 0o755) != nil || os.WriteFile(path, []byte(text), 0o755) != nil {
			t.Fatal("cannot write " + path)
		}
	}
	for shell, begin := range map[string][]string{
		"bash": {"bash --norc --noprofile -i", ". <(zinit completion bash)"},
		"zsh":  {"zsh -f -i", "autoload -Uz compinit; compinit -u -D; source <(zinit completion zsh)"},
		"fish": {"fish --no-config -i", "zinit completion fish | source"},
	} {
		t.Run(shell, func(t *testing.T) {
			needs(t, shell)
			p := openTTY(t, 100, 24, []string{"PATH=" + s.dir + "/bin:" + os.Getenv("PATH"), "ZINIT_SOCKET=" + s.socket, "ZDOTDIR=" + s.dir, "XDG_RUNTIME_DIR=" + s.dir, "TMPDIR=" + s.dir, "LC_ALL=C.UTF-8"}, strings.Fields(begin[0])...)
			enter := func(line string) {
				t.Helper()
				eventually(t, "the shell reads keys", func() bool {
					mode, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
					return err == nil && mode.Lflag&unix.ICANON == 0
				})
				p.keys(line + "\r")
			}
			enter(begin[1] + "; zinit begun")
			lines := 0
			runs := func(want string) {
				t.Helper()
				got := []string(nil)
				eventually(t, "the shell runs zinit", func() bool {
					text, _ := os.ReadFile(ran)
					got = strings.Split(string(text), "\n")
					return len(got) > lines+1
				})
				if lines++; got[lines-1] != want {
					t.Errorf("it ran %q, want %q", got[lines-1], want)
				}
			}
			defer os.Remove(ran)
			runs("begun")
			for line, want := range map[string]string{
				"is-r": "is-running", "--so": "--socket", "stop wo": "stop worker", "stop web d": "stop web db", "start --wait we": "start --wait web", "start web --w": "start web --wait",
				"graph --format m": "graph --format mermaid", "graph --format=m": "graph --format=mermaid", "kill web HU": "kill web HUP", "create x --after d": "create x --after db",
				"add " + s.dir + "/a": "add " + s.dir + "/a file.toml", "logs -f we": "logs -f web", "analyze pl": "analyze plot",
			} {
				enter("zinit " + line + "\t")
				runs(want)
			}
		})
	}
}

func TestCompletionOfLines(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["web","db","web-2"]`})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ before, cur, want string }{
		{"", "stat", "status stats"}, {"", "ex", "exit"}, {"", "--so", "--socket"}, {"--socket x", "monit", "monitor"},
		{"status", "w", "web web-2"}, {"status web", "d", "db"}, {"tree web", "d", ""}, {"kill web", "US", "USR1 USR2"},
		{"logs", "--st", "--stream"}, {"logs --stream", "std", "stdout stderr"}, {"logs -n", "", ""}, {"create x --after", "d", "db"},
		{"analyze", "", "blame chain plot"}, {"completion", "z", "zsh"}, {"help", "analy", "analyze"}, {"add", dir + "/s", dir + "/services/"}, {"nonsense", "", ""},
	} {
		r := &cli{socket: s.path}
		if got := strings.Join(r.candidates(strings.Fields(c.before), c.cur), " "); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.before, c.cur, got, c.want)
		}
	}
}

// config_foreign_test.go tests what is said of keys that other supervisors have.

//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestWordsOfOtherSupervisors(t *testing.T) {
	for text, want := range map[string]string{
		"[service]\ncommand = \"x\"":                                                                     "unknown key `command`; in zinit this is `exec` in [service]",
		"[service]\nExecStart = \"x\"":                                                                   "unknown key `ExecStart`; in zinit this is `exec` in [service]",
		"[service]\nexec = \"x\"\nRestart = \"always\"":                                                  "unknown key `Restart`; did you mean `restart`? It belongs in [lifecycle]",
		"[service]\nexec = \"x\"\nstdout_logfile = \"/x\"":                                               "in zinit this is `file` in [logging]",
		"[service]\nexec = \"x\"\nnumprocs = 4":                                                          "unknown key `numprocs`; in zinit this is a template, NAME@.toml, with `instances` in [service]",
		"[service]\nexec = \"x\"\ndepends_on = [\"a\"]":                                                  "in zinit this is `requires` in [dependencies]",
		"[service]\nexec = \"x\"\nworking-dir = \"/\"":                                                   "in zinit this is `dir` in [service]",
		"[service]\nexec = \"x\"\n[health]\ntype = \"tcp\"\ntarget = \"a:1\"\ninitial_delay_seconds = 5": "in zinit this is `start_timeout_ms` in [lifecycle]",
		"[service]\nexec = \"x\"\nExecReload = \"x\"":                                                    "in zinit this is `zinit kill NAME HUP`",
		"command = \"x\"":                          "1:1: `command` stands outside a section; in zinit this is `exec` in [service]",
		"command = \"x\"\n[service]\nexec = \"x\"": "1:1: `command` stands outside a section; in zinit this is `exec` in [service]",
		"nonsense = 1":                             "1:1: `nonsense` stands outside a section, and no section has such a key",
		"[service]\nexec = \"x\"\nnonsense = 1":    "unknown key `nonsense` in [service]; there are name, exec",
	} {
		got := complaints(text + "\n")
		if len(got) != 1 || !strings.Contains(got[0], want) || strings.Contains(got[0], "unknown section") {
			t.Errorf("%s\ngives %q, want %q", text, got, want)
		}
	}
}

// TestForeignWordsLeadToKeys: each word leads to a key that there is, and none is a key of ours.
func TestForeignWordsLeadToKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range foreignWords() {
		if fieldOf(f.section, f.key) == nil {
			t.Errorf("there is no %s in [%s]", f.key, f.section)
		}
		for _, word := range strings.Fields(f.words) {
			if seen[word] {
				t.Errorf("%s is there twice", word)
			}
			seen[word] = true
			if fieldOf(f.section, word) != nil {
				t.Errorf("%s is a key of [%s]", word, f.section)
			}
		}
	}
}

// TestAShellPipeIsWarnedOf: the exit code of all but its last program is lost.
func TestAShellPipeIsWarnedOf(t *testing.T) {
	for line, want := range map[string]bool{
		"app | tee f": true, "app 2>&1 | logger -t x": true, "a || b": false, "app 'a | b'": false, `app "a|b"`: false, `app \| b`: false, "app && x": false, "x $(a | b)": false, "a || b | c": true,
	} {
		_, errs, warns := parseTOML([]byte("[service]\nexec = "+tomlString(line)+"\n"), "app.toml", "app")
		if len(errs) > 0 || (len(warns) == 1) != want || want && !strings.Contains(warns[0].String(), "2:1: the exit code of a pipe is that of its last program") {
			t.Errorf("%s: %v, %v", line, errs, warns)
		}
	}
}

// client_table_test.go says how lists look on terminals of every width, in a pipe, and as JSON.

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestListFitsTheTerminal(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	r := s.via(t, "list").exits(t, exitDone)
	expect(t, "list", r.out, `
NAME          STATE    PID  UPTIME  MEMORY  DETAIL
日本語^[[31m  blocked    -       -       -  waits for a-service-with-a-rather-l…
db            failed     -       -       -  exit code 1; restart in 4s; restart…
web           running  123  3m 12s    1.5M
`)
	for _, line := range strings.Split(r.out, "\n") {
		if columns(line) > 80 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if r := zinit(t, 0, "list", "--socket="+s.path); !strings.Contains(r.out, "another-one") {
		t.Errorf("cut although it is no terminal: %s", r.out)
	}
}

func TestNarrowTerminalCutsEveryColumn(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	for width := 1; width < 60; width++ {
		r := zinit(t, width, "--socket", s.path, "list").exits(t, exitDone)
		for _, line := range strings.Split(r.out, "\n") {
			if columns(line) > width {
				t.Fatalf("%d columns: %q has %d", width, line, columns(line))
			}
		}
	}
}

// A number that would be cut is left out: a part of it says something else.
func TestNarrowTerminalCutsNoNumber(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	for width := 10; width < 60; width++ {
		out := zinit(t, width, "--socket", s.path, "list").exits(t, exitDone).out
		web := out[strings.Index(out, "\nweb")+1:]
		for _, word := range strings.Fields(web)[1:] {
			if !strings.Contains("running 123 3m 12s 1.5M", word) && !strings.HasSuffix(word, "…") || strings.ContainsAny(word, "0123456789") && strings.HasSuffix(word, "…") {
				t.Errorf("%d columns: %q", width, web)
			}
		}
	}
}

func TestNoColourInAPipe(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	cmd := exec.Command(zinitBinary(t), "--socket", s.path, "list")
	cmd.Env = append(os.Environ(), "TERM=xterm")
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.ContainsRune(out, 0x1b) || !bytes.Contains(out, []byte("running")) {
		t.Errorf("%v: %q", err, out)
	}
}

func TestColourOnATerminalOnly(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	colour := func(c *cli, words ...string) string {
		var out bytes.Buffer
		c.out, c.width, c.color = bufio.NewWriter(&out), 80, true
		c.dispatch(append([]string{"--socket", s.path, "list"}, words...))
		return out.String()
	}
	if got := colour(newCLI()); !strings.Contains(got, "\x1b[32mrunning\x1b[0m") {
		t.Errorf("no green: %q", got)
	}
	if got := colour(newCLI(), "--no-color"); strings.Contains(got, "\x1b") {
		t.Errorf("--no-color: %q", got)
	}
	plain := regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(colour(newCLI()), "")
	expect(t, "colours take no room", plain, s.via(t, "list").out)
}

func TestJSONIsTheResultUnchanged(t *testing.T) {
	odd := `{"z": 1,  "a":"<\u001b>", "n": 12345678901234567890, "code":-0.50}`
	s := fakeServe(t, map[string]string{"service.list_full": `[` + odd + `]`, "service.status_full": odd, "logs.filter": "[" + odd + "]",
		"service.start": odd, "service.why": odd, "system.ping": odd, "service.tree": odd, "service.list": `["a","b"]`, "x.y": odd,
		"service.reload": odd, "service.get": odd})
	for line, want := range map[string]string{
		"--json list":       "[" + odd + "]\n",
		"list --json":       "[" + odd + "]\n",
		"--json status":     "[" + odd + "]\n",
		"--json status a":   odd + "\n",
		"status a b --json": "[" + odd + "," + odd + "]\n",
		"--json logs":       "[" + odd + "]\n",
		"--json start a":    odd + "\n",
		"--json start *":    "[" + odd + "," + odd + "]\n",
		"--json why a":      odd + "\n",
		"--json ping":       odd + "\n",
		"--json tree":       odd + "\n",
		"--json get a":      odd + "\n",
		"--json reload":     odd + "\n",
		"--json call x.y":   odd + "\n",
	} {
		expect(t, line, s.via(t, strings.Fields(line)...).exits(t, exitDone).out, want)
	}
}

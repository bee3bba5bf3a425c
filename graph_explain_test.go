// graph_explain_test.go tries explanations that are too long for one answer.

//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestWhyOfALongChain: the beginning, the root cause and what to do are there, however long the chain; the middle is counted.
func TestWhyOfALongChain(t *testing.T) {
	const n = 5000
	lines := chainLines(n, "")
	lines[0] += " status=stop"
	c := newCrowd(lines...)
	e := c.g.why(c.g.unit("s04999"), c.now)
	for _, want := range []string{"s04999 is blocked:\n  requires s04998, which is blocked:\n", "requires s00000, which is inactive: nobody started it", "and so on, ", "what to do:\n  zinit start s00000\n",
		fmt.Sprintf("(%d more reasons are not shown)\n", e.leftOut)} {
		if !strings.Contains(e.text, want) {
			t.Errorf("%q is not in:\n%s", want, e.text)
		}
	}
	if len(e.text) > 8<<10 || len(e.reasons) > whyLines || !e.blocked || e.leftOut+len(e.reasons) < n {
		t.Errorf("%d bytes, %d reasons, %d left out, blocked %v", len(e.text), len(e.reasons), e.leftOut, e.blocked)
	}
	if last := e.reasons[len(e.reasons)-1]; last.Service != "s00000" || last.Type != "wish" {
		t.Errorf("the last reason is %+v", last)
	}
}

// TestWhyOfManyReasons: one that requires thousands that fail, or do not exist, tells of some of them and counts the rest.
func TestWhyOfManyReasons(t *testing.T) {
	for _, exec := range []string{"status=stop", "conflicts=rival"} {
		c := newCrowd(append(hubLines(5000, "all", "requires", exec), "rival")...)
		e := c.g.why(c.g.unit("all"), c.now)
		if len(e.text) > 64<<10 || e.leftOut < 4000 || !strings.Contains(e.text, "requires s00000, which is ") || !strings.Contains(e.text, "what to do:\n  zinit st") {
			t.Errorf("%s: %d bytes, %d left out:\n%.2000s", exec, len(e.text), e.leftOut, e.text)
		}
		if by := c.g.blockedBy(c.g.unit("all")); len(by) != maxNamed {
			t.Errorf("%s: blocked by %d", exec, len(by))
		}
	}
	list := strings.Repeat("gone", 1)
	for i := range 5000 {
		list += fmt.Sprintf(",gone%d", i)
	}
	c := newCrowd("all requires=" + list)
	if e := c.g.why(c.g.unit("all"), c.now); len(e.text) > 64<<10 || !strings.Contains(e.text, "requires gone, which does not exist") {
		t.Errorf("%d bytes:\n%.2000s", len(e.text), e.text)
	}
}

// TestRefusalsAreBounded: a service that thousands require is not deleted, and a hundred of them are named.
func TestRefusalsAreBounded(t *testing.T) {
	g := newCrowd(append(unitLines(5000, func(int) string { return "requires=db" }), "db")...).g
	out := g.step(g.now, event{kind: eventDelete, name: "db", to: &ticket{}})
	if r := out[0].err; r == nil || len(r.Data.Names) != maxNamed || !strings.Contains(r.Message, "s00099 and 4900 more") {
		t.Errorf("refused with %+v", r)
	}
}

// TestWhyNamesWhatIsWrong: the file of env_file, or the key.
func TestWhyNamesWhatIsWrong(t *testing.T) {
	c := newCrowd("app status=stop")
	c.g.unit("app").cfg.Service.EnvFiles = []string{"/etc/all.env", "-/etc/app.env"}
	for message, want := range map[string]string{
		`/etc/app.env:2: "nonsense" is not KEY=VALUE`:                  "correct /etc/app.env, the env_file of app, then zinit start app\n",
		"cannot read env_file /etc/all.env: no such file or directory": "correct /etc/all.env, the env_file of app, then zinit start app\n",
		"/bin/app does not exist":                                      "correct exec, dir or user of app, then",
		"limits.nofile: 9999999 is above the hard limit 4096":          "correct limits.nofile of app, then",
		"dir /srv/app does not exist":                                  "correct dir of app, then",
		"exec is empty":                                                "correct exec of app, then",
		"tty: /dev/tty9: permission denied":                            "correct tty of app, then",
		"cannot make /run/app, one of runtime_dirs: read-only":         "correct runtime_dirs of app, then",
	} {
		gen := uint64(0)
		for _, e := range c.g.step(c.now, event{kind: eventStart, name: "app"}) {
			gen = max(gen, e.gen)
		}
		c.g.step(c.now, event{kind: eventSpawnFailed, name: "app", gen: gen, text: message})
		if text := c.g.why(c.g.unit("app"), c.now).text; !strings.Contains(text, want) || strings.Count(text, "correct ") != 1 {
			t.Errorf("%s: %q is not in:\n%s", message, want, text)
		}
	}
}

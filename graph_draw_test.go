// graph_draw_test.go holds what the core says about very large graphs to the size of one answer, and looks for what must be in it all the same.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// answerSize is how long a value is as JSON.
func answerSize(t *testing.T, v any) int {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return len(data)
}

const answerMax = 4 << 20

func levels(n treeNode) int {
	deepest := 0
	for _, c := range n.Children {
		deepest = max(deepest, levels(c))
	}
	return deepest + 1
}

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

// TestTreeIsBounded: in depth, and in all.
func TestTreeIsBounded(t *testing.T) {
	c := newCrowd(chainLines(5000, "")...)
	d := c.g.tree("s04999")
	n := d.roots[0]
	if got := levels(n); got != maxLevels {
		t.Errorf("%d levels", got)
	}
	for len(n.Children) > 0 {
		if n.Truncated {
			t.Errorf("%s is said to be truncated", n.Name)
		}
		n = n.Children[0]
	}
	if !n.Truncated || !strings.Contains(d.text.String(), n.Name+" (running), with more below\n") {
		t.Errorf("the last of the tree is %+v:\n%s", n, d.text.String())
	}
	long := strings.Repeat("x", 50)
	wide := unitLines(40000, plain)
	for i := range wide {
		wide[i] = long + wide[i]
	}
	d = newCrowd(wide...).g.tree("")
	if size := answerSize(t, treeResult{partial{d.leftOut}, d.text.String(), d.roots}); size > answerMax || d.leftOut == 0 || d.leftOut+len(d.roots) != len(wide) {
		t.Errorf("%d bytes, %d roots, %d left out", size, len(d.roots), d.leftOut)
	}
	many := unitLines(200, func(i int) string { // each requires the next 20: more ways than anybody can count
		var list []string
		for j := i + 1; j < min(i+21, 200); j++ {
			list = append(list, fmt.Sprintf("s%05d", j))
		}
		if list == nil {
			return ""
		}
		return "requires=" + strings.Join(list, ",")
	})
	d = newCrowd(many...).g.tree("s00000")
	if size := answerSize(t, treeResult{partial{d.leftOut}, d.text.String(), d.roots}); size > answerMax || !d.roots[0].Truncated {
		t.Errorf("%d bytes, truncated %v", size, d.roots[0].Truncated)
	}
}

// TestDrawingsAreBounded: a drawing that does not fit into one answer says how much is missing.
func TestDrawingsAreBounded(t *testing.T) {
	g := newCrowd(unitLines(30000, func(i int) string {
		if i < 10 {
			return "conflicts=s00000"[:9*min(i, 1)]
		}
		return fmt.Sprintf("requires=s%05d,s%05d after=s%05d,s%05d", i-1, i-2, i-3, i-4)
	})...).g
	for name, draw := range map[string]func() (string, int){"dot": g.dot, "mermaid": g.mermaid} {
		text, lacks := draw()
		if size := answerSize(t, text); size > answerMax || !strings.Contains(text, fmt.Sprintf(" %d lines are left out: ", lacks)) {
			t.Errorf("%s: %d bytes, ends with %q", name, size, text[len(text)-200:])
		}
	}
	o := g.outline()
	if size := answerSize(t, jsonText(o)); size > answerMax || o.leftOut == 0 {
		t.Errorf("json: %d bytes, %d left out", size, o.leftOut)
	}
	g = newCrowd("a conflicts=b,b,c", "b conflicts=a requires=c,c", "c").g
	if got, want := fmt.Sprint(slices.Collect(g.edges())), "[{a b conflicts} {a c conflicts} {b c requires}]"; got != want {
		t.Errorf("edges are %s, not %s", got, want)
	}
}

// TestErrorsOfALargeCycle: the way round is cut in its middle, and each error stays short.
func TestErrorsOfALargeCycle(t *testing.T) {
	lines := chainLines(5000, "")
	lines[0] += " requires=s04999"
	load := &loadResult{}
	for _, l := range lines {
		load.configs = append(load.configs, testUnit(l))
	}
	g := newGraph(answerMax)
	out := g.step(g.now, event{kind: eventReload, load: load, to: &ticket{}})
	r := out[len(out)-1].answer.Reload
	if len(r.Errors) != len(lines) || len(r.Added) != 0 {
		t.Fatalf("%d errors, %d added", len(r.Errors), len(r.Added))
	}
	want := "dependency cycle: s00000 -> s04999 -> s04998 -> s04997 -> s04996 -> s04995 -> s04994 -> s04993 -> (4985 more) -> s00007 -> "
	for _, p := range r.Errors {
		if len(p.Message) > 400 || !strings.HasPrefix(p.Message, want) {
			t.Fatalf("an error is %q", p.Message)
		}
	}
}

// TestRefusalsAreBounded: a service that thousands require is not deleted, and a hundred of them are named.
func TestRefusalsAreBounded(t *testing.T) {
	g := newCrowd(append(unitLines(5000, func(int) string { return "requires=db" }), "db")...).g
	out := g.step(g.now, event{kind: eventDelete, name: "db", to: &ticket{}})
	if r := out[0].err; r == nil || len(r.names) != maxNamed || !strings.Contains(r.text, "s00099 and 4900 more") {
		t.Errorf("refused with %+v", r)
	}
}

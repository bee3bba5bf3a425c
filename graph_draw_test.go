// graph_draw_test.go holds what the core says about very large graphs to the size of one answer, and looks for what must be in it all the same.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
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
	if got, want := fmt.Sprint(g.edges()), "[{a b conflicts} {a c conflicts} {b c requires}]"; got != want {
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

// TestDrawingsOfAllKinds: each kind of dependency has a line in both languages.
func TestDrawingsOfAllKinds(t *testing.T) {
	g := newGraph(time.Minute)
	for _, name := range []string{"a", "b"} {
		c := newConfig()
		c.Service.Name, c.Service.Exec = name, execDef{Argv: []string{"x"}}
		if name == "a" {
			all := []string{"b"}
			c.Dependencies = dependencyDef{Requires: all, After: all, Wants: all, Conflicts: all, Binds: all}
		}
		g.units[name] = &unit{name: name, cfg: c}
	}
	dot, _ := g.dot()
	mermaid, _ := g.mermaid()
	for _, k := range edgeKinds {
		says(t, dot, fmt.Sprintf(`"a" -> "b" [style=%s, label=%q`, k.style, k.name))
		says(t, mermaid, fmt.Sprintf("n0 %s|%s| n1\n", k.arrow, k.name))
	}
	if n := strings.Count(mermaid, "| n1\n"); n != len(edgeKinds) {
		t.Errorf("%d lines for %d kinds:\n%s", n, len(edgeKinds), mermaid)
	}
}

// graph_draw.go draws the graph: as a tree of what needs what, for Graphviz, for Mermaid, and as plain lists of nodes and edges. Every drawing fits into one answer.

//go:build !windows

package main

import (
	"fmt"
	"slices"
	"strings"
)

const (
	maxDrawing = 3 << 20 // bytes of one drawing, as JSON
	maxLevels  = 64      // of a tree
)

// treeDrawing is a tree being drawn.
type treeDrawing struct {
	g       *graph
	text    strings.Builder
	roots   []treeNode
	leftOut int             // roots
	room    int             // bytes
	path    map[string]bool // from the root to here
}

// tree draws the units with what they require and want below them: below one unit, or, for "", below those that no other one names.
// A unit that stands already on the path to itself (over wants) is not opened again.
func (g *graph) tree(name string) *treeDrawing {
	t := &treeDrawing{g: g, roots: []treeNode{}, room: maxDrawing, path: map[string]bool{}}
	names := []string{name}
	if name == "" {
		names = g.roots()
	}
	for i, n := range names {
		if t.room <= 0 {
			t.leftOut = len(names) - i
			fmt.Fprintf(&t.text, "(%d more are not shown)\n", t.leftOut)
			break
		}
		t.roots = append(t.roots, t.branch(n, "", "", 1))
	}
	return t
}

// roots are the units that no other one requires or wants; all, when each is.
func (g *graph) roots() []string {
	named := map[string]bool{}
	for _, u := range g.units {
		for _, n := range slices.Concat(u.cfg.Dependencies.needed(), u.cfg.Dependencies.Wants) {
			named[n] = true
		}
	}
	roots := slices.DeleteFunc(slices.Clone(g.names()), func(n string) bool { return named[n] })
	if len(roots) == 0 {
		return g.names()
	}
	return roots
}

// branch draws a unit on a line that begins with first, and its children on lines that begin with rest. level counts from 1.
func (t *treeDrawing) branch(name, first, rest string, level int) treeNode {
	node := treeNode{Name: name, State: "missing", Kind: "missing", Children: []treeNode{}}
	var below []string
	if u := t.g.units[name]; u != nil {
		node.State, node.Kind = u.state.String(), string(u.cfg.Kind)
		if !t.path[name] {
			below = distinct(u.cfg.Dependencies.needed(), u.cfg.Dependencies.Wants)
		}
	}
	t.room -= len(first) + 2*len(name) + 120
	node.Truncated = len(below) > 0 && (level == maxLevels || t.room <= 0)
	if node.Truncated {
		fmt.Fprintf(&t.text, "%s%s (%s), with more below\n", first, name, node.State)
		return node
	}
	fmt.Fprintf(&t.text, "%s%s (%s)\n", first, name, node.State)
	if len(below) == 0 {
		return node
	}
	t.path[name] = true
	defer delete(t.path, name)
	for i, n := range below {
		if t.room <= 0 {
			node.Truncated = true
			fmt.Fprintf(&t.text, "%s`- (%d more are not shown)\n", rest, len(below)-i)
			break
		}
		mark, more := "|- ", "|  "
		if i == len(below)-1 {
			mark, more = "`- ", "   "
		}
		node.Children = append(node.Children, t.branch(n, rest+mark, rest+more, level+1))
	}
	return node
}

// distinct is the names of some lists in order, each once.
func distinct(lists ...[]string) []string {
	var names []string
	seen := map[string]bool{}
	for _, n := range slices.Concat(lists...) {
		if !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}

// edgeKinds is how each kind of dependency is drawn: the style of its line in dot, and its arrow in Mermaid.
var edgeKinds = [...]struct{ name, style, arrow string }{
	{"requires", "solid", "-->"},
	{"after", "dashed", "-.->"},
	{"wants", "dotted", "-.->"},
	{"conflicts", "bold", "x--x"},
	{"binds", "tapered", "==>"},
}

// styleOf returns how edges of a kind are drawn.
func styleOf(kind string) (style, arrow string) {
	for _, k := range edgeKinds {
		if k.name == kind {
			return k.style, k.arrow
		}
	}
	return "", ""
}

// edges are all dependencies in name order; a conflict that both name stands once.
func (g *graph) edges() (edges []edge) {
	drawn := map[edge]bool{} // conflicts
	for _, n := range g.names() {
		d := &g.units[n].cfg.Dependencies
		for i, names := range [][]string{d.Requires, d.After, d.Wants, d.Conflicts, d.Binds} {
			for _, m := range distinct(names) {
				e := edge{n, m, edgeKinds[i].name}
				if e.Type == "conflicts" {
					if drawn[edge{m, n, e.Type}] {
						continue
					}
					drawn[e] = true
				}
				edges = append(edges, e)
			}
		}
	}
	return edges
}

// page is a text with a bound.
type page struct {
	text    strings.Builder
	room    int
	leftOut int // lines
}

// add writes a line, or counts it when there is no room for it and those before it.
func (p *page) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	p.room -= len(line) + strings.Count(line, `"`) + strings.Count(line, "\n") + strings.Count(line, `\`)
	if p.room < 0 {
		p.leftOut++
		return
	}
	p.text.WriteString(line)
}

// end closes the page with a remark on what is not there, and a last line.
func (p *page) end(remark, last string) (text string, leftOut int) {
	if p.leftOut > 0 {
		fmt.Fprintf(&p.text, "  %s %d lines are left out: the drawing is too large for one answer\n", remark, p.leftOut)
	}
	p.text.WriteString(last)
	return p.text.String(), p.leftOut
}

// dot draws the graph for Graphviz.
func (g *graph) dot() (text string, leftOut int) {
	colour := map[state]string{running: "palegreen", exited: "lightblue", failed: "salmon", blocked: "khaki", starting: "lightyellow", stopping: "lightyellow", inactive: "lightgrey"}
	p := page{room: maxDrawing}
	p.add("digraph zinit {\n  rankdir=LR;\n  node [shape=box, style=filled];\n")
	for _, n := range g.names() {
		u := g.units[n]
		shape := ""
		if u.cfg.Kind == unitTarget {
			shape = ", shape=ellipse"
		}
		p.add("  %q [fillcolor=%s, tooltip=%q%s];\n", n, colour[u.state], u.state, shape)
	}
	for _, e := range g.edges() {
		extra := ""
		if e.Type == "conflicts" {
			extra = ", color=red, dir=none"
		}
		style, _ := styleOf(e.Type)
		p.add("  %q -> %q [style=%s, label=%q%s];\n", e.From, e.To, style, e.Type, extra)
	}
	return p.end("//", "}\n")
}

// mermaid draws the graph for Mermaid (flowchart). Nodes have numbers, because its identifiers are narrower than our names.
func (g *graph) mermaid() (text string, leftOut int) {
	id := map[string]int{}
	p := page{room: maxDrawing}
	p.add("flowchart LR\n")
	node := func(n, label string) {
		id[n] = len(id)
		p.add("  n%d[\"%s\"]\n", id[n], label)
	}
	for _, n := range g.names() {
		node(n, n+" ("+g.units[n].state.String()+")")
	}
	for _, e := range g.edges() {
		if _, known := id[e.To]; !known {
			node(e.To, e.To+" (missing)")
		}
	}
	for _, e := range g.edges() {
		_, arrow := styleOf(e.Type)
		p.add("  n%d %s|%s| n%d\n", id[e.From], arrow, e.Type, id[e.To])
	}
	return p.end("%%", "")
}

// outline is the graph as lists. leftOut counts what was too much for one answer.
type outline struct {
	Nodes   []outlineNode `json:"nodes"`
	Edges   []edge        `json:"edges"`
	leftOut int
}

func (g *graph) outline() outline {
	o := outline{Nodes: []outlineNode{}, Edges: []edge{}}
	room := maxDrawing
	fits := func(names ...string) bool {
		room -= len(strings.Join(names, "")) + 150
		if room < 0 {
			o.leftOut++
		}
		return room >= 0
	}
	for _, n := range g.names() {
		if u := g.units[n]; fits(n) {
			o.Nodes = append(o.Nodes, outlineNode{n, u.cfg.Kind, u.state})
		}
	}
	for _, e := range g.edges() {
		if fits(e.From, e.To) {
			o.Edges = append(o.Edges, e)
		}
	}
	return o
}

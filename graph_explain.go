package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// --- why: puts into words what the graph knows (reasons, root causes, what to do about them, drawings): it decides nothing and changes nothing.

// whyReason is one link of the chain from a unit down to the causes of its state.
type whyReason struct {
	Type    string `json:"type"`
	Service string `json:"service"`
	State   string `json:"state"`
	Detail  string `json:"detail"`
}

// String is the sentence that people read.
func (r *failureReason) String() string {
	switch r.Type {
	case "exit_code":
		if !r.CodeKnown {
			return "ended with an exit status that nobody could learn"
		}
		return fmt.Sprintf("exit code %d", r.Code)
	case "signal":
		s := "killed by " + signalName(r.Signal)
		if r.Core {
			s += " (core dumped)"
		}
		return s
	case "start_timeout":
		return "was not ready within its start timeout"
	case "stop_timeout":
		return "did not stop within its stop timeout and was killed"
	case "health_check_failed":
		return fmt.Sprintf("failed %d health checks in a row: %s", r.Attempts, r.LastError)
	case "dependency_failed":
		return "requires " + r.Service + ", which failed"
	case "missing_dependency":
		return "requires " + r.Dependency + ", which does not exist"
	case "spawn_error":
		return "could not be started: " + r.Message
	}
	return r.Type
}

// explainer walks from a unit to its root causes, naming each unit once.
type explainer struct {
	g       *graph
	seen    map[string]bool
	reasons []whyReason
	text    strings.Builder
	todo    []string
}

// why explains the state of a unit: the whole chain of reasons, and a text with what can be done about the root causes.
func (g *graph) why(u *unit, now time.Time) (isBlocked bool, reasons []whyReason, todo []string, text string) {
	x := &explainer{g: g, seen: map[string]bool{}, reasons: []whyReason{}}
	fmt.Fprintf(&x.text, "%s is %s", u.name, u.state)
	x.unit(u, now, 1)
	if x.text.Len() > 0 && !strings.HasSuffix(x.text.String(), "\n") {
		x.text.WriteString("\n")
	}
	if len(x.todo) > 0 {
		x.text.WriteString("what to do:\n")
		for _, t := range x.todo {
			x.text.WriteString("  " + t + "\n")
		}
	}
	return u.state == blocked || u.state == failed && u.reason != nil && (u.reason.Type == "dependency_failed" || u.reason.Type == "missing_dependency"), x.reasons, x.todo, x.text.String()
}

func (x *explainer) note(kind, service, state, detail string) {
	x.reasons = append(x.reasons, whyReason{kind, service, state, detail})
}

func (x *explainer) suggest(format string, args ...any) {
	if t := fmt.Sprintf(format, args...); !slices.Contains(x.todo, t) {
		x.todo = append(x.todo, t)
	}
}

// unit goes on behind "NAME is STATE" and says why.
func (x *explainer) unit(u *unit, now time.Time, depth int) {
	if x.seen[u.name] {
		x.text.WriteString(" (see above)\n")
		return
	}
	x.seen[u.name] = true
	switch u.state {
	case blocked:
		x.text.WriteString(":\n")
		x.blocked(u, now, depth)
	case failed:
		x.failed(u, now, depth)
	case inactive, exited:
		x.resting(u, now)
	case starting:
		x.text.WriteString(x.progress(u, now) + "\n")
	case stopping, running:
		if u.leave != staying || u.state == stopping {
			x.text.WriteString(x.leaving(u, now))
		}
		x.text.WriteString("\n")
	}
}

func (x *explainer) line(depth int, format string, args ...any) {
	x.text.WriteString(strings.Repeat("  ", depth) + fmt.Sprintf(format, args...))
}

func (x *explainer) blocked(u *unit, now time.Time, depth int) {
	for _, h := range x.g.hindrances(u) {
		o := x.g.units[h.service]
		switch h.kind {
		case "missing":
			x.missing(u, h.service, depth)
		case "conflicts":
			x.note("conflicts", h.service, o.state.String(), u.name+" conflicts with "+h.service)
			x.line(depth, "conflicts with %s, which is %s\n", h.service, o.state)
			if h.needsPerson {
				x.suggest("zinit stop %s    (then %s starts)", h.service, u.name)
			}
		default:
			x.chain(h.kind, o, now, depth)
		}
	}
	switch h := u.hindered; {
	case h.kind != "":
		x.note(h.kind, u.name, u.state.String(), h.detail)
		x.line(depth, "%s; looked at again in %s\n", h.detail, span(u.guardDue.Sub(now)))
		if h.kind == "port" {
			x.suggest("stop what listens there (ss -ltnp shows it), or change ports in the file of %s", u.name)
		} else {
			x.suggest("stop that process, or change %s in the file of %s", h.kind, u.name)
		}
	case u.guarding:
		x.line(depth, "its ports and process_filter are being looked at\n")
	}
}

// chain explains a unit that another one waits for, one level deeper.
func (x *explainer) chain(kind string, o *unit, now time.Time, depth int) {
	word := map[string]string{"requires": "requires", "failed": "requires", "after": "comes after"}[kind]
	if kind == "failed" {
		kind = "requires"
	}
	detail := o.state.String()
	if o.reason != nil {
		detail = o.reason.String()
	}
	x.note(kind, o.name, o.state.String(), detail)
	x.line(depth, "%s %s, which is %s", word, o.name, o.state)
	x.unit(o, now, depth+1)
}

func (x *explainer) missing(u *unit, name string, depth int) {
	if why := x.g.refused[name]; why != "" {
		x.note("missing", name, "", "its file is not loaded: "+why)
		x.line(depth, "requires %s, whose file is not loaded: %s\n", name, why)
		x.suggest("correct that, then zinit reload")
		return
	}
	x.note("missing", name, "", "there is no service "+name)
	x.line(depth, "requires %s, which does not exist\n", name)
	if near := nearest(name, x.g.names()); near != "" {
		x.suggest("write %s instead of %s in the file of %s, if that is what was meant", near, name, u.name)
		return
	}
	x.suggest("add a service %s, or take it out of requires of %s", name, u.name)
}

func (x *explainer) failed(u *unit, now time.Time, depth int) {
	r := u.reason
	if r == nil {
		x.text.WriteString("\n")
		return
	}
	switch r.Type {
	case "missing_dependency":
		x.text.WriteString(":\n")
		x.missing(u, r.Dependency, depth)
		return
	case "dependency_failed":
		if o := x.g.units[r.Service]; o != nil {
			x.text.WriteString(":\n")
			x.chain("requires", o, now, depth)
			return
		}
	}
	x.note("failed", u.name, u.state.String(), r.String())
	x.text.WriteString(": " + r.String())
	if r.Type == "start_timeout" && u.health.failures > 0 {
		x.text.WriteString("; its last health check: " + u.health.lastError)
	}
	switch {
	case u.pending:
		in := span(u.restartDue.Sub(now))
		x.note("restart_delay", u.name, u.state.String(), "restarts in "+in)
		x.text.WriteString("; restarts in " + in + "\n")
		if r.Type == "spawn_error" {
			x.suggest("correct exec, dir or user of %s, then zinit reload", u.name)
			return
		}
		x.suggest("zinit logs %s    (what it said before it failed)", u.name)
		return
	case !u.up:
		x.text.WriteString("; not restarted: it is not wanted\n")
	case u.cfg.Service.Status == "ignore":
		x.text.WriteString("; not restarted: status = \"ignore\"\n")
	case u.cfg.Lifecycle.MaxRestarts > 0 && u.tries >= u.cfg.Lifecycle.MaxRestarts:
		fmt.Fprintf(&x.text, "; not restarted: max_restarts = %d is used up\n", u.cfg.Lifecycle.MaxRestarts)
	default:
		fmt.Fprintf(&x.text, "; not restarted: restart = %q\n", u.cfg.Lifecycle.Restart)
	}
	if r.Type == "spawn_error" {
		x.suggest("correct exec, dir or user of %s, then zinit reload and zinit start %s", u.name, u.name)
		return
	}
	x.suggest("zinit logs %s    (what it said before it failed), then zinit start %s", u.name, u.name)
}

// resting explains a unit that nobody wants, or that has done its work.
func (x *explainer) resting(u *unit, now time.Time) {
	switch {
	case u.pending:
		in := span(u.restartDue.Sub(now))
		x.note("restart_delay", u.name, u.state.String(), "restarts in "+in)
		x.text.WriteString("; restarts in " + in + "\n")
	case u.satisfied():
		x.text.WriteString(": it has done its work\n")
	case !u.up && u.state == inactive:
		detail := fmt.Sprintf("nobody started it (status = %q)", u.cfg.Service.Status)
		x.note("wish", u.name, u.state.String(), detail)
		x.text.WriteString(": " + detail + "\n")
		x.suggest("zinit start %s", u.name)
	case !u.up:
		x.note("wish", u.name, u.state.String(), "it was stopped")
		x.text.WriteString(": it was stopped\n")
		x.suggest("zinit start %s", u.name)
	default:
		x.text.WriteString("\n")
	}
}

func (x *explainer) progress(u *unit, now time.Time) string {
	s := ""
	switch {
	case !u.spawned:
		s = ": the kernel has not executed it yet"
	case u.cfg.Health != nil && u.health.checks > 0:
		s = fmt.Sprintf(": its health checks fail, %d so far, the last: %s", u.health.failures, u.health.lastError)
		x.suggest("zinit logs %s    (what it says meanwhile), and look at target in its [health]", u.name)
	case u.cfg.Health != nil:
		s = ": waiting for its first health check"
	}
	if !u.startDue.IsZero() {
		s += "; gives up in " + span(u.startDue.Sub(now))
	}
	return s
}

func (x *explainer) leaving(u *unit, now time.Time) string {
	if u.state == running {
		return ": it stops when what requires it has stopped"
	}
	s := ""
	if u.cause != nil {
		s = ": " + u.cause.String()
	}
	if !u.stopDue.IsZero() {
		s += "; killed in " + span(u.stopDue.Sub(now)) + " if it does not end"
	}
	return s
}

// span writes a duration for people: 1.5s, 2m5s.
func span(d time.Duration) string {
	switch {
	case d < 0:
		d = 0
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < time.Minute:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return d.String()
}

// treeNode is one unit in the tree of what needs what.
type treeNode struct {
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Kind     string     `json:"kind"`
	Children []treeNode `json:"children"`
}

// tree returns the units with what they require and want below them: below one unit, or, for "", below those that no other one names.
// A unit that stands already on the path to itself (over wants) is not opened again, and none is after maxTree nodes:
// a graph with many ways between two units would fill the memory.
func (g *graph) tree(name string) (string, []treeNode) {
	left := maxTree
	var roots []string
	if name != "" {
		roots = []string{name}
	} else {
		named := map[string]bool{}
		for _, u := range g.units {
			for _, n := range slices.Concat(u.cfg.Dependencies.Requires, u.cfg.Dependencies.Wants) {
				named[n] = true
			}
		}
		for _, n := range g.names() {
			if !named[n] {
				roots = append(roots, n)
			}
		}
		if len(roots) == 0 {
			roots = g.names()
		}
	}
	nodes := []treeNode{}
	var text strings.Builder
	for _, n := range roots {
		node := g.branch(n, map[string]bool{}, &left)
		nodes = append(nodes, node)
		drawTree(&text, node, "", "")
	}
	return text.String(), nodes
}

// maxTree bounds the nodes of one tree.
const maxTree = 20000

func (g *graph) branch(name string, path map[string]bool, left *int) treeNode {
	u := g.units[name]
	if u == nil {
		return treeNode{Name: name, State: "missing", Kind: "missing", Children: []treeNode{}}
	}
	node := treeNode{Name: name, State: u.state.String(), Kind: u.kind(), Children: []treeNode{}}
	*left--
	if path[name] || *left < 0 {
		return node
	}
	path[name] = true
	seen := map[string]bool{}
	for _, n := range slices.Concat(u.cfg.Dependencies.Requires, u.cfg.Dependencies.Wants) {
		if !seen[n] {
			seen[n] = true
			node.Children = append(node.Children, g.branch(n, path, left))
		}
	}
	delete(path, name)
	return node
}

func drawTree(b *strings.Builder, n treeNode, first, rest string) {
	fmt.Fprintf(b, "%s%s (%s)\n", first, n.Name, n.State)
	for i, c := range n.Children {
		if i == len(n.Children)-1 {
			drawTree(b, c, rest+"`- ", rest+"   ")
			continue
		}
		drawTree(b, c, rest+"|- ", rest+"|  ")
	}
}

// edge is one dependency in a drawing of the graph.
type edge struct {
	From string `json:"from"`
	To   string `json:"to"`
	Type string `json:"type"`
}

// edges lists all dependencies in name order; a conflict that both name stands once.
func (g *graph) edges() []edge {
	var all []edge
	for _, n := range g.names() {
		d := &g.units[n].cfg.Dependencies
		for _, l := range []struct {
			kind  string
			names []string
		}{{"requires", d.Requires}, {"after", d.After}, {"wants", d.Wants}, {"conflicts", d.Conflicts}} {
			for _, m := range l.names {
				e := edge{n, m, l.kind}
				if l.kind == "conflicts" && slices.Contains(all, edge{m, n, l.kind}) || slices.Contains(all[max(0, len(all)-8):], e) {
					continue
				}
				all = append(all, e)
			}
		}
	}
	return all
}

// dot draws the graph for Graphviz.
func (g *graph) dot() string {
	style := map[string]string{"requires": "solid", "after": "dashed", "wants": "dotted", "conflicts": "bold"}
	colour := map[state]string{running: "palegreen", exited: "lightblue", failed: "salmon", blocked: "khaki", starting: "lightyellow", stopping: "lightyellow", inactive: "lightgrey"}
	var b strings.Builder
	b.WriteString("digraph zinit {\n  rankdir=LR;\n  node [shape=box, style=filled];\n")
	for _, n := range g.names() {
		u := g.units[n]
		shape := ""
		if u.kind() == "target" {
			shape = ", shape=ellipse"
		}
		fmt.Fprintf(&b, "  %q [fillcolor=%s, tooltip=%q%s];\n", n, colour[u.state], u.state, shape)
	}
	for _, e := range g.edges() {
		extra := ""
		if e.Type == "conflicts" {
			extra = ", color=red, dir=none"
		}
		fmt.Fprintf(&b, "  %q -> %q [style=%s, label=%q%s];\n", e.From, e.To, style[e.Type], e.Type, extra)
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaid draws the graph for Mermaid (flowchart). Nodes have numbers, because its identifiers are narrower than our names.
func (g *graph) mermaid() string {
	arrow := map[string]string{"requires": "-->|requires|", "after": "-.->|after|", "wants": "-.->|wants|", "conflicts": "x--x|conflicts|"}
	id := map[string]int{}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	node := func(n, label string) {
		id[n] = len(id)
		fmt.Fprintf(&b, "  n%d[\"%s\"]\n", id[n], label)
	}
	for _, n := range g.names() {
		node(n, n+" ("+g.units[n].state.String()+")")
	}
	edges := g.edges()
	for _, e := range edges {
		if _, known := id[e.To]; !known {
			node(e.To, e.To+" (missing)")
		}
	}
	for _, e := range edges {
		fmt.Fprintf(&b, "  n%d %s n%d\n", id[e.From], arrow[e.Type], id[e.To])
	}
	return b.String()
}

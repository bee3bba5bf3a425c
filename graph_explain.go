// graph_explain.go puts into words what the graph knows: the reasons of a state down to their root causes, and what to do about them. It decides nothing and changes nothing.

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// whyKind says what one link of the chain of reasons is. Those of a hindrance are the first seven.
type whyKind string

const (
	whyRequires      whyKind = "requires"
	whyAfter         whyKind = "after"
	whyConflicts     whyKind = "conflicts"
	whyMissing       whyKind = "missing"
	whyFailed        whyKind = "failed"
	whyPort          whyKind = "port"
	whyProcessFilter whyKind = "process_filter"
	whyRestartDelay  whyKind = "restart_delay"
	whyWish          whyKind = "wish"
)

// whyReason is one link of the chain from a unit down to the causes of its state.
type whyReason struct {
	Type    whyKind `json:"type"`
	Service string  `json:"service"`
	State   string  `json:"state"`
	Detail  string  `json:"detail"`
}

// String is the sentence that people read.
func (r *failureReason) String() string {
	switch r.Type {
	case reasonExitCode:
		if !r.CodeKnown {
			return "ended with an exit status that nobody could learn"
		}
		return fmt.Sprintf("exit code %d", r.Code)
	case reasonSignal:
		s := "killed by " + signalName(r.Signal)
		if r.Core {
			s += " (core dumped)"
		}
		return s
	case reasonStartTimeout:
		return "was not ready within its start timeout"
	case reasonStopTimeout:
		return "did not stop within its stop timeout and was killed"
	case reasonHealth:
		return fmt.Sprintf("failed %d health checks in a row: %s", r.Attempts, r.LastError)
	case reasonDependencyFailed:
		return "requires " + r.Service + ", which failed"
	case reasonMissingDependency:
		return "requires " + r.Dependency + ", which does not exist"
	case reasonSpawnError:
		return "could not be started: " + r.Message
	}
	return string(r.Type)
}

// Bounds of one explanation. Of a long chain the beginning and the end are shown, with the root cause; of many reasons the first.
const (
	whyWalk  = 50000 // reasons looked at
	whyLines = 200   // reasons told
	whyHead  = 12    // levels from the top
	whyTail  = 12    // levels above a root cause
	whyTodo  = 20    // suggestions
	whyNear  = 3     // names looked for that look like a missing one: each is a look through all names
)

// whyNode is one link of the chain: a unit, or the name of one that does not exist, and how the one above waits for it.
type whyNode struct {
	hindrance
	unit         *unit
	from         *unit
	parent       int
	level, below int // levels above and below it
	first, end   int // its own reasons are nodes[first:end]
	again        bool
}

// explainer walks from a unit to its root causes, naming each unit once.
type explainer struct {
	g       *graph
	now     time.Time
	nodes   []whyNode
	unseen  int
	reasons []whyReason
	text    strings.Builder
	todo    []string
	near    int
}

// explanation says why a unit is in its state. LeftOut counts the reasons that were too many to tell.
type explanation struct {
	blocked bool
	reasons []whyReason
	leftOut int
	todo    []string
	text    string
}

// why explains the state of a unit: the chain of reasons, and a text with what can be done about the root causes.
func (g *graph) why(u *unit, now time.Time) explanation {
	x := &explainer{g: g, now: now, reasons: []whyReason{}}
	x.walk(u)
	told := x.tell()
	e := explanation{leftOut: len(x.nodes) + x.unseen - told}
	if e.leftOut > 0 {
		fmt.Fprintf(&x.text, "(%d more reasons are not shown)\n", e.leftOut)
	}
	if len(x.todo) > 0 {
		x.text.WriteString("what to do:\n")
		for _, t := range x.todo {
			x.text.WriteString("  " + t + "\n")
		}
	}
	r := u.reason
	e.blocked = u.state == blocked || u.state == failed && r != nil && (r.Type == reasonDependencyFailed || r.Type == reasonMissingDependency)
	e.reasons, e.todo, e.text = x.reasons, x.todo, x.text.String()
	return e
}

// causes lists what a unit waits for, or failed for.
func (x *explainer) causes(u *unit) []hindrance {
	switch r := u.reason; {
	case u.state == blocked:
		return x.g.hindrances(u)
	case u.state != failed || r == nil:
	case r.Type == reasonMissingDependency && x.g.units[r.Dependency] == nil:
		return []hindrance{{kind: whyMissing, service: r.Dependency}}
	case r.Type == reasonMissingDependency:
		return []hindrance{{kind: whyRequires, service: r.Dependency}}
	case r.Type == reasonDependencyFailed && x.g.units[r.Service] != nil:
		return []hindrance{{kind: whyRequires, service: r.Service}}
	}
	return nil
}

// walk collects the reasons, deepest first, without a word.
func (x *explainer) walk(u *unit) {
	x.nodes = []whyNode{{unit: u}}
	seen := map[string]bool{}
	for stack := []int{0}; len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := x.nodes[i]
		if n.unit == nil || n.kind == whyConflicts {
			continue
		}
		if seen[n.unit.name] {
			x.nodes[i].again = true
			continue
		}
		seen[n.unit.name] = true
		first := len(x.nodes)
		for _, h := range x.causes(n.unit) {
			if len(x.nodes) == whyWalk {
				x.unseen++
				continue
			}
			x.nodes = append(x.nodes, whyNode{hindrance: h, unit: x.g.units[h.service], from: n.unit, parent: i, level: n.level + 1})
		}
		x.nodes[i].first, x.nodes[i].end = first, len(x.nodes)
		for j := len(x.nodes) - 1; j >= first; j-- {
			stack = append(stack, j)
		}
	}
	for i := len(x.nodes) - 1; i > 0; i-- {
		up := &x.nodes[x.nodes[i].parent]
		up.below = max(up.below, x.nodes[i].below+1)
	}
}

// tell writes the reasons down, as many as there is room for, and returns how many.
func (x *explainer) tell() (told int) {
	type place struct{ node, depth, cut int }
	for stack := []place{{}}; len(stack) > 0 && told < whyLines; {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		n := &x.nodes[p.node]
		below := place{depth: p.depth, cut: p.cut + 1}
		if n.level < whyHead || n.below < whyTail {
			if p.cut > 0 {
				x.line(p.depth, "and so on, %d more, down to:\n", p.cut)
				p.depth++
			}
			x.node(n, p.depth)
			told++
			below = place{depth: p.depth + 1}
		}
		for j := n.end - 1; j >= n.first; j-- {
			below.node = j
			stack = append(stack, below)
		}
	}
	return told
}

func (x *explainer) note(kind whyKind, service, state, detail string) {
	x.reasons = append(x.reasons, whyReason{kind, service, state, detail})
}

func (x *explainer) suggest(format string, args ...any) {
	if t := fmt.Sprintf(format, args...); len(x.todo) < whyTodo && !slices.Contains(x.todo, t) {
		x.todo = append(x.todo, t)
	}
}

func (x *explainer) line(depth int, format string, args ...any) {
	x.text.WriteString(strings.Repeat("  ", depth) + fmt.Sprintf(format, args...))
}

// node writes one reason, and what is to be said of its unit.
func (x *explainer) node(n *whyNode, depth int) {
	u := n.unit
	switch {
	case n.from == nil:
		x.line(depth, "%s is %s", u.name, u.state)
	case n.kind == whyMissing:
		x.missing(n.from, n.service, depth)
		return
	case n.kind == whyConflicts:
		x.note(whyConflicts, u.name, u.state.String(), n.from.name+" conflicts with "+u.name)
		x.line(depth, "conflicts with %s, which is %s\n", u.name, u.state)
		if n.needsPerson {
			x.suggest("zinit stop %s    (then %s starts)", u.name, n.from.name)
		}
		return
	default:
		kind, word, detail := n.kind, "requires", u.state.String()
		if kind == whyFailed {
			kind = whyRequires
		}
		if kind == whyAfter {
			word = "comes after"
		}
		if u.reason != nil {
			detail = u.reason.String()
		}
		x.note(kind, u.name, u.state.String(), detail)
		x.line(depth, "%s %s, which is %s", word, u.name, u.state)
	}
	if n.again {
		x.text.WriteString(" (see above)\n")
		return
	}
	x.unit(u, depth+1)
}

// unit goes on behind "NAME is STATE" and says why, as far as it is not the fault of others.
func (x *explainer) unit(u *unit, depth int) {
	switch u.state {
	case blocked:
		x.text.WriteString(":\n")
		x.hindered(u, depth)
	case failed:
		x.failed(u)
	case inactive, exited:
		x.resting(u)
	case starting:
		x.text.WriteString(x.progress(u) + "\n")
	case stopping, running:
		if u.leave != staying || u.state == stopping {
			x.text.WriteString(x.leaving(u))
		}
		x.text.WriteString("\n")
	}
}

// hindered tells what outside the graph keeps a unit from starting.
func (x *explainer) hindered(u *unit, depth int) {
	switch h := u.hindered; {
	case h.kind != "":
		x.note(h.kind, u.name, u.state.String(), h.detail)
		x.line(depth, "%s; looked at again in %s\n", h.detail, span(u.guardDue.Sub(x.now)))
		if h.kind == whyPort {
			x.suggest("stop what listens there (ss -ltnp shows it), or change ports in the file of %s", u.name)
		} else {
			x.suggest("stop that process, or change %s in the file of %s", h.kind, u.name)
		}
	case u.guarding:
		x.line(depth, "its ports and process_filter are being looked at\n")
	}
}

func (x *explainer) missing(u *unit, name string, depth int) {
	if why := x.g.refused[name]; why != "" {
		x.note(whyMissing, name, "", "its file is not loaded: "+why)
		x.line(depth, "requires %s, whose file is not loaded: %s\n", name, why)
		x.suggest("correct that, then zinit reload")
		return
	}
	x.note(whyMissing, name, "", "there is no service "+name)
	x.line(depth, "requires %s, which does not exist\n", name)
	if x.near++; x.near <= whyNear {
		if near := nearest(name, x.g.names()); near != "" {
			x.suggest("write %s instead of %s in the file of %s, if that is what was meant", near, name, u.name)
			return
		}
	}
	x.suggest("add a service %s, or take it out of requires of %s", name, u.name)
}

func (x *explainer) failed(u *unit) {
	r := u.reason
	if len(x.causes(u)) > 0 {
		x.text.WriteString(":\n")
		return
	}
	if r == nil {
		x.text.WriteString("\n")
		return
	}
	x.note(whyFailed, u.name, u.state.String(), r.String())
	x.text.WriteString(": " + r.String())
	if r.Type == reasonStartTimeout && u.health.failures > 0 {
		x.text.WriteString("; its last health check: " + u.health.lastError)
	}
	switch {
	case u.pending:
		in := span(u.restartDue.Sub(x.now))
		x.note(whyRestartDelay, u.name, u.state.String(), "restarts in "+in)
		x.text.WriteString("; restarts in " + in + "\n")
	case !u.up:
		x.text.WriteString("; not restarted: it is not wanted\n")
	case u.cfg.Service.Status == statusIgnore:
		x.text.WriteString("; not restarted: status = \"ignore\"\n")
	case u.cfg.Lifecycle.MaxRestarts > 0 && u.tries >= u.cfg.Lifecycle.MaxRestarts:
		fmt.Fprintf(&x.text, "; not restarted: max_restarts = %d is used up\n", u.cfg.Lifecycle.MaxRestarts)
	default:
		fmt.Fprintf(&x.text, "; not restarted: restart = %q\n", u.cfg.Lifecycle.Restart)
	}
	switch {
	case u.pending && r.Type == reasonSpawnError:
		x.suggest("correct exec, dir or user of %s, then zinit reload", u.name)
	case u.pending:
		x.suggest("zinit logs %s    (what it said before it failed)", u.name)
	case r.Type == reasonSpawnError:
		x.suggest("correct exec, dir or user of %s, then zinit reload and zinit start %s", u.name, u.name)
	default:
		x.suggest("zinit logs %s    (what it said before it failed), then zinit start %s", u.name, u.name)
	}
}

// resting explains a unit that nobody wants, or that has done its work.
func (x *explainer) resting(u *unit) {
	switch {
	case u.pending:
		in := span(u.restartDue.Sub(x.now))
		x.note(whyRestartDelay, u.name, u.state.String(), "restarts in "+in)
		x.text.WriteString("; restarts in " + in + "\n")
	case u.satisfied():
		x.text.WriteString(": it has done its work\n")
	case !u.up && u.state == inactive:
		detail := fmt.Sprintf("nobody started it (status = %q)", u.cfg.Service.Status)
		x.note(whyWish, u.name, u.state.String(), detail)
		x.text.WriteString(": " + detail + "\n")
		x.suggest("zinit start %s", u.name)
	case !u.up:
		x.note(whyWish, u.name, u.state.String(), "it was stopped")
		x.text.WriteString(": it was stopped\n")
		x.suggest("zinit start %s", u.name)
	default:
		x.text.WriteString("\n")
	}
}

func (x *explainer) progress(u *unit) string {
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
		s += "; gives up in " + span(u.startDue.Sub(x.now))
	}
	return s
}

func (x *explainer) leaving(u *unit) string {
	if u.state == running {
		return ": it stops when what requires it has stopped"
	}
	s := ""
	if u.cause != nil {
		s = ": " + u.cause.String()
	}
	if !u.stopDue.IsZero() {
		s += "; killed in " + span(u.stopDue.Sub(x.now)) + " if it does not end"
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

// graph_explain.go puts into words what the graph knows: the reasons of a state down to their root causes, and what to do about them. It decides nothing and changes nothing.

//go:build !windows

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

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
	blocker
	unit         *unit
	from         *unit
	parent       int
	level, below int // levels above and below it
	first, end   int // its own reasons are nodes[first:end]
	again        bool
}

// explainer walks from a unit to its root causes, naming each unit once.
type explainer struct {
	explanation
	g      *graph
	now    time.Time
	nodes  []whyNode
	unseen int
	out    strings.Builder
	near   int
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
	x := &explainer{explanation: explanation{reasons: []whyReason{}}, g: g, now: now}
	x.walk(u)
	told := x.tell()
	x.leftOut = len(x.nodes) + x.unseen - told
	if x.leftOut > 0 {
		x.say("(%d more reasons are not shown)\n", x.leftOut)
	}
	if len(x.todo) > 0 {
		x.say("what to do:\n")
		for _, t := range x.todo {
			x.say("  %s\n", t)
		}
	}
	r := u.reason
	x.blocked = u.state == blocked || u.state == failed && r != nil && (r.Type == reasonDependencyFailed || r.Type == reasonMissingDependency)
	x.text = x.out.String()
	return x.explanation
}

// causes lists what a unit waits for, or failed for.
func (x *explainer) causes(u *unit) []blocker {
	switch r := u.reason; {
	case u.state == blocked:
		return x.g.blockers(u)
	case u.state != failed || r == nil:
	case r.Type == reasonMissingDependency && x.g.units[r.Dependency] == nil:
		return []blocker{{kind: whyMissing, service: r.Dependency}}
	case r.Type == reasonMissingDependency:
		return []blocker{{kind: whyRequires, service: r.Dependency}}
	case r.Type == reasonDependencyFailed && x.g.units[r.Service] != nil:
		return []blocker{{kind: whyRequires, service: r.Service}}
	}
	return nil
}

// walk collects the reasons as nodes, depth first, at most whyWalk of them; it writes no text.
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
			x.nodes = append(x.nodes, whyNode{blocker: h, unit: x.g.units[h.service], from: n.unit, parent: i, level: n.level + 1})
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

// note adds a reason to the list for programs.
func (x *explainer) note(kind whyKind, u *unit, detail string) {
	x.reasons = append(x.reasons, whyReason{kind, u.name, u.state.String(), detail})
}

func (x *explainer) suggest(format string, args ...any) {
	if t := fmt.Sprintf(format, args...); len(x.todo) < whyTodo && !slices.Contains(x.todo, t) {
		x.todo = append(x.todo, t)
	}
}

func (x *explainer) say(format string, args ...any) { fmt.Fprintf(&x.out, format, args...) }

func (x *explainer) line(depth int, format string, args ...any) {
	x.out.WriteString(strings.Repeat("  ", depth))
	x.say(format, args...)
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
		x.note(whyConflicts, u, n.from.name+" conflicts with "+u.name)
		x.line(depth, "conflicts with %s, which is %s\n", u.name, u.state)
		if n.needsPerson {
			x.suggest("zinit stop %s    (then %s starts)", u.name, n.from.name)
		}
		return
	default:
		kind, word, detail := whyRequires, "requires", u.state.String()
		switch n.kind {
		case whyAfter:
			kind, word = whyAfter, "comes after"
		case whyBinds:
			kind, word = whyBinds, "is bound to"
		}
		if u.reason != nil {
			detail = u.reason.String()
		}
		x.note(kind, u, detail)
		x.line(depth, "%s %s, which is %s", word, u.name, u.state)
	}
	if n.again {
		x.say(" (see above)\n")
		return
	}
	x.unit(u, depth+1)
}

// unit goes on behind "NAME is STATE" and says why, as far as it is not the fault of others.
func (x *explainer) unit(u *unit, depth int) {
	if u.state == blocked || len(x.causes(u)) > 0 {
		x.say(":\n")
		x.external(u, depth)
		return
	}
	switch u.state {
	case failed:
		x.failed(u)
	case inactive, exited:
		x.resting(u)
		if u.armed() {
			x.leaving(u)
		}
	case starting:
		x.starting(u)
	case running, stopping:
		x.leaving(u)
	}
	if u.pending {
		in := span(u.restartDue.Sub(x.now))
		x.note(whyRestartDelay, u, "restarts in "+in)
		x.say("; restarts in %s", in)
	}
	x.say("\n")
}

// external tells what outside the graph keeps a unit from starting.
func (x *explainer) external(u *unit, depth int) {
	switch h := u.external; {
	case h.kind == "":
		if u.guarding {
			x.line(depth, "its mounts, ports and process_filter are being looked at\n")
		}
		return
	case h.kind == whyMount:
		x.suggest("mount it (%s), or change mounts in the file of %s", h.service, u.name)
	case h.kind == whyPort:
		x.suggest("stop what listens there (ss -ltnp shows it), or change ports in the file of %s", u.name)
	default:
		x.suggest("stop that process, or change %s in the file of %s", h.kind, u.name)
	}
	x.note(u.external.kind, u, u.external.detail)
	x.line(depth, "%s; looked at again in %s\n", u.external.detail, span(u.guardDue.Sub(x.now)))
}

// missing explains that u requires name, for which there is no unit.
func (x *explainer) missing(u *unit, name string, depth int) {
	why := x.g.refused[name]
	if why != "" {
		x.line(depth, "requires %s, whose file is not loaded: %s\n", name, why)
		x.suggest("correct that, then zinit reload")
		x.reasons = append(x.reasons, whyReason{whyMissing, name, "", "its file is not loaded: " + why})
		return
	}
	x.reasons = append(x.reasons, whyReason{whyMissing, name, "", "there is no service " + name})
	x.line(depth, "requires %s, which does not exist\n", name)
	if x.near++; x.near <= whyNear {
		if near := nearest(name, x.g.names()); near != "" {
			x.suggest("write %s instead of %s in the file of %s, if that is what was meant", near, name, u.name)
			return
		}
	}
	x.suggest("add a service %s, or take it out of requires of %s", name, u.name)
}

// failed explains a unit that failed by itself, and why it is not restarted.
func (x *explainer) failed(u *unit) {
	r := u.reason
	if r == nil {
		return
	}
	x.note(whyFailed, u, r.String())
	x.say(": %s", r)
	if r.Type == reasonStartTimeout && u.health.failures > 0 {
		x.say("; its last health check: %s", u.health.lastError)
	}
	switch l := &u.cfg.Lifecycle; {
	case u.pending:
	case !u.up:
		x.say("; not restarted: it is not wanted")
	case u.cfg.Service.Status == statusIgnore:
		x.say("; not restarted: status = \"ignore\"")
	case u.prevented:
		x.say("; not restarted: restart_prevent forbids it after this end")
	case l.MaxRestarts > 0 && u.tries >= l.MaxRestarts:
		x.say("; not restarted: max_restarts = %d is used up", l.MaxRestarts)
	default:
		x.say("; not restarted: restart = %q", l.Restart)
	}
	envFile := func(path string) bool { return strings.Contains(r.Message, visible(strings.TrimPrefix(path, "-"))) }
	switch i := slices.IndexFunc(u.cfg.Service.EnvFiles, envFile); {
	case r.Type == reasonSpawnError && i >= 0:
		x.suggest("correct %s, the env_file of %s, then zinit start %s", visible(strings.TrimPrefix(u.cfg.Service.EnvFiles[i], "-")), u.name, u.name)
	case u.pending && r.Type == reasonSpawnError:
		x.suggest("correct %s of %s, then zinit reload", wrongKey(r.Message), u.name)
	case u.pending:
		x.suggest("zinit logs %s    (what it said before it failed)", u.name)
	case r.Type == reasonSpawnError:
		x.suggest("correct %s of %s, then zinit reload and zinit start %s", wrongKey(r.Message), u.name, u.name)
	default:
		x.suggest("zinit logs %s    (what it said before it failed), then zinit start %s", u.name, u.name)
	}
}

// wrongKey is the key that a start failed by, where the message names it: "limits.nofile: …", "dir /x does not exist", "… one of runtime_dirs".
func wrongKey(message string) string {
	first, _, _ := strings.Cut(message, " ")
	first = strings.TrimSuffix(first, ":")
	for i := range fields {
		switch k := fields[i]; {
		case k.section == "service" && first == k.key, k.section == "limits" && first == "limits."+k.key:
			return first
		case k.section == "service" && strings.Contains(message, ", one of "+k.key+":"):
			return k.key
		}
	}
	return "exec, dir or user"
}

// resting explains a unit that nobody wants, or that has done its work.
func (x *explainer) resting(u *unit) {
	switch {
	case u.state == exited && u.skipped != "":
		x.note(whyCondition, u, u.skipped)
		x.say(": it was skipped, its condition %q does not hold", u.skipped)
		x.suggest("zinit start %s    (once that holds)", u.name)
	case u.satisfied():
		x.say(": it has done its work")
	case u.pending:
		x.say(": it ended by itself, with success")
		x.suggest("zinit logs %s    (what it said before it ended)", u.name)
		x.suggest("if %s goes into the background, have it stay in the foreground; if it is done then, set restart = \"on-failure\" or oneshot = true", u.name)
	case !u.up:
		detail := "it was stopped"
		if u.state == inactive {
			detail = fmt.Sprintf("nobody started it (status = %q)", u.cfg.Service.Status)
		}
		x.note(whyWish, u, detail)
		x.say(": %s", detail)
		x.suggest("zinit start %s", u.name)
	}
}

func (x *explainer) starting(u *unit) {
	switch {
	case !u.spawned:
		x.say(": the kernel has not executed it yet")
	case u.cfg.Health != nil && u.health.checks > 0:
		x.say(": its health checks fail, %d so far, the last: %s", u.health.failures, u.health.lastError)
		x.suggest("zinit logs %s    (what it says meanwhile), and look at target in its [health]", u.name)
	case u.cfg.Health != nil:
		x.say(": waiting for %s", u.cfg.Health.awaited())
		if u.said.text != "" {
			x.say("; it says: %s", visible(u.said.text))
		}
	case !u.readyDue.IsZero():
		x.say(": it is running when it has lived for another %s (ready_after_ms)", span(u.readyDue.Sub(x.now)))
	}
	if !u.startDue.IsZero() {
		x.say("; gives up in %s", span(u.startDue.Sub(x.now)))
	}
}

func (x *explainer) leaving(u *unit) {
	if u.state != stopping {
		if u.leave != staying {
			x.say(": it stops when what requires it has stopped")
		}
		return
	}
	switch {
	case u.cause != nil:
		x.say(": %s", u.cause)
	case u.undoing:
		x.say(": its stop_exec runs")
	case u.leave == leaveBound:
		x.say(": what it is bound to has ended")
	}
	if !u.stopDue.IsZero() {
		x.say("; killed in %s if it does not end", span(u.stopDue.Sub(x.now)))
	}
}

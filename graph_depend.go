// graph_depend.go tracks dependencies: each unit counts the states of its neighbours, so that a change concerns the neighbours only.

//go:build !windows

package main

import (
	"slices"
)

// summary is all that other units may depend on. A change of it, and only that, makes the graph look at the neighbours.
type summary struct {
	exists, satisfied, failedPermanently, live, standing, lasting, down, inTransition bool
}

// tie is how a unit names another one that it waits for: how often it stands in each list.
type tie struct {
	requires int // in requires or binds
	after    int
	binds    int // of requires, those in binds
}

func (t tie) plus(o tie) tie {
	return tie{t.requires + o.requires, t.after + o.after, t.binds + o.binds}
}

// neighbours counts what the neighbours of a unit mean for it.
type neighbours struct {
	missing     int // required, and there is none
	failed      int // required, and failed permanently
	waiting     int // required, not satisfied, on its way
	stuck       int // required, not satisfied, and moves only if a person acts
	after       int // only ordered before, and on its way
	conflicting int // in conflict and live
	lasting     int // of those, the ones that stay until a person acts
	down        int // required, and being taken away by request
	lost        int // bound to, and ended: not satisfied, and not only about to be stopped
}

// met says that nothing in the graph keeps a unit from starting.
func (n *neighbours) met() bool { return n.unmet()+n.after+n.conflicting == 0 }

// unmet is how many of the required units are not satisfied.
func (n *neighbours) unmet() int { return n.missing + n.failed + n.waiting + n.stuck }

// addDependency adds (by = 1) or takes away (by = -1) what a neighbour with this summary means.
func (n *neighbours) addDependency(t tie, f summary, by int) {
	switch {
	case t.requires == 0:
		if f.inTransition {
			n.after += by
		}
		return
	case !f.exists:
		n.missing += by
	case f.satisfied:
	case f.failedPermanently:
		n.failed += by
	case f.inTransition:
		n.waiting += by
	default:
		n.stuck += by
	}
	if f.down {
		n.down += by
	}
	if t.binds > 0 && !f.satisfied && !(f.standing && f.down) {
		n.lost += by
	}
}

// addConflict adds or takes away what a unit in conflict with this summary means.
func (n *neighbours) addConflict(f summary, by int) {
	if f.live {
		n.conflicting += by
	}
	if f.lasting {
		n.lasting += by
	}
}

func (g *graph) summaryOf(name string) summary {
	if u := g.units[name]; u != nil {
		return u.summary
	}
	return summary{}
}

// satisfied is what `requires` waits for: running, or exited with success by itself with no restart pending. A target is no longer satisfied when one
// that it requires is not, even before it is blocked.
func (u *unit) satisfied() bool {
	switch u.state {
	case running:
		return u.leave == staying && (u.cfg.Kind != unitTarget || u.needs.unmet() == 0)
	case exited:
		return u.byItself && !u.pending && !u.startPending && u.leave == staying
	}
	return false
}

// failedPermanently says that a unit failed and nothing will be done about it without a person.
func (u *unit) failedPermanently() bool {
	return u.state == failed && u.up && !u.pending && !u.startPending
}

// lasting says that a live unit stays until a person acts, so that what conflicts with it waits for that.
func (u *unit) lasting() bool {
	return u.state.live() && u.state != stopping && u.leave == staying && !u.cfg.Service.Oneshot
}

// down says that a unit is being taken away, or was, by request: what requires it must go.
func (u *unit) down() bool {
	if u.standing() {
		return u.leave != staying
	}
	return u.state != blocked && !u.up && !u.satisfied()
}

// inTransition says that a unit is wanted and will move without a person's help.
func (u *unit) inTransition() bool {
	if !u.up {
		return false
	}
	switch u.state {
	case starting, stopping:
		return true
	case running:
		return u.leave != staying
	case blocked:
		return !u.needsPerson
	}
	return u.pending || u.startPending || u.armed() && u.leave != staying
}

// done says that a oneshot has done its work, or was skipped.
func (u *unit) done() bool { return u.state == exited && u.byItself && u.cfg.Service.Oneshot }

// armed says that a oneshot has done its work, and that its stop_exec undoes that when it is stopped.
func (u *unit) armed() bool {
	return u.done() && u.skipped == "" && !u.cfg.Lifecycle.StopExec.none()
}

// standing says that a unit has a process, or work to undo, and so must be stopped before its dependencies.
func (u *unit) standing() bool { return u.state.live() || u.armed() }

func (u *unit) summarize() summary {
	if u.removed {
		return summary{}
	}
	return summary{true, u.satisfied(), u.failedPermanently(), u.state.live(), u.standing(), u.lasting(), u.down(), u.inTransition()}
}

// touch is for a unit that may have changed: it is saved, its neighbours are told, and it is looked at before the step ends.
func (g *graph) touch(u *unit) {
	g.mark(u)
	g.publish(u)
	g.push(u)
}

// publish compares what others may see of a unit with what they saw, tells those whom a change concerns, and has them looked at again. Whether a target is
// satisfied follows at once, however many stand in a row.
func (g *graph) publish(u *unit) {
	old, f := u.summary, u.summarize()
	if f == old {
		return
	}
	u.summary = f
	if old.inTransition != f.inTransition {
		g.transitions += sign(f.inTransition)
	}
	for n, t := range g.users[u.name] {
		g.visited++
		d := g.units[n]
		before := d.needs
		d.needs.addDependency(t, old, -1)
		d.needs.addDependency(t, f, 1)
		if d.needs == before {
			continue
		}
		g.push(d)
		if d.cfg.Kind == unitTarget {
			g.publish(d)
		}
	}
	if old.live != f.live || old.lasting != f.lasting {
		for n := range g.conflicts[u.name] {
			g.visited++
			if c := g.units[n]; c != nil {
				c.needs.addConflict(old, -1)
				c.needs.addConflict(f, 1)
				g.push(c)
			}
		}
	}
	if old.standing != f.standing {
		g.tellStanding(u, sign(f.standing))
	}
}

func sign(more bool) int {
	if more {
		return 1
	}
	return -1
}

// tellStanding counts a unit that began to stand (by = 1) or no longer does (by = -1).
func (g *graph) tellStanding(u *unit, by int) {
	g.standing += by
	g.countStanding(u, by)
	if u.name == g.main && by < 0 && g.closing != nil { // all wait for the main program to end
		for _, n := range g.names() {
			g.push(g.units[n])
		}
	}
}

// countStanding tells the units that u depends on that it began to stand (1) or no longer does (-1).
func (g *graph) countStanding(u *unit, by int) {
	for n, t := range tiesOf(u.cfg) {
		if r := g.units[n]; r != nil {
			r.standingRequiring += by * t.requires
			r.standingAfter += by * t.after
			g.push(r)
		}
	}
}

// add makes a unit; it is not started.
func (g *graph) add(c *config) *unit {
	u := &unit{name: c.Service.Name, cfg: c}
	g.units[u.name], g.order = u, nil
	for n, t := range g.users[u.name] {
		g.visited++
		if g.units[n].summary.standing {
			u.standingRequiring += t.requires
			u.standingAfter += t.after
		}
	}
	for n := range g.conflicts[u.name] {
		u.needs.addConflict(g.summaryOf(n), 1)
	}
	g.link(u, 1)
	g.emit(effect{kind: effectConfigure, name: u.name, cfg: c})
	g.touch(u)
	return u
}

// tiesOf are the units that a configuration says to wait for.
func tiesOf(c *config) map[string]tie {
	ties := map[string]tie{}
	for _, n := range c.Dependencies.Requires {
		ties[n] = ties[n].plus(tie{requires: 1})
	}
	for _, n := range c.Dependencies.Binds {
		ties[n] = ties[n].plus(tie{requires: 1, binds: 1})
	}
	for _, n := range c.Dependencies.After {
		ties[n] = ties[n].plus(tie{after: 1})
	}
	return ties
}

// link notes a unit with those that it names, and counts what they mean for it (by = 1), or takes both back (by = -1).
func (g *graph) link(u *unit, by int) {
	ties := tiesOf(u.cfg)
	for n, t := range ties {
		u.needs.addDependency(t, g.summaryOf(n), by)
		if by < 0 {
			t = tie{}
		}
		setPair(g.users, n, u.name, t)
	}
	for _, n := range u.cfg.Dependencies.Conflicts {
		g.linkConflict(u, n, by)
	}
	g.visited += len(ties) + len(u.cfg.Dependencies.Conflicts)
}

// setPair notes a value under two names. The zero value is not kept, nor a map that is empty.
func setPair[V comparable](pairs map[string]map[string]V, a, b string, v V) {
	var zero V
	switch {
	case v == zero:
		delete(pairs[a], b)
		if len(pairs[a]) == 0 {
			delete(pairs, a)
		}
		return
	case pairs[a] == nil:
		pairs[a] = map[string]V{}
	}
	pairs[a][b] = v
}

// linkConflict notes that u names another one in conflicts (by = 1), or that it no longer does (by = -1). They are in conflict as long as one names the other.
func (g *graph) linkConflict(u *unit, name string, by int) {
	if name == u.name {
		return
	}
	before := g.conflicts[u.name][name]
	setPair(g.conflicts, u.name, name, before+by)
	setPair(g.conflicts, name, u.name, before+by)
	c := g.units[name]
	if c == nil || before > 0 && before+by > 0 {
		return
	}
	u.needs.addConflict(c.summary, by)
	c.needs.addConflict(u.summary, by)
	g.push(c)
}

// remove forgets a unit that is not live; what requires it now misses it.
func (g *graph) remove(u *unit) {
	c := u.newest()
	g.link(u, -1)
	g.unschedule(u)
	g.setNext(u, nil)
	g.mark(u)
	delete(g.units, u.name)
	g.order = nil
	u.removed = true
	g.publish(u)
	for _, w := range u.waiters {
		if w.kind == eventDelete {
			g.answer(w.to, answer{State: u.state})
			continue
		}
		g.refuse(w.to, refuse(kindServiceNotFound, "%s was deleted", u.name))
	}
	u.waiters = nil
	g.emit(effect{kind: effectForget, name: u.name, cfg: c})
	for _, b := range u.bulk {
		if b.left--; b.left == 0 {
			g.answer(b.to, b.answer)
		}
	}
	u.bulk = nil
}

// blockers lists what keeps a unit from starting now, as far as the graph knows it.
func (g *graph) blockers(u *unit) []blocker {
	if u.needs.met() {
		return nil
	}
	var h []blocker
	seen := map[string]bool{}
	for i, n := range u.cfg.Dependencies.needed() {
		kind := whyRequires
		if i >= len(u.cfg.Dependencies.Requires) {
			kind = whyBinds
		}
		r := g.units[n]
		switch {
		case seen[n]:
		case r == nil:
			h = append(h, blocker{kind: whyMissing, service: n, needsPerson: true})
		case r.summary.satisfied:
		case r.summary.failedPermanently:
			h = append(h, blocker{kind: whyFailed, service: n, needsPerson: true})
		default:
			h = append(h, blocker{kind: kind, service: n, needsPerson: !r.summary.inTransition})
		}
		seen[n] = true
	}
	for _, n := range u.cfg.Dependencies.After {
		if r := g.units[n]; r != nil && r.summary.inTransition && !seen[n] {
			h = append(h, blocker{kind: whyAfter, service: n})
		}
		seen[n] = true
	}
	if u.needs.conflicting == 0 {
		return h
	}
	for _, n := range sortedKeys(g.conflicts[u.name]) {
		if c := g.units[n]; c != nil && c.summary.live {
			h = append(h, blocker{kind: whyConflicts, service: n, needsPerson: c.summary.lasting})
		}
	}
	return h
}

// fatal is the failure that a unit takes from what it requires, or nil.
func (g *graph) fatal(u *unit) *failureReason {
	if u.needs.missing+u.needs.failed == 0 {
		return nil
	}
	for _, h := range g.blockers(u) {
		switch h.kind {
		case whyMissing:
			return &failureReason{Type: reasonMissingDependency, Dependency: h.service}
		case whyFailed:
			return &failureReason{Type: reasonDependencyFailed, Service: h.service}
		}
	}
	return nil
}

// healed says whether the dependency failure that made a unit fail is over.
func (g *graph) healed(u *unit) bool {
	if u.state != failed || !u.up || u.reason == nil {
		return false
	}
	dep := ""
	switch u.reason.Type {
	case reasonDependencyFailed:
		dep = u.reason.Service
	case reasonMissingDependency:
		dep = u.reason.Dependency
	default:
		return false
	}
	if g.users[dep][u.name].requires == 0 {
		return true
	}
	r := g.units[dep]
	return r != nil && r.summary.satisfied
}

// maxNamed is how many names an answer gives of those that a unit waits for.
const maxNamed = 100

// blockedBy names what a blocked unit waits for, maxNamed of them and a mount or port at most.
func (g *graph) blockedBy(u *unit) []string {
	names := []string{}
	if u.state != blocked {
		return names
	}
	for _, h := range g.blockers(u) {
		if len(names) == maxNamed {
			break
		}
		if !slices.Contains(names, h.service) {
			names = append(names, h.service)
		}
	}
	if u.external.kind != "" {
		names = append(names, u.external.service)
	}
	return names
}

// dependents names the units that require a unit, sorted.
func (g *graph) dependents(name string) []string {
	var names []string
	for n, t := range g.users[name] {
		if t.requires > 0 {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// closure is a unit with all that it requires and wants, however far.
func (g *graph) closure(name string) []string {
	seen := map[string]bool{name: true}
	queue := []string{name}
	for i := 0; i < len(queue); i++ {
		d := &g.units[queue[i]].cfg.Dependencies
		for _, n := range slices.Concat(d.needed(), d.Wants) {
			if !seen[n] && g.units[n] != nil {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return queue
}

// graph_depend.go keeps what units mean for each other: each counts what its neighbours mean for it, so that a change is told to neighbours and to nobody else.

package main

import (
	"maps"
	"slices"
)

// face is all that other units may depend on. A change of it, and only that, makes the graph look at the neighbours.
type face struct {
	satisfied, forGood, live, firm, down, onWay bool
}

// tie is how a unit names another one that it waits for: how often it stands in each list.
type tie struct{ requires, after int }

// neighbours counts what the neighbours of a unit mean for it.
type neighbours struct {
	missing int // required, and there is none
	failed  int // required, and failed permanently
	waiting int // required, not satisfied, on its way
	stuck   int // required, not satisfied, and moves only if a person acts
	after   int // only ordered before, and on its way
	rivals  int // in conflict and live
	firm    int // of those, the ones that stay until a person acts
	down    int // required, and being taken away by request
}

// met says that nothing in the graph keeps a unit from starting.
func (n *neighbours) met() bool { return n.unmet()+n.after+n.rivals == 0 }

// unmet is how many of the required units are not satisfied.
func (n *neighbours) unmet() int { return n.missing + n.failed + n.waiting + n.stuck }

// weigh adds (by = 1) or takes away (by = -1) what a neighbour with this face means; nil: it does not exist.
func (n *neighbours) weigh(t tie, f *face, by int) {
	switch {
	case t.requires == 0:
		if f != nil && f.onWay {
			n.after += by
		}
		return
	case f == nil:
		n.missing += by
		return
	case f.satisfied:
	case f.forGood:
		n.failed += by
	case f.onWay:
		n.waiting += by
	default:
		n.stuck += by
	}
	if f.down {
		n.down += by
	}
}

// oppose adds or takes away what a rival with this face means.
func (n *neighbours) oppose(f *face, by int) {
	if f.live {
		n.rivals += by
	}
	if f.firm {
		n.firm += by
	}
}

func (g *graph) faceOf(name string) *face {
	if u := g.units[name]; u != nil {
		return &u.face
	}
	return nil
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

// forGood says that a unit failed and nothing will be done about it without a person.
func (u *unit) forGood() bool {
	return u.state == failed && u.up && !u.pending && !u.startPending
}

// firm says that a live unit stays until a person acts, so that what conflicts with it waits for that.
func (u *unit) firm() bool {
	return u.state.live() && u.state != stopping && u.leave == staying && !u.cfg.Service.Oneshot
}

// down says that a unit is being taken away, or was, by request: what requires it must go.
func (u *unit) down() bool {
	if u.state.live() {
		return u.leave != staying
	}
	return u.state != blocked && !u.up && !u.satisfied()
}

// onWay says that a unit is wanted and will move without a person's help.
func (u *unit) onWay() bool {
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
	return u.pending || u.startPending
}

func (u *unit) seen() face {
	return face{u.satisfied(), u.forGood(), u.state.live(), u.firm(), u.down(), u.onWay()}
}

// reface compares what others may see of a unit with what they saw, tells those whom a change concerns, and has them looked at again. Whether a target is
// satisfied follows at once, however many stand in a row.
func (g *graph) reface(u *unit) {
	for work := []*unit{u}; len(work) > 0; {
		u := work[len(work)-1]
		work = work[:len(work)-1]
		old, f := u.face, u.seen()
		if f == old {
			continue
		}
		u.face = f
		if old.onWay != f.onWay {
			g.onWays += sign(f.onWay)
		}
		for n, t := range g.users[u.name] {
			g.looked++
			d := g.units[n]
			before := d.needs
			d.needs.weigh(t, &old, -1)
			d.needs.weigh(t, &f, 1)
			if d.needs == before {
				continue
			}
			g.push(d)
			if d.cfg.Kind == unitTarget {
				work = append(work, d)
			}
		}
		if old.live != f.live || old.firm != f.firm {
			g.refoe(u, &old, &f)
		}
		if old.live != f.live {
			g.relive(u, sign(f.live))
		}
	}
}

func sign(more bool) int {
	if more {
		return 1
	}
	return -1
}

// refoe tells those that conflict with a unit that its face has changed.
func (g *graph) refoe(u *unit, old, f *face) {
	for n := range g.foes[u.name] {
		g.looked++
		if c := g.units[n]; c != nil {
			c.needs.oppose(old, -1)
			c.needs.oppose(f, 1)
			g.push(c)
		}
	}
}

// relive counts a unit that became live (by = 1) or no longer is (by = -1).
func (g *graph) relive(u *unit, by int) {
	g.live += by
	g.countLive(u, by)
	if u.name == g.main && by < 0 && g.closing != nil { // all wait for the main program to end
		for _, n := range g.names() {
			g.push(g.units[n])
		}
	}
}

// countLive tells the units that u depends on that it became live (1) or no longer is (-1).
func (g *graph) countLive(u *unit, by int) {
	for _, n := range u.cfg.Dependencies.Requires {
		if r := g.units[n]; r != nil {
			r.liveRequiring += by
			g.push(r)
		}
	}
	for _, n := range u.cfg.Dependencies.After {
		if r := g.units[n]; r != nil {
			r.liveAfter += by
			g.push(r)
		}
	}
}

// add makes a unit; it is not started.
func (g *graph) add(c *config) *unit {
	u := &unit{name: c.Service.Name, cfg: c, heapAt: -1}
	g.units[u.name], g.order = u, nil
	for n, t := range g.users[u.name] {
		g.looked++
		d := g.units[n]
		d.needs.weigh(t, nil, -1)
		d.needs.weigh(t, &u.face, 1)
		if d.face.live {
			u.liveRequiring += t.requires
			u.liveAfter += t.after
		}
		g.push(d)
	}
	for n := range g.foes[u.name] {
		if c := g.units[n]; c != nil {
			u.needs.oppose(&c.face, 1)
		}
	}
	g.link(u)
	g.emit(effect{kind: effectConfigure, name: u.name, cfg: c})
	g.reface(u)
	g.mark(u)
	g.push(u)
	return u
}

// link notes a unit with those it names, and counts what they mean for it.
func (g *graph) link(u *unit) {
	var fresh []string
	mention := func(names []string, t tie) {
		for _, n := range names {
			users := g.users[n]
			if users == nil {
				users = map[string]tie{}
				g.users[n] = users
			}
			old, known := users[u.name]
			users[u.name] = tie{old.requires + t.requires, old.after + t.after}
			if !known {
				fresh = append(fresh, n)
			}
		}
	}
	mention(u.cfg.Dependencies.Requires, tie{requires: 1})
	mention(u.cfg.Dependencies.After, tie{after: 1})
	for _, n := range fresh {
		u.needs.weigh(g.users[n][u.name], g.faceOf(n), 1)
	}
	for _, n := range u.cfg.Dependencies.Conflicts {
		g.rival(u, n, 1)
	}
	g.looked += len(fresh) + len(u.cfg.Dependencies.Conflicts)
}

func (g *graph) unlink(u *unit) {
	for _, n := range waitsFor(u.cfg) {
		t, known := g.users[n][u.name]
		if !known {
			continue // named twice
		}
		u.needs.weigh(t, g.faceOf(n), -1)
		delete(g.users[n], u.name)
		if len(g.users[n]) == 0 {
			delete(g.users, n)
		}
	}
	for _, n := range u.cfg.Dependencies.Conflicts {
		g.rival(u, n, -1)
	}
	g.looked += len(u.cfg.Dependencies.Requires) + len(u.cfg.Dependencies.After) + len(u.cfg.Dependencies.Conflicts)
}

// rival notes that u names another one as its foe (by = 1), or that it no longer does (by = -1). They are foes as long as one names the other.
func (g *graph) rival(u *unit, name string, by int) {
	if name == u.name {
		return
	}
	before := g.foes[u.name][name]
	g.countFoe(u.name, name, by)
	g.countFoe(name, u.name, by)
	c := g.units[name]
	if c == nil || before > 0 && before+by > 0 {
		return
	}
	u.needs.oppose(&c.face, by)
	c.needs.oppose(&u.face, by)
	g.push(c)
}

func (g *graph) countFoe(of, name string, by int) {
	if g.foes[of] == nil {
		g.foes[of] = map[string]int{}
	}
	if g.foes[of][name] += by; g.foes[of][name] > 0 {
		return
	}
	delete(g.foes[of], name)
	if len(g.foes[of]) == 0 {
		delete(g.foes, of)
	}
}

// remove forgets a unit that is not live; what requires it now misses it.
func (g *graph) remove(u *unit) {
	c := u.newest()
	g.unlink(u)
	g.unschedule(u)
	g.setNext(u, nil)
	g.mark(u)
	delete(g.units, u.name)
	g.order = nil
	for n, t := range g.users[u.name] {
		g.looked++
		d := g.units[n]
		d.needs.weigh(t, &u.face, -1)
		d.needs.weigh(t, nil, 1)
		g.push(d)
	}
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

// hindrance is one thing that keeps a unit from starting.
type hindrance struct {
	kind        whyKind
	service     string
	detail      string
	needsPerson bool // only a person can clear it
}

// hindrances lists what keeps a unit from starting now, as far as the graph knows it.
func (g *graph) hindrances(u *unit) []hindrance {
	if u.needs.met() {
		return nil
	}
	var h []hindrance
	seen := map[string]bool{}
	for _, n := range u.cfg.Dependencies.Requires {
		r := g.units[n]
		switch {
		case seen[n]:
		case r == nil:
			h = append(h, hindrance{kind: whyMissing, service: n, needsPerson: true})
		case r.face.satisfied:
		case r.face.forGood:
			h = append(h, hindrance{kind: whyFailed, service: n, needsPerson: true})
		default:
			h = append(h, hindrance{kind: whyRequires, service: n, needsPerson: !r.face.onWay})
		}
		seen[n] = true
	}
	for _, n := range u.cfg.Dependencies.After {
		if r := g.units[n]; r != nil && r.face.onWay && !seen[n] {
			h = append(h, hindrance{kind: whyAfter, service: n})
		}
		seen[n] = true
	}
	if u.needs.rivals == 0 {
		return h
	}
	for _, n := range slices.Sorted(maps.Keys(g.foes[u.name])) {
		if c := g.units[n]; c != nil && c.face.live {
			h = append(h, hindrance{kind: whyConflicts, service: n, needsPerson: c.face.firm})
		}
	}
	return h
}

// fatal is the failure that a unit takes from what it requires, or nil.
func (g *graph) fatal(u *unit) *failureReason {
	if u.needs.missing+u.needs.failed == 0 {
		return nil
	}
	for _, n := range u.cfg.Dependencies.Requires {
		switch r := g.units[n]; {
		case r == nil:
			return &failureReason{Type: reasonMissingDependency, Dependency: n}
		case r.face.forGood:
			return &failureReason{Type: reasonDependencyFailed, Service: n}
		}
	}
	return nil
}

// healed says whether what a unit failed for at its dependencies is no more.
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
	return r != nil && r.face.satisfied
}

// maxNamed is how many names an answer gives of those that a unit waits for.
const maxNamed = 100

// blockedBy names what a blocked unit waits for, maxNamed of them and a port at most.
func (g *graph) blockedBy(u *unit) []string {
	names := []string{}
	if u.state != blocked {
		return names
	}
	for _, h := range g.hindrances(u) {
		if len(names) == maxNamed {
			break
		}
		if !slices.Contains(names, h.service) {
			names = append(names, h.service)
		}
	}
	if u.hindered.kind != "" {
		names = append(names, u.hindered.service)
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
		for _, n := range slices.Concat(d.Requires, d.Wants) {
			if !seen[n] && g.units[n] != nil {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	return queue
}

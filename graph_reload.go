// graph_reload.go changes the set of units and their configurations: service.create and set, load and reload. It looks at no process and no file.

//go:build !windows

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// configs are those of all units: in force, or the newest.
func (g *graph) configs(which func(*unit) *config) map[string]*config {
	all := make(map[string]*config, len(g.units))
	for n, u := range g.units {
		all[n] = which(u)
	}
	return all
}

// newest is the configuration that counts from the next start.
func (u *unit) newest() *config {
	if u.next != nil {
		return u.next
	}
	return u.cfg
}

// inForce is the configuration that counts now.
func (u *unit) inForce() *config { return u.cfg }

// byName looks up one of the configurations of a unit.
func (g *graph) byName(which func(*unit) *config) func(name string) *config {
	return func(name string) *config {
		g.visited++
		if u := g.units[name]; u != nil {
			return which(u)
		}
		return nil
	}
}

// sameOrder says that two configurations wait for the same units.
func sameOrder(a, b *config) bool {
	return slices.Equal(a.Dependencies.Requires, b.Dependencies.Requires) && slices.Equal(a.Dependencies.Binds, b.Dependencies.Binds) && slices.Equal(a.Dependencies.After, b.Dependencies.After)
}

// faultOf says what would be wrong with a configuration in its place among the others, or "". It looks at what the unit waits for, however far, and only if
// that has changed and somebody waits for the unit.
func (g *graph) faultOf(c *config) string {
	if m := ownMisfit(c); m.text != "" {
		return m.text
	}
	name := c.Service.Name
	newest := g.byName((*unit).newest)
	if old := newest(name); old != nil && sameOrder(old, c) {
		return ""
	}
	names := func(c *config) bool {
		return slices.Contains(waitsFor(c), name)
	}
	named := len(g.users[name]) > 0 || names(c)
	for _, u := range g.nexts {
		named = named || names(u.next)
	}
	if !named {
		return ""
	}
	if way := wayBack(c, newest); way != nil {
		return cycleText(way)
	}
	return ""
}

// setNext notes the configuration that counts from a unit's next start; nil: the one in force.
func (g *graph) setNext(u *unit, c *config) {
	u.next = c
	if c == nil {
		delete(g.nexts, u.name)
		return
	}
	g.nexts[u.name] = u
}

// replaceConfig gives a unit another configuration: at once when it has no process, else from its next start.
func (g *graph) replaceConfig(u *unit, c *config) {
	g.mark(u)
	if !u.state.live() || u.cfg.Kind == unitTarget && c.Kind == unitTarget {
		g.setNext(u, nil)
		g.swapConfig(u, c)
		return
	}
	g.setNext(u, c)
}

// adoptConfig lets the changed configuration of a unit count.
func (g *graph) adoptConfig(u *unit) {
	old, c := u.cfg, u.next
	g.setNext(u, nil)
	g.swapConfig(u, c)
	if !sameOrder(old, c) {
		g.resolveCycle(u)
	}
}

// resolveCycle is for a unit whose dependencies are new. While others still run with older ones, the mixture might contain a cycle that neither the old nor
// the new graph has; then all changed dependencies count at once.
func (g *graph) resolveCycle(u *unit) {
	if len(g.nexts) > 0 && len(g.users[u.name]) > 0 && wayBack(u.cfg, g.byName((*unit).inForce)) != nil {
		g.allDependencies()
	}
}

// resolveCycles is resolveCycle after many units changed together.
func (g *graph) resolveCycles() {
	if len(g.nexts) > 0 && len(circles(g.configs((*unit).inForce))) > 0 {
		g.allDependencies()
	}
}

// allDependencies puts the changed dependencies of all units in force now; their other changes wait for the next start.
func (g *graph) allDependencies() {
	for _, u := range g.nexts {
		c := *u.cfg
		c.Dependencies = u.next.Dependencies
		g.swapConfig(u, &c)
	}
}

func (g *graph) swapConfig(u *unit, c *config) {
	if u.summary.standing {
		g.countStanding(u, -1)
	}
	for n := range g.conflicts[u.name] {
		g.push(g.units[n])
	}
	g.link(u, -1)
	u.cfg = c
	g.link(u, 1)
	if u.summary.standing {
		g.countStanding(u, 1)
	}
	g.emit(effect{kind: effectConfigure, name: u.name, cfg: c})
	u.cleared, u.guarding, u.guardDue, u.external = false, false, time.Time{}, blocker{}
	g.touch(u)
}

// notePath notes where the unchanged configuration of a unit stands now. A configuration that others may be reading is never written to: this is a new one.
func (g *graph) notePath(u *unit, c *config) {
	old := u.newest()
	if old.path == c.path && old.persist == c.persist && old.system == c.system {
		return
	}
	n := *old
	n.path, n.persist, n.system = c.path, c.persist, c.system
	if u.next != nil {
		g.setNext(u, &n)
	} else {
		u.cfg = &n
	}
	g.mark(u)
}

// put takes service.create and service.set: nothing changes if the graph does not allow it.
func (g *graph) put(ev event) {
	name := ev.cfg.Service.Name
	u := g.units[name]
	if r := g.mayPut(u, ev); r != nil {
		g.refuse(ev.to, r)
		return
	}
	switch {
	case u == nil:
		u = g.add(ev.cfg)
		g.resolveCycle(u)
		g.boot([]*unit{u})
	case !u.newest().same(ev.cfg) || u.newest().path != ev.cfg.path:
		old := u.cfg
		g.replaceConfig(u, ev.cfg)
		if !sameOrder(old, u.cfg) {
			g.resolveCycle(u)
		}
		g.afterPut(u, ev)
	default:
		g.notePath(u, ev.cfg)
		g.afterPut(u, ev)
	}
	g.settleAll()
	a := g.answerOf(u)
	a.Warnings = g.missing(ev.cfg)
	g.answer(ev.to, a)
}

// missing warns of what a configuration requires or wants that does not exist: it may come later, or be misspelt.
func (g *graph) missing(c *config) (warnings []problem) {
	for _, list := range []struct {
		verb  string
		names []string
	}{{"requires", c.Dependencies.Requires}, {"is bound to", c.Dependencies.Binds}, {"wants", c.Dependencies.Wants}} {
		for _, n := range list.names {
			if g.units[n] == nil {
				warnings = append(warnings, problem{Path: c.path, Message: fmt.Sprintf("%s %s %s, which does not exist", c.Service.Name, list.verb, n)})
			}
		}
	}
	return warnings
}

func (g *graph) mayPut(u *unit, ev event) *rpcError {
	name := ev.cfg.Service.Name
	switch {
	case name == g.main && g.main != "":
		return refuse(kindInvalidState, "cannot set %s: it is the main program of this container", name)
	case g.closing != nil:
		return refuse(kindShuttingDown, "cannot add %s: the system is shutting down", name)
	case u != nil && u.leave == leaveDelete:
		return refuse(kindInvalidState, "cannot set %s: it is being deleted", name)
	case u != nil && !ev.replace:
		return refuse(kindAlreadyExists, "%s exists already; use set to replace it", name)
	}
	if text := g.faultOf(ev.cfg); text != "" {
		return refuse(kindDependencyError, "%s", text)
	}
	return nil
}

// afterPut restarts a running unit with its new configuration, and starts another one that is to be started.
func (g *graph) afterPut(u *unit, ev event) {
	switch {
	case u.state.live() && ev.restart && u.up:
		g.wantUp(u, true)
	case !u.state.live() && ev.cfg.Service.Status == statusStart:
		g.wantUp(u, false)
	}
}

// boot sets the wishes of new units, and of what they want, as their files say.
func (g *graph) boot(us []*unit) {
	for _, u := range us {
		if u.cfg.Service.Status == statusStart {
			g.startFromFile(u)
		}
	}
	for len(us) > 0 {
		u := us[0]
		us = us[1:]
		if !u.up {
			continue
		}
		for _, n := range u.cfg.Dependencies.Wants {
			if w := g.units[n]; w != nil && !w.up && w.state == inactive && w.cfg.Service.Status != statusIgnore {
				g.startFromFile(w)
				us = append(us, w)
			}
		}
	}
}

// bootTarget starts one unit with all that it requires and wants, instead of everything (zinit.target of the kernel command line).
func (g *graph) bootTarget(name string, r *reloadResult) {
	if g.units[name] == nil {
		r.Errors = append(r.Errors, problem{Message: g.unknown(name).Message + "; nothing is started"})
		return
	}
	for _, n := range g.closure(name) {
		g.startFromFile(g.units[n])
	}
}

// startFromFile starts a unit because of what its file says, at the boot or after a reload.
func (g *graph) startFromFile(u *unit) {
	u.boots = !g.booted
	g.wantUp(u, false)
}

// reload compares what was read from the directories with what is loaded, and swaps in what may be.
func (g *graph) reload(ev event) {
	if g.closing != nil {
		g.refuse(ev.to, refuse(kindShuttingDown, "cannot reload: the system is shutting down"))
		return
	}
	r := &reloadResult{Added: []string{}, Removed: []string{}, Changed: []string{}, Unchanged: []string{}, Restarted: []string{},
		Errors: append([]problem{}, ev.load.errors...), Warnings: append([]problem{}, ev.load.warnings...)}
	g.vanished(ev.load, r)
	g.out = slices.Grow(g.out, 3*len(ev.load.configs)) // each is configured, moved and spawned at a boot
	accepted := g.accept(ev.load, r)
	fresh, changed := g.compare(accepted, r)
	g.retire(ev.load, accepted, r)
	g.settleAll()
	if ev.name != "" {
		g.bootTarget(ev.name, r)
	} else {
		g.boot(fresh)
	}
	if ev.restart {
		for _, u := range changed {
			if u.up {
				g.wantUp(u, true)
				r.Restarted = append(r.Restarted, u.name)
			}
		}
	}
	for _, l := range [][]string{r.Added, r.Removed, r.Changed, r.Unchanged, r.Restarted} {
		slices.Sort(l)
	}
	g.refused = map[string]string{}
	for _, p := range r.Errors {
		if stem := strings.TrimSuffix(p.Path[strings.LastIndexByte(p.Path, '/')+1:], ".toml"); g.refused[stem] == "" {
			g.refused[stem] = p.String()
		}
	}
	g.settleAll()
	g.booted = true
	g.answer(ev.to, answer{Reload: r})
}

// compare adds what is new and replaces what has changed. changed are the units with a configuration that is not in force yet, by this reload or one before.
func (g *graph) compare(accepted []*config, r *reloadResult) (fresh, changed []*unit) {
	for _, c := range accepted {
		g.pauseSometimes()
		u := g.units[c.Service.Name]
		switch {
		case u == nil:
			fresh = append(fresh, g.add(c))
			r.Added = append(r.Added, c.Service.Name)
		case u.retired:
			u.retired = false
			g.leaveFor(u, leaveStop)
			g.replaceConfig(u, c)
			fresh = append(fresh, u)
			r.Added = append(r.Added, u.name)
		case u.next != nil && u.cfg.same(c): // changed and changed back
			g.setNext(u, nil)
			g.notePath(u, c)
			g.mark(u)
			r.Unchanged = append(r.Unchanged, u.name)
		case u.newest().same(c):
			g.notePath(u, c)
			r.Unchanged = append(r.Unchanged, u.name)
			if u.next != nil {
				changed = append(changed, u)
			}
		default:
			g.replaceConfig(u, c)
			changed = append(changed, u)
			r.Changed = append(r.Changed, u.name)
		}
	}
	g.resolveCycles()
	return fresh, changed
}

// accept returns the configurations that may be swapped in. Those that would close a cycle are refused, and where such a
// unit is loaded its present version stays; as the loaded graph has no cycle this ends.
func (g *graph) accept(l *loadResult, r *reloadResult) []*config {
	accepted := slices.DeleteFunc(slices.Clone(l.configs), func(c *config) bool {
		taken := g.main != "" && c.Service.Name == g.main
		if taken {
			r.Errors = append(r.Errors, problem{Path: c.path, Line: 1, Column: 1, Message: g.main + " is the name of the main program of this container; choose another one"})
		}
		return taken
	})
	for {
		all := g.configs((*unit).newest)
		for _, c := range accepted {
			all[c.Service.Name] = c
		}
		bad := checkGraph(all)
		if len(bad) == 0 {
			return accepted
		}
		left := slices.DeleteFunc(slices.Clone(accepted), func(c *config) bool { return bad[c.Service.Name].text != "" })
		if len(left) == len(accepted) {
			return accepted
		}
		for _, c := range accepted {
			if m := bad[c.Service.Name]; m.text != "" {
				r.Errors = append(r.Errors, c.listing(m.name, m.text))
			}
		}
		accepted = left
	}
}

// maxWarnings bounds the warnings of one reload about units that others require and that were removed.
const maxWarnings = 1000

// retire takes away the units whose files are gone. A unit whose file is there but invalid, or whose directory cannot be read, stays.
func (g *graph) retire(l *loadResult, accepted []*config, r *reloadResult) {
	present, kept, lost := map[string]bool{}, map[string]bool{}, 0
	for _, list := range [][]*config{accepted, l.configs} {
		for _, c := range list {
			present[c.Service.Name] = true
		}
	}
	for _, p := range l.errors {
		kept[p.Path] = true
	}
	for _, name := range g.names() {
		u := g.units[name]
		path := u.newest().path
		if path == "" || present[name] || kept[path] || l.keeps(dirOf(path)) || u.leave == leaveDelete {
			continue
		}
		r.Removed = append(r.Removed, name)
		for _, d := range g.dependents(name) {
			if lost++; lost <= maxWarnings {
				r.Warnings = append(r.Warnings, problem{Path: g.units[d].newest().path, Message: fmt.Sprintf("%s requires %s, which was removed; %s stops", d, name, d)})
			}
		}
		g.wantDown(u)
		u.retired = true
		g.leaveFor(u, leaveDelete)
	}
	if lost > maxWarnings {
		r.Warnings = append(r.Warnings, problem{Message: fmt.Sprintf("%d more that require what was removed stop", lost-maxWarnings)})
	}
}

// keeps says that the units of a directory stay loaded although it was not read.
func (l *loadResult) keeps(dir string) bool {
	return slices.Contains(l.unreadable, dir) || slices.Contains(l.missing, dir)
}

// vanished makes an error of every directory that was there once and is gone.
func (g *graph) vanished(l *loadResult, r *reloadResult) {
	if g.dirs == nil {
		g.dirs = map[string]bool{}
	}
	for _, u := range g.units { // also those that an earlier server has loaded
		if path := u.newest().path; path != "" {
			g.dirs[dirOf(path)] = true
		}
	}
	for _, d := range l.read {
		g.dirs[d] = true
	}
	for _, d := range l.missing {
		if !g.dirs[d] {
			continue
		}
		r.Warnings = slices.DeleteFunc(r.Warnings, func(p problem) bool { return p.Path == d })
		r.Errors = append(r.Errors, problem{Path: d, Message: "the directory is gone; what was loaded from it stays"})
	}
}

func dirOf(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

// supervisor_demand.go is what proxies ask of services, and how proxies are loaded, saved and taken over; the sockets and the table are in supervisor_xinet.go.

//go:build !windows

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *supervisor) isUp(name string) (up bool) {
	s.view(func(g *graph, _ time.Time) {
		u := g.unit(name)
		up = u != nil && u.state == running && u.leave == staying
	})
	return up
}

func (s *supervisor) isDown(name string) (down bool) {
	s.view(func(g *graph, _ time.Time) {
		u := g.unit(name)
		down = u == nil || isDown(u.state)
	})
	return down
}

// isDown says that a unit in this state has no process and none is on its way.
func isDown(st state) bool { return !st.live() }

func (s *supervisor) stateOf(name string) (text string) {
	text = "no service"
	s.view(func(g *graph, now time.Time) {
		if u := g.unit(name); u != nil {
			text = u.state.String()
			if u.reason != nil && u.state == failed {
				text += ": " + u.reason.String()
			}
			if by := g.blockedBy(u); len(by) > 0 {
				text += fmt.Sprintf(": it waits for %s", orList(by))
			}
		}
	})
	return text
}

// demand starts a service with all that it requires and wants. One that has failed and is to be restarted is not started before that is due. The graph is asked also where
// the service seems to be up: a stop may be on its way to the graph.
func (s *supervisor) demand(name string, cancel <-chan struct{}) error {
	ev := event{kind: eventStart, name: name, wait: true, tree: !s.isUp(name)}
	s.view(func(g *graph, _ time.Time) {
		if u := g.unit(name); u != nil && u.state == failed && u.pending {
			ev = event{kind: eventWait, name: name, until: running}
		}
	})
	if ev.tree {
		logf(logInfo, "starting %s: somebody connects to it", name)
	}
	a, err := s.ask(ev, cancel)
	if err != nil {
		return err
	}
	if a.State != running && a.State != exited {
		return fmt.Errorf("%s is %s", name, s.stateOf(name))
	}
	return nil
}

// dismiss stops a service that is idle.
func (s *supervisor) dismiss(name string) (settle func()) {
	if s.isUp(name) {
		logf(logInfo, "stopping %s: nobody has been connected to it for a while", name)
	}
	t := s.post(event{kind: eventStop, name: name})
	return func() { _, _ = s.settle(name, t, nil) }
}

// passTo gives a start the sockets of the proxies that pass theirs to the service, by systemd's protocol (sd_listen_fds(3)). What it returns is to be closed once they
// are on their way. It may wait for a file system.
func (s *supervisor) passTo(st *start) (fds []int) {
	var names []string
	for again := false; ; again = true {
		lacks := false
		for _, e := range s.proxies.entries() {
			if x := e.cfg.Xinet; !x.Pass || x.Service != st.name {
				continue
			}
			lacks = lacks || e.proxy.lacks()
			for _, l := range e.proxy.listening() {
				if fd, err := l.lend(); err == nil {
					fds, names = append(fds, fd), append(names, e.cfg.Xinet.Name)
				}
			}
		}
		if !lacks || again {
			break
		}
		closeAll(fds)
		fds, names = nil, nil
		s.proxies.changing.Lock()
		s.listenMissing() // what the service had from a server before us may be free now that it has ended
		s.proxies.changing.Unlock()
	}
	if len(fds) == 0 {
		return nil
	}
	sp := st.sp
	own := sp.Extra
	sp.Extra = slices.Clone(fds)
	for i, fd := range own { // of its readiness
		if fd >= 0 && i < len(fds) {
			st.err = cannotExec(nil, "health.target: descriptor %d is a socket of its proxy; take a number from %d on", 3+i, 3+len(fds))
		} else if fd >= 0 {
			sp.giveAt(3+i, fd)
		}
	}
	sp.Env = setEnv(setEnv(sp.Env, "LISTEN_FDS="+strconv.Itoa(len(fds))), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	if sp.stage == nil {
		sp.stage = &stageStart{}
	}
	sp.stage.order.SetPID = append(sp.stage.order.SetPID, "LISTEN_PID")
	return fds
}

// tellProxies tells the proxies of a service whether it is down.
func (s *supervisor) tellProxies(name string, down bool) {
	s.proxies.mu.Lock()
	b := s.proxies.backs[name]
	s.proxies.mu.Unlock()
	if b != nil {
		b.moved(down)
	}
}

// reloadAll reads the directories, and has the graph and the proxies take what they say. target: start this with all that it needs, instead of everything.
func (s *supervisor) reloadAll(target string, restart bool) (*reloadResult, error) {
	t := &s.proxies
	t.changing.Lock()
	defer t.changing.Unlock()
	l := s.load()
	var proxies []*config
	l.configs = slices.DeleteFunc(l.configs, func(c *config) bool {
		if c.Kind == unitXinet {
			proxies = append(proxies, c)
		}
		return c.Kind == unitXinet
	})
	r := &reloadResult{}
	if s.notClosing() == nil {
		s.loadProxies(proxies, r) // before the services: one may need the sockets at its start
	}
	a, err := s.ask(event{kind: eventReload, name: target, load: l, restart: restart}, nil)
	if err != nil {
		return nil, err
	}
	s.retireProxies(l, proxies, r)
	for _, list := range []struct{ all, more *[]string }{{&a.Reload.Added, &r.Added}, {&a.Reload.Removed, &r.Removed}, {&a.Reload.Changed, &r.Changed}, {&a.Reload.Unchanged, &r.Unchanged}} {
		*list.all = append(*list.all, *list.more...)
		slices.Sort(*list.all)
	}
	a.Reload.Warnings = append(a.Reload.Warnings, r.Warnings...)
	return a.Reload, nil
}

// loadProxies takes the proxies of the directories that are new or changed. One that cannot listen yet is there all the same, and tries again.
func (s *supervisor) loadProxies(list []*config, r *reloadResult) {
	for _, c := range list {
		name := c.Xinet.Name
		old := s.proxies.entry(name)
		var before *proxy
		switch {
		case old == nil:
			r.Added = append(r.Added, name)
		case old.cfg.same(c):
			r.Unchanged = append(r.Unchanged, name)
			if before = old.proxy; !before.lacks() && old.cfg.path == c.path && old.cfg.persist == c.persist && old.cfg.system == c.system {
				continue
			}
		default:
			r.Changed = append(r.Changed, name)
			before = old.proxy
		}
		ls, _, err := s.proxies.listenersFor(c.Xinet, before)
		if e := s.install(c, ls); e != nil {
			err = e
			closeListeners(ls)
		}
		if err != nil {
			r.Warnings = append(r.Warnings, problem{Path: c.path, Message: fmt.Sprintf("proxy %s: %v; it is tried again", name, err)})
			if e := s.proxies.entry(name); e != nil {
				e.proxy.note(err)
			}
		}
		s.keepProxy(name, c)
	}
}

// retireProxies ends the proxies whose files are gone, as retire of the graph does with units, and warns of services that do not exist.
func (s *supervisor) retireProxies(l *loadResult, list []*config, r *reloadResult) {
	for _, e := range s.proxies.entries() {
		name, path := e.cfg.Xinet.Name, e.cfg.path
		here := slices.ContainsFunc(list, func(c *config) bool { return c.Xinet.Name == name })
		broken := slices.ContainsFunc(l.errors, func(p problem) bool { return p.Path == path })
		if path == "" || here || broken || l.keeps(dirOf(path)) {
			continue
		}
		s.removeProxy(name)
		r.Removed = append(r.Removed, name)
	}
	for _, c := range list {
		missing := false
		s.view(func(g *graph, _ time.Time) { missing = g.unit(c.Xinet.Service) == nil })
		if missing {
			r.Warnings = append(r.Warnings, problem{Path: c.path, Message: fmt.Sprintf("the proxy %s is for %s, which does not exist", c.Xinet.Name, c.Xinet.Service)})
		}
	}
}

// savedProxy is the record of one proxy; its configuration is a block of its own.
type savedProxy struct {
	Name   string `json:"name"`
	Config int    `json:"config"`
}

// proxyPlace is where a proxy is saved.
type proxyPlace struct {
	cfg       *config
	at, cfgAt int
}

// proxyNote has the owner save a proxy; without a configuration it is forgotten.
type proxyNote struct {
	name  string
	cfg   *config
	saved chan struct{} // closed afterwards
}

// keepProxy saves a proxy for the next server, and waits for that.
func (s *supervisor) keepProxy(name string, c *config) {
	n := &proxyNote{name, c, make(chan struct{})}
	s.inbox.put(note{proxy: n})
	<-n.saved
}

// saveProxy saves a proxy for the one who waits for that.
func (s *supervisor) saveProxy(n *proxyNote) {
	defer close(n.saved)
	if err := guarded(func() error { return s.saver.proxy(n) }); err != nil {
		logf(logError, "cannot save the proxy %s: %v; if this server dies now, it is gone", n.name, err)
	}
}

// proxy saves one proxy, or forgets it.
func (v *saver) proxy(n *proxyNote) error {
	if v.journal == nil {
		return nil
	}
	p := v.proxies[n.name]
	if n.cfg == nil {
		v.journal.release(p.at)
		v.journal.release(p.cfgAt)
		delete(v.proxies, n.name)
		return nil
	}
	cfgAt, err := v.putConfig(n.cfg)
	if err != nil {
		return err
	}
	at, err := v.put(p.at, savedRecord{Proxy: &savedProxy{n.name, cfgAt}})
	if err != nil {
		v.journal.release(cfgAt)
		return err
	}
	v.journal.release(p.cfgAt)
	v.proxies[n.name] = proxyPlace{n.cfg, at, cfgAt}
	return nil
}

// readProxies understands the saved proxies.
func (st *savedState) readProxies(j *journal) (err error) {
	for name, p := range st.proxies {
		if p.cfg, err = loadConfig(j, p.cfgAt); err != nil || p.cfg.Kind != unitXinet {
			return fmt.Errorf("the saved configuration of the proxy %s: %w", name, cmp.Or(err, errDamaged))
		}
		st.proxies[name] = p
	}
	return nil
}

// restoreProxies goes on with the proxies of an earlier server, with the sockets that were handed over. The others listen when the server begins.
func (s *supervisor) restoreProxies(st *savedState) {
	for name, p := range st.proxies {
		s.saver.proxies[name] = p
		var ls []*listener
		for _, address := range p.cfg.Xinet.Listen {
			ls = append(ls, s.proxies.handedFor(p.cfg.Xinet, address)...)
		}
		if err := s.install(p.cfg, ls); err != nil {
			logf(logError, "proxy %s: %v", name, err)
		}
	}
}

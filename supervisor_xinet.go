// supervisor_xinet.go holds the table of proxies: which exist, the sockets that they listen on, and how these go to the next server. What proxies ask of services is in supervisor_demand.go; no data is copied here.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// proxyTable is all proxies. They are no units of the graph: they have no state.
type proxyTable struct {
	changing sync.Mutex // held by whoever changes the table, also while sockets are opened; taken before mu

	mu     sync.Mutex
	list   map[string]*proxyEntry
	backs  map[string]*backing // by service
	handed map[string]int      // sockets of an earlier server that nobody has taken yet, by key
	copier *copier             // nil: there has been no proxy
	began  bool                // proxies serve
	shut   bool                // for a shutdown
	trying bool                // a goroutine tries again to listen
}

// proxyEntry is one proxy. It is never written to, except under mu.
type proxyEntry struct {
	cfg   *config
	proxy *proxy
}

// listenKey begins the names of the sockets of proxies among what the keeper keeps: the proxy, a number and the address follow.
const listenKey = "xinet "

func keyOf(name string, i int, address string) string {
	return fmt.Sprintf("%s%s %d %s", listenKey, name, i, address)
}

// keysOfListeners names the sockets of a proxy. One address may have several.
func keysOfListeners(name string, ls []*listener) map[*listener]string {
	keys, count := map[*listener]string{}, map[string]int{}
	for _, l := range ls {
		keys[l] = keyOf(name, count[l.address], l.address)
		count[l.address]++
	}
	return keys
}

// takeHanded sorts out the sockets of proxies from what an earlier server left.
func (t *proxyTable) takeHanded(store map[string][]int) {
	t.handed = map[string]int{}
	for key, fds := range store {
		if strings.HasPrefix(key, listenKey) && len(fds) == 1 {
			t.handed[key] = fds[0]
			delete(store, key)
		}
	}
}

// listenersFor gives the sockets for a definition: of the proxy as it is, of an earlier server, or new ones, which are in fresh. What cannot be had is an error, and missing.
func (t *proxyTable) listenersFor(def *xinetDef, old *proxy) (all, fresh []*listener, err error) {
	var have []*listener
	other := false // those who wait on the sockets do so for something else
	if old != nil {
		old.mu.Lock()
		have, other = old.listeners, old.def.Pass != def.Pass
		old.mu.Unlock()
	}
	for i, address := range def.Listen {
		if slices.Contains(def.Listen[:i], address) {
			continue
		}
		var these []*listener
		for _, l := range have {
			if l.address == address && other {
				l = l.renewed(def.Pass)
			}
			if l != nil && l.address == address {
				these = append(these, l)
			}
		}
		if len(these) == 0 {
			var e error
			if these = t.handedFor(def, address); len(these) == 0 {
				these, e = openListeners(address, def.Pass)
			}
			fresh = append(fresh, these...)
			err = errors.Join(err, e)
		}
		all = append(all, these...)
	}
	return all, fresh, err
}

// handedFor takes the sockets of an earlier server for one address.
func (t *proxyTable) handedFor(def *xinetDef, address string) (list []*listener) {
	for i := 0; ; i++ {
		key := keyOf(def.Name, i, address)
		t.mu.Lock()
		fd, there := t.handed[key]
		delete(t.handed, key)
		t.mu.Unlock()
		if !there {
			return list
		}
		l, err := takeListener(address, fd, def.Pass)
		if err != nil {
			logf(logWarn, "proxy %s: cannot go on with the socket for %s: %v", def.Name, address, err)
			continue
		}
		list = append(list, l)
	}
}

// entry finds a proxy; nil: there is none.
func (t *proxyTable) entry(name string) *proxyEntry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list[name]
}

// entries are all proxies by name.
func (t *proxyTable) entries() (list []*proxyEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range sortedKeys(t.list) {
		list = append(list, t.list[name])
	}
	return list
}

// install makes a proxy, or changes it, with the sockets that there are for it. t.changing is held.
func (s *supervisor) install(c *config, ls []*listener) error {
	t, name := &s.proxies, c.Xinet.Name
	t.mu.Lock()
	if t.copier == nil {
		var err error
		if t.copier, err = newCopier(); err != nil {
			t.mu.Unlock()
			return err
		}
	}
	back := t.backs[c.Xinet.Service]
	if back == nil {
		back = newBacking(c.Xinet.Service, s)
		t.backs[c.Xinet.Service] = back
	}
	old, began := t.list[name], t.began
	e := &proxyEntry{cfg: c}
	if old == nil {
		e.proxy = newProxy(c.Xinet, back, t.copier, ls)
	} else {
		e.proxy = old.proxy
	}
	t.list[name] = e
	t.settleBacks()
	t.mu.Unlock()
	back.moved(s.isDown(back.name))
	if old != nil {
		before := old.proxy.listening()
		old.proxy.change(c.Xinet, back, ls, began)
		s.letGo(name, before, ls)
	} else if began {
		e.proxy.serve()
	}
	for l, key := range keysOfListeners(name, ls) {
		s.keepListener(key, l)
	}
	s.tryAgain()
	return nil
}

// settleBacks forgets the services that no proxy names any more, and says how long each of the others may be idle: the longest of its proxies. mu is held.
func (t *proxyTable) settleBacks() {
	idle := map[string][]int{}
	for _, e := range t.list {
		x := e.cfg.Xinet
		if x.Pass {
			idle[x.Service] = append(idle[x.Service], 0) // who is connected to it, nobody knows
		} else {
			idle[x.Service] = append(idle[x.Service], x.IdleTimeout)
		}
	}
	for name, b := range t.backs {
		list, longest := idle[name], 0
		if len(list) == 0 {
			delete(t.backs, name)
		} else if slices.Min(list) > 0 {
			longest = slices.Max(list)
		}
		b.setIdle(time.Duration(longest) * time.Second)
	}
}

// letGo closes the sockets that a proxy has no more.
func (s *supervisor) letGo(name string, before, now []*listener) {
	keys, kept := keysOfListeners(name, before), map[string]bool{}
	for _, key := range keysOfListeners(name, now) {
		kept[key] = true
	}
	for _, l := range before {
		if slices.Contains(now, l) {
			continue
		}
		l.close()
		if s.keeper != nil && !kept[keys[l]] {
			s.keeper.send(packet{op: opDrop, text: keys[l]})
		}
	}
}

// keepListener has the keeper hold a socket for the next server.
func (s *supervisor) keepListener(key string, l *listener) {
	if s.keeper == nil {
		return
	}
	fd, err := l.descriptor()
	if err != nil {
		logf(logWarn, "the socket for %s cannot be kept for the next server: %v", l.address, err)
		return
	}
	s.keeper.sendNow(packet{op: opStore, text: key, fds: []int{fd}}, linkTime)
	_ = sysClose(fd)
}

// putProxy is xinet.create and, with replace, xinet.register. Nothing has changed when it returns an error.
func (s *supervisor) putProxy(c *config, replace bool) error {
	t, name := &s.proxies, c.Xinet.Name
	t.changing.Lock()
	defer t.changing.Unlock()
	if err := s.notClosing(); err != nil {
		return err
	}
	var old *proxy
	if e := t.entry(name); e != nil {
		if !replace {
			return refuse(kindAlreadyExists, "the proxy %s exists already; xinet.register replaces it", name)
		}
		old = e.proxy
		if c.path, c.system, c.persist = e.cfg.path, e.cfg.system, e.cfg.persist; c.persist {
			if err := saveFile(c.path, c, c.toml()); err != nil {
				return refuse(kindServiceFileError, "cannot write %s: %v", c.path, err)
			}
		}
	}
	ls, fresh, err := t.listenersFor(c.Xinet, old)
	if err == nil {
		err = s.install(c, ls)
	}
	if err != nil {
		closeListeners(fresh)
		return refuse(kindXinetError, "%v", err)
	}
	s.keepProxy(name, c)
	return nil
}

func (s *supervisor) notClosing() (err error) {
	s.view(func(g *graph, _ time.Time) {
		if g.closing != nil {
			err = refuse(kindShuttingDown, "the system is shutting down")
		}
	})
	return err
}

// deleteProxy is xinet.delete. The service behind the proxy stays as it is.
func (s *supervisor) deleteProxy(name string) error {
	t := &s.proxies
	t.changing.Lock()
	defer t.changing.Unlock()
	e := t.entry(name)
	if e == nil {
		return s.unknownProxy(name)
	}
	s.removeProxy(name)
	if e.cfg.persist {
		if err := os.Remove(e.cfg.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return refuse(kindServiceFileError, "the proxy %s is removed, but its file is still there: %v", name, err)
		}
	}
	return nil
}

func (s *supervisor) unknownProxy(name string) error {
	t := &s.proxies
	t.mu.Lock()
	names := sortedKeys(t.list)
	t.mu.Unlock()
	e := refuse(kindXinetError, "no proxy %s", quoted(name))
	if near := nearest(name, names); near != "" {
		e.Message += "; did you mean " + near + "?"
		e.Data.Names = []string{near}
	}
	return e
}

// removeProxy ends a proxy and closes its sockets. t.changing is held.
func (s *supervisor) removeProxy(name string) {
	t := &s.proxies
	t.mu.Lock()
	e := t.list[name]
	delete(t.list, name)
	t.settleBacks()
	t.mu.Unlock()
	e.proxy.close()
	s.letGo(name, e.proxy.listening(), nil)
	s.keepProxy(name, nil)
}

// proxyStatus is one proxy, for xinet.status.
func (s *supervisor) proxyStatus(name string) (xinetStatus, error) {
	e := s.proxies.entry(name)
	if e == nil {
		return xinetStatus{}, s.unknownProxy(name)
	}
	return e.proxy.status(), nil
}

// proxyConfig is the configuration of a proxy, for xinet.get.
func (s *supervisor) proxyConfig(name string) (*config, error) {
	e := s.proxies.entry(name)
	if e == nil {
		return nil, s.unknownProxy(name)
	}
	return e.cfg, nil
}

// proxyNames are the names of all proxies, sorted.
func (s *supervisor) proxyNames() (names []string) {
	for _, e := range s.proxies.entries() {
		names = append(names, e.cfg.Xinet.Name)
	}
	return names
}

// holdsPort says whether one of our proxies holds a TCP port.
func (s *supervisor) holdsPort(port int) bool {
	return slices.ContainsFunc(s.proxies.entries(), func(e *proxyEntry) bool { return slices.Contains(e.proxy.ports(), port) })
}

// serveProxies lets all proxies accept, and closes what an earlier server left and nobody needs.
func (s *supervisor) serveProxies() {
	t := &s.proxies
	t.changing.Lock()
	defer t.changing.Unlock()
	t.mu.Lock()
	t.began = !t.shut
	handed, backs := t.handed, slices.Collect(maps.Values(t.backs))
	t.handed = nil
	t.mu.Unlock()
	for key, fd := range handed {
		_ = sysClose(fd)
		if s.keeper != nil {
			s.keeper.send(packet{op: opDrop, text: key})
		}
	}
	for _, e := range t.entries() {
		e.proxy.serve()
	}
	for _, b := range backs {
		if b.isUp() {
			b.restNow()
		}
	}
	s.tryAgain()
}

// Pace of the tries to listen where that was not possible.
const firstListen, maxListen = 100 * time.Millisecond, 5 * time.Second

// tryAgain listens, some time later, where it is missing: an address in use may become free, and one that the machine does not have yet may come.
func (s *supervisor) tryAgain() {
	t := &s.proxies
	t.mu.Lock()
	defer t.mu.Unlock()
	lacks := slices.ContainsFunc(slices.Collect(maps.Values(t.list)), func(e *proxyEntry) bool { return e.proxy.lacks() })
	if !lacks || t.trying || !t.began {
		return
	}
	t.trying = true
	background("listen again", func() {
		for pause := firstListen; s.listenAgain(); pause = min(2*pause, maxListen) {
			time.Sleep(pause)
		}
	})
}

// listenAgain is listenMissing for the goroutine of tryAgain, which ends when nothing is missing any more.
func (s *supervisor) listenAgain() (missing bool) {
	t := &s.proxies
	t.changing.Lock()
	defer t.changing.Unlock()
	missing = s.listenMissing()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trying = missing
	return missing
}

// listenMissing tries once to listen where it is missing, and says whether something still is. t.changing is held.
func (s *supervisor) listenMissing() (missing bool) {
	t := &s.proxies
	for _, e := range t.entries() {
		if t.isShut() || !e.proxy.lacks() {
			continue
		}
		ls, fresh, err := t.listenersFor(e.cfg.Xinet, e.proxy)
		if err != nil {
			missing = true
			e.proxy.note(err)
		}
		if len(fresh) > 0 {
			if e := s.install(e.cfg, ls); e != nil {
				logf(logError, "proxy: %v", e)
			}
		}
		if err == nil {
			logf(logInfo, "proxy %s listens", e.cfg.Xinet.Name)
			e.proxy.note(nil)
		}
	}
	return missing
}

func (t *proxyTable) isShut() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shut
}

// shutProxies closes the sockets of all proxies, for a shutdown. Connections go on until their services end.
func (s *supervisor) shutProxies() {
	t := &s.proxies
	t.changing.Lock()
	defer t.changing.Unlock()
	t.mu.Lock()
	t.shut, t.began = true, false
	t.mu.Unlock()
	for _, e := range t.entries() {
		e.proxy.close()
		s.letGo(e.cfg.Xinet.Name, e.proxy.listening(), nil)
	}
}

// pauseProxies leaves new clients in the queues of the kernel until what is returned is called: this server is about to be replaced.
func (s *supervisor) pauseProxies() (goOn func()) {
	var all []*listener
	for _, e := range s.proxies.entries() {
		all = append(all, e.proxy.listening()...)
	}
	for _, l := range all {
		l.pause()
	}
	return func() {
		for _, l := range all {
			l.goOn()
		}
	}
}

// listenersVar names the descriptors of the sockets of proxies, and their keys, one a line, for the next image of this process.
const listenersVar = "ZINIT_LISTENERS"

// listenersForNext gives copies of all sockets of proxies, and what tells the next image of this process of them.
func (s *supervisor) listenersForNext() (env string, fds []int) {
	var lines []string
	for _, e := range s.proxies.entries() {
		for l, key := range keysOfListeners(e.cfg.Xinet.Name, e.proxy.listening()) {
			if fd, err := l.descriptor(); err == nil {
				lines, fds = append(lines, strconv.Itoa(fd)+" "+key), append(fds, fd)
			}
		}
	}
	return listenersVar + "=" + strings.Join(lines, "\n"), fds
}

// rpc_service.go answers the methods that look at services and act on them.

//go:build !windows

package main

import (
	"cmp"
	"slices"
	"time"
)

// fillStatus copies what service.status tells.
func fillStatus(s *serviceStatus, g *graph, u *unit, now time.Time) {
	*s = serviceStatus{Name: u.name, Kind: u.cfg.Kind, State: u.state, Wish: wishDown, PID: u.pid, Reason: (*wireReason)(u.reason),
		ExitCode: u.exitCode, RestartCount: u.restartCount, ConfigChanged: u.next != nil, Skipped: u.skipped}
	if u.up {
		s.Wish = wishUp
	}
	s.StatusText = visible(u.said.words())
	if u.cfg.Health != nil {
		s.Health = &healthStatus{u.health.ok, u.health.lastError, u.health.checks, u.health.failures}
	}
	if u.pid != 0 && !u.started.IsZero() {
		s.UptimeMS = max(0, now.Sub(u.started).Milliseconds())
	}
	if u.pending {
		in := max(0, u.restartDue.Sub(now).Milliseconds())
		s.RestartInMS = &in
	}
	if u.state == blocked {
		s.BlockedBy = g.blockedBy(u)
	}
	s.BlockedBy = listed(s.BlockedBy)
}

// fillFull copies what status_full tells, without the resources.
func fillFull(f *serviceStatusFull, g *graph, u *unit, now time.Time) {
	fillStatus(&f.serviceStatus, g, u, now)
	d := &u.cfg.Service
	f.LastStart, f.LastStop = epoch(u.lastStart, now), epoch(u.lastStop, now)
	f.Class, f.Critical, f.Oneshot, f.Path, f.Description = cmp.Or(d.Class, classUser), d.Critical, d.Oneshot, u.cfg.path, d.Description
}

// measure adds the resources of the main process, exact for one service and quick for lists. It reads /proc: never under the lock of the graph.
func (f *serviceStatusFull) measure(exact bool) {
	if f.PID == 0 {
		return
	}
	if st, err := readStat(f.PID); err == nil {
		f.CPUPercent, f.MemoryBytes = cpuPercent(&st, time.Now()), st.resident(exact)
	}
}

// epoch is t in ms since 1970, by the clock of now; never is 0.
func epoch(t, now time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return presentTime(t, now).UnixMilli()
}

func doList(q *rpcCall) (any, error) {
	var names []string
	q.core().view(func(g *graph, _ time.Time) { names = slices.Clone(g.names()) })
	names = listed(names)
	return &names, nil
}

func doListFull(q *rpcCall) (any, error) {
	list := []serviceStatusFull{}
	q.core().view(func(g *graph, now time.Time) {
		names := g.names()
		list = make([]serviceStatusFull, len(names))
		for i, n := range names {
			fillFull(&list[i], g, g.unit(n), now)
		}
	})
	for i := range list {
		list[i].measure(false)
		list[i].LogError = q.core().logs.trouble(list[i].Name)
	}
	return &list, nil
}

func doStatus(q *rpcCall) (any, error) {
	s := &serviceStatus{}
	err := q.look(func(g *graph, u *unit, now time.Time) { fillStatus(s, g, u, now) })
	return s, err
}

func doStatusFull(q *rpcCall) (any, error) {
	f := &serviceStatusFull{}
	err := q.look(func(g *graph, u *unit, now time.Time) { fillFull(f, g, u, now) })
	f.measure(true)
	f.LogError = q.core().logs.trouble(f.Name)
	return f, err
}

// pid is the main process of the service that the call names, 0: none.
func (q *rpcCall) pid() (pid int, err error) {
	err = q.look(func(_ *graph, u *unit, _ time.Time) { pid = u.pid })
	return pid, err
}

func doStats(q *rpcCall) (any, error) {
	pid, grouped := 0, false
	err := q.look(func(_ *graph, u *unit, _ time.Time) { pid, grouped = u.pid, u.cfg.wantsCgroup() })
	if err != nil {
		return nil, err
	}
	s := &statsResult{Name: q.str("name"), PID: pid, Children: []childProcess{}}
	if pid == 0 {
		return s, nil
	}
	s.Children = childrenOf(pid)
	s.Processes = len(s.Children)
	if st, err := readStat(pid); err == nil {
		u := st.usage()
		s.CPUPercent, s.MemoryBytes, s.Threads, s.FDs = u.CPUPercent, u.MemoryBytes, st.Threads, sysFDs(pid)
		s.Processes++
		if grouped {
			q.core().cgroups.find(s.Name, pid).measure(s, &st)
		}
	}
	return s, nil
}

func doChildren(q *rpcCall) (any, error) {
	pid, err := q.pid()
	list := []childProcess{}
	if pid != 0 {
		list = childrenOf(pid)
	}
	return &list, err
}

func doIsRunning(q *rpcCall) (any, error) {
	is := false
	err := q.look(func(_ *graph, u *unit, _ time.Time) { is = u.state == running })
	return is, err
}

func doWhy(q *rpcCall) (any, error) {
	w := &whyResult{}
	err := q.look(func(g *graph, u *unit, now time.Time) {
		w.Name, w.State = u.name, u.state
		e := g.why(u, now)
		w.Blocked, w.Reasons, w.leftOut, w.Todo, w.Text = e.blocked, e.reasons, e.leftOut, e.todo, e.text
	})
	w.Reasons, w.Todo = listed(w.Reasons), listed(w.Todo)
	return w, err
}

func doTree(q *rpcCall) (t any, err error) {
	q.core().view(func(g *graph, _ time.Time) {
		if name := q.str("name"); q.has("name") && g.unit(name) == nil {
			err = g.unknown(name)
			return
		}
		drawn := g.tree(q.str("name"))
		t = &treeResult{partial{drawn.leftOut}, drawn.text.String(), drawn.roots}
	})
	return t, err
}

func doGraph(q *rpcCall) (any, error) {
	t := &textResult{}
	var lists outline
	q.core().view(func(g *graph, _ time.Time) {
		switch q.str("format") {
		case "dot":
			t.Text, t.leftOut = g.dot()
		case "mermaid":
			t.Text, t.leftOut = g.mermaid()
		default:
			lists = g.outline()
			t.leftOut = lists.leftOut
		}
	})
	if q.str("format") == "json" {
		t.Text = jsonText(lists)
	}
	return t, nil
}

func stateOf(a answer) any { return stateResult{true, a.State, a.BlockedBy} }

// act submits start, stop or restart, and answers at once unless the call waits.
func (q *rpcCall) act(ev event) (any, error) {
	ev.name, ev.wait, ev.timeout = q.str("name"), q.flag("wait"), q.millis("timeout_ms")
	if ev.wait {
		return q.park(ev, false, func(a answer) (any, error) { return stateOf(a), nil })
	}
	a, err := q.ask(ev)
	return stateOf(a), err
}

func doStart(q *rpcCall) (any, error) {
	if err := q.core().instantiate(q.str("name")); err != nil {
		return nil, err
	}
	return q.act(event{kind: eventStart, tree: q.flag("tree")})
}

func doStop(q *rpcCall) (any, error) { return q.act(event{kind: eventStop}) }

func doRestart(q *rpcCall) (any, error) { return q.act(event{kind: eventRestart}) }

func doKill(q *rpcCall) (any, error) {
	sig, err := parseSignal(q.str("signal"))
	if err != nil {
		return nil, refuse(kindInvalidSignal, "%v", err)
	}
	_, err = q.ask(event{kind: eventKill, name: q.str("name"), sig: sig, group: q.flag("group")})
	return okResult{true}, err
}

func doSend(q *rpcCall) (any, error) {
	_, err := q.ask(event{kind: eventSend, name: q.str("name"), text: q.str("text")})
	return okResult{true}, err
}

func doWait(q *rpcCall) (any, error) {
	var until state
	if err := until.UnmarshalText([]byte(q.str("state"))); err != nil {
		return nil, err
	}
	ev := event{kind: eventWait, name: q.str("name"), until: until, timeout: q.millis("timeout_ms")}
	return q.park(ev, false, func(a answer) (any, error) { return waitResult{a.State, a.BlockedBy}, nil })
}

func bulkOf(a answer) *bulkResult {
	return &bulkResult{len(a.Errs) == 0, listed(a.Names), listed(a.Skipped), listed(a.Errs)}
}

func doStartAll(q *rpcCall) (any, error) {
	a, err := q.ask(event{kind: eventStartAll})
	return bulkOf(a), err
}

func doStopAll(q *rpcCall) (any, error) {
	a, err := q.ask(event{kind: eventStopAll})
	return bulkOf(a), err
}

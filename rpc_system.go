// rpc_system.go answers the methods about the server and the machine: system.*, debug.*, boot.* and rpc.discover.

//go:build !windows

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func doDiscover(q *rpcCall) (any, error) {
	r := q.server()
	r.once.Do(func() { r.description = appendJSON(nil, r.openRPC(q.core().opts.socket)) })
	return r.description, nil
}

func doPing(q *rpcCall) (any, error) {
	s := q.core()
	return pingResult{version, os.Getpid(), time.Since(s.begun).Milliseconds(), s.mode}, nil
}

func doInfo(q *rpcCall) (any, error) {
	s := q.core()
	var planned *int64
	if at := s.plannedAt.Load(); at != 0 {
		planned = &at
	}
	where, lacks := s.cgroups.says()
	degraded := listed(slices.Clone(s.degraded))
	if lacks != "" {
		degraded = append(degraded, lacks)
	}
	return infoResult{ShutdownAtMS: planned, Version: version, Mode: s.mode, PID: os.Getpid(), StartedMS: epoch(s.begun, time.Now()), ConfigDirs: listed(s.opts.configDirs),
		Socket: s.opts.socket, Kernel: kernelName(), Cgroup: where, Degraded: degraded}, nil
}

// doPower is system.shutdown, poweroff, reboot and halt: as PID 1 of a machine it does as named, in a container it ends the container, standalone only shutdown works.
func doPower(q *rpcCall) (any, error) {
	do := strings.TrimPrefix(q.row.name, "system.")
	delay := q.millis("delay_ms")
	switch mode := q.core().mode; {
	case do == "shutdown" && q.flag("cancel"):
		q.core().cancelShutdown()
		return okResult{true}, nil
	case mode == modeStandalone && do != "shutdown":
		return nil, refuse(kindNotSupported, "cannot %s: this server is not PID 1; system.shutdown ends it", do)
	case mode == modeStandalone && delay > 0:
		return nil, refuse(kindNotSupported, "cannot plan a shutdown: this server is not under zinit init, which keeps the time")
	case mode == modeSystem && do == "shutdown":
		do = string(powerOff)
	case mode != modeSystem:
		do = string(powerExit)
	}
	if delay > 0 {
		if err := q.notClosing(); err != nil {
			return nil, err
		}
		q.core().shutdownLater(powerKind(do), delay, q.str("message"))
		return okResult{true}, nil
	}
	_, err := q.ask(event{kind: eventShutdown, power: powerKind(do)})
	return okResult{true}, err
}

// notClosing refuses what a shutdown makes pointless.
func (q *rpcCall) notClosing() (err error) {
	q.core().view(func(g *graph, _ time.Time) {
		if g.closing != nil {
			err = refuse(kindShuttingDown, "cannot do %s: the system is shutting down", q.row.name)
		}
	})
	return err
}

// doPrepareRestart answers first: the connection is gone with the server.
func doPrepareRestart(q *rpcCall) (any, error) {
	if err := q.notClosing(); err != nil {
		return nil, err
	}
	file, names, after, err := q.core().prepareRestart()
	if err != nil {
		return nil, err
	}
	q.then = after
	return &restartResult{true, file, listed(names)}, nil
}

func doUpgrade(q *rpcCall) (any, error) {
	binary := q.str("binary")
	if err := q.notClosing(); err != nil {
		return nil, err
	}
	if err := q.conn.reserve(len(q.id)); err != nil {
		return nil, err
	}
	q.later = func() (any, error) {
		ver, after, err := q.core().upgrade(binary)
		if err != nil {
			return nil, err
		}
		q.then = after
		return upgradeResult{true, ver}, nil
	}
	return nil, nil
}

func doDebugState(q *rpcCall) (any, error) {
	r, s, result := q.server(), q.core(), &debugResult{}
	var configs []*config
	s.view(func(g *graph, now time.Time) {
		result.Services = make([]debugService, len(g.names()))
		for i, n := range g.names() {
			u, d := g.unit(n), &result.Services[i]
			d.Invocation, d.Generation = u.invocation, u.gen
			configs = append(configs, u.cfg)
			fillFull(&d.Status, g, u, now)
		}
	})
	used := r.budget.used()
	var b strings.Builder
	fmt.Fprintf(&b, "zinit %s, %s, pid %d, up %v\n", version, s.mode, os.Getpid(), time.Since(s.begun).Round(time.Millisecond))
	fmt.Fprintf(&b, "socket %s: %d connections, %d bytes held, %d deletions waiting\n", s.opts.socket, used.conns, used.held, r.detached.Load())
	fmt.Fprintf(&b, "%d goroutines, %d descriptors, %s %s/%s\n", runtime.NumGoroutine(), sysFDs(os.Getpid()), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for i := range result.Services {
		d := &result.Services[i]
		d.Status.measure(false)
		d.Config = configs[i].value()
		fmt.Fprintf(&b, "%s: %s, wish %s, pid %d, generation %d, restarts %d\n", d.Status.Name, d.Status.State, d.Status.Wish, d.Status.PID, d.Generation, d.Status.RestartCount)
	}
	result.Text = b.String()
	return result, nil
}

func doProcessTree(q *rpcCall) (any, error) {
	var mains []processNode
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			if u := g.unit(n); u.pid != 0 {
				mains = append(mains, processNode{Service: n, PID: u.pid})
			}
		}
	})
	result := &processResult{Roots: []processNode{}}
	var b strings.Builder
	for _, m := range mains {
		st, err := readStat(m.PID)
		if err != nil {
			continue
		}
		below := map[int][]childProcess{}
		for _, c := range childrenOf(m.PID) {
			below[c.PPID] = append(below[c.PPID], c)
		}
		node := processBranch(st.usage(), below)
		node.Service = m.Service
		result.Roots = append(result.Roots, node)
		fmt.Fprintf(&b, "%s\n", m.Service)
		writeProcesses(&b, &node, 1)
	}
	result.Text = b.String()
	return result, nil
}

// processBranch puts the processes below p under it. Each is taken once, so that it ends whatever /proc said.
func processBranch(p childProcess, below map[int][]childProcess) processNode {
	n := processNode{PID: p.PID, PPID: p.PPID, Command: p.Command, Children: []processNode{}}
	children := below[p.PID]
	delete(below, p.PID)
	for _, c := range children {
		n.Children = append(n.Children, processBranch(c, below))
	}
	return n
}

func writeProcesses(b *strings.Builder, n *processNode, depth int) {
	fmt.Fprintf(b, "%s%d %s\n", strings.Repeat("  ", min(depth, 40)), n.PID, visible(n.Command))
	for i := range n.Children {
		writeProcesses(b, &n.Children[i], depth+1)
	}
}

func doBootAnalyze(q *rpcCall) (any, error) {
	begun := q.core().begun
	since := func(t time.Time) *int64 {
		if t.IsZero() {
			return nil
		}
		ms := max(0, t.Sub(begun).Milliseconds())
		return &ms
	}
	report := &bootResult{Services: []bootUnit{}, Chain: []string{}}
	needs := map[string][]string{}
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			u := g.unit(n)
			report.Services = append(report.Services, bootUnit{n, u.cfg.Kind, u.state, since(u.bootBlocked), since(u.bootStarting), since(u.bootReady)})
			needs[n] = slices.Concat(u.cfg.Dependencies.needed(), u.cfg.Dependencies.After)
		}
	})
	report.chain(needs)
	if q.str("format") == "text" {
		return &textResult{Text: report.text()}, nil
	}
	return report, nil
}

// chain finds the critical chain: the unit that was ready last, before it the last one that it waited for, and so on.
func (r *bootResult) chain(needs map[string][]string) {
	ready := map[string]int64{}
	last := ""
	for i := range r.Services {
		u := &r.Services[i]
		if u.ReadyMS == nil {
			continue
		}
		if ready[u.Name] = *u.ReadyMS; last == "" || *u.ReadyMS > r.TotalMS {
			last, r.TotalMS = u.Name, *u.ReadyMS
		}
	}
	for last != "" {
		r.Chain = append(r.Chain, last)
		at, next, latest := ready[last], "", int64(-1)
		delete(ready, last)
		for _, n := range needs[last] {
			if t, known := ready[n]; known && t <= at && t > latest {
				next, latest = n, t
			}
		}
		last = next
	}
	slices.Reverse(r.Chain)
}

// supervisor_cmd.go has the keeper start CMD, the main program of a container, and shows it as the service `cmd`.

//go:build !windows

package main

import (
	"strings"
	"time"
)

// mainName is the reserved name of CMD.
const mainName = "cmd"

// mainUnit is the configuration of CMD as a service.
func mainUnit(argv []string) *config {
	c := newConfig()
	c.Kind = unitService
	c.Service.Name, c.Service.Exec, c.Service.Status, c.Service.Class = mainName, execDef{Argv: argv}, statusStop, classSystem
	c.Service.Description = "the main program of the container"
	c.Lifecycle.Restart = restartNever
	c.Lifecycle.StartTimeout = 0
	c.Lifecycle.StopTimeout = noLimit  // the shutdown's time is what bounds it
	c.Lifecycle.KillMode = killProcess // the keeper asks what it leaves behind, when all services are stopped
	return c
}

func (s *supervisor) isMain(name string) bool { return s.withCmd && name == mainName }

// addMain makes CMD a unit, where an earlier server has not.
func (s *supervisor) addMain(cmd packet) {
	s.g.main = mainName
	if s.g.units[mainName] == nil {
		_, argv, _ := strings.Cut(cmd.text, "\x00")
		s.g.now = time.Now()
		s.g.add(mainUnit(strings.Split(argv, "\x00"))).boots = true
	}
}

// startMain starts CMD now, whatever the other services do.
func (s *supervisor) startMain() {
	s.submit(event{kind: eventStart, name: mainName})
}

// waitForMain starts CMD once nothing that is wanted is on its way any more, at the latest after --cmd-wait-ms.
func (s *supervisor) waitForMain() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(s.opts.cmdWait); time.Now().Before(end); <-tick.C {
		settled := false
		s.view(func(g *graph, _ time.Time) { settled = s.booted.Load() && g.settled() })
		if settled {
			break
		}
	}
	fresh := false
	s.view(func(g *graph, _ time.Time) { fresh = g.units[mainName].lastStart.IsZero() })
	if fresh {
		s.startMain()
	}
}

// command takes what the keeper says of CMD, the service `cmd`.
func (s *supervisor) command(p packet) {
	how, _, _ := strings.Cut(p.text, "\x00")
	pid := int(p.a)
	var u struct {
		gen     uint64
		waiting bool
		inv     string
		cfg     *config
	}
	s.view(func(g *graph, _ time.Time) {
		if c := g.units[mainName]; c != nil {
			u.gen, u.waiting, u.inv, u.cfg = c.gen, c.state.live() && !c.spawned, c.invocation, c.cfg
		}
	})
	if !u.waiting || how == "" {
		return
	}
	if pid == 0 {
		s.submit(event{kind: eventSpawnFailed, name: mainName, gen: u.gen, text: "CMD could not be started, or has ended"})
		return
	}
	l := newLife(mainName, u.gen, u.cfg, &logPipes{Out: -1, Err: -1})
	l.proc = s.procs.process(mainName, u.inv, u.cfg.Lifecycle.KillMode, func(e exit) { s.ended(l, e) })
	s.procs.adoptReported(l.proc, pid, nil)
	s.inbox.put(note{begun: l})
}

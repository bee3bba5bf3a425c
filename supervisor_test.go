// supervisor_test.go runs the real loop with nothing behind it, in time that costs nothing, and holds the saved state against what it came from.

//go:build unix

package main

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stageLoop starts the real loop of a supervisor whose effects go to do. In a bubble its time costs nothing; quit ends it.
func stageLoop(do func(s *supervisor, e *effect)) (s *supervisor, quit chan struct{}) {
	s = newSupervisor(serverOptions{shutdownTimeout: 30 * time.Second}, "standalone")
	s.logs = &logHub{}
	s.do = func(e *effect) { do(s, e) }
	quit = make(chan struct{})
	go s.run(quit)
	return s, quit
}

// TestLoopBacksOff lets a service crash for ten minutes: the loop wakes exactly when a restart is due, and never in between.
func TestLoopBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var starts []string
		s, quit := stageLoop(func(s *supervisor, e *effect) {
			switch e.kind {
			case effectSpawn:
				starts = append(starts, time.Since(begun).String())
				s.submit(event{kind: eventSpawned, name: e.name, gen: e.gen, pid: 7})
				s.submit(event{kind: eventExited, name: e.name, gen: e.gen, exit: exit{Known: true, Code: 1}})
			case effectReply:
				e.ticket.done <- e.reply()
			}
		})
		defer close(quit)
		if _, err := s.ask(event{kind: eventPut, cfg: testUnit("web delay=1s delay_max=60s")}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // of the bubble: no time passes outside
		synctest.Wait()
		got := strings.Join(starts, " ")
		want := "0s 1s 3s 7s 15s 31s 1m3s 2m3s 3m3s 4m3s 5m3s 6m3s 7m3s 8m3s 9m3s"
		if got != want {
			t.Errorf("starts at %s, want %s", got, want)
		}
	})
}

// TestLoopTimesOut has a request wait for a state that does not come: it is refused when its time is over, and one whose client leaves is forgotten.
func TestLoopTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, quit := stageLoop(func(s *supervisor, e *effect) {
			switch e.kind {
			case effectSpawn:
				s.submit(event{kind: eventSpawned, name: e.name, gen: e.gen, pid: 7})
			case effectCheck:
				s.submit(event{kind: eventHealth, name: e.name, gen: e.gen, text: "connection refused"})
			case effectReply:
				e.ticket.done <- e.reply()
			}
		})
		defer close(quit)
		if _, err := s.ask(event{kind: eventPut, cfg: testUnit("web health=10s start_timeout=0s")}, nil); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err := s.ask(event{kind: eventWait, name: "web", until: running, timeout: 90 * time.Second}, nil)
		if err == nil || !strings.Contains(err.Error(), "web is still starting after 1m30s") || time.Since(begun) != 90*time.Second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
		cancel := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(cancel) })
		if _, err := s.ask(event{kind: eventWait, name: "web", until: running}, cancel); err == nil {
			t.Error("a cancelled wait has an answer")
		}
		synctest.Wait()
		s.view(func(g *graph, _ time.Time) {
			if n := len(g.unit("web").waiters); n != 0 {
				t.Errorf("%d requests are left behind", n)
			}
		})
	})
}

// TestRow27_ClockJumps: no deadline hangs on the time of day. Those of a running server have a monotonic reading, which comparing and
// subtracting prefer; those that a server leaves to the next one are saved by the monotonic clock, which stands above a jump.
func TestRow27_ClockJumps(t *testing.T) {
	s, quit := stageLoop(func(s *supervisor, e *effect) {
		switch e.kind {
		case effectSpawn:
			s.submit(event{kind: eventSpawned, name: e.name, gen: e.gen, pid: 7})
			if e.name == "web" {
				s.submit(event{kind: eventExited, name: e.name, gen: e.gen, exit: exit{Known: true, Code: 1}})
			}
		case effectReply:
			e.ticket.done <- e.reply()
		}
	})
	defer close(quit)
	for _, unit := range []string{"web delay=1m", "slow health=10s start_timeout=30s", "deaf"} {
		if _, err := s.ask(event{kind: eventPut, cfg: testUnit(unit)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "web waits for its restart", func() (pending bool) {
		s.view(func(g *graph, _ time.Time) {
			pending = g.unit("web").pending && g.unit("slow").spawned && g.unit("deaf").spawned
		})
		return pending
	})
	if _, err := s.ask(event{kind: eventStop, name: "deaf"}, nil); err != nil {
		t.Fatal(err)
	}
	s.view(func(g *graph, now time.Time) {
		for what, at := range map[string]time.Time{"now": now, "the restart": g.unit("web").restartDue, "the start timeout": g.unit("slow").startDue,
			"the stop timeout": g.unit("deaf").stopDue, "the timer": g.nextDue()} {
			if at.IsZero() || at == at.Round(0) { // Round strips a monotonic reading
				t.Errorf("%s (%v) follows the time of day", what, at)
			}
		}
	})
	before := clockNow()
	due := before.save(before.now.Add(time.Minute))
	for _, years := range []int{-50, 0, 10} {
		after := monoClock{before.now.Round(0).AddDate(years, 0, 0), before.mono + int64(10*time.Second)}
		if left := after.load(due).Sub(after.now); left != 50*time.Second {
			t.Errorf("a clock that jumped by %d years while a server was replaced leaves %v of a minute after ten seconds", years, left)
		}
	}
}

// describe writes down what of a graph must survive.
func describe(g *graph) string {
	var b strings.Builder
	for _, n := range g.names() {
		u := g.units[n]
		fmt.Fprintf(&b, "%s %s up=%v leave=%d gen=%d pid=%d again=%v forced=%v itself=%v tries=%d restarts=%d pending=%v live=%d/%d checks=%d face=%+v %v %v",
			n, u.state, u.up, u.leave, u.gen, u.pid, u.restartAfterStop, u.forced, u.byItself, u.tries, u.restartCount, u.pending, u.standingRequiring, u.standingAfter, u.health.checks, u.summary.live, u.cfg.Dependencies, u.next != nil)
		if u.reason != nil {
			b.WriteString(" " + u.reason.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestTheStartIsABurst: on a slow machine the services take long to load, and that is no time to collect garbage.
func TestTheStartIsABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usual := debug.SetGCPercent(100)
		defer debug.SetGCPercent(usual)
		var over atomic.Int32
		b := newBurst(func() { over.Add(1) })
		defer b.over.Stop()
		for _, pause := range []time.Duration{time.Minute, burstOver - 1, burstOver - 1} {
			time.Sleep(pause)
			b.add(1)
		}
		if over.Load() != 0 {
			t.Error("it was over while services were loaded and started")
		}
		time.Sleep(burstOver)
		synctest.Wait()
		if n := over.Load(); n != 1 {
			t.Errorf("a pause ended it %d times", n)
		}
	})
}

// graph_cost_test.go holds the core to its price: what follows from an event is found over the neighbours it touches, so that the cost of many events grows as their number.

//go:build unix

package main

import (
	"fmt"
	"testing"
	"time"
)

// crowd plays events into a graph with very many units, and answers every spawn and stop at once.
type crowd struct {
	g       *graph
	now     time.Time
	longest time.Duration // step
	replies int
}

func newCrowd(lines ...string) *crowd {
	c := &crowd{g: newGraph(time.Minute), now: time.Unix(1_000_000, 0)}
	c.reload(false, lines...)
	return c
}

func (c *crowd) step(ev event) {
	for work := []event{ev}; len(work) > 0; work = work[1:] {
		began := time.Now()
		out := c.g.step(c.now, work[0])
		c.longest = max(c.longest, time.Since(began))
		for i := range out {
			switch e := &out[i]; e.kind {
			case effectSpawn:
				work = append(work, event{kind: eventSpawned, name: e.name, gen: e.gen, pid: 1})
			case effectStop, effectKill:
				work = append(work, event{kind: eventExited, name: e.name, gen: e.gen, exit: exit{Known: true}})
			case effectReply:
				c.replies++
			}
		}
	}
}

func (c *crowd) reload(restart bool, lines ...string) {
	load := &loadResult{}
	for _, l := range lines {
		load.configs = append(load.configs, testUnit(l))
	}
	c.step(event{kind: eventReload, load: load, restart: restart, to: &ticket{}})
}

// lines makes n units; what stands behind the name is told their number.
func unitLines(n int, rest func(i int) string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("s%05d %s", i, rest(i))
	}
	return lines
}

// chainLines makes n units, each of which requires the one before.
func chainLines(n int, more string) []string {
	return unitLines(n, func(i int) string {
		if i == 0 {
			return more
		}
		return fmt.Sprintf("requires=s%05d %s", i-1, more)
	})
}

// hubLines makes n units and one more that stands to all of them as the word says.
func hubLines(n int, hub, word, more string) []string {
	lines := unitLines(n, func(int) string { return more })
	list := ""
	for i := range n {
		list += fmt.Sprintf(",s%05d", i)
	}
	return append(lines, hub+" "+word+"="+list[1:])
}

func plain(int) string { return "" }

// costs are ways to make the core work: each plays some number of events for each of n units.
var costs = []struct {
	name string
	play func(n int) *crowd
}{
	{"boot of a chain", func(n int) *crowd { return newCrowd(chainLines(n, "")...) }},
	{"boot of a chain, the last first", func(n int) *crowd {
		return newCrowd(unitLines(n, func(i int) string {
			if i == n-1 {
				return ""
			}
			return fmt.Sprintf("requires=s%05d", i+1)
		})...)
	}},
	{"boot of a chain that nobody starts", func(n int) *crowd {
		lines := chainLines(n, "")
		lines[0] += " status=stop"
		return newCrowd(lines...)
	}},
	{"boot of a chain whose first is missing", func(n int) *crowd { return newCrowd(chainLines(n, "")[1:]...) }},
	{"boot of targets in a row", func(n int) *crowd { return newCrowd(chainLines(n, "target")...) }},
	{"one that requires all", func(n int) *crowd { return newCrowd(hubLines(n, "all", "requires", "")...) }},
	{"one that requires all, the last of which nobody starts", func(n int) *crowd {
		lines := hubLines(n, "all", "requires", "")
		lines[n-1] += " status=stop"
		return newCrowd(lines...)
	}},
	{"one that requires all, none of which starts", func(n int) *crowd { return newCrowd(hubLines(n, "all", "requires", "exec=/none requires=gone")...) }},
	{"one that comes after all", func(n int) *crowd { return newCrowd(hubLines(n, "all", "after", "")...) }},
	{"one that conflicts with all", func(n int) *crowd { return newCrowd(hubLines(n, "zall", "conflicts", "")...) }},
	{"one that all require", func(n int) *crowd {
		c := newCrowd(append(unitLines(n, func(int) string { return "requires=db" }), "db")...)
		c.step(event{kind: eventRestart, name: "db", to: &ticket{}})
		return c
	}},
	{"creating one by one", func(n int) *crowd {
		c := newCrowd()
		for _, l := range chainLines(n, "") {
			c.step(event{kind: eventPut, cfg: testUnit(l), to: &ticket{}})
		}
		return c
	}},
	{"setting one by one", func(n int) *crowd {
		c := newCrowd(unitLines(n, plain)...)
		for _, l := range unitLines(n, func(int) string { return "exec=/bin/new" }) {
			c.step(event{kind: eventPut, cfg: testUnit(l), replace: true, restart: true, to: &ticket{}})
		}
		return c
	}},
	{"setting a chain one by one", func(n int) *crowd {
		c := newCrowd(chainLines(n, "")...)
		for _, l := range chainLines(n, "exec=/bin/new") {
			c.step(event{kind: eventPut, cfg: testUnit(l), replace: true, to: &ticket{}})
		}
		return c
	}},
	{"deleting one by one", func(n int) *crowd {
		c := newCrowd(chainLines(n, "")...)
		for i := n - 1; i >= 0; i-- {
			c.step(event{kind: eventDelete, name: fmt.Sprintf("s%05d", i), to: &ticket{}})
		}
		return c
	}},
	{"a reload that changes all", func(n int) *crowd {
		c := newCrowd(unitLines(n, plain)...)
		c.reload(true, unitLines(n, func(int) string { return "exec=/bin/new" })...)
		return c
	}},
	{"a reload that changes all of a chain", func(n int) *crowd {
		c := newCrowd(chainLines(n, "")...)
		c.reload(true, chainLines(n, "exec=/bin/new")...)
		return c
	}},
	{"a reload that turns a chain round", func(n int) *crowd {
		c := newCrowd(chainLines(n, "")...)
		c.reload(true, unitLines(n, func(i int) string {
			if i == n-1 {
				return ""
			}
			return fmt.Sprintf("requires=s%05d", i+1)
		})...)
		return c
	}},
	{"a reload that removes all", func(n int) *crowd {
		c := newCrowd(hubLines(n, "all", "requires", "")...)
		c.reload(false)
		return c
	}},
	{"stop_all, start_all, delete_all", func(n int) *crowd {
		c := newCrowd(chainLines(n, "")...)
		for _, kind := range []eventKind{eventStopAll, eventStartAll, eventDeleteAll} {
			c.step(event{kind: kind, to: &ticket{}})
		}
		return c
	}},
	{"shutdown", func(n int) *crowd {
		c := newCrowd(chainLines(n, "")...)
		c.step(event{kind: eventShutdown, power: "exit"})
		return c
	}},
}

// TestWorkIsLinear: nothing that happens to many services makes the core look at more than some units for each of them.
func TestWorkIsLinear(t *testing.T) {
	const n, most = 2000, 40
	for _, cost := range costs {
		t.Run(cost.name, func(t *testing.T) {
			c := cost.play(n)
			t.Logf("%.1f looks a unit, longest step %v", float64(c.g.visited)/n, c.longest)
			if c.g.visited > most*n {
				t.Errorf("the core looked at %d units and neighbours for %d units, more than %d for each", c.g.visited, n, most)
			}
		})
	}
}

// TestLongStepsPause: a step of many units lets others look now and then, and whatever they look at makes sense to them; a short step does not.
func TestLongStepsPause(t *testing.T) {
	const n = 1000
	c := &crowd{g: newGraph(time.Minute), now: time.Unix(1_000_000, 0)}
	pauses := 0
	c.g.pause = func() {
		pauses++
		for i, name := range c.g.names() {
			if u := c.g.unit(name); i%100 == 0 {
				c.g.why(u, c.now)
				c.g.blockedBy(u)
				u.saved(clockNow(), 0)
			}
		}
		c.g.tree("")
		c.g.settled()
	}
	for _, play := range []struct {
		what string
		do   func()
	}{
		{"load", func() { c.reload(false, chainLines(n, "")...) }},
		{"reload", func() { c.reload(true, chainLines(n, "exec=/bin/new")...) }},
		{"shutdown", func() { c.step(event{kind: eventShutdown, power: "exit"}) }},
	} {
		pauses = 0
		play.do()
		if pauses == 0 {
			t.Errorf("%s of %d units: not a single pause", play.what, n)
		}
		pauses = 0
		c.step(event{kind: eventStop, name: "s00999", to: &ticket{}})
		if pauses != 0 {
			t.Errorf("after the %s: the stop of one unit made %d pauses", play.what, pauses)
		}
	}
}

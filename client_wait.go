// client_wait.go waits for answers that take as long as services take, and shows on a terminal what is still open; it says nothing about the results.

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// waitTick is how often a terminal is told what a command still waits for.
const waitTick = 250 * time.Millisecond

// interruptible makes Ctrl-C leave with 130 and nothing else: what was asked of the server goes on. In a REPL Ctrl-C ends only the command.
func (c *cli) interruptible() {
	if c.guarded || c.stop != nil {
		return
	}
	c.guarded = true
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt)
	background("interrupt", func() {
		<-ch
		c.clearProgress()
		if c.kept != "" {
			hint("%s", c.kept)
		}
		os.Exit(exitInterrupted)
	})
}

// showProgress draws one line over the one drawn before, on a terminal only. clearProgress takes it away.
func (c *cli) showProgress(elapsed time.Duration, text string) {
	if elapsed >= time.Second {
		text = span(elapsed.Truncate(time.Second)) + ": " + text
	}
	fmt.Fprint(stderr, eraseLine+c.paint(styleDim, cut(visible(text), cmp.Or(c.width, 80)-1)))
}

func (c *cli) clearProgress() {
	if c.progress {
		fmt.Fprint(stderr, eraseLine)
	}
}

// due is when the time of --timeout will be over, and some more; without one it is zero.
func (c *cli) due(more time.Duration) time.Time {
	if c.timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(c.timeout + more)
}

// waitFrames reads frames until take says that it has what it wants. On a terminal tick, if there is one, is called every waitTick.
// A zero deadline waits without limit; the error at the deadline is os.ErrDeadlineExceeded.
func (c *cli) waitFrames(deadline time.Time, take func(*frame) (done bool), tick func(elapsed time.Duration)) error {
	progress := c.progress && tick != nil
	if progress {
		defer c.clearProgress()
	}
	began := time.Now()
	for next := began.Add(waitTick); ; {
		until := deadline
		if progress && (deadline.IsZero() || next.Before(deadline)) {
			until = next
		}
		f, err := c.server.next(until)
		if err == nil && take(f) {
			return nil
		}
		if err != nil && (until == deadline || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
		if now := time.Now(); progress && !now.Before(next) {
			tick(now.Sub(began))
			next = now.Add(waitTick)
		}
	}
}

// request is one of several calls that wait at the same time.
type request struct {
	name   string // of the service that it is about
	params any
	result json.RawMessage
	err    error
	done   bool
	shown  string // what a terminal shows of it until it is done
}

// exchange sends requests for the same method and waits until each has its answer; other gets the frames that are none of these answers.
func (c *cli) exchange(method string, all []*request, deadline time.Time, other func(*frame), tick func(elapsed time.Duration)) error {
	open := map[string]*request{}
	for _, r := range all {
		id, err := c.server.send(method, r.params)
		if err != nil {
			return err
		}
		open[id] = r
	}
	if len(open) == 0 {
		return nil
	}
	return c.waitFrames(deadline, func(f *frame) bool {
		id := string(f.ID)
		r := open[id]
		if r == nil && len(all) == 1 && f.Error != nil && id == "null" { // the server could not read the request
			r = all[0]
		}
		if r == nil {
			other(f)
			return false
		}
		delete(open, id)
		r.done, r.result = true, f.Result
		if f.Error != nil {
			r.err = f.Error
		}
		if f.LeftOut > 0 && c.cmd != nil {
			hint("the answer to %s lacks %d more: all of it would be too large", method, f.LeftOut)
		}
		return len(open) == 0 || len(all) == 1
	}, tick)
}

// exchangeOne is exchange for one request.
func (c *cli) exchangeOne(method string, p any, deadline time.Time, tick func(elapsed time.Duration)) (json.RawMessage, error) {
	r := &request{params: p}
	if err := c.exchange(method, []*request{r}, deadline, func(*frame) {}, tick); err != nil {
		return nil, err
	}
	return r.result, r.err
}

// longCall makes a call that takes as long as services take to stop or start. Only --timeout ends it, and then what was asked for goes on.
func (c *cli) longCall(method string, p any) (json.RawMessage, error) {
	c.interruptible()
	raw, err := c.exchangeOne(method, p, c.due(0), func(elapsed time.Duration) { c.showProgress(elapsed, c.cmd.name) })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%s has not answered within %s; it goes on", method, span(c.timeout))
	}
	return raw, err
}

// callAll makes the same call for all names at once and waits for every answer. Meanwhile a terminal shows which are open and why.
func (c *cli) callAll(names []string, method string, extra params) ([]*request, error) {
	all, err := c.callAllOnce(names, method, extra)
	if c.mayRepeat(method, err) {
		all, err = c.callAllOnce(names, method, extra)
	}
	return all, err
}

func (c *cli) callAllOnce(names []string, method string, extra params) ([]*request, error) {
	all := make([]*request, len(names))
	for i, name := range names {
		p := extra.withName(name)
		if c.timeout > 0 {
			p["timeout_ms"] = c.timeout.Milliseconds()
		}
		all[i] = &request{name: name, params: p}
	}
	c.interruptible()
	asked := map[string]*request{}
	answered := func(f *frame) {
		if r := asked[string(f.ID)]; r != nil {
			delete(asked, string(f.ID))
			r.shown = progressText(f.Result)
		}
	}
	tick := func(elapsed time.Duration) {
		open := slices.DeleteFunc(slices.Clone(all), func(r *request) bool { return r.done })
		text, first := "", open[:min(8, len(open))]
		if len(open) > 1 {
			text = fmt.Sprintf("%d to go: ", len(open))
		}
		var parts []string
		for _, r := range first {
			parts = append(parts, strings.TrimSpace(r.name+" "+r.shown))
		}
		c.showProgress(elapsed, text+strings.Join(parts, ", "))
		if len(asked) > 0 {
			return
		}
		for _, r := range first {
			if id, err := c.server.send("service.status", params{"name": r.name}); err == nil {
				asked[id] = r
			}
		}
	}
	err := c.exchange(method, all, c.due(2*time.Second), answered, tick) // the server keeps the time; this is for one that does not answer
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &lostError{"the server at " + c.server.path + " does not answer", lostSilent}
	}
	return all, err
}

// progressText is what is shown of a status while it is waited for: "starting", "waits for db".
func progressText(status json.RawMessage) string {
	var s serviceStatusFull
	if decodeJSON(status, &s) != nil {
		return ""
	}
	switch {
	case len(s.BlockedBy) > 0:
		return "waits for " + strings.Join(s.BlockedBy, " and ")
	case s.RestartInMS != nil:
		return s.State.String() + ", " + restartText(&s)
	}
	return s.State.String()
}

// waitGone waits until the server has closed the connection, and shows on a terminal which services still run.
func (c *cli) waitGone() int {
	c.interruptible()
	var asked string
	var left []string
	take := func(f *frame) bool {
		var all []serviceStatusFull
		if string(f.ID) == asked && decodeJSON(f.Result, &all) == nil {
			asked, left = "", nil
			for i := range all {
				if all[i].PID != 0 {
					left = append(left, all[i].Name)
				}
			}
		}
		return false
	}
	tick := func(elapsed time.Duration) {
		text := "shutting down"
		if len(left) > 0 {
			text += ": " + plural(len(left), "service") + " to stop: " + strings.Join(left, ", ")
		}
		c.showProgress(elapsed, text)
		if asked == "" {
			asked, _ = c.server.send("service.list_full", nil)
		}
	}
	err := c.waitFrames(c.due(0), take, tick)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		errorf("the server still runs after %s; it goes on shutting down", span(c.timeout))
		return exitRefused
	}
	if lostBy(err) == lostClosed && !c.stop.interrupted() {
		return exitDone
	}
	return c.fail("", err)
}

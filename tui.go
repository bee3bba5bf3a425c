// tui.go is the loop of the full screen, and its connections to the server. It decides nothing about services.

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// tui is the running full screen.
type tui struct {
	terminal
	model   *tuiModel
	drawn   *canvas // what the terminal shows; nil: unknown
	socket  string
	updates chan func(*tuiModel)
	wake    chan struct{}   // the list is to be asked for now
	ctx     context.Context // until the user leaves
	detail  atomic.Value    // string: the service whose detail is to be asked for
	logOf   string
	stopLog func() // ends the connection for the log of logOf; nil: there is none yet
}

const (
	tuiPeriod   = time.Second            // between two looks at the services
	tuiPace     = 40 * time.Millisecond  // between two updates of the screen, unless a key was pressed
	tuiSettle   = 100 * time.Millisecond // the log is asked for when a selection has not changed for so long
	tuiPatience = 5 * time.Second        // for an answer, before the server counts as lost
)

// cmdTUI is the full screen, until the user leaves it.
func cmdTUI(c *cli) int {
	cols, rows, ok := terminalSize(1)
	if _, _, in := terminalSize(0); !in || !ok || os.Getenv("TERM") == "dumb" {
		errorf("the full screen needs a terminal that can move its cursor")
		hint("zinit list, zinit monitor and zinit logs -f do without")
		return exitUsage
	}
	c.server.conn.Close()
	c.stop.ownScreen(true)
	defer c.stop.ownScreen(false)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	t := &tui{model: newTUIModel(cols, rows), socket: c.socket, updates: make(chan func(*tuiModel), 256), wake: make(chan struct{}, 1), ctx: ctx}
	t.model.color, t.model.where = c.color, c.server.path
	if err := t.take(true); err != nil {
		errorf("%v", err)
		return exitRefused
	}
	defer t.endBySignal(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)()
	defer t.restore()
	t.connect(ctx, "services", t.watchServices)
	t.connect(ctx, "events", t.watchEvents)
	keys := make(chan key)
	background("keys", func() { t.readKeys(keys) })
	err := t.loop(keys)
	leave()
	for range keys { // until nobody reads the keyboard any more
	}
	t.restore()
	if err != nil {
		errorf("%v", err)
		return exitRefused
	}
	return exitDone
}

// readKeys hands keys over until the full screen ends.
func (t *tui) readKeys(keys chan key) {
	defer close(keys)
	defer t.guard()
	kb := &keyboard{file: os.Stdin}
	for t.ctx.Err() == nil {
		k, ok := kb.next(int(tuiSettle / time.Millisecond))
		if !ok {
			continue
		}
		select {
		case keys <- k:
		case <-t.ctx.Done():
		}
		if k.code == keyHangup {
			return
		}
	}
}

// loop applies keys, updates and signals to the model, and draws it. It returns when the user leaves.
func (t *tui) loop(keys chan key) error {
	signals := make(chan os.Signal, 4)
	terminalSignals(signals)
	defer signal.Stop(signals)
	var last time.Time
	for due := time.NewTimer(0); ; {
		select {
		case k := <-keys:
			act := t.model.key(k)
			if act.what == "quit" {
				return nil
			}
			t.perform(act)
			last = time.Time{}
		case f := <-t.updates:
			f(t.model)
			for range len(t.updates) {
				(<-t.updates)(t.model)
			}
		case sig := <-signals:
			t.jobControl(sig)
			t.resized()
			last = time.Time{}
		case <-due.C:
		}
		t.reconcile()
		if wait := tuiPace - time.Since(last); wait > 0 {
			due.Reset(wait)
			continue
		}
		if err := t.draw(); err != nil {
			return fmt.Errorf("the terminal is gone: %w", err)
		}
		last = time.Now()
	}
}

func (t *tui) draw() error {
	p := t.model.render()
	if t.drawn != nil && t.drawn.curX == p.curX && t.drawn.curY == p.curY && slices.Equal(t.drawn.glyphs, p.glyphs) {
		return nil
	}
	text := p.update(t.drawn)
	t.drawn = p
	return t.write(text)
}

// resized follows a new size of the terminal, and draws everything again as after a continuation.
func (t *tui) resized() {
	if cols, rows, ok := terminalSize(1); ok {
		t.model.cols, t.model.rows = cols, rows
	}
	t.drawn = nil
}

// perform does what a key asks for.
func (t *tui) perform(act tuiAct) {
	switch {
	case act.name != "":
		background("full screen: "+act.what, func() { t.call(act) })
	case act.what == "redraw":
		t.drawn = nil
	case act.what == "suspend":
		suspend() // loop gets the signal
	}
}

// call makes a call on a connection of its own and shows its result.
func (t *tui) call(act tuiAct) {
	defer t.guard()
	c := &cli{socket: t.socket, timeout: tuiPatience}
	_, err := c.dial()
	var answer stateResult
	p := params{"name": act.name}
	if act.signal != "" {
		p["signal"] = act.signal
	}
	if err == nil {
		_, err = c.call("service."+act.what, p, &answer)
		c.server.conn.Close()
	}
	text, style := act.name+": "+answer.State.String(), ""
	if act.signal != "" {
		text = act.name + ": sent " + act.signal
	}
	if err != nil {
		text, style = err.Error(), styleRed
	}
	t.post(func(m *tuiModel) { m.say(style, text) })
	t.refresh()
}

// post has the loop change the model.
func (t *tui) post(f func(*tuiModel)) {
	select {
	case t.updates <- f:
	case <-t.ctx.Done():
	}
}

// refresh has the list asked for soon.
func (t *tui) refresh() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// reconcile makes the connections follow the model: the log that is shown, and the service in detail.
func (t *tui) reconcile() {
	if t.detail.Swap(t.model.selected) != t.model.selected {
		t.refresh()
	}
	of := t.model.logOf()
	if t.stopLog != nil && of == t.logOf {
		return
	}
	if t.stopLog != nil {
		t.stopLog()
	}
	ctx, stop := context.WithCancel(t.ctx)
	t.logOf, t.stopLog = of, stop
	t.model.clearLog()
	t.connect(ctx, "log", func(ctx context.Context, c *cli) error { return t.watchLog(ctx, c, of) })
}

// connect runs talk on a connection of its own, and again on a new one a second after it has failed. The connection is closed when ctx ends.
func (t *tui) connect(ctx context.Context, what string, talk func(context.Context, *cli) error) {
	background("full screen: "+what, func() {
		defer t.guard()
		for {
			c := &cli{socket: t.socket, timeout: tuiPatience}
			_, err := c.dial()
			if err == nil {
				one, done := context.WithCancel(ctx)
				background("full screen: end of "+what, func() {
					<-one.Done()
					c.server.conn.Close()
				})
				err = talk(one, c)
				done()
			}
			if ctx.Err() == nil && what == "services" && err != nil {
				t.post(func(m *tuiModel) { m.lost = err.Error() })
			}
			if !wait(ctx, tuiPeriod) {
				return
			}
		}
	})
}

// wait sleeps; false when ctx ends meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// watchServices asks for all services once a second and whenever something has happened, and for the detail of the selected one.
func (t *tui) watchServices(ctx context.Context, c *cli) error {
	for {
		var all []serviceStatusFull
		if _, err := c.call("service.list_full", nil, &all); err != nil {
			return err
		}
		name, _ := t.detail.Load().(string)
		d, err := c.tuiDetail(name)
		if err != nil {
			return err
		}
		where := c.server.path
		t.post(func(m *tuiModel) { m.where, m.detail = where, d; m.setServices(all) })
		if !wait(ctx, tuiSettle) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		case <-time.After(tuiPeriod - tuiSettle):
		}
	}
}

// tuiDetail asks for what is known of one service beyond its status. A service that is gone has nothing.
func (c *cli) tuiDetail(name string) (d tuiDetail, err error) {
	if name == "" {
		return d, nil
	}
	var why textResult
	for method, into := range map[string]any{"service.get": &d, "service.why": &why} {
		if _, err := c.call(method, params{"name": name}, into); err != nil && lostBy(err) != notLost {
			return d, err
		}
	}
	d.Name, d.Why = name, why.Text
	return d, nil
}

// watchEvents has the list asked for when a service changes its state.
func (t *tui) watchEvents(_ context.Context, c *cli) error {
	return c.listen("events.subscribe", nil, func(*frame) bool { t.refresh(); return true })
}

// watchLog follows the log of a service, "" for all, from its newest lines on.
func (t *tui) watchLog(ctx context.Context, c *cli, of string) error {
	if !wait(ctx, tuiSettle) {
		return nil
	}
	p := params{"lines": tuiLogMost / 4}
	if of != "" {
		p["services"] = []string{of}
	}
	update := func(f func(*tuiModel)) {
		t.post(func(m *tuiModel) {
			if m.logOf() == of {
				f(m)
			}
		})
	}
	update((*tuiModel).clearLog)
	return c.listen("logs.follow", p, func(f *frame) bool {
		if line, err := decodeLog(f.Params); err == nil {
			update(func(m *tuiModel) {
				if line.Lost > 0 {
					m.addLog(logLine{Stream: streamStderr, Text: line.lostText()})
				}
				m.addLog(line.logLine)
			})
		}
		return true
	})
}

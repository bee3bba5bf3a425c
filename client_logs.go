// client_logs.go holds the commands that show what is written and what happens: logs and monitor, once or as it comes.

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

func cmdLogs(c *cli) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	since, err := parseTime("since", c.flag("since"), time.Now())
	if err != nil {
		return c.misuse("%v", err)
	}
	until, err := parseTime("until", c.flag("until"), time.Now())
	if err != nil {
		return c.misuse("%v", err)
	}
	lines := -1
	if s := c.flag("lines"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return c.misuse("bad --lines `%s`: a number", s)
		}
		lines = int(n)
	}
	p := params{}.with("stream", c.flag("stream"))
	if c.has("follow") {
		if until != 0 {
			return c.misuse("--until has no place with --follow, which shows what is still to come")
		}
		if c.unknownNow(names) {
			return exitNoService
		}
		return c.followLogs(names, p, since, lines)
	}
	p.with("contains", c.flag("grep"))
	if since != 0 {
		p["since_ms"] = since
	}
	if until != 0 {
		p["until_ms"] = until
	}
	if lines >= 0 {
		p["lines"] = lines
	}
	return c.filterLogs(names, p, lines)
}

// filterLogs prints the lines that there are. Those of several services are merged in the order in which they were written.
func (c *cli) filterLogs(names []string, p params, limit int) int {
	if len(names) < 2 {
		name := cmp.Or(names...)
		raw, err := c.call("logs.filter", p.with("service", name), nil)
		var lines []logLine
		return c.shown(name, raw, err, &lines, func() int {
			c.printLogs(lines, name == "")
			return exitDone
		})
	}
	var merged []logLine
	code := exitDone
	for _, name := range names {
		var lines []logLine
		if _, err := c.call("logs.filter", p.with("service", name), &lines); err != nil {
			code = cmp.Or(code, c.fail(name, err))
			continue
		}
		merged = append(merged, lines...)
	}
	if limit < 0 {
		limit = len(merged)
	}
	merged = newestOf(merged, limit)
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, merged))
		return code
	}
	c.printLogs(merged, true)
	return code
}

func (c *cli) printLogs(lines []logLine, named bool) {
	width := 0
	for i := range lines {
		width = max(width, columns(lines[i].Service))
	}
	for i := range lines {
		c.printLog(&lines[i], named, width)
	}
}

// printLog prints one line of a log, whole: nothing that a service wrote is cut.
func (c *cli) printLog(l *logLine, named bool, width int) {
	head := ""
	if c.has("time") {
		head = c.paint(styleDim, clock(l.TimeMS, "2006-01-02 15:04:05.000")) + " "
	}
	if named {
		name := visible(l.Service)
		head += c.paint(styleBold, name) + strings.Repeat(" ", max(0, width-columns(name))) + " | "
	}
	text := l.Text
	if !c.has("raw") {
		text = visible(text)
	}
	if l.Stream == streamStderr {
		text = c.paint(styleYellow, text)
	}
	fmt.Fprintln(c.out, head+text)
}

// parseTime reads a point in time, the value of a flag: how long ago (10m), a time of today, a date, or RFC 3339. It gives ms since the epoch; 0 for "".
func parseTime(flag, s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d.Abs()).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t.UnixMilli(), nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()).UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("bad --%s `%s`: such as 10m, 14:30, 2026-01-31 or \"2026-01-31 14:30\"", flag, s)
}

// linesAgain is how many old lines a follower requests after the server was replaced, to continue after the last line that it printed.
const linesAgain = 10000

// followLogs prints lines as they come, until Ctrl-C or the end of the server.
func (c *cli) followLogs(names []string, p params, since int64, lines int) int {
	if len(names) > 0 {
		p["services"] = names
	}
	if since != 0 && lines < 0 {
		lines = 1000
	}
	if lines >= 0 {
		p["lines"] = lines
	}
	width := 0
	for _, n := range names {
		width = max(width, columns(n))
	}
	var newest, before logLine // the newest line, and what that was when the server was replaced
	mayLack := false
	again := func() {
		if before, mayLack = newest, true; newest.Seq > 0 {
			p["lines"] = linesAgain
		}
	}
	return c.subscribe("logs.follow", p, again, func(raw json.RawMessage) {
		l, err := decodeLog(raw)
		if err == nil && l.Seq <= before.Seq && l.TimeMS <= before.TimeMS {
			mayLack = false // the next server has what was shown already, and all since
			return
		}
		if mayLack {
			errorf("the server was replaced; lines may be missing")
			mayLack = false
		}
		newest = l.logLine
		if err != nil || l.TimeMS < since || !strings.Contains(l.Text, c.flag("grep")) {
			return
		}
		if c.json {
			fmt.Fprintf(c.out, "%s\n", appendJSON(nil, l))
			return
		}
		if l.Lost > 0 {
			fmt.Fprintln(c.out, c.paint(styleRed, l.lostText()))
		}
		width = max(width, columns(l.Service))
		c.printLog(&l.logLine, len(names) != 1, width)
	})
}

func decodeLog(raw json.RawMessage) (l followedLine, err error) {
	err = decodeJSON(raw, &l)
	return l, err
}

func (l *followedLine) lostText() string {
	return "(" + plural(int(l.Lost), "line") + " lost: too slow)"
}

// listen makes a call that is answered by notifications and passes the answer and each of them to take, until take says false or the connection breaks.
func (c *cli) listen(method string, p params, take func(*frame) bool) error {
	id, err := c.server.send(method, p)
	if err != nil {
		return err
	}
	for {
		f, err := c.server.next(time.Time{})
		switch {
		case err != nil:
			return err
		case string(f.ID) == id && f.Error != nil:
			return f.Error
		case !take(f):
			return nil
		}
	}
}

// subscribe is listen for a command: it shows each notification at once, until Ctrl-C or the end of the server. When the server is replaced it calls again, which
// may change p, and goes on with the next one.
func (c *cli) subscribe(method string, p params, again func(), show func(json.RawMessage)) int {
	c.interruptible()
	answered := true // a call that only reads is made once more
	listen := func() error {
		return c.listen(method, p, func(f *frame) bool {
			if answered = true; f.Method != "" {
				show(f.Params)
			}
			return c.server.in.Buffered() > 0 || c.out.Flush() == nil // nothing more has come: show it
		})
	}
	err := listen()
	for answered && c.mayRepeat(method, err) {
		answered = false
		again()
		err = listen()
	}
	if err == nil {
		return exitRefused // the output is closed
	}
	_ = c.out.Flush()
	return c.fail(cmp.Or(c.args...), err)
}

func cmdMonitor(c *cli) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	p := params{}
	if len(names) > 0 {
		p["services"] = names
	}
	if c.unknownNow(names) {
		return exitNoService
	}
	again := func() { errorf("the server was replaced; events may be missing") }
	return c.subscribe("events.subscribe", p, again, func(raw json.RawMessage) {
		if c.json {
			fmt.Fprintf(c.out, "%s\n", raw)
			return
		}
		var e serviceEvent
		if decodeJSON(raw, &e) != nil {
			return
		}
		if e.Lost > 0 {
			fmt.Fprintf(c.out, "(%s lost: too slow)\n", plural(int(e.Lost), "event"))
		}
		text := visible(string(e.Type))
		if e.From != nil && e.To != nil {
			text = c.state(*e.From) + " -> " + c.state(*e.To)
		}
		if e.Reason != nil {
			text += " (" + visible(reasonText(e.Reason)) + ")"
		}
		fmt.Fprintf(c.out, "%s %s: %s\n", c.paint(styleDim, clock(e.TimeMS, "15:04:05.000")), c.paint(styleBold, visible(e.Service)), text)
	})
}

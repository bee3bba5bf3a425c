// client_system.go holds the commands about the server and the machine (ping, info, shutdown, upgrade), any call, and the check without a server.

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func cmdPing(c *cli) int {
	var p pingResult
	return c.simple("system.ping", nil, &p, func() int {
		fmt.Fprintf(c.out, "zinit %s answers: pid %d, up %s, %s\n", visible(p.Version), p.PID, span(millis(p.UptimeMS)), visible(string(p.Mode)))
		return exitDone
	})
}

func cmdInfo(c *cli) int {
	var i infoResult
	return c.simple("system.info", nil, &i, func() int {
		rows := [][2]string{{"version", i.Version}, {"mode", string(i.Mode)}, {"pid", strconv.Itoa(i.PID)},
			{"started", clock(i.StartedMS, time.DateTime)}, {"socket", cmp.Or(i.Socket, c.server.path)},
			{"services", strings.Join(i.ConfigDirs, ", ")}, {"kernel", i.Kernel}, {"cgroup", i.Cgroup}}
		for _, d := range i.Degraded {
			rows = append(rows, [2]string{"missing", d})
		}
		for _, r := range rows {
			if r[1] != "" {
				c.entry(10, r[0], r[1], "")
			}
		}
		return exitDone
	})
}

// cmdMetrics prints what is for a program, whole.
func cmdMetrics(c *cli) int {
	var result textResult
	return c.simple("system.metrics", nil, &result, func() int {
		c.printWhole(result.Text)
		return exitDone
	})
}

// cmdUpgrade makes the server switch to another binary, by default to the file that is now at its own path. Services keep running.
func cmdUpgrade(c *cli) int {
	p := params{}
	if len(c.args) > 0 {
		path, err := filepath.Abs(c.args[0])
		if err != nil {
			return c.fail("", err)
		}
		p["binary"] = path
	}
	var next upgradeResult
	raw, err := c.call("system.upgrade", p, &next)
	if err == nil {
		err = c.untilNewServer(next.Version)
	}
	var r upgradeResult
	return c.shown("", raw, err, &r, func() int {
		fmt.Fprintf(c.out, "version %s has taken over\n", visible(r.Version))
		return exitDone
	})
}

// untilNewServer waits for the end of the server that we are connected to, and for an answer of the one after it, which should have that version.
func (c *cli) untilNewServer(version string) error {
	limit := cmp.Or(c.timeout, answerLimit)
	due := time.Now().Add(limit)
	for err := error(nil); err == nil; {
		if _, err = c.server.next(due); errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("version %s was to take over, but the server has not ended within %s", version, span(limit))
		}
	}
	for {
		c.server.conn.Close()
		var p pingResult
		_, err := c.dial()
		if err == nil {
			_, err = c.callOnce("system.ping", nil, &p)
		}
		if err == nil && p.Version != version {
			return fmt.Errorf("version %s did not come up; version %s goes on", version, p.Version)
		}
		if err == nil || time.Now().After(due) {
			return err
		}
		time.Sleep(50 * time.Millisecond) // a socket that could not be kept is made anew
	}
}

// cmdCall makes any call. It has no time limit without --timeout.
func cmdCall(c *cli) int {
	var p any
	if len(c.args) > 1 {
		if _, err := checkText([]byte(c.args[1])); err != nil {
			return c.misuse("the parameters are %v", err)
		}
		p = json.RawMessage(c.args[1])
	}
	raw, err := c.longCall(c.args[0], p)
	return c.shown("", raw, err, new(json.RawMessage), func() int { return c.printRaw(raw) })
}

func cmdDiscover(c *cli) int {
	var raw json.RawMessage
	return c.simple("rpc.discover", nil, &raw, func() int { return c.printRaw(raw) })
}

// printRaw prints a result that has no form of its own for people: indented JSON.
func (c *cli) printRaw(raw json.RawMessage) int {
	c.printWhole(string(indentJSON(raw)))
	return exitDone
}

// cmdProbe runs one check from here: for HEALTHCHECK in images that have no curl.
func cmdProbe(c *cli) int {
	def := &healthDef{Timeout: cmp.Or(c.timeout, 5*time.Second)}
	kind, rest, _ := strings.Cut(c.args[0], ":")
	switch {
	case kind == string(healthTCP) && strings.Contains(rest, ":"):
		def.Type, def.Target = healthTCP, rest
	case kind == "unix" && strings.HasPrefix(rest, "/"):
		def.Type, def.Target = healthTCP, rest
	case kind == string(healthHTTP) && len(rest) > 2:
		def.Type, def.Target = healthHTTP, c.args[0]
	default:
		return c.misuse("bad target `%s`: tcp:HOST:PORT, http://HOST[:PORT]/PATH or unix:/PATH", c.args[0])
	}
	err := check(def, nil)
	if c.json {
		var text any
		if err != nil {
			text = err.Error()
		}
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, map[string]any{"ok": err == nil, "error": text}))
	}
	if err != nil {
		errorf("%v", err)
		return exitNotRunning
	}
	if !c.json {
		fmt.Fprintln(c.out, "ok")
	}
	return exitDone
}

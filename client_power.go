// client_power.go holds the commands that end the server or the machine: shutdown, poweroff, reboot and halt, now or later, also where no server answers.

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// runlevels are the words of init(8) that a program which is not PID 1 understands.
var runlevels = map[string]string{"0": "poweroff", "6": "reboot"}

// shutdownWords translates the arguments of shutdown(8): -h, or a time alone, means power-off; no arguments mean +1.
func shutdownWords(words []string) []string {
	if len(words) == 0 {
		words = []string{"+1"}
	}
	line, kind := []string{"shutdown"}, "-P"
	for _, w := range words {
		if len(w) > 1 && w[0] == '-' && w[1] != '-' {
			w = strings.ReplaceAll(w, "h", "P")
			kind = ""
		}
		line = append(line, w)
	}
	if kind != "" {
		line = append(line, kind)
	}
	return line
}

// cmdGoDown requests a shutdown, power-off, reboot or halt and waits until the server has ended. With a delay it returns at once.
// If the server ends before it answers, the request counts as done; if it does not answer in time, that is an error.
func cmdGoDown(c *cli) int {
	name, p := c.cmd.name, params{}
	for _, kind := range []string{"poweroff", "reboot", "halt"} {
		if name == "shutdown" && c.has(kind) {
			name = kind
		}
	}
	if c.has("force") {
		return c.fail("", sysForceDown(name))
	}
	if c.has("cancel") {
		name, p["cancel"] = "shutdown", true
	}
	if len(c.args) > 0 {
		delay, err := parseDelay(c.args[0])
		if err != nil {
			return c.misuse("%v", err)
		}
		if delay > 0 {
			p["delay_ms"] = delay.Milliseconds()
			p.with("message", strings.Join(c.args[1:], " "))
		}
	}
	if code, done := c.connectOrSignal(name, len(p) == 0); done {
		return code
	}
	raw, err := c.call("system."+name, p, nil)
	switch how := lostBy(err); {
	case how == lostClosed && !c.stop.interrupted():
		return exitDone
	case how == lostSilent:
		return c.silent(err)
	case err != nil:
		return c.fail("", err)
	}
	if c.json {
		c.printJSON(raw)
	}
	if len(p) > 0 {
		return exitDone
	}
	return c.waitGone()
}

// connectOrSignal connects to the server. If none answers and PID 1 is zinit, root sends PID 1 the signal for an immediate shutdown instead; done is then true.
func (c *cli) connectOrSignal(name string, now bool) (code int, done bool) {
	if _, err := c.dial(); err == nil {
		return exitDone, false
	}
	if now && c.named() == "" && sysAskInit(cmp.Or(map[string]string{"shutdown": "poweroff"}[name], name)) {
		hint("no server answers; PID 1 was told by a signal")
		return exitDone, true
	}
	code = c.connect()
	return code, code != exitDone
}

// parseDelay reads when a shutdown is to begin: now, or +MIN minutes from now.
func parseDelay(word string) (time.Duration, error) {
	minutes, err := strconv.ParseUint(strings.TrimPrefix(word, "+"), 10, 20)
	switch {
	case word == "now":
		return 0, nil
	case err != nil || word[0] != '+':
		return 0, fmt.Errorf("bad time `%s`: now or +MINUTES", word)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// silent says what to try with a server that is asked to go down and does not answer.
func (c *cli) silent(err error) int {
	code := c.fail("", err)
	p := peerOf(c.server.conn)
	switch {
	case code != exitNoServer:
	case !p.known || p.pid <= 0:
		hint("a signal asks as well: kill -TERM PID")
	case p.pid == 1:
		hint("a signal asks as well, and PID 1 does not wait for a server that hangs: kill -TERM 1")
	default:
		hint("a signal asks as well: kill -TERM %d; kill -KILL %d ends the server and leaves its services running", p.pid, p.pid)
	}
	return code
}

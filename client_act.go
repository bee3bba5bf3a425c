// client_act.go holds the commands that act on services: start, stop, restart, wait, kill and those on all services.

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

func cmdStart(c *cli) int {
	return c.act("service.start", params{"tree": c.has("tree")}, running, exited)
}

func cmdStop(c *cli) int { return c.act("service.stop", params{}) }

func cmdRestart(c *cli) int { return c.act("service.restart", params{}, running, exited) }

// act starts, stops or restarts services. With --wait the states in good are the aim; none: every state is.
func (c *cli) act(method string, p params, good ...state) int {
	if c.has("wait") {
		p["wait"] = true
		return c.await(method, p, good...)
	}
	var answer stateResult
	return c.each(c.args, method, p, &answer, func(name string) int {
		fmt.Fprintln(c.out, visible(name)+": "+c.state(answer.State))
		switch answer.State {
		case blocked, failed:
			_ = c.out.Flush() // a hint follows what it is about
			if todo := c.todo(name); len(todo) > 0 && todo[0] == treeHint(name) {
				hint("%s", todo[0])
			}
			hint("zinit why %s", name)
		case exited, inactive:
			c.hintMembers(name)
		}
		return exitDone
	})
}

// hintMembers says after the stop of a target that what it requires runs on.
func (c *cli) hintMembers(name string) {
	var tree treeResult
	if c.cmd.name != "stop" {
		return
	}
	if _, err := c.call("service.tree", params{"name": name}, &tree); err != nil || len(tree.Roots) != 1 || tree.Roots[0].Kind != string(unitTarget) {
		return
	}
	var live []string
	for _, m := range tree.Roots[0].Children {
		if m.State == running.String() || m.State == starting.String() {
			live = append(live, m.Name)
		}
	}
	if len(live) > 0 {
		_ = c.out.Flush()
		hint("what the target requires runs on; zinit stop %s", strings.Join(live, " "))
	}
}

func treeHint(name string) string { return "zinit start " + name + " --tree" }

// todo is what a person can do for a service that is blocked. For one that was to be started a start with --tree stands for those of what it waits for.
func (c *cli) todo(name string) []string {
	var why whyResult
	_, _ = c.call("service.why", params{"name": name}, &why)
	rest := slices.DeleteFunc(slices.Clone(why.Todo), func(todo string) bool {
		other, is := strings.CutPrefix(todo, "zinit start ")
		return is && other != name && !strings.Contains(other, " ")
	})
	if c.cmd.name != "start" || c.has("tree") || len(rest) == len(why.Todo) {
		return why.Todo
	}
	return append([]string{treeHint(name)}, rest...)
}

// await calls a method that waits, for all names in parallel, and prints the result of each.
func (c *cli) await(method string, p params, good ...state) int {
	var answer waitResult
	return c.awaitAll(method, p, &answer, func(name string) int {
		if len(good) > 0 && !slices.Contains(good, answer.State) {
			return c.notReached(name, answer)
		}
		fmt.Fprintln(c.out, name+": "+c.state(answer.State))
		return exitDone
	})
}

// awaitAll is each for calls that wait: they are made at the same time.
func (c *cli) awaitAll(method string, p params, into any, show func(name string) int) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	all, err := c.callAll(names, method, p)
	if err == nil && method == "service.start" {
		err = c.awaitEachOther(all)
	}
	if err != nil {
		return c.fail("", err)
	}
	return c.showAll(c.args, all, into, show)
}

// awaitEachOther waits once more for what was blocked by another one of the same command line: `start --wait web db` asks for
// web before db has been asked for. By now all have been asked for, and no start is asked for twice.
func (c *cli) awaitEachOther(all []*request) error {
	asked := map[string]bool{}
	for _, r := range all {
		asked[r.name] = r.err == nil
	}
	var again []string
	for _, r := range all {
		var s waitResult
		_ = decodeJSON(r.result, &s)
		if s.State == blocked && slices.ContainsFunc(s.BlockedBy, func(n string) bool { return asked[n] }) {
			again = append(again, r.name)
		}
	}
	second, err := c.callAll(again, "service.wait", params{"state": running})
	for _, s := range second {
		if s.done {
			*all[slices.IndexFunc(all, func(r *request) bool { return r.name == s.name })] = *s
		}
	}
	return err
}

// notReached says why a service did not get to where it was awaited, and what to do.
func (c *cli) notReached(name string, is waitResult) int {
	text := name + " is " + is.State.String()
	var s serviceStatusFull
	if len(is.BlockedBy) > 0 {
		text += ", waits for " + strings.Join(is.BlockedBy, ", ")
	} else if _, err := c.call("service.status", params{"name": name}, &s); err == nil && detail(&s) != "" {
		text += " (" + detail(&s) + ")"
	}
	errorf("%s", text)
	if is.State == blocked { // it does not go on by itself
		for _, todo := range c.todo(name) {
			hint("%s", todo)
		}
	}
	hint("zinit why %s", name)
	return exitNotRunning
}

func cmdWait(c *cli) int {
	if !c.has("state") {
		return c.await("service.wait", params{"state": running}, running, exited)
	}
	var aim state
	_ = aim.UnmarshalText([]byte(c.flag("state"))) // what is no state the server refuses
	return c.await("service.wait", params{"state": c.flag("state")}, aim)
}

func cmdIsRunning(c *cli) int {
	var is bool
	return c.each(c.args, "service.is_running", nil, &is, func(name string) int {
		if !is {
			fmt.Fprintln(c.out, name+" is not running")
			return exitNotRunning
		}
		fmt.Fprintln(c.out, name+" is running")
		return exitDone
	})
}

func cmdKill(c *cli) int {
	sig := ""
	if len(c.args) == 2 {
		sig = strings.TrimPrefix(c.args[1], "-")
	}
	p := params{}.with("signal", sig)
	if c.has("group") {
		p["group"] = true
	}
	return c.each(c.args[:1], "service.kill", p, new(okResult), func(name string) int {
		fmt.Fprintln(c.out, visible(name)+": sent "+visible(cmp.Or(sig, "SIGTERM")))
		return exitDone
	})
}

func cmdStartAll(c *cli) int  { return c.actOnAll("service.start_all", "started") }
func cmdStopAll(c *cli) int   { return c.actOnAll("service.stop_all", "stopping") }
func cmdDeleteAll(c *cli) int { return c.actOnAll("service.delete_all", "deleted") }

func (c *cli) actOnAll(method, done string) int {
	raw, err := c.longCall(method, nil)
	var all bulkResult
	return c.shown("", raw, err, &all, func() int {
		c.printNames(done, all.Services)
		c.printNames("left alone", all.Skipped)
		for _, e := range all.Errors {
			errorf("%s: %s", e.Name, e.Message)
		}
		if len(all.Errors) > 0 {
			return exitRefused
		}
		if len(all.Services)+len(all.Skipped) == 0 {
			fmt.Fprintln(c.out, "there are no services of class user")
		}
		return exitDone
	})
}

// client_look.go holds the commands that look at services: list, status, stats, tree, graph, why, health. None of them changes anything.

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reasonText is why a service failed, as a sentence; "" without a reason.
func reasonText(r *wireReason) string {
	if r == nil {
		return ""
	}
	return r.String()
}

// restartText is when a service is started again: "restart in 4s"; "" when it is not.
func restartText(s *serviceStatusFull) string {
	if s.RestartInMS == nil {
		return ""
	}
	return "restart in " + span(millis(*s.RestartInMS))
}

// reasonCounts says whether the reason of a service belongs to its present state.
func reasonCounts(s *serviceStatusFull) bool {
	return s.State == failed || s.State == stopping || s.RestartInMS != nil
}

// when is the text if the condition holds, else "".
func when(holds bool, text string) string {
	if holds {
		return text
	}
	return ""
}

// detail says in a few words what is worth knowing about a service beyond its state.
func detail(s *serviceStatusFull) string {
	parts := []string{when(reasonCounts(s), reasonText(s.Reason))}
	if s.State == exited && s.Reason == nil && s.ExitCode != nil && *s.ExitCode != 0 {
		parts = append(parts, fmt.Sprintf("exit code %d", *s.ExitCode))
	}
	parts = append(parts, when(s.Skipped != "", "skipped: "+s.Skipped), when(len(s.BlockedBy) > 0, "waits for "+strings.Join(s.BlockedBy, ", ")), restartText(s))
	if h := s.Health; h != nil && h.Failures > 0 && s.State != failed {
		parts = append(parts, fmt.Sprintf("%d failed checks: %s", h.Failures, h.LastError))
	}
	parts = append(parts, when(s.RestartCount > 0, fmt.Sprintf("restarted %d×", s.RestartCount)),
		when(s.ConfigChanged, "changed file counts from the next start"))
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "; ")
}

func cmdList(c *cli) int {
	var all []serviceStatusFull
	return c.simple("service.list_full", nil, &all, func() int {
		c.printServices(all)
		return exitDone
	})
}

const noServices = "no services yet: zinit create NAME --exec CMD, or zinit add FILE"

func (c *cli) printServices(all []serviceStatusFull) {
	if len(all) == 0 {
		fmt.Fprintln(c.out, noServices)
		return
	}
	var rows [][]cell
	for i := range all {
		s := &all[i]
		pid, uptime, memory := "-", "-", "-"
		if s.PID != 0 {
			pid, uptime = strconv.Itoa(s.PID), span(millis(s.UptimeMS))
		}
		if s.MemoryBytes > 0 {
			memory = size(s.MemoryBytes)
		}
		rows = append(rows, []cell{{s.Name, ""}, {s.State.String(), stateStyle(s.State)}, {pid, ""}, {uptime, ""}, {memory, ""}, {detail(s), ""}})
	}
	c.printTable([]string{"NAME", "STATE", ">PID", ">UPTIME", ">MEMORY", "DETAIL"}, rows)
}

func cmdStatus(c *cli) int {
	if len(c.args) > 0 {
		var s serviceStatusFull
		return c.blocks("service.status_full", &s, func() { c.printStatus(&s) })
	}
	var all []serviceStatusFull
	return c.simple("service.list_full", nil, &all, func() int {
		c.printServices(all)
		if len(all) > 0 {
			fmt.Fprintln(c.out)
			c.paragraph(tally(all))
		}
		return exitDone
	})
}

// tally counts the services by state: "3 services: 2 running, 1 failed".
func tally(all []serviceStatusFull) string {
	count := map[state]int{}
	for i := range all {
		count[all[i].State]++
	}
	var parts []string
	for _, s := range []state{running, starting, stopping, blocked, failed, exited, inactive} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return plural(len(all), "service") + ": " + strings.Join(parts, ", ")
}

// printStatus prints a block of lines about one service.
func (c *cli) printStatus(s *serviceStatusFull) {
	title := s.Name + when(s.Description != "", " - "+s.Description)
	fmt.Fprintln(c.out, c.paint(styleBold, c.fit(visible(title))))
	line := func(key, value, style string) {
		if value != "" {
			c.entry(12, "  "+key, value, style)
		}
	}
	line("state", s.State.String(), stateStyle(s.State))
	line("wish", string(s.Wish), "")
	line("reason", when(reasonCounts(s), reasonText(s.Reason)), "")
	line("skipped", when(s.Skipped != "", s.Skipped+" does not hold"), "")
	line("waits for", strings.Join(s.BlockedBy, ", "), "")
	line("restart", strings.TrimPrefix(restartText(s), "restart "), "")
	line("process", when(s.PID != 0, fmt.Sprintf("%d, up %s", s.PID, span(millis(s.UptimeMS)))), "")
	line("uses", when(s.PID != 0, fmt.Sprintf("%s memory, %.1f%% CPU", size(s.MemoryBytes), s.CPUPercent)), "")
	if s.ExitCode != nil && (s.Reason == nil || s.Reason.Type != reasonExitCode) {
		line("exit code", strconv.Itoa(*s.ExitCode), "")
	}
	line("says", s.StatusText, "")
	line("log file", s.LogError, styleRed)
	line("health", healthText(s.Health), "")
	line("restarts", when(s.RestartCount > 0, strconv.Itoa(s.RestartCount)), "")
	line("started", when(s.LastStart != 0, clock(s.LastStart, time.DateTime)), "")
	line("stopped", when(s.LastStop != 0, clock(s.LastStop, time.DateTime)), "")
	line("kind", sortOfService(s), "")
	line("file", s.Path, "")
	line("changed", when(s.ConfigChanged, "the new configuration counts from the next start"), "")
	if s.State == failed || s.State == blocked {
		fmt.Fprintln(c.out, c.paint(styleDim, c.fit("  hint: zinit why "+s.Name)))
	}
}

// sortOfService is what sort of service it is: "service, class user, oneshot".
func sortOfService(s *serviceStatusFull) string {
	return string(s.Kind) + ", class " + string(s.Class) + when(s.Oneshot, ", oneshot") + when(s.Critical, ", critical")
}

func healthText(h *healthStatus) string {
	switch {
	case h == nil:
		return ""
	case h.Checks == 0 && h.OK:
		return "ok"
	case h.Checks == 0 && h.LastError != "":
		return h.LastError
	case h.Checks == 0:
		return "not ready yet"
	case h.OK:
		return "ok, " + plural(h.Checks, "check")
	}
	return fmt.Sprintf("%d of %s failed in a row: %s", h.Failures, plural(h.Checks, "check"), h.LastError)
}

func cmdStats(c *cli) int {
	var s statsResult
	return c.blocks("service.stats", &s, func() { c.printStats(&s) })
}

func (c *cli) printStats(s *statsResult) {
	if s.PID == 0 {
		fmt.Fprintln(c.out, s.Name+" has no process")
		return
	}
	c.paragraph(fmt.Sprintf("%s: pid %d, %.1f%% CPU, %s memory, %s, %s, %d open files", s.Name, s.PID, s.CPUPercent,
		size(s.MemoryBytes), plural(s.Processes, "process"), plural(s.Threads, "thread"), s.FDs))
	if len(s.Children) == 0 {
		return
	}
	var rows [][]cell
	for _, k := range s.Children {
		rows = append(rows, []cell{{strconv.Itoa(k.PID), ""}, {strconv.Itoa(k.PPID), ""}, {fmt.Sprintf("%.1f%%", k.CPUPercent), ""},
			{size(k.MemoryBytes), ""}, {k.Command, ""}})
	}
	c.printTable([]string{">PID", ">PPID", ">CPU", ">MEMORY", "COMMAND"}, rows)
}

func cmdTree(c *cli) int {
	return c.textOf("service.tree", params{}.with("name", cmp.Or(c.args...)))
}

func cmdGraph(c *cli) int {
	return c.textOf("service.graph", params{"format": cmp.Or(c.flag("format"), "dot")})
}

// textOf prints the `text` of a result. The text is for programs too: it is cut only at a terminal.
func (c *cli) textOf(method string, p params) int {
	var result textResult
	return c.simple(method, p, &result, func() int {
		c.printText(cmp.Or(result.Text, noServices))
		return exitDone
	})
}

func cmdWhy(c *cli) int {
	var why textResult
	return c.blocks("service.why", &why, func() { c.paragraph(why.Text) })
}

func cmdHealth(c *cli) int {
	type one struct {
		Name  string `json:"name"`
		State state  `json:"state"`
		OK    bool   `json:"ok"`
	}
	result := struct {
		OK       bool  `json:"ok"`
		Services []one `json:"services"`
	}{OK: true, Services: []one{}}
	var all []serviceStatusFull
	if _, err := c.call("service.list_full", nil, &all); err != nil {
		return c.fail("", err)
	}
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	var there []string
	for i := range all {
		there = append(there, all[i].Name)
	}
	if c.unknown(names, there) {
		return exitNoService
	}
	for i := range all {
		s := &all[i]
		if len(names) > 0 && !slices.Contains(names, s.Name) || len(names) == 0 && s.Wish != wishUp {
			continue
		}
		ok := s.State == running || s.State == exited && s.Wish == wishUp && s.RestartInMS == nil
		result.OK = result.OK && ok
		result.Services = append(result.Services, one{s.Name, s.State, ok})
		if ok || c.json {
			continue
		}
		text := detail(s)
		for _, part := range c.foldTo(s.Name+" is "+s.State.String()+when(text != "", " ("+text+")"), 0) {
			fmt.Fprintln(c.out, c.paint(styleRed, part))
		}
	}
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, result))
	} else if result.OK {
		fmt.Fprintln(c.out, "ok, "+plural(len(result.Services), "service"))
	}
	if !result.OK {
		return exitNotRunning
	}
	return exitDone
}

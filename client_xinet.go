// client_xinet.go holds the command xinet: what it asks of proxies, and how they are shown. It knows nothing of how they work.

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// cmdXinet is `xinet list`, `status`, `create` and `delete`.
func cmdXinet(c *cli) int {
	name := cmp.Or(c.args[1:]...)
	p := params{"name": name}
	switch what := c.args[0]; {
	case what == "list" && name == "":
		var names []string
		return c.simple("xinet.list", nil, &names, func() int {
			for _, n := range names {
				fmt.Fprintln(c.out, n)
			}
			return exitDone
		})
	case what == "status" && name == "":
		var all []xinetStatus
		return c.simple("xinet.status_all", nil, &all, func() int { return c.printProxies(all) })
	case what == "status":
		var s xinetStatus
		return c.simple("xinet.status", p, &s, func() int { return c.printProxy(&s) })
	case what == "delete" && name != "":
		return c.simple("xinet.delete", p, new(okResult), func() int {
			fmt.Fprintln(c.out, name+" is deleted")
			return exitDone
		})
	case what == "create" && name != "":
		conf, code := readConfig(name)
		if code != exitDone {
			return code
		}
		if conf.Kind != unitXinet {
			errorf("%s describes no proxy: it has no section [xinet]", name)
			hint("zinit add %s", name)
			return exitRefused
		}
		return c.simple("xinet.create", params{"config": conf.value()}, new(okResult), func() int {
			fmt.Fprintln(c.out, conf.Service.Name+" is created")
			return exitDone
		})
	}
	return c.misuse("one of: xinet list, xinet status [PROXY], xinet create FILE, xinet delete PROXY")
}

// printProxies is the table of all proxies.
func (c *cli) printProxies(all []xinetStatus) int {
	if len(all) == 0 {
		fmt.Fprintln(c.out, "no proxies yet: zinit xinet create FILE")
		return exitDone
	}
	var rows [][]cell
	for i := range all {
		s := &all[i]
		rows = append(rows, []cell{{text: s.Name}, {text: strings.Join(s.Listen, " ")}, {text: s.Service}, {text: upText(s)},
			{text: strconv.FormatInt(s.ActiveConnections, 10)}, {text: strconv.FormatInt(s.TotalConnections, 10)}, {text: s.LastError}})
	}
	c.printTable([]string{"NAME", "LISTEN", "SERVICE", "STATE", ">ACTIVE", ">TOTAL", "LAST ERROR"}, rows)
	return exitDone
}

func upText(s *xinetStatus) string {
	if s.Running {
		return "running"
	}
	return "not running"
}

// printProxy is one proxy, a line for each fact.
func (c *cli) printProxy(s *xinetStatus) int {
	fmt.Fprintln(c.out, c.paint(styleBold, c.fit(visible(s.Name+when(s.Description != "", " - "+s.Description)))))
	line := func(key, value string) {
		if value != "" {
			c.entry(15, "  "+key, value, "")
		}
	}
	line("listens on", strings.Join(s.Listen, ", "))
	line("service", s.Service+", "+upText(s))
	line("backend", s.Backend)
	line("connections", fmt.Sprintf("%d now, %d in all", s.ActiveConnections, s.TotalConnections)+when(s.SingleConnection, ", one at a time"))
	line("copied", fmt.Sprintf("%s to the backend, %s from it", size(s.BytesToBackend), size(s.BytesFromBackend)))
	line("stops", when(s.IdleTimeout > 0, fmt.Sprintf("after %d s without a connection", s.IdleTimeout)))
	line("last error", s.LastError)
	return exitDone
}

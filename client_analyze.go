// client_analyze.go holds the command that shows how the boot went: as a table, or in a file as the chart of client_chart.go.

package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
)

// cmdAnalyze shows how the boot went: what was waited for, what took long, or both as a picture.
func cmdAnalyze(c *cli) int {
	var b bootResult
	return c.simple("boot.analyze", nil, &b, func() int {
		switch what := cmp.Or(c.args...); what {
		case "blame":
			c.printBlame(&b)
		case "plot":
			return c.plot(&b)
		case "", "chain", "summary":
			c.printChain(&b)
		default:
			return c.misuse("`%s` is none of blame, chain, plot", what)
		}
		return exitDone
	})
}

// printBlame prints how long each service took from its start until it was ready, the slowest first.
func (c *cli) printBlame(b *bootResult) {
	var rows [][]cell
	for _, u := range b.slowest() {
		if t := u.took(); t >= 0 {
			rows = append(rows, []cell{{span(millis(t)), ""}, {u.Name, ""}, {u.State.String(), stateStyle(u.State)}})
		}
	}
	c.printTable([]string{">TOOK", "NAME", "NOW"}, rows)
}

// printChain prints how long the boot took, and the critical chain: each service was the last one that the next waited for.
func (c *cli) printChain(b *bootResult) {
	ready, of := 0, 0
	for i := range b.Services {
		if b.Services[i].order() >= 0 {
			of++
		}
		if b.Services[i].ReadyMS != nil {
			ready++
		}
	}
	fmt.Fprintf(c.out, "%d of %s ready after %s\n", ready, plural(of, "service"), span(millis(b.TotalMS)))
	if len(b.Chain) == 0 {
		return
	}
	var rows [][]cell
	for depth, name := range b.Chain {
		if u := b.unit(name); u != nil && u.ReadyMS != nil {
			rows = append(rows, []cell{{span(millis(*u.ReadyMS)), ""}, {span(millis(max(0, u.took()))), ""}, {strings.Repeat("  ", depth) + name, ""}})
		}
	}
	c.printTable([]string{">READY AT", ">TOOK", "CRITICAL CHAIN"}, rows)
}

// plot writes the boot chart to a file, or to what stdout is unless that is a terminal.
func (c *cli) plot(b *bootResult) int {
	svg := bootChart(b)
	file := c.flag("output")
	switch {
	case file != "":
		if err := os.WriteFile(file, []byte(svg), 0o644); err != nil {
			errorf("cannot write the chart: %v", err)
			return exitRefused
		}
		fmt.Fprintln(c.out, "the chart is in "+visible(file))
	case c.width > 0:
		return c.misuse("the chart is an SVG picture, which a terminal does not show")
	default:
		fmt.Fprint(c.out, svg)
	}
	return exitDone
}

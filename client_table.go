// client_table.go says how text gets onto a terminal: colours, tables that fit, folded lines; it knows no service and makes no call.

package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"
)

func (c *cli) paint(style, s string) string {
	if !c.color || style == "" || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// state is a state in its colour.
func (c *cli) state(s state) string { return c.paint(stateStyle(s), s.String()) }

func stateStyle(s state) string {
	switch s {
	case running:
		return styleGreen
	case failed:
		return styleRed
	case blocked, starting, stopping:
		return styleYellow
	}
	return styleDim
}

// cell is one field of a table.
type cell struct{ text, style string }

// printTable prints rows in aligned columns below their headings, cut to the width of the terminal.
// A heading that begins with > is that of a column whose texts are aligned to the right.
func (c *cli) printTable(headings []string, rows [][]cell) {
	right := make([]bool, len(headings))
	heading := make([]cell, len(headings))
	for i, text := range headings {
		heading[i].style = styleBold
		heading[i].text, right[i] = strings.CutPrefix(text, ">")
	}
	rows = append([][]cell{heading}, rows...)
	widths := make([]int, len(headings))
	for _, row := range rows {
		for i := range row {
			row[i].text = strings.ReplaceAll(visible(row[i].text), "\t", " ")
			widths[i] = max(widths[i], columns(row[i].text))
		}
	}
	c.narrow(widths)
	for _, row := range rows {
		c.printRow(row, widths, right)
	}
}

func (c *cli) printRow(row []cell, widths []int, right []bool) {
	line, room := "", c.room()
	put := func(text, style string) {
		text = cut(text, room)
		room -= columns(text)
		line += c.paint(style, text)
	}
	for i, f := range row {
		text := cut(f.text, widths[i])
		pad := strings.Repeat(" ", widths[i]-columns(text))
		if right[i] {
			if put(pad, ""); columns(text) > room {
				break // a part of a number says something else
			}
			pad = ""
		}
		put(text, f.style)
		put(pad+"  ", "")
	}
	fmt.Fprintln(c.out, strings.TrimRight(line, " "))
}

// narrow makes the first column narrower when it would push the others off the terminal; the last one may be cut.
func (c *cli) narrow(widths []int) {
	if c.width == 0 || len(widths) < 3 {
		return
	}
	need := 2*len(widths) - 2
	for _, w := range widths[1 : len(widths)-1] {
		need += w
	}
	widths[0] = min(widths[0], max(8, c.width-need-min(widths[len(widths)-1], 12)))
}

// printText prints a text of the server, line by line, with control characters made visible.
func (c *cli) printText(text string) {
	for _, line := range linesOf(text) {
		fmt.Fprintln(c.out, c.fit(visible(line)))
	}
}

// printWhole is printText for what may be copied: its lines are not cut.
func (c *cli) printWhole(text string) {
	for _, line := range linesOf(text) {
		fmt.Fprintln(c.out, visible(line))
	}
}

// room is how many columns a line may have: those of the terminal, without one no limit.
func (c *cli) room() int { return cmp.Or(c.width, math.MaxInt) }

// fit cuts a line to the terminal.
func (c *cli) fit(line string) string { return cut(line, c.room()) }

// foldTo folds a text to the width of the terminal minus `behind` columns. Without a terminal it is one line.
func (c *cli) foldTo(s string, behind int) []string {
	if c.width == 0 {
		return []string{visible(s)}
	}
	return fold(s, c.width-behind)
}

// entry prints a label and, from a column on, a text that is folded to the terminal; where that leaves little room the text stands below.
func (c *cli) entry(at int, label, text, style string) {
	if c.room()-at < 20 {
		for _, part := range c.foldTo(label, 0) {
			fmt.Fprintln(c.out, part)
		}
		at, label = 6, ""
	}
	for _, part := range c.foldTo(text, at) {
		fmt.Fprintf(c.out, "%-*s%s\n", at, label, c.paint(style, part))
		label = ""
	}
}

// paragraph prints lines, each folded to the terminal.
func (c *cli) paragraph(text string) {
	for _, line := range linesOf(text) {
		for _, part := range c.foldTo(line, 0) {
			fmt.Fprintln(c.out, part)
		}
	}
}

// printNames prints a labelled list of names in lines of the terminal's width; nothing when there are none.
func (c *cli) printNames(label string, names []string) {
	if len(names) == 0 {
		return
	}
	width := 78
	if c.width > 20 {
		width = c.width - 2
	}
	for _, line := range wrap(append([]string{label + ":"}, names...), width) {
		fmt.Fprintln(c.out, visible(line))
	}
}

// term_canvas.go is the screen as a grid of characters, and what must be written to turn one such grid into another. It knows nothing of what is shown.

package main

import (
	"fmt"
	"slices"
	"strings"
)

// glyph is one column of the screen: a character with its marks. The right half of a wide one is empty.
type glyph struct{ text, style string }

// canvas is what a screen shows.
type canvas struct {
	cols, rows int
	glyphs     []glyph
	curX, curY int // the cursor; -1: none is shown
}

func newCanvas(cols, rows int) *canvas {
	return &canvas{cols: cols, rows: rows, glyphs: slices.Repeat([]glyph{{text: " "}}, cols*rows), curX: -1, curY: -1}
}

func (p *canvas) row(y int) []glyph { return p.glyphs[y*p.cols : (y+1)*p.cols] }

// put writes a text with control characters made visible into at most `room` columns of a row and returns the column behind it.
// What does not fit the screen is left out, what does not fit the room is cut with a mark.
func (p *canvas) put(x, y int, style, s string, room int) int {
	room = min(room, p.cols-x)
	if y < 0 || y >= p.rows || x < 0 || room <= 0 {
		return x
	}
	row := p.row(y)
	for _, r := range cut(visible(s), room) {
		w := runeColumns(r)
		if w == 0 {
			mark(row[:x], r)
			continue
		}
		free(row, x)
		if x+w < len(row) {
			free(row, x+w)
		}
		row[x] = glyph{string(r), style}
		if w == 2 {
			row[x+1] = glyph{"", style}
		}
		x += w
	}
	return x
}

// mark adds a mark that combines to the character at the end of a part of a row.
func mark(row []glyph, r rune) {
	for x := len(row) - 1; x >= 0; x-- {
		if g := &row[x]; g.text != "" {
			if len(g.text) < 16 {
				g.text += string(r)
			}
			return
		}
	}
}

// free removes a wide character that lies across the left edge of a column, so that the column can be written to.
func free(row []glyph, x int) {
	if x > 0 && row[x].text == "" {
		row[x-1].text, row[x].text = " ", " "
	}
}

// rule draws a line with a title in it.
func (p *canvas) rule(y int, style, title string) {
	p.put(0, y, styleDim, strings.Repeat("─", p.cols), p.cols)
	p.put(3, y, style, " "+title+" ", p.cols-4)
}

// update gives what must be written so that the screen shows p after it showed old; nil is a screen of unknown content.
// Rows with characters that terminals may draw in another width are erased and written whole, so that a wrong guess leaves nothing behind.
func (p *canvas) update(old *canvas) string {
	var b strings.Builder
	b.WriteString(beginUpdate)
	if old == nil || old.cols != p.cols || old.rows != p.rows {
		old = newCanvas(p.cols, p.rows)
		b.WriteString("\x1b[0m\x1b[2J")
	}
	unsure := func(g glyph) bool { return len(g.text) != 1 }
	for y := range p.rows {
		was, is := old.row(y), p.row(y)
		from, to := 0, p.cols
		for from < to && was[from] == is[from] {
			from++
		}
		if from == to {
			continue
		}
		for was[to-1] == is[to-1] {
			to--
		}
		if slices.ContainsFunc(was, unsure) || slices.ContainsFunc(is, unsure) {
			from, to = 0, p.cols
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[2K", y+1)
		}
		writeGlyphs(&b, is[from:to], from, y)
	}
	if p.curX >= 0 {
		fmt.Fprintf(&b, "\x1b[%d;%dH\x1b[?25h", p.curY+1, p.curX+1)
	}
	b.WriteString(endUpdate)
	return b.String()
}

// writeGlyphs writes a part of a row at its place and leaves the terminal without style.
func writeGlyphs(b *strings.Builder, part []glyph, x, y int) {
	fmt.Fprintf(b, "\x1b[%d;%dH", y+1, x+1)
	style := ""
	for _, g := range append(slices.Clip(part), glyph{}) { // the last one ends the style
		if g.style != style {
			style = g.style
			b.WriteString("\x1b[0;" + style + "m")
		}
		b.WriteString(g.text)
	}
}

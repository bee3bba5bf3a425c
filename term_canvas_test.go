// term_canvas_test.go checks that a terminal shows the new picture after what update writes.

//go:build linux

package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// What is written to change one picture into another makes a terminal show the other one, also with wide characters.
func TestUpdateMakesThePicture(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	words := []string{"web", "日本語", "é", "e\u0301", " ", "──", "ab cd"}
	v, old := newVT(20, 4), (*canvas)(nil)
	v.nowrap = true
	for range 500 {
		p := newCanvas(20, 4)
		if old != nil {
			copy(p.glyphs, old.glyphs)
		}
		for range random.IntN(4) {
			y := random.IntN(4)
			row := p.row(y)
			for x := range row {
				row[x] = glyph{" ", ""}
			}
			p.put(random.IntN(20), y, []string{"", styleBold, "31;7"}[random.IntN(3)], words[random.IntN(len(words))]+words[random.IntN(len(words))], 20)
		}
		v.write([]byte(p.update(old)))
		if v.text() != p.text() {
			t.Fatalf("the terminal shows\n%swant\n%s", v.text(), p.text())
		}
		old = p
	}
	if len(v.unknown) > 0 {
		t.Errorf("unknown: %v", v.unknown)
	}
	if quiet := old.update(old); quiet != beginUpdate+endUpdate {
		t.Errorf("nothing changed, and this is written: %q", quiet)
	}
}

// text is the canvas for tests: rows of characters without styles.
func (p *canvas) text() string {
	var b strings.Builder
	for y := range p.rows {
		line := ""
		for _, g := range p.row(y) {
			line += g.text
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

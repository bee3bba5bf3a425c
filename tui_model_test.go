// tui_model_test.go checks that keys scroll to every row of every view.

//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// On a narrow screen every row of a page, and of a log line that is longer than the screen, can be scrolled to: what is drawn counts, not the lines.
func TestScrollingReachesEveryRow(t *testing.T) {
	for _, size := range [][2]int{{20, 6}, {40, 10}, {80, 24}} {
		m := newTUIModel(size[0], size[1])
		m.setServices([]serviceStatusFull{{serviceStatus: serviceStatus{Name: "web", State: failed}, Path: "/etc/zinit/services/the-end.toml"}})
		m.detail.Name = "web"
		for i := range 40 {
			m.detail.Why += fmt.Sprintf("because-%d of something that takes more than one row here\n", i)
		}
		long := ""
		for i := range 200 {
			long += fmt.Sprintf("word-%d ", i)
		}
		m.addLog(logLine{Service: "web", Stream: "stdout", Text: long})
		m.addLog(logLine{Service: "web", Stream: "stdout", Text: "the newest"})
		for page, c := range map[rune]struct{ first, last string }{'w': {"because-0", "the-end.toml"}, '?': {"s ", "one core."}, 'l': {"word-0 ", "the newest"}} {
			m.key(key{code: page})
			squeezed := func() string { return strings.Join(strings.Fields(m.render().text()), "") }
			m.key(key{code: keyEnd})
			if !strings.Contains(squeezed(), strings.ReplaceAll(c.last, " ", "")) {
				t.Errorf("%v: the end of page %c is not %q:\n%s", size, page, c.last, m.render().text())
			}
			end := m.render().text()
			m.key(key{code: keyHome})
			seen := ""
			for range 1000 {
				seen += m.render().text()
				m.key(key{code: keyDown})
			}
			if m.render().text() != end {
				t.Errorf("%v: down does not lead to the end of page %c:\n%s--- end\n%s", size, page, m.render().text(), end)
			}
			if !strings.Contains(seen, c.first) {
				t.Errorf("%v: %q of page %c was never seen", size, c.first, page)
			}
			for i := range 40 {
				if word := fmt.Sprintf("because-%d ", i); page == 'w' && !strings.Contains(seen, word) {
					t.Errorf("%v: %q of page %c was never seen", size, word, page)
				}
			}
			m.key(key{code: keyUp})
			if m.render().text() == end && m.rows < 20 {
				t.Errorf("%v: up does not move from the end of page %c", size, page)
			}
			m.key(key{code: page})
		}
	}
}

// TestHelpNamesEveryKey: what a key of the full screen does stands in its help, under each of its names.
func TestHelpNamesEveryKey(t *testing.T) {
	names := map[rune]string{keyTab: "Tab", keyEscape: "Esc", keyUp: "Up", keyDown: "Down", keyPageUp: "PgUp", keyPageDown: "PgDn", keyHome: "Home", keyEnd: "End", keyEnter: "Enter", ' ': "Space"}
	m := newTUIModel(100, 50)
	m.key(key{code: '?'})
	for _, row := range tuiKeys() {
		for _, k := range append([]rune{row.code}, []rune(row.also)...) {
			name := names[k]
			switch {
			case name != "":
			case k < ' ':
				name = "Ctrl-" + string(k+'@')
			default:
				name = string(k)
			}
			if !slices.Contains(strings.Split(row.label, ", "), name) || row.help == "" || !strings.Contains(m.render().text(), row.label+" ") {
				t.Errorf("%s is not in the help of %q:\n%s", name, row.label, m.render().text())
			}
		}
	}
}

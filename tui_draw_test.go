// tui_draw_test.go checks that the picture fits a screen of every size.

//go:build linux

package main

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// No size, no key and no view may panic, and no row may be wider than the screen.
func TestPictureFitsEverySize(t *testing.T) {
	code, ms := 3, int64(4000)
	services := []serviceStatusFull{
		{serviceStatus: serviceStatus{Name: "web", State: running, PID: 4194304, UptimeMS: 1 << 40, RestartCount: 12345}, CPUPercent: 1600, MemoryBytes: 1 << 50, Description: strings.Repeat("日本語 ", 40)},
		{serviceStatus: serviceStatus{Name: strings.Repeat("long", 16), State: failed, ExitCode: &code, RestartInMS: &ms, BlockedBy: []string{"a", "b"}}},
		{serviceStatus: serviceStatus{Name: "日本", State: inactive}},
	}
	keys := []rune("strkwl/?hoOaf\tyn\r\x1bgGx日")
	keys = append(keys, keyUp, keyDown, keyPageUp, keyPageDown, keyHome, keyEnd, keyBackspace, keyPasteBegin, keyPasteEnd)
	random := rand.New(rand.NewPCG(1, 2))
	for cols := 0; cols < 46; cols += 3 {
		for rows := range 30 {
			m := newTUIModel(cols, rows)
			m.detail.Why = "because\nof it"
			for i := range 40 {
				switch random.IntN(4) {
				case 0:
					m.setServices(services[:random.IntN(len(services)+1)])
				case 1:
					m.addLog(logLine{Service: "日本", Text: strings.Repeat("é日\t", random.IntN(30)), Stream: "stderr"})
				case 2:
					m.lost = "gone"
				default:
					m.key(key{code: keys[random.IntN(len(keys))]})
				}
				p := m.render()
				for y, line := range strings.Split(p.text(), "\n") {
					if columns(line) > cols {
						t.Fatalf("step %d at %d×%d: row %d has %d columns: %q", i, cols, rows, y, columns(line), line)
					}
				}
			}
		}
	}
}

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func (b *box) dump() {
	show := func(pid int) {
		b.t.Logf("pid %d %s", pid, commandLine(pid))
		ts, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, d := range ts {
			w, _ := os.ReadFile(d + "/wchan")
			s, _ := os.ReadFile(d + "/syscall")
			st, _ := os.ReadFile(d + "/stat")
			b.t.Logf("  %s %s %s %.40s", filepath.Base(d), w, s, st)
		}
	}
	show(b.cmd.Process.Pid)
	for _, p := range childrenByScan(nil, b.cmd.Process.Pid) {
		if c := commandLine(p); c == "" || len(c) > 5 && c[:5] == "zinit" {
			show(p)
		}
	}
}

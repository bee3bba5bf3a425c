//go:build !windows

// logs_bench_test.go measures how fast a service can print into us, beside the same writer into `cat > /dev/null`, and what an idle service costs.

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestWriteLines is not a test but the service of writerSpeed.
func TestWriteLines(t *testing.T) {
	total, block := 0, 0
	if n, _ := fmt.Sscan(os.Getenv("ZINIT_TEST_WRITE"), &total, &block); n != 2 {
		return
	}
	text := strings.Repeat("a line of about eighty bytes, as programs print them when they tell what they do\n", block/80+1)[:block-1] + "\n"
	begin := time.Now()
	for range total / block {
		if _, err := os.Stdout.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(os.Stderr, time.Since(begin).Nanoseconds())
	os.Exit(0)
}

// writerSpeed starts a process that writes lines to stdout, block bytes at a time, and returns MB/s as it sees it.
func writerSpeed(b *testing.B, stdout *os.File, total, block int) float64 {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestWriteLines$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("ZINIT_TEST_WRITE=%d %d", total, block))
	var took bytes.Buffer
	cmd.Stdout, cmd.Stderr = stdout, &took
	if err := cmd.Run(); err != nil {
		b.Fatal(err)
	}
	var ns float64
	if _, err := fmt.Sscan(took.String(), &ns); err != nil {
		b.Fatalf("the writer says %q", took.String())
	}
	return float64(total) * 1000 / ns
}

// BenchmarkCapture reports the writer's speed with us over that with cat, taken in turns.
func BenchmarkCapture(b *testing.B) {
	const total = 256 << 20
	for _, tc := range []struct {
		kind  string
		block int
	}{{"ring", 64 << 10}, {"ring", 4 << 10}, {"raw", 64 << 10}, {"time", 64 << 10}, {"json", 64 << 10}} {
		kind, block := tc.kind, tc.block
		b.Run(fmt.Sprintf("%s-%dK", kind, block>>10), func(b *testing.B) {
			var ours, cats float64
			for range b.N {
				cats += throughCat(b, total, block)
				h := testHub(b)
				def := keepLines(1000)
				if kind != "ring" {
					def.Format, def.File, def.MaxSize, def.Keep = kind, filepath.Join(b.TempDir(), "log"), 64<<20, 0
				}
				h.configure("s", def, false)
				r := testPipes(b, h, "s")
				ours += writerSpeed(b, r.stdout, total, block)
				r.end()
				r.drain()
			}
			b.ReportMetric(ours/float64(b.N), "MB/s")
			b.ReportMetric(cats/float64(b.N), "cat-MB/s")
			b.ReportMetric(ours/cats, "of-cat")
		})
	}
}

func throughCat(b *testing.B, total, block int) float64 {
	b.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	cat := exec.Command("cat")
	cat.Stdin, cat.Stdout = r, null
	if err := cat.Start(); err != nil {
		b.Fatal(err)
	}
	r.Close()
	speed := writerSpeed(b, w, total, block)
	w.Close()
	_ = cat.Wait()
	return speed
}

// BenchmarkIdleService reports the heap that a service with two pipes takes while it is silent, and after ten lines.
func BenchmarkIdleService(b *testing.B) {
	const services = 1000
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc + m.StackInuse)
	}
	for range b.N {
		h := testHub(b)
		testPipes(b, h, "first")
		var runs []*logPipes
		before := heap()
		for i := range services {
			name := fmt.Sprint("service-", i)
			h.configure(name, keepLines(1000), false)
			lp, err := h.pipes(name, 0, -1, -1)
			if err != nil {
				b.Skip(err)
			}
			runs = append(runs, lp)
		}
		b.ReportMetric((heap()-before)/services, "B/idle-service")
		for i := range services {
			for range 10 {
				h.add(fmt.Sprint("service-", i), "stdout", strings.Repeat("x", 60))
			}
		}
		b.ReportMetric((heap()-before)/services, "B/after-10-lines")
		for _, lp := range runs {
			lp.closeWriteEnds()
			lp.drain()
		}
	}
}

// logs_file_test.go tests log files: shared, moved away, attacked, on disks that do not answer.

//go:build !windows

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTwoServicesShareAFile(t *testing.T) {
	h := testHub(t)
	path := filepath.Join(t.TempDir(), "both.log")
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		h.configure(name, loggingDef{BufferLines: 10, File: path, MaxSize: 1 << 20, Keep: 1, Format: "raw"}, false)
		r := testPipes(t, h, name)
		wg.Go(func() {
			for i := range 1000 {
				fmt.Fprintf(r.stdout, "%s %d\n", name, i)
			}
			r.end()
			r.drain()
		})
	}
	wg.Wait()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for line := range strings.Lines(string(b)) {
		name, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n != strconv.Itoa(next[name]) {
			t.Fatalf("%q where %s %d should be", line, name, next[name])
		}
		next[name]++
	}
	if next["a"] != 1000 || next["b"] != 1000 {
		t.Fatalf("lines: %v", next)
	}
}

func TestFileThatWasMovedAwayIsMadeAgain(t *testing.T) {
	h := testHub(t)
	path := filepath.Join(t.TempDir(), "app.log")
	h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 1 << 20, Keep: 1, Format: "raw"}, false)
	r := testPipes(t, h, "s")
	io.WriteString(r.stdout, "old\n")
	eventually(t, "the file exists", func() bool { return fileExists(path) })
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new file appears", func() bool {
		io.WriteString(r.stdout, "new\n")
		return fileExists(path)
	})
}

// TestTruncatedFileHasNoHole: who empties the file (`: >app.log`, copytruncate of logrotate) finds what comes next at its beginning.
func TestTruncatedFileHasNoHole(t *testing.T) {
	for _, format := range []logFormat{"raw", "time", "json"} {
		t.Run(string(format), func(t *testing.T) {
			h := testHub(t)
			path := filepath.Join(t.TempDir(), "app.log")
			h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 1 << 20, Keep: 1, Format: format}, false)
			r := testPipes(t, h, "s")
			holds := func(text string, not ...string) {
				t.Helper()
				var b []byte
				eventually(t, "the file has "+text, func() bool { b, _ = os.ReadFile(path); return strings.Contains(string(b), text) })
				for _, word := range append(not, "\x00") {
					if strings.Contains(string(b), word) {
						t.Errorf("the file has %q: %q", word, b)
					}
				}
			}
			io.WriteString(r.stdout, strings.Repeat("old line\n", 100))
			io.WriteString(r.stdout, "its end\n")
			holds("its end")
			for _, text := range []string{"first", "second"} {
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
				io.WriteString(r.stdout, text+" line\n")
				holds(text+" line", "old", "its end")
			}
			f := h.files[path]
			eventually(t, "its worker has ended", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return !f.running })
			done, err := f.store([]byte("third line\n"), func(b []byte) (int, error) { // emptied after we have looked at it
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
				return f.write(b)
			})
			if done != 11 || err != nil {
				t.Fatal(done, err)
			}
			holds("third", "second")
		})
	}
}

func TestRow34_LogFileAttacks(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(path, victim string) error
		says string
	}{
		{"symbolic link", func(path, victim string) error { return os.Symlink(victim, path) }, "it is a symbolic link"},
		{"hard link", func(path, victim string) error { return os.Link(victim, path) }, "it has several names"},
		{"FIFO", func(path, victim string) error { return testFIFO(path) }, "it is a device, FIFO or socket"},
		{"directory", func(path, victim string) error { return os.Mkdir(path, 0o755) }, "it is a directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := testHub(t)
			dir := t.TempDir()
			path, victim := filepath.Join(dir, "app.log"), filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := tc.make(path, victim); err != nil {
				t.Fatal(err)
			}
			said := captureServerLog(t)
			h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 1 << 20, Keep: 1, Format: "raw"}, false)
			r := testPipes(t, h, "s")
			io.WriteString(r.stdout, "evil\n")
			r.end()
			r.drain()
			wantTexts(t, h.tail("s", 9), "evil")
			if b, _ := os.ReadFile(victim); string(b) != "precious" {
				t.Fatalf("the victim has %q", b)
			}
			if got := said(); !strings.Contains(got, tc.says) || !strings.Contains(got, path+" of s") {
				t.Fatalf("the server says %q, want %q", got, tc.says)
			}
		})
	}
	t.Run("device", func(t *testing.T) {
		h := testHub(t)
		said := captureServerLog(t)
		h.configure("s", loggingDef{BufferLines: 10, File: os.DevNull, MaxSize: 1 << 20, Keep: 1, Format: "json"}, false)
		r := testPipes(t, h, "s")
		io.WriteString(r.stdout, "x\n")
		r.end()
		r.drain()
		if got := said(); !strings.Contains(got, "it is a device") {
			t.Fatalf("the server says %q", got)
		}
	})
}

// hangDisk makes the file's worker wait in an operation as it does for a disk that does not answer, until the returned function is called.
func hangDisk(f *logFile) (release func()) {
	hung, ended := make(chan struct{}), make(chan struct{})
	f.mu.Lock()
	f.running = true
	f.gen++
	gen := f.gen
	f.watch = time.AfterFunc(stallLimit, f.checkStall)
	f.mu.Unlock()
	began := make(chan struct{})
	go func() {
		f.operation(gen, func() { close(began); <-hung })
		close(ended)
	}()
	<-began
	return func() { close(hung); <-ended }
}

func TestRow09_DiskThatDoesNotAnswer(t *testing.T) {
	for _, format := range []string{"raw", "json"} {
		t.Run(format, func(t *testing.T) {
			h := testHub(t)
			said := captureServerLog(t)
			path := filepath.Join(t.TempDir(), "app.log")
			h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 1 << 30, Keep: 1, Format: logFormat(format)}, false)
			release := hangDisk(h.service("s").sinks.Load().file)
			r := testPipes(t, h, "s")
			line := strings.Repeat("q", 99) + "\n"
			for range 40_000 { // 4 MB, much more than pipe and queue hold
				if _, err := io.WriteString(r.stdout, line); err != nil {
					t.Fatal(err)
				}
			}
			io.WriteString(r.stdout, "the end\n")
			r.end()
			begin := time.Now()
			r.drain()
			if d := time.Since(begin); d > drainLimit+slack {
				t.Fatalf("drain took %v", d)
			}
			wantTexts(t, h.tail("s", 1), "the end")
			release()
			f := h.service("s").sinks.Load().file
			eventually(t, "what waited is written", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return !f.running && len(f.queue) == 0
			})
			r = testPipes(t, h, "s")
			io.WriteString(r.stdout, "works again\n")
			r.end()
			r.drain()
			if b, _ := os.ReadFile(path); !strings.Contains(string(b), "works again") {
				t.Fatalf("the file has %d bytes and not the new line", len(b))
			}
			if got := said(); !strings.Contains(got, "the disk does not answer") || !strings.Contains(got, "lines lost") {
				t.Fatalf("the server says %q", got)
			}
		})
	}
}

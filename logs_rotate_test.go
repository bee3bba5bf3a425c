// logs_rotate_test.go tests that rotation loses nothing and keeps as many files as it should.

//go:build !windows

package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// readAllParts returns path.keep … path.1 path, oldest first.
func readAllParts(t *testing.T, path string) (parts [][]byte) {
	t.Helper()
	for i := 1; ; i++ {
		b, err := os.ReadFile(path + "." + strconv.Itoa(i))
		if err != nil {
			break
		}
		parts = append([][]byte{b}, parts...)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return append(parts, b)
}

func TestRotationLosesNothing(t *testing.T) {
	for _, format := range []string{"raw", "time", "json"} {
		t.Run(format, func(t *testing.T) {
			h := testHub(t)
			path := filepath.Join(t.TempDir(), "new dir", "app.log")
			h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 50_000, Keep: 1000, Format: logFormat(format)}, false)
			r := testPipes(t, h, "s")
			const total = 20_000
			for i := 0; i < total; { // several lines a write, as a library would
				var b strings.Builder
				for range 1 + i%50 {
					if i < total {
						fmt.Fprintf(&b, "line number %d of this service\n", i)
						i++
					}
				}
				io.WriteString(r.stdout, b.String())
			}
			r.end()
			r.drain()
			next := 0
			parts := readAllParts(t, path)
			for i, part := range parts {
				if len(part) > 50_000 || len(part) == 0 {
					t.Fatalf("part %d of %d has %d bytes", i, len(parts), len(part))
				}
				if i < len(parts)-1 && len(part) < 49_800 {
					t.Fatalf("part %d was rotated early: %d bytes", i, len(part))
				}
				for line := range strings.Lines(string(part)) {
					if !strings.Contains(line, fmt.Sprintf("line number %d of this service", next)) || !strings.HasSuffix(line, "\n") {
						t.Fatalf("part %d: %q where line %d should be", i, line, next)
					}
					next++
				}
			}
			if next != total {
				t.Fatalf("%d lines in the files, want %d", next, total)
			}
		})
	}
}

func TestRotationKeepsKeepFiles(t *testing.T) {
	for _, keep := range []int{0, 1, 3} {
		h := testHub(t)
		path := filepath.Join(t.TempDir(), "app.log")
		h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 100, Keep: keep, Format: "raw"}, false)
		r := testPipes(t, h, "s")
		for i := range 100 {
			fmt.Fprintf(r.stdout, "%048d\n", i)
		}
		r.end()
		r.drain()
		names, _ := filepath.Glob(path + "*")
		if len(names) != keep+1 {
			t.Errorf("keep %d leaves %q", keep, names)
		}
		if b, _ := os.ReadFile(path); !bytes.HasSuffix(b, []byte(fmt.Sprintf("%048d\n", 99))) || len(b) != 98 {
			t.Errorf("keep %d: the file ends with %q", keep, b)
		}
	}
}

func TestRawRotationHasEveryByteOnce(t *testing.T) {
	h := testHub(t)
	path := filepath.Join(t.TempDir(), "app.log")
	h.configure("s", loggingDef{BufferLines: 10, File: path, MaxSize: 20_000, Keep: 1000, Format: "raw"}, false)
	r := testPipes(t, h, "s")
	var all []byte
	rnd := rand.New(rand.NewPCG(3, 4))
	for len(all) < 2<<20 {
		b := make([]byte, 1+rnd.IntN(9000))
		for i := range b {
			b[i] = byte(rnd.IntN(256))
		}
		if rnd.IntN(10) == 0 { // a line that is longer than a file may be
			b = bytes.Repeat([]byte{'l'}, 50_000)
		}
		all = append(all, b...)
		if _, err := r.stdout.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	r.end()
	r.drain()
	parts := readAllParts(t, path)
	for i, part := range parts {
		if len(part) > 20_000 {
			t.Fatalf("part %d has %d bytes", i, len(part))
		}
	}
	if got := bytes.Join(parts, nil); !bytes.Equal(got, all) {
		t.Fatalf("%d bytes in the files, %d were written, or they differ", len(got), len(all))
	}
}

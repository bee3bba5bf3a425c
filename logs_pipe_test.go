// logs_pipe_test.go tests that all that a service prints is read, whole and in order, and that nobody waits.

//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

func TestDrainHasEverythingPrinted(t *testing.T) {
	h := testHub(t)
	h.configure("job", keepLines(1000), false)
	for i := range 200 {
		r := testPipes(t, h, "job")
		fmt.Fprintf(r.stdout, "begin %d\nno newline at the end %d", i, i)
		r.end()
		r.drain()
		if got := texts(h.tail("job", 2)); !slices.Equal(got, []string{fmt.Sprint("begin ", i), fmt.Sprint("no newline at the end ", i)}) {
			t.Fatalf("after run %d the newest lines are %q", i, got)
		}
	}
}

func TestDrainDoesNotWaitForALeftover(t *testing.T) {
	h := testHub(t)
	r := testPipes(t, h, "job")
	fmt.Fprint(r.stdout, "said\n")
	r.drain() // the write ends are still open, as a survivor in D state would have them
	wantTexts(t, h.tail("job", 10), "said")
	if ends := h.readEnds("job"); len(ends) != 0 {
		t.Fatalf("read ends stay open: %v", ends)
	}
}

func TestAdoptedPipesGoOn(t *testing.T) {
	old, next := testHub(t), testHub(t)
	r := testPipes(t, old, "s")
	fmt.Fprint(r.stdout, "whole\nbegun ")
	eventually(t, "the line arrives", func() bool { return len(old.tail("s", 5)) == 1 })
	ends := old.readEnds("s")
	if len(ends) != 2 || string(ends[0].Partial) != "begun " {
		t.Fatalf("read ends: %+v", ends)
	}
	for i := range ends { // what a keeper hands out is a duplicate
		ends[i].FD = testDup(t, ends[i].FD)
	}
	old.poller.close()
	lp, err := next.adopt("s", 1, ends, nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(r.stdout, "and ended\n")
	fmt.Fprint(r.stderr, "err\n")
	r.end()
	lp.drain()
	got := texts(next.tail("s", 5))
	slices.Sort(got)
	if !slices.Equal(got, []string{"begun and ended", "err"}) {
		t.Fatalf("the next server has %q", got)
	}
}

func TestRow11_LongBinaryAndInvalidLines(t *testing.T) {
	long := strings.Repeat("abcdefghij", 4000)
	umlauts := strings.Repeat("ü", 20_000)
	for _, tc := range []struct{ name, in, want string }{
		{"empty lines", "\n\n", "|"},
		{"NUL", "a\x00b\n", "a\x00b"},
		{"invalid UTF-8", "a\xff\xfeb\n", "a\ufffd\ufffdb"},
		{"exactly the limit", long[:maxLine] + "\n", long[:maxLine]},
		{"one more than the limit", long[:maxLine+1] + "\n", long[:maxLine] + "|" + long[maxLine:maxLine+1]},
		{"long", long + "\nnext\n", long[:maxLine] + "|" + long[maxLine:2*maxLine] + "|" + long[2*maxLine:] + "|next"},
		{"long without an end", long, long[:maxLine] + "|" + long[maxLine:2*maxLine] + "|" + long[2*maxLine:]},
		{"no character is torn", "x" + umlauts + "\n", "x" + umlauts[:maxLine-2] + "|" + umlauts[maxLine-2:2*maxLine-2] + "|" + umlauts[2*maxLine-2:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := testHub(t)
			r := testPipes(t, h, "s")
			// In pieces of many sizes: the result must not depend on them.
			for in, n := []byte(tc.in), 1; len(in) > 0; n = n*7%9001 + 1 {
				k := min(n, len(in))
				if _, err := r.stdout.Write(in[:k]); err != nil {
					t.Fatal(err)
				}
				in = in[k:]
			}
			r.end()
			r.drain()
			got := h.tail("s", 100)
			wantTexts(t, got, strings.Split(tc.want, "|")...)
			for _, l := range got {
				b, err := json.Marshal(l)
				if err != nil || !utf8.Valid(b) {
					t.Fatalf("%q does not survive JSON: %v", l.Text, err)
				}
			}
		})
	}
}

func TestRow11_HundredMegabytesOnOneLine(t *testing.T) {
	h := testHub(t)
	r := testPipes(t, h, "s")
	block := bytes.Repeat([]byte("z"), 1<<20)
	for range 100 {
		if _, err := r.stdout.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(r.stdout, "\nafter\n")
	r.end()
	r.drain()
	got := h.tail("s", 3)
	if len(got) != 3 || got[2].Text != "after" || len(got[0].Text) != maxLine || got[2].Seq != 100<<20/maxLine+1 {
		t.Fatalf("the newest lines have %d bytes, seq %d", len(got[0].Text), got[2].Seq)
	}
	if n := len(h.service("s").ring.buf); n > ringMax {
		t.Fatalf("the ring has %d bytes", n)
	}
}

func TestClosedStdoutLeavesStderr(t *testing.T) {
	h := testHub(t)
	r := testPipes(t, h, "s")
	fmt.Fprint(r.stdout, "last words")
	r.stdout.Close()
	eventually(t, "stdout is closed here too", func() bool { return len(h.readEnds("s")) == 1 })
	wantTexts(t, h.tail("s", 9), "last words")
	fmt.Fprint(r.stderr, "still here\n")
	eventually(t, "stderr arrives", func() bool { return len(h.tail("s", 9)) == 2 })
	if got := h.tail("s", 1)[0]; got.Stream != "stderr" || got.Text != "still here" {
		t.Fatalf("got %+v", got)
	}
}

// chatter writes to w until it is closed.
func chatter(w io.Writer, line string) {
	block := []byte(strings.Repeat(line+"\n", 64<<10/(len(line)+1)))
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestAFirehoseDoesNotStarveOthers(t *testing.T) {
	h := testHub(t)
	r := testPipes(t, h, "loud")
	go chatter(r.stdout, "blah blah blah")
	quiet := testPipes(t, h, "quiet")
	for i := range 50 {
		fmt.Fprintf(quiet.stdout, "%d\n", i)
		eventually(t, "the quiet one is heard", func() bool {
			l := h.tail("quiet", 1)
			return len(l) == 1 && l[0].Text == strconv.Itoa(i)
		})
	}
}

func TestSeqGrowsByOneOverAllServices(t *testing.T) {
	h := testHub(t)
	f := h.follow(nil, "", 0)
	defer f.close()
	var wg sync.WaitGroup
	for i := range 8 {
		r := testPipes(t, h, strconv.Itoa(i))
		wg.Go(func() {
			for k := range 100 {
				fmt.Fprintf(r.stdout, "%d\n", k)
			}
			r.end()
			r.drain()
		})
	}
	wg.Wait()
	lines, lost := f.all()
	if len(lines) != 800 || lost != 0 {
		t.Fatalf("%d lines and %d lost, want 800 and 0", len(lines), lost)
	}
	for i, l := range lines {
		if l.Seq != uint64(i+1) {
			t.Fatalf("line %d has seq %d", i, l.Seq)
		}
	}
}

// logs_ring_test.go tests that the newest lines are kept, within bounds, and found again.

//go:build !windows

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestRingKeepsTheNewest(t *testing.T) {
	for _, limit := range []int{0, 1, 7, 1000} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			h := testHub(t)
			h.configure("s", keepLines(limit), false)
			var want []string
			rnd := rand.New(rand.NewPCG(1, uint64(limit)))
			for range 300 {
				var batch strings.Builder
				for range 1 + rnd.IntN(40) {
					text := strings.Repeat("x", rnd.IntN(120)) + strconv.Itoa(len(want))
					want = append(want, text)
					batch.WriteString(text + "\n")
				}
				h.add("s", "stdout", batch.String())
			}
			for _, n := range []int{1, 5, limit, limit + 100} {
				k := min(n, limit)
				got := h.tail("s", n)
				wantTexts(t, got, want[len(want)-k:]...)
				for i, l := range got {
					if l.Seq != uint64(len(want)-k+i+1) || l.Service != "s" || l.Stream != "stdout" || l.TimeMS == 0 {
						t.Fatalf("line %d is %+v", i, l)
					}
				}
			}
		})
	}
}

func TestRingIsBoundedInBytes(t *testing.T) {
	h := testHub(t)
	h.configure("s", keepLines(1_000_000), false)
	line := strings.Repeat("y", 10_000) + "\n"
	for range 1000 {
		h.add("s", "stderr", line)
	}
	s := h.service("s")
	if len(s.ring.buf) > ringMax {
		t.Fatalf("the ring has %d bytes, more than %d", len(s.ring.buf), ringMax)
	}
	if got := h.tail("s", 1000); len(got) < 400 || got[len(got)-1].Seq != 1000 {
		t.Fatalf("%d lines, want what fits into %d bytes with the newest", len(got), ringMax)
	}
}

func TestConfigureKeepsTheLinesItHas(t *testing.T) {
	h := testHub(t)
	h.configure("s", keepLines(10), false)
	for i := range 10 {
		h.add("s", "stdout", strconv.Itoa(i))
	}
	h.configure("s", keepLines(3), false)
	wantTexts(t, h.tail("s", 10), "7", "8", "9")
	h.configure("s", keepLines(5), false)
	h.add("s", "stdout", "10")
	wantTexts(t, h.tail("s", 10), "7", "8", "9", "10")
	h.forget("s")
	wantTexts(t, h.tail("s", 10))
}

func TestSnapshotAndRestore(t *testing.T) {
	old, next := testHub(t), testHub(t)
	old.seqAtLeast(41)
	old.add("a", "stdout", "one")
	old.add("b", "stderr", "two")
	old.add("a", "syslog", "three")
	for _, name := range []string{"a", "b"} {
		next.restore(name, old.snapshot(name))
	}
	if got, want := next.filter(logQuery{Lines: 10}), old.filter(logQuery{Lines: 10}); !slices.Equal(got, want) || len(got) != 3 {
		t.Fatalf("restored %+v, want %+v", got, want)
	}
	next.add("b", "stdout", "four")
	if seq := next.lastSeq(); seq != 45 {
		t.Fatalf("seq goes on with %d, want 45", seq)
	}
}

func TestFilter(t *testing.T) {
	h := testHub(t)
	for i := range 50 {
		h.add([]string{"a", "b", "c"}[i%3], streams[i%2], fmt.Sprintf("line %d", i))
	}
	seqs := func(lines []logLine) (out []uint64) {
		for _, l := range lines {
			out = append(out, l.Seq)
		}
		return out
	}
	for _, tc := range []struct {
		q    logQuery
		want []uint64
	}{
		{logQuery{Lines: 4}, []uint64{47, 48, 49, 50}},
		{logQuery{Lines: 2, Service: "a"}, []uint64{46, 49}},
		{logQuery{Lines: 2, Service: "a", Stream: "stderr"}, []uint64{40, 46}},
		{logQuery{Lines: 99, Contains: "line 3", Service: "b"}, []uint64{32, 35, 38}},
		{logQuery{Lines: 99, UntilMS: 1}, nil},
		{logQuery{Lines: 99, SinceMS: time.Now().Add(time.Hour).UnixMilli()}, nil},
		{logQuery{Lines: 99, Service: "nobody"}, nil},
		{logQuery{}, nil},
	} {
		if got := seqs(h.filter(tc.q)); !slices.Equal(got, tc.want) {
			t.Errorf("%+v finds %v, want %v", tc.q, got, tc.want)
		}
	}
}

func TestFilterIsOrderedOverManyServices(t *testing.T) {
	h := testHub(t)
	for i := range 20_000 {
		h.add(strconv.Itoa(i%40), "stdout", "x")
	}
	got := h.filter(logQuery{Lines: 100})
	for i, l := range got {
		if l.Seq != uint64(19_901+i) {
			t.Fatalf("line %d has seq %d", i, l.Seq)
		}
	}
	if len(got) != 100 {
		t.Fatalf("%d lines, want 100", len(got))
	}
}

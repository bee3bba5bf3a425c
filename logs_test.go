//go:build !windows

// logs_test.go tests logs.go through pipes as a service has them; what only Linux can show is in logs_linux_test.go.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// testHub makes a hub whose console goes nowhere.
func testHub(t testing.TB) *logHub {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := newLogHub(int(null.Fd()))
	t.Cleanup(func() {
		if h.poller != nil {
			h.poller.close()
		}
		h.console.flush(patience)
		null.Close()
	})
	return h
}

// testRun is one run of a service: its two streams, and what the server holds of it.
type testRun struct {
	*logPipes
	stdout, stderr *os.File
}

// testPipes begins a run; the write ends are ours as they would be the child's.
func testPipes(t testing.TB, h *logHub, name string) *testRun {
	t.Helper()
	lp, err := h.pipes(name, 1, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	r := &testRun{lp, os.NewFile(uintptr(lp.Out), "stdout"), os.NewFile(uintptr(lp.Err), "stderr")}
	lp.Out, lp.Err = -1, -1
	t.Cleanup(func() {
		r.end()
		r.drain()
	})
	return r
}

// end is the end of the child: all its descriptors close.
func (r *testRun) end() {
	r.stdout.Close()
	r.stderr.Close()
}

func testDup(t testing.TB, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testFIFO(path string) error { return unix.Mkfifo(path, 0o600) }

// captureServerLog leads descriptor 2 into a file for the time of the test; the function returns what was written so far.
func captureServerLog(t *testing.T) func() string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	old := testDup(t, 2)
	if err := testDupOver(int(f.Fd()), 2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serverLog.flush(patience)
		_ = testDupOver(old, 2)
		unix.Close(old)
		f.Close()
	})
	return func() string {
		serverLog.flush(patience)
		b, _ := os.ReadFile(f.Name())
		return string(b)
	}
}

func texts(lines []logLine) []string {
	out := []string{}
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}

func wantTexts(t testing.TB, got []logLine, want ...string) {
	t.Helper()
	if !slices.Equal(texts(got), want) {
		t.Fatalf("lines are %q, want %q", texts(got), want)
	}
}

// keepLines is the default [logging] with n lines.
func keepLines(n int) loggingDef {
	return loggingDef{BufferLines: n, MaxSize: 10 << 20, Keep: 3, Format: "raw"}
}

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
	lp, err := next.adopt("s", 1, ends)
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

func TestFollowBeginsWithOldLines(t *testing.T) {
	h := testHub(t)
	for i := range 20 {
		h.add([]string{"a", "b"}[i%2], "stdout", strconv.Itoa(i))
	}
	f := h.follow([]string{"b"}, "stdout", 3)
	defer f.close()
	h.add("b", "stderr", "other stream")
	h.add("a", "stdout", "other service")
	h.add("b", "stdout", "new")
	<-f.wake
	lines, lost := f.all()
	wantTexts(t, lines, "15", "17", "19", "new")
	if lost != 0 {
		t.Fatalf("%d lost", lost)
	}
}

// all takes until there is nothing more.
func (f *follower) all() (lines []logLine, lost uint64) {
	for {
		some, missed := f.take(1 << 10)
		lines, lost = append(lines, some...), lost+missed
		if len(some) == 0 {
			return lines, lost
		}
	}
}

func TestRow10_SlowFollowerLosesTheOldest(t *testing.T) {
	h := testHub(t)
	h.add("s", "stdout", "before")
	f, named, other := h.follow(nil, "", 0), h.follow([]string{"s", "t"}, "stdout", 10), h.follow([]string{"quiet"}, "", 10)
	r := testPipes(t, h, "s")
	line := strings.Repeat("x", 1000)
	const total = 10_000
	for i := range total {
		fmt.Fprintf(r.stdout, "%s%d\n", line, i)
		if i%100 == 0 {
			h.add("s", "stderr", "an error")
		}
	}
	h.add("quiet", "stdout", "hm")
	r.end()
	r.drain()
	lines, lost := f.all()
	last := func(l logLine) bool { return l.Text == line+strconv.Itoa(total-1) }
	if len(lines)+int(lost) != total+101 || lost == 0 || (len(lines)-101)*len(line) > tapeBytes || !slices.ContainsFunc(lines, last) {
		t.Errorf("%d lines and %d lost of %d", len(lines), lost, total+101)
	}
	for i := range lines[1:] {
		if lines[i].Seq >= lines[i+1].Seq {
			t.Fatalf("seq %d, then %d", lines[i].Seq, lines[i+1].Seq)
		}
	}
	lines, lost = named.all()
	if len(lines)+int(lost) != total+1 || lost == 0 || lines[0].Text != "before" || !last(lines[len(lines)-1]) {
		t.Errorf("by name and stream: %d lines and %d lost of %d", len(lines), lost, total+1)
	}
	lines, lost = other.all()
	wantTexts(t, lines, "hm")
	if lost != 0 {
		t.Errorf("a follower of another service lost %d", lost)
	}
	for _, f := range []*follower{f, named, other} {
		f.close()
	}
	h.emit.Lock()
	defer h.emit.Unlock()
	if len(h.tape.parts) != 0 || len(h.audiences) != 0 || len(h.everyone.followers) != 0 {
		t.Error("something is left of the followers")
	}
}

func TestConsoleLinesAreWhole(t *testing.T) {
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h := testHub(t)
	h.console = newLineWriter(int(w.Fd()))
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(out)
		got <- b
	}()
	var wg sync.WaitGroup
	var runs []*testRun
	for i := range 4 {
		name := "svc" + strconv.Itoa(i)
		h.configure(name, keepLines(10), true)
		r := testPipes(t, h, name)
		runs = append(runs, r)
		for _, stream := range []*os.File{r.stdout, r.stderr} {
			wg.Go(func() {
				for k := range 50 {
					text := strings.Repeat(strconv.Itoa(i), k*20) + "\n"
					for len(text) > 0 { // in pieces
						n := min(len(text), 700)
						io.WriteString(stream, text[:n])
						text = text[n:]
					}
				}
			})
		}
	}
	wg.Wait()
	for _, r := range runs {
		r.end()
		r.drain()
	}
	h.flushLogs(patience)
	w.Close()
	lines := strings.Split(strings.TrimSuffix(string(<-got), "\n"), "\n")
	if len(lines) != 400 {
		t.Fatalf("%d lines on the console, want 400", len(lines))
	}
	for _, l := range lines {
		name, text, ok := strings.Cut(l, " | ")
		if !ok || strings.Trim(text, strings.TrimPrefix(name, "svc")) != "" || len(text)%20 != 0 {
			t.Fatalf("torn line: %.80q", l)
		}
	}
}

func TestRow10_StuckConsoleLosesLinesAndSaysSo(t *testing.T) {
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h := testHub(t)
	h.console = newLineWriter(int(w.Fd()))
	h.configure("s", keepLines(10), true)
	r := testPipes(t, h, "s")
	const total = 100_000
	for i := range total { // nobody reads the console: the service goes on all the same
		fmt.Fprintf(r.stdout, "this is line %d\n", i)
	}
	r.end()
	r.drain()
	wantTexts(t, h.tail("s", 1), fmt.Sprintf("this is line %d", total-1))
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(out)
		got <- string(b)
	}()
	h.flushLogs(patience)
	w.Close()
	text := <-got
	seen, lost := 0, 0
	for l := range strings.Lines(text) {
		n := 0
		if _, err := fmt.Sscanf(l, "zinit: warn: %d lines lost", &n); err == nil {
			lost += n
			continue
		}
		seen++
	}
	if lost == 0 || seen+lost != total || !strings.HasSuffix(text, fmt.Sprintf("s | this is line %d\n", total-1)) {
		t.Fatalf("%d lines seen and %d reported lost of %d", seen, lost, total)
	}
}

func TestFormats(t *testing.T) {
	data := []byte("a<b>\nc\xffd\n")
	for _, tc := range []struct {
		format  string
		console bool
		want    string
	}{
		{"raw", true, "web | a<b>\nweb | c\xffd\n"},
		{"time", false, "2023-11-14T22:13:20.123Z stderr a<b>\n2023-11-14T22:13:20.123Z stderr c\xffd\n"},
		{"time", true, "web | 2023-11-14T22:13:20.123Z stderr a<b>\nweb | 2023-11-14T22:13:20.123Z stderr c\xffd\n"},
		{"json", true, `{"seq":7,"time_ms":1700000000123,"service":"web","stream":"stderr","text":"a<b>"}` + "\n" +
			`{"seq":8,"time_ms":1700000000123,"service":"web","stream":"stderr","text":"c` + "\ufffd" + `d"}` + "\n"},
	} {
		if got := string(formatLines(logFormat(tc.format), "web", tc.console, 1, 7, 1700000000123, data)); got != tc.want {
			t.Errorf("%s, console %v:\n%s\nwant\n%s", tc.format, tc.console, got, tc.want)
		}
	}
}

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
	f.watch = time.AfterFunc(stallLimit, f.look)
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

func TestServerLog(t *testing.T) {
	said := captureServerLog(t)
	defer setLogLevel("info")
	for _, level := range []string{"info", "debug", "error"} {
		if err := setLogLevel(level); err != nil {
			t.Fatal(err)
		}
		logf(logDebug, "d %s", level)
		logf(logInfo, "i %s", level)
		logf(logWarn, "w %s", level)
		logf(logError, "e %s", level)
	}
	want := "zinit: info: i info\nzinit: warn: w info\nzinit: error: e info\n" +
		"zinit: debug: d debug\nzinit: info: i debug\nzinit: warn: w debug\nzinit: error: e debug\nzinit: error: e error\n"
	if got := said(); got != want {
		t.Fatalf("the server's log is\n%swant\n%s", got, want)
	}
	if err := setLogLevel("loud"); err == nil || !strings.Contains(err.Error(), "debug, info, warn or error") {
		t.Fatalf("a wrong level: %v", err)
	}
}

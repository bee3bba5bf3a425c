// logs_console_test.go tests the console copies and the server's own log.

//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestConsoleLinesAreWhole(t *testing.T) {
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h := testHub(t)
	h.consoles[0] = newLineWriter(int(w.Fd()))
	h.consoles[1] = h.consoles[0]
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
	h.consoles[0] = newLineWriter(int(w.Fd()))
	h.consoles[1] = h.consoles[0]
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

// TestRow67_PlainConsoleLinesComeAsTheyWere: each stream on its own, without a prefix, a line of 1 MiB in one piece, and only longer ones in several.
func TestRow67_PlainConsoleLinesComeAsTheyWere(t *testing.T) {
	h := testHub(t)
	var got [2]chan string
	var ends [2]*os.File
	for i := range got {
		out, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		got[i], ends[i] = make(chan string, 1), w
		h.consoles[i] = newLineWriter(int(w.Fd()))
		go func() {
			b, _ := io.ReadAll(out)
			got[i] <- string(b)
		}()
	}
	def := keepLines(10)
	def.ConsoleFormat = formatPlain
	h.configure("plain", def, true)
	def.ConsoleFormat = formatJSON
	h.configure("json", def, true)
	plain, other := testPipes(t, h, "plain"), testPipes(t, h, "json")
	whole, long := `{"n":"`+strings.Repeat("ä", maxPlain/2-4)+`"}`, strings.Repeat("x", maxPlain+10)
	if len(whole) != maxPlain {
		t.Fatalf("%d bytes", len(whole))
	}
	fmt.Fprintf(plain.stdout, "first\n%s\n%s\n%s", whole, long, "unfinished")
	fmt.Fprint(plain.stderr, "trouble\n")
	fmt.Fprint(other.stderr, "more\n")
	for _, r := range []*testRun{plain, other} {
		r.end()
		r.drain()
	}
	h.add("plain", streamSyslog, "from syslog")
	for i, w := range ends {
		h.consoles[i].flush(patience)
		w.Close()
	}
	stdout, stderr := <-got[0], <-got[1]
	if want := "first\n" + whole + "\n" + long[:maxPlain] + "\n" + long[maxPlain:] + "\nunfinished\nfrom syslog\n"; stdout != want {
		t.Errorf("stdout has %d bytes, want %d: %.100q ... %.100q", len(stdout), len(want), stdout, stdout[max(0, len(stdout)-100):])
	}
	says(t, stderr, "trouble\n", `"service":"json","stream":"stderr","text":"more"}`)
	if strings.Contains(stderr, "plain |") || strings.Contains(stderr, "json |") {
		t.Errorf("stderr has prefixes: %q", stderr)
	}
	if lines := h.tail("plain", 3); len(lines) != 3 || len(lines[0].Text) > maxLine {
		t.Errorf("the ring has %d lines", len(lines))
	}
}

// TestConsoleStreamsAreApart: what a service prints on stdout comes out of the server's stdout, what it prints on stderr out of its stderr, where the server's own log is
// JSON if that was asked for.
func TestConsoleStreamsAreApart(t *testing.T) {
	s := newServer(t, map[string]string{"app": "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo out; echo err >&2\"]\noneshot = true\n[logging]\nconsole = true\nformat = \"json\"\n"})
	stderr, err := os.Create(filepath.Join(s.dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	s.prepare = func(cmd *exec.Cmd) { cmd.Stderr = stderr }
	s.run("--log-format", "json")
	s.is("exited", "app")
	s.stop()
	outText, _ := os.ReadFile(s.out.Name())
	errText, _ := os.ReadFile(stderr.Name())
	if string(outText) != "app | out\n" {
		t.Errorf("stdout of the server is %q", outText)
	}
	own := 0
	for line := range strings.Lines(string(errText)) {
		var l ownLine
		if line == "app | err\n" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Level != "info" || l.Message == "" || l.Time == "" {
			t.Errorf("a line of the server's log is %q: %v", line, err)
		}
		own++
	}
	if own == 0 || !strings.Contains(string(errText), "app | err\n") {
		t.Errorf("stderr of the server is %q", errText)
	}
}

func TestLogFormatFromFlagAndEnvironment(t *testing.T) {
	for _, row := range []struct{ env, flag, want string }{{"", "", "text"}, {"json", "", "json"}, {"json", "text", "text"}, {"xml", "", "unknown log format \"xml\"; use text or json"}} {
		t.Setenv("ZINIT_LOG_FORMAT", row.env)
		c := newCLI()
		words := []string{"server"}
		if row.flag != "" {
			words = append(words, "--log-format", row.flag)
		}
		if err := c.parse(words); err != nil {
			t.Fatal(err)
		}
		o, err := c.serverOptions()
		setLogFormat("text")
		if got := o.logFormat; err == nil && got != row.want || err != nil && err.Error() != row.want {
			t.Errorf("environment %q, flag %q: %q, %v, want %q", row.env, row.flag, got, err, row.want)
		}
	}
}

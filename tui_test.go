// tui_test.go drives the full screen and the line editor: as pure functions on text, and in a real pseudo-terminal behind a small VT100.

//go:build linux

package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// --- a small VT100 ---

// vt is the screen of a terminal, as far as the program uses one. What it does not know is an error.
type vt struct {
	cols, rows int
	cells      [][]string
	x, y       int
	alternate  bool
	hidden     bool // the cursor
	nowrap     bool
	main       [][]string // what the alternate screen covers
	pending    []byte
	unknown    []string
}

func newVT(cols, rows int) *vt {
	v := &vt{cols: cols, rows: rows}
	v.cells = v.blank()
	return v
}

func (v *vt) blank() [][]string {
	cells := make([][]string, v.rows)
	for y := range cells {
		cells[y] = make([]string, v.cols)
		v.clear(cells[y])
	}
	return cells
}

func (v *vt) clear(row []string) {
	for x := range row {
		row[x] = " "
	}
}

func (v *vt) text() string {
	var b strings.Builder
	for _, row := range v.cells {
		b.WriteString(strings.TrimRight(strings.Join(row, ""), " ") + "\n")
	}
	return b.String()
}

func (v *vt) resize(cols, rows int) {
	v.cols, v.rows = cols, rows
	v.cells, v.main = v.blank(), nil
	v.x, v.y = 0, 0
}

func (v *vt) write(b []byte) {
	b = append(v.pending, b...)
	for len(b) > 0 {
		n := v.step(b)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	v.pending = append([]byte(nil), b...)
}

func (v *vt) down() {
	if v.y++; v.y == v.rows {
		v.y--
		copy(v.cells, v.cells[1:])
		v.cells[v.rows-1] = make([]string, v.cols)
		v.clear(v.cells[v.rows-1])
	}
}

// step takes one character or sequence; 0: there must be more.
func (v *vt) step(b []byte) int {
	switch {
	case b[0] == '\r':
		v.x = 0
	case b[0] == '\n':
		v.down()
	case b[0] == '\b':
		v.x = max(0, v.x-1)
	case b[0] == '\t':
		v.x = min(v.cols-1, v.x/8*8+8)
	case b[0] == 0x1b:
		return v.sequence(b)
	case b[0] < ' ':
		v.unknown = append(v.unknown, fmt.Sprintf("%q", b[:1]))
	default:
		if !utf8.FullRune(b) {
			return 0
		}
		r, n := utf8.DecodeRune(b)
		v.put(r)
		return n
	}
	return 1
}

func (v *vt) put(r rune) {
	w := runeColumns(r)
	if w == 0 {
		if v.x > 0 {
			v.cells[v.y][v.x-1] += string(r)
		}
		return
	}
	if v.x+w > v.cols {
		if v.nowrap {
			return
		}
		v.x = 0
		v.down()
	}
	v.cells[v.y][v.x] = string(r)
	if w == 2 {
		v.cells[v.y][v.x+1] = ""
	}
	v.x += w
}

func (v *vt) sequence(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	end := 2
	for end < len(b) && (b[end] < 0x40 || b[end] > 0x7e) {
		end++
	}
	if end == len(b) {
		return 0
	}
	text := string(b[2:end])
	number := func(s string) int { n, _ := strconv.Atoi(s); return max(1, n) }
	switch kind := string(b[1:2]) + string(b[end:end+1]); {
	case kind == "[H":
		row, col, _ := strings.Cut(text, ";")
		v.y, v.x = min(number(row), v.rows)-1, min(number(col), v.cols)-1
	case kind == "[J" && text == "2":
		for _, row := range v.cells {
			v.clear(row)
		}
	case kind == "[K" && text == "":
		v.clear(v.cells[v.y][v.x:])
	case kind == "[K" && text == "2":
		v.clear(v.cells[v.y])
	case kind == "[C":
		v.x = min(v.cols-1, v.x+number(text))
	case kind == "[m":
	case kind == "[h" || kind == "[l":
		v.mode(text, kind == "[h")
	default:
		v.unknown = append(v.unknown, fmt.Sprintf("%q", b[:end+1]))
	}
	return end + 1
}

func (v *vt) mode(text string, on bool) {
	switch text {
	case "?1049":
		if on != v.alternate {
			v.alternate = on
			v.cells, v.main = v.main, v.cells
			if v.cells == nil {
				v.cells = v.blank()
			}
		}
	case "?25":
		v.hidden = !on
	case "?7":
		v.nowrap = !on
	case "?2004", "?2026":
	default:
		v.unknown = append(v.unknown, text)
	}
}

// --- a pseudo-terminal with a program in it ---

type tty struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	before *unix.Termios
	cmd    *exec.Cmd
	ended  chan error
	gone   chan struct{} // closed at the end of cmd
	mu     sync.Mutex
	vt     *vt
	raw    []byte // all that was written
}

// openTTY starts a program in a new pseudo-terminal of that size.
func openTTY(t *testing.T, cols, rows int, env []string, argv ...string) *tty {
	t.Helper()
	master, slave := openPTY(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := &tty{t: t, master: master, slave: slave, ended: make(chan error, 1), gone: make(chan struct{}), vt: newVT(cols, rows)}
	var err error
	p.before, err = unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	must(err)
	must(unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(cols), Row: uint16(rows)}))
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.Env = append(append(os.Environ(), "NO_COLOR=1", "TERM=xterm", "HOME="+t.TempDir(), "XDG_STATE_HOME="), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(p.cmd.Start())
	go p.read()
	go func() {
		p.ended <- p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.gone
	})
	return p
}

func (p *tty) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.master.Read(buf)
		p.mu.Lock()
		p.vt.write(buf[:n])
		p.raw = append(p.raw, buf[:n]...)
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *tty) keys(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// written is all that the program has written, as it came.
func (p *tty) written() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.raw)
}

func (p *tty) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.vt.text()
}

// shows waits until the screen has all the texts; one that begins with ! must not be there.
func (p *tty) shows(texts ...string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("screen:\n%s", p.screen())
		}
	}()
	eventually(p.t, "on the screen: "+strings.Join(texts, ", "), func() bool {
		s := p.screen()
		for _, text := range texts {
			text, not := strings.CutPrefix(text, "!")
			if strings.Contains(s, text) == not {
				return false
			}
		}
		return true
	})
}

// is waits until the screen is exactly that.
func (p *tty) is(want string) {
	p.t.Helper()
	want = strings.TrimPrefix(want, "\n")
	defer func() {
		if p.t.Failed() {
			p.t.Logf("--- got\n%s--- want\n%s", p.screen(), want)
		}
	}()
	eventually(p.t, "the screen", func() bool { return strings.TrimRight(p.screen(), "\n") == strings.TrimRight(want, "\n") })
}

func (p *tty) resize(cols, rows int) {
	p.t.Helper()
	p.mu.Lock()
	p.vt.resize(cols, rows)
	p.mu.Unlock()
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(cols), Row: uint16(rows)}); err != nil {
		p.t.Fatal(err)
	}
}

// leaves waits for the end of the program with that exit code, and looks whether the terminal is as it was.
func (p *tty) leaves(code int) {
	p.t.Helper()
	var err error
	eventually(p.t, "the program ends", func() bool {
		select {
		case err = <-p.ended:
			return true
		default:
			return false
		}
	})
	got := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		got = failed.ExitCode()
	}
	if got != code {
		p.t.Errorf("exit code %d, want %d; screen:\n%s", got, code, p.screen())
	}
	after, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	if *after != *p.before {
		p.t.Errorf("the keyboard was not given back: %+v, before %+v", after, p.before)
	}
	eventually(p.t, "the screen was given back", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.vt.alternate && !p.vt.hidden && !p.vt.nowrap
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.vt.unknown) > 0 {
		p.t.Errorf("the terminal got what it may not know: %v", p.vt.unknown)
	}
}

// --- the model ---

const tuiLog = `{"subscription":1}
note {"jsonrpc":"2.0","method":"log","params":{"subscription":1,"seq":1,"time_ms":1,"service":"web","stream":"stdout","text":"listening on 80"}}
note {"jsonrpc":"2.0","method":"log","params":{"subscription":1,"seq":2,"time_ms":2,"service":"web","stream":"stderr","text":"日本語 \u001b[31mred\u001b[0m\ttab","lost":3}}`

func tuiServer(t *testing.T) *fakeServer {
	return fakeServe(t, map[string]string{"service.list_full": listFull, "events.subscribe": `{"subscription":1}`, "logs.follow": tuiLog,
		"service.get": `{"dependencies":{"requires":["db","gone"],"wants":["web"]}}`, "service.why": `{"text":"it is so:\n  because of db\n"}`,
		"service.start": `{"ok":true,"state":"starting"}`, "service.kill": `{"ok":true}`,
		"service.stop": `!{"code":-32013,"message":"only root may stop","data":{"kind":"permission_denied"}}`})
}

const tui80 = `
zinit  3 services: 1 running, 1 blocked, 1 failed
  NAME          STATE        PID  UPTIME  RST   CPU%  MEMORY  DETAIL
> db            failed         -       -    2      -       -  exit code 1; rest…
  web           running      123  3m 12s    0    1.2    1.5M
  日本語^[[31m  blocked        -       -    0      -       -  waits for a-servi…
─── db: failed, exit code 1; restart in 4s; restarted 2× ───────────────────────
  requires db (failed), gone (missing)
  wants web (running)
  it is so:
    because of db

─── log of db ──────────────────────────────────────────────────────────────────
listening on 80
(3 lines lost: too slow)
日本語 ^[[31mred^[[0m    tab








s start  t stop  r restart  k kill  w why  l log  / filter  ? help  q quit
`

const tui100 = `
zinit  3 services: 1 running, 1 blocked, 1 failed
  NAME          STATE        PID  UPTIME  RST   CPU%  MEMORY  DETAIL
> db            failed         -       -    2      -       -  exit code 1; restart in 4s; restarted…
  web           running      123  3m 12s    0    1.2    1.5M
  日本語^[[31m  blocked        -       -    0      -       -  waits for a-service-with-a-rather-lon…
─── db: failed, exit code 1; restart in 4s; restarted 2× ───────────────────────────────────────────
  requires db (failed), gone (missing)
  wants web (running)
  it is so:
    because of db

─── log of db ──────────────────────────────────────────────────────────────────────────────────────
listening on 80
(3 lines lost: too slow)
日本語 ^[[31mred^[[0m    tab














s start  t stop  r restart  k kill  w why  l log  / filter  ? help  q quit
`

func TestFullScreenAtTwoSizes(t *testing.T) {
	s := tuiServer(t)
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
	titled := func(screen string, cols int) string { // the socket stands at the right end of the title
		if cols-49-len(s.path) < 0 {
			skip(t, "the path of a temporary directory is too long to be shown: "+s.path)
		}
		return strings.Replace(screen, "1 failed\n", "1 failed"+strings.Repeat(" ", cols-49-len(s.path))+s.path+"\n", 1)
	}
	p.is(titled(tui80, 80))
	p.resize(100, 30)
	p.is(titled(tui100, 100))
	p.resize(20, 5)
	p.is(`
zinit  3 services: …
  NAME      STATE
> db        failed
  web       running
? help  q quit
`)
	p.keys("q")
	p.leaves(exitDone)
}

func TestFullScreenKeys(t *testing.T) {
	s := tuiServer(t)
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
	p.shows("> db", "because of db")
	p.keys("\x1b[B")
	p.shows("> web", "web: running, pid 123", "log of web")
	p.keys("t")
	p.shows("stop web? y/n")
	p.keys("n")
	p.shows("left as it is")
	p.keys("ty")
	p.shows("only root may stop")
	p.keys("s")
	p.shows("web: starting")
	p.keys("k\x1bOB")
	p.shows("kill web", "> SIGHUP    1")
	p.keys("\r")
	p.shows("web: sent SIGHUP", "!kill web")
	p.keys("/日")
	p.shows("filter: 日", "> 日本語", "!web  ", "1 shown with `日`")
	p.keys("\x7fdb\r")
	p.shows("> db", "!日本語^[[31m  blocked")
	p.keys("\x1b")
	p.shows("日本語^[[31m  blocked")
	p.keys("w")
	p.shows("db: failed", "started never", "!NAME")
	p.keys("?")
	p.shows("help", "leave; services stay as they are")
	p.keys("\x1b[200~ty\x1b[201~l") // a pasted text is no command
	p.shows("log of db, following", "tab")
	p.keys("f")
	p.shows("1 line below; End follows", "!tab")
	p.keys("\x1b[F")
	p.shows("following", "tab")
	p.keys("la")
	p.shows("log of all services", "web | listening on 80")
	p.keys("\x03")
	p.leaves(exitDone)
	sent := strings.Join(s.requests(), "\n")
	for _, want := range []string{`service.stop {"name":"web"}`, `service.start {"name":"web"}`, `service.kill {"name":"web","signal":"SIGHUP"}`} {
		if strings.Count(sent, want) != 1 {
			t.Errorf("not sent once: %s", want)
		}
	}
}

func TestFullScreenGivesTheTerminalBack(t *testing.T) {
	s := tuiServer(t)
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130, syscall.SIGHUP: 129} {
		p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
		p.shows("> db")
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.leaves(code)
	}
	p := openTTY(t, 80, 24, nil, childArgv("screen-panic")...)
	p.leaves(70)
	p.shows("panic in screen: boom")
	p = openTTY(t, 80, 24, []string{"TERM=dumb"}, zinitBinary(t), "--socket", s.path, "tui")
	p.shows("needs a terminal that can move its cursor")
	p.leaves(exitUsage)
}

// Ctrl-Z gives the terminal to the shell; fg comes back to the screen as it was.
func TestFullScreenStopsAndContinues(t *testing.T) {
	s := tuiServer(t)
	p := openTTY(t, 80, 24, nil, "/bin/sh", "-mc", `"$@"; echo shell; read line; fg; echo end`, "sh", zinitBinary(t), "--socket", s.path, "tui")
	p.shows("> db")
	p.keys("\x1a")
	p.shows("shell", "!> db")
	p.keys("\n")
	p.shows("> db", "!shell")
	p.keys("q")
	p.shows("end")
	p.leaves(exitDone)
	p = openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
	p.shows("> db")
	p.keys("\x1ah") // nobody could continue it here
	p.shows("leave; services stay")
	p.keys("q")
	p.leaves(exitDone)
}

// A SIGTSTP from elsewhere is obeyed as Ctrl-Z is: the terminal is as it was while the process is stopped, and shows everything again when
// it is continued. The line editor does the same, and so does what runs within it.
func TestStopFromOutside(t *testing.T) {
	s := tuiServer(t)
	for _, c := range []struct{ command, typed, shows, after, leave string }{
		{"tui", "", "> db", "> db", "q"},
		{"repl", "half a li", "zinit> half a li", "zinit> half a li", "\x15exit\r"},
		{"repl", "tui\r", "> db", "> db", "q"},
		{"repl", "monitor\r", "zinit> monitor", "", "\x03exit\r"},
	} {
		p := openTTY(t, 80, 24, nil, "/bin/sh", "-mc", `"$@"; echo shell; read line; fg; echo end`, "sh", zinitBinary(t), "--socket", s.path, c.command)
		if c.command == "repl" {
			p.shows("zinit>")
		}
		p.keys(c.typed)
		p.shows(c.shows)
		pid := p.onlyChild()
		if c.after == "" {
			eventually(t, "the command runs", func() bool { return *p.modes() == *p.before })
		}
		if err := syscall.Kill(pid, syscall.SIGTSTP); err != nil {
			t.Fatal(err)
		}
		p.shows("shell")
		if *p.modes() != *p.before {
			t.Errorf("%s: stopped, and the keyboard is not given back", c.command)
		}
		if c.shows == "> db" {
			p.shows("!> db")
		}
		p.keys("\n")
		eventually(t, "it is continued", func() bool { st, err := readStat(pid); return err == nil && st.State != 'T' })
		if p.shows(c.after); c.after != "" {
			eventually(t, "the keyboard is taken again", func() bool { return *p.modes() != *p.before })
		}
		if c.after == "zinit> half a li" {
			p.keys("st")
			p.shows("half a list")
		}
		p.keys(c.leave)
		if c.typed == "tui\r" {
			p.shows("\nzinit>\n")
			p.keys("exit\r")
		}
		p.shows("end")
		p.leaves(exitDone)
	}
}

// modes is how the terminal treats what is typed, at this moment.
func (p *tty) modes() *unix.Termios {
	modes, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return modes
}

// onlyChild is the process that the shell has started.
func (p *tty) onlyChild() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.cmd.Process.Pid, p.cmd.Process.Pid))
	pid, bad := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || bad != nil {
		p.t.Fatalf("the child of the shell: %q, %v", text, err)
	}
	return pid
}

func TestFullScreenSurvivesTheServer(t *testing.T) {
	s := startServer(t, map[string]string{"web": "[service]\nexec = \"echo hello; sleep 100\"\n"})
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.socket, "tui")
	p.shows("web", "running", "hello")
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	p.shows("; trying again", "web")
	s.run()
	p.shows("!no server", "running", "hello")
	p.keys("q")
	p.leaves(exitDone)
}

func TestRow36_EscapesInALogStayText(t *testing.T) {
	s := startServer(t, map[string]string{"evil": "[service]\nexec = 'printf \"\\033]0;title\\007\\033[2Jx\\n\"; sleep 100'\ndescription = \"a\\u001b[2Jb\"\n"})
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.socket, "tui")
	p.shows(`^[]0;title^G^[[2Jx`, "a^[[2Jb")
	p.keys("q")
	p.leaves(exitDone)
}

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
					m.setLost("gone")
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

// What is written to change one picture into another makes a terminal show the other one, also with wide characters.
func TestUpdateMakesThePicture(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	words := []string{"web", "日本語", "é", "e\u0301", " ", "──", "ab cd"}
	v, old := newVT(20, 4), (*canvas)(nil)
	v.nowrap = true
	for range 500 {
		p := newCanvas(20, 4)
		if old != nil {
			copy(p.glyphs, old.glyphs)
		}
		for range random.IntN(4) {
			y := random.IntN(4)
			row := p.row(y)
			for x := range row {
				row[x] = glyph{" ", ""}
			}
			p.put(random.IntN(20), y, []string{"", styleBold, "31;7"}[random.IntN(3)], words[random.IntN(len(words))]+words[random.IntN(len(words))], 20)
		}
		v.write([]byte(p.update(old)))
		if v.text() != p.text() {
			t.Fatalf("the terminal shows\n%swant\n%s", v.text(), p.text())
		}
		old = p
	}
	if len(v.unknown) > 0 {
		t.Errorf("unknown: %v", v.unknown)
	}
	if quiet := old.update(old); quiet != beginUpdate+endUpdate {
		t.Errorf("nothing changed, and this is written: %q", quiet)
	}
}

func TestFoldKeepsWords(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"short", 10, "short"},
		{"some words here", 10, "some words|here"},
		{"some words here", 7, "some|words|here"},
		{"abcdefghij", 4, "abcd|efgh|ij"},
		{"  indented text goes on", 12, "  indented|  text goes|  on"},
		{"日本語日本語", 5, "日本|語日|本語"},
		{"\x1b[1m", 80, "^[[1m"},
		{"", 5, ""},
	} {
		if got := strings.Join(fold(c.text, c.width), "|"); got != c.want {
			t.Errorf("fold(%q, %d) = %q, want %q", c.text, c.width, got, c.want)
		}
	}
}

// --- keys and lines ---

func TestKeysOfTerminals(t *testing.T) {
	for _, c := range []struct {
		typed string
		want  key
		used  int // when more may follow
	}{
		{"a", key{code: 'a'}, 1}, {"é", key{code: 'é'}, 2}, {"\xc3", key{code: keyNone}, 0}, {"\xff", key{code: keyNone}, 1},
		{"\x1b", key{code: keyEscape}, 0}, {"\x1b\x1b", key{code: keyEscape}, 1}, {"\x1b[", key{code: keyNone}, 0}, {"\x1bO", key{code: 'O', alt: true}, 0},
		{"\x1b[A", key{code: keyUp}, 3}, {"\x1bOB", key{code: keyDown}, 3}, {"\x1b[[A", key{code: keyUp}, 4},
		{"\x1b[1;5C", key{code: keyWordRight}, 6}, {"\x1b[1;3D", key{code: keyWordLeft}, 6}, {"\x1b[1;2D", key{code: keyLeft}, 6},
		{"\x1b[H", key{code: keyHome}, 3}, {"\x1b[4~", key{code: keyEnd}, 4}, {"\x1b[3~", key{code: keyDelete}, 4}, {"\x1b[5;5~", key{code: keyPageUp}, 6},
		{"\x1b[6~", key{code: keyPageDown}, 4}, {"\x1b[24~", key{code: keyNone}, 5}, {"\x1bb", key{code: 'b', alt: true}, 2}, {"\x1b\x7f", key{code: keyBackspace, alt: true}, 2},
	} {
		if _, used := decodeKey([]byte(c.typed), false); used != c.used {
			t.Errorf("%q: %d bytes taken, want %d", c.typed, used, c.used)
		}
		if k, used := decodeKey([]byte(c.typed), true); k != c.want || used == 0 {
			t.Errorf("%q at the end: %v (%d bytes), want %v", c.typed, k, used, c.want)
		}
	}
}

func TestLineEditing(t *testing.T) {
	const up, left, right, home, end, del = "\x1b[A", "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F", "\x1b[3~"
	for _, c := range []struct{ typed, want string }{
		{"abc", "abc|"}, {"abc" + left + "x", "abx|c"}, {"abc" + home + del + right + "\x7f", "|c"}, {"abc" + home + "\x04", "|bc"},
		{"one two\x17", "one |"}, {"one two\x17\x17\x19\x19", "one one |"}, {"one two\x01\x0b\x19!", "one two!|"}, {"one two\x1bb\x15", "|two"},
		{"one-two\x1b\x7f", "one-|"}, {"one-two\x1bb\x1bbx\x1bfy", "xoney|-two"}, {"one two" + home + "\x1bd", "| two"}, {"a b\x1b[1;5D\x1b[1;5Dc" + end, "ca b|"},
		{"e\u0301x" + left + left + "y", "y|e\u0301x"}, {"日本" + left + "\x7f", "|本"}, {"e\u0301\x7f", "|"},
		{up, "logs web|"}, {up + up, "status db|"}, {up + up + up + up, "list|"}, {"new" + up + "\x1b[B", "new|"}, {up + "x" + up, "status db|"},
		{"\x12sta", "|status db"}, {"\x12s\x12", "|status db"}, {"\x12s" + end + "!", "logs web!|"}, {"\x12zzz", "|"}, {"\x12list\x7f\x7f\x7f\x1b", "|logs web"}, {"new" + left + "\x12list\x07!", "ne!|w"},
	} {
		e := &editor{history: []string{"list", "status db", "logs web"}}
		e.begin()
		for b := []byte(c.typed); len(b) > 0; {
			k, n := decodeKey(b, true)
			b = b[n:]
			if act := e.key(k); act != editMore {
				t.Errorf("%q: %v is no editing", c.typed, k)
			}
		}
		if got := string(e.text[:e.at]) + "|" + string(e.text[e.at:]); got != c.want {
			t.Errorf("%q makes %q, want %q", c.typed, got, c.want)
		}
		for cols := 3; cols < 30; cols++ { // whatever is shown fits, with the cursor
			v := newVT(cols, 2)
			v.write([]byte(e.draw(replPrompt, cols)))
			if v.y != 0 {
				t.Errorf("%q at %d columns: wrapped", c.typed, cols)
			}
		}
	}
}

// Errors at a terminal are broken between words; elsewhere they are one line.
func TestErrorsAreBrokenBetweenWords(t *testing.T) {
	for cols, want := range map[int]string{40: "zinit: bad --since `x`: such as 10m,\n14:30, 2026-01-31 or \"2026-01-31 14:30\"\nhint: usage: zinit logs [NAME...]\n[FLAG...]\n",
		80: "zinit: bad --since `x`: such as 10m, 14:30, 2026-01-31 or \"2026-01-31 14:30\"\nhint: usage: zinit logs [NAME...] [FLAG...]\n"} {
		s := fakeServe(t, nil)
		p := openTTY(t, cols, 24, nil, zinitBinary(t), "--socket", s.path, "logs", "--since", "x")
		p.is(want)
		p.leaves(exitUsage)
	}
}

func TestREPL(t *testing.T) {
	s := tuiServer(t)
	home := t.TempDir()
	start := func() *tty {
		return openTTY(t, 80, 24, []string{"HOME=" + home}, zinitBinary(t), "--socket", s.path, "repl")
	}
	p := start()
	p.shows("zinit>")
	p.keys("kill web \"US\x7f\x7fHUP\"\r")
	p.shows("web: sent HUP")
	p.keys("monitor\r")
	eventually(t, "the subscription", func() bool { return strings.Contains(strings.Join(s.requests(), " "), "events.subscribe") })
	p.keys("\x03")
	p.shows("monitor\n^C\nzinit>\n")
	p.keys("nonsense\x03list 'x\r")
	p.shows("nonsense^C", "the single quote at character 6 is never closed")
	p.keys("server\r")
	p.shows("server does not run inside the repl")
	p.keys("lis\t\r")
	p.shows("zinit> list\nNAME ", "exit code 1")
	p.keys("\x04")
	p.leaves(exitDone)
	history := filepath.Join(home, ".local/state/zinit/history")
	if fi, err := os.Stat(history); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("history: %v %v", fi, err)
	}
	p = start()
	p.shows("zinit>")
	p.keys("\x12mon\r")
	p.shows("zinit> monitor")
	p.keys("\x03\x1b[A\x1b[A\x1b[A")
	p.shows("zinit> server")
	p.keys("\x15quit\r")
	p.leaves(exitDone)
	p = start()
	p.shows("zinit>")
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.leaves(143)
}

func TestREPLWithoutCapabilities(t *testing.T) {
	s := tuiServer(t)
	for _, term := range []string{"TERM=dumb", "TERM="} {
		p := openTTY(t, 80, 24, []string{term}, zinitBinary(t), "--socket", s.path, "repl")
		p.shows("zinit>")
		p.keys("half a li")
		p.shows("zinit> half a li")
		p.keys("\x03")
		p.shows("^C\nzinit>")
		p.keys("is-running web\r")
		p.shows("no method service.is_running")
		p.keys("exit\r")
		p.leaves(exitDone)
		if raw := p.written(); strings.Contains(raw, "\x1b") {
			t.Errorf("%s: escapes were written: %q", term, raw)
		}
	}
}

func TestREPLReadsAScript(t *testing.T) {
	s := tuiServer(t)
	cmd := exec.Command(zinitBinary(t), "--socket", s.path, "repl")
	cmd.Stdin = strings.NewReader("kill web HUP\n\n  zinit version\nis-running web")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != exitRefused || !strings.HasPrefix(string(out), "web: sent HUP\nzinit "+version+"\n") || strings.Contains(string(out), ">") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestREPLNeedsNothing(t *testing.T) {
	cmd := exec.Command(zinitBinary(t), "repl")
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.Stdin = strings.NewReader("help list\nping\n")
	out, _ := cmd.CombinedOutput()
	if !strings.Contains(string(out), "usage: zinit list") {
		t.Errorf("without environment: %s", out)
	}
}

// TestCompletionInShells types the beginning of a line, Tab and Enter into each shell, and looks at what the shell then runs.
func TestCompletionInShells(t *testing.T) {
	s := startServer(t, map[string]string{"web": playing(waiting, "block"), "worker": playing(waiting, "block"), "db": playing(waiting, "block")})
	ran := filepath.Join(s.dir, "ran")
	script := "#!/bin/sh\ncase $1 in __complete | completion) exec " + zinitBinary(t) + ` "$@";; esac` + "\necho \"$@\" >>" + ran + "\n"
	for name, text := range map[string]string{"bin/zinit": script, "a file.toml": ""} {
		path := filepath.Join(s.dir, name)
		if os.MkdirAll(filepath.Dir(path), 0o755) != nil || os.WriteFile(path, []byte(text), 0o755) != nil {
			t.Fatal("cannot write " + path)
		}
	}
	for shell, begin := range map[string][]string{
		"bash": {"bash --norc --noprofile -i", ". <(zinit completion bash)"},
		"zsh":  {"zsh -f -i", "autoload -Uz compinit; compinit -u -D; source <(zinit completion zsh)"},
		"fish": {"fish --no-config -i", "zinit completion fish | source"},
	} {
		t.Run(shell, func(t *testing.T) {
			needs(t, shell)
			p := openTTY(t, 100, 24, []string{"PATH=" + s.dir + "/bin:" + os.Getenv("PATH"), "ZINIT_SOCKET=" + s.socket, "ZDOTDIR=" + s.dir, "XDG_RUNTIME_DIR=" + s.dir, "TMPDIR=" + s.dir, "LC_ALL=C.UTF-8"}, strings.Fields(begin[0])...)
			enter := func(line string) {
				t.Helper()
				eventually(t, "the shell reads keys", func() bool {
					mode, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
					return err == nil && mode.Lflag&unix.ICANON == 0
				})
				p.keys(line + "\r")
			}
			enter(begin[1] + "; zinit begun")
			lines := 0
			runs := func(want string) {
				t.Helper()
				got := []string(nil)
				eventually(t, "the shell runs zinit", func() bool {
					text, _ := os.ReadFile(ran)
					got = strings.Split(string(text), "\n")
					return len(got) > lines+1
				})
				if lines++; got[lines-1] != want {
					t.Errorf("it ran %q, want %q", got[lines-1], want)
				}
			}
			defer os.Remove(ran)
			runs("begun")
			for line, want := range map[string]string{
				"is-r": "is-running", "--so": "--socket", "stop wo": "stop worker", "stop web d": "stop web db", "start --wait we": "start --wait web", "start web --w": "start web --wait",
				"graph --format m": "graph --format mermaid", "graph --format=m": "graph --format=mermaid", "kill web HU": "kill web HUP", "create x --after d": "create x --after db",
				"add " + s.dir + "/a": "add " + s.dir + "/a file.toml", "logs -f we": "logs -f web", "analyze pl": "analyze plot",
			} {
				enter("zinit " + line + "\t")
				runs(want)
			}
		})
	}
}

func TestCompletionOfLines(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list": `["web","db","web-2"]`})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ before, cur, want string }{
		{"", "stat", "status stats"}, {"", "ex", "exit"}, {"", "--so", "--socket"}, {"--socket x", "monit", "monitor"},
		{"status", "w", "web web-2"}, {"status web", "d", "db"}, {"tree web", "d", ""}, {"kill web", "US", "USR1 USR2"},
		{"logs", "--st", "--stream"}, {"logs --stream", "std", "stdout stderr"}, {"logs -n", "", ""}, {"create x --after", "d", "db"},
		{"analyze", "", "blame chain plot"}, {"completion", "z", "zsh"}, {"help", "analy", "analyze"}, {"add", dir + "/s", dir + "/services/"}, {"nonsense", "", ""},
	} {
		r := &cli{socket: s.path}
		if got := strings.Join(r.candidates(strings.Fields(c.before), c.cur), " "); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.before, c.cur, got, c.want)
		}
	}
}

// --- the boot ---

const bootAnswer = `{"total_ms":1240,"chain":["db","web"],"services":[` +
	`{"name":"db","kind":"service","state":"running","blocked_ms":null,"starting_ms":2,"ready_ms":1003},` +
	`{"name":"late","kind":"service","state":"failed","blocked_ms":1,"starting_ms":5,"ready_ms":null},` +
	`{"name":"off","kind":"service","state":"inactive","blocked_ms":null,"starting_ms":null,"ready_ms":null},` +
	`{"name":"stuck","kind":"service","state":"blocked","blocked_ms":1,"starting_ms":null,"ready_ms":null},` +
	`{"name":"web","kind":"service","state":"running","blocked_ms":2,"starting_ms":1003,"ready_ms":1240}]}`

func TestAnalyze(t *testing.T) {
	s := fakeServe(t, map[string]string{"boot.analyze": bootAnswer})
	expect(t, "chain", s.via(t, "analyze").exits(t, exitDone).out, `
2 of 4 services ready after 1.24 s
READY AT    TOOK  CRITICAL CHAIN
  1.00 s  1.00 s  db
  1.24 s  237 ms    web
`)
	expect(t, "blame", s.via(t, "analyze", "blame").exits(t, exitDone).out, `
  TOOK  NAME  NOW
1.00 s  db    running
237 ms  web   running
`)
	expect(t, "json", s.via(t, "--json", "analyze", "plot").exits(t, exitDone).out, bootAnswer+"\n")
	s.via(t, "analyze", "plot").exits(t, exitUsage)
	s.via(t, "analyze", "plto").exits(t, exitUsage)
	file := filepath.Join(t.TempDir(), "boot.svg")
	s.via(t, "analyze", "plot", "-o", file).exits(t, exitDone)
	written, err := os.ReadFile(file)
	if piped := zinit(t, 0, "--socket", s.path, "analyze", "plot"); err != nil || piped.out != string(written) {
		t.Errorf("the file is not what is written to a pipe: %v", err)
	}
}

func TestBootChart(t *testing.T) {
	began, ready := int64(0), int64(90_000)
	b := &bootResult{TotalMS: ready, Chain: []string{"a"}, Services: []bootUnit{{Name: "a", State: running, StartingMS: &began, ReadyMS: &ready},
		{Name: "<&\"\x1b日本", State: failed, StartingMS: &began}, {Name: "off", State: inactive}}}
	svg := bootChart(b)
	var texts []string
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, svg)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
	want := "ready after 90.00 s|critical chain: a|0 s|10 s|20 s|30 s|40 s|50 s|60 s|70 s|80 s|90 s|a|90.00 s|<&\"^[日本|failed|" +
		"blocked|starting|starting, critical chain|ready|failed|not part of the boot: off"
	if got := strings.Join(texts, "|"); got != want {
		t.Errorf("texts of the chart:\n%s\nwant\n%s", got, want)
	}
	for range 3 { // round steps at every length
		bootChart(&bootResult{})
		b.TotalMS *= 7
	}
}

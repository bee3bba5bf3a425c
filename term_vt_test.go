// term_vt_test.go runs programs in a pseudo-terminal behind a small VT100, for all tests of terminals.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

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

// client_repl.go has the REPL: it reads a command per line, from a user or from a script, and runs it. It knows no commands but those that end it.

package main

import (
	"cmp"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// interrupter ends the command that runs in a REPL when Ctrl-C comes: it closes its connection. nil stands for no REPL.
type interrupter struct {
	mu     sync.Mutex
	conn   io.Closer // of the running command; nil: there is none yet
	lent   bool      // Ctrl-C belongs to another program
	hit    bool
	screen atomic.Bool // the command has the whole screen, and obeys the signals of the terminal itself
}

// ownScreen says whether the running command has the whole screen.
func (i *interrupter) ownScreen(has bool) {
	if i != nil {
		i.screen.Store(has)
	}
}

// hold names the connection of the running command; nil: Ctrl-C belongs to another program for now.
func (i *interrupter) hold(conn io.Closer) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.conn, i.lent = conn, conn == nil; i.hit && conn != nil {
		conn.Close()
	}
}

func (i *interrupter) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lent {
		return
	}
	i.hit = true
	if i.conn != nil {
		i.conn.Close()
	}
}

func (i *interrupter) interrupted() bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hit
}

// repl is a REPL on stdin and stdout.
type repl struct {
	terminal
	socket  string
	rich    bool // the terminal can move its cursor: lines are edited here, not by the system
	asks    bool // a user types
	ed      editor
	kb      keyboard
	file    string       // of the history; "": none
	mu      sync.Mutex   // holds what follows, and the line while it is edited
	editing bool         // the terminal is ours, and shows the line
	stop    *interrupter // of the running command; nil: none runs
	code    int          // of the last command
}

func cmdREPL(c *cli) int { return replMain(c.socket) }

// replMain reads commands from stdin and runs them until `exit` or the end of the input. It needs nothing but the descriptors 0 to 2: no
// server, no files, no environment, no capabilities of the terminal.
// It returns the exit code of the last command to a script, 0 to a terminal.
func replMain(socket string) int {
	r := &repl{socket: socket, kb: keyboard{file: os.Stdin}}
	_, _, in := terminalSize(0)
	_, _, out := terminalSize(1)
	term := os.Getenv("TERM")
	r.asks, r.rich = in, in && out && term != "" && term != "dumb"
	defer r.endBySignal(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)()
	defer r.restore()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt)
	if r.rich {
		terminalSignals(signals)
	}
	defer signal.Stop(signals)
	background("repl: signals", func() {
		for sig := range signals {
			if sig == os.Interrupt {
				r.interrupt()
			} else {
				r.signalled(sig)
			}
		}
	})
	if r.asks {
		r.openHistory()
		keys := ""
		if r.rich {
			keys = "Tab completes, "
		}
		_ = r.write("zinit " + version + ": " + keys + "help explains, exit leaves\n")
	}
	commandLoop(r.readLine, r.run, func(err error) {
		errorf("%v", err)
		r.code = exitUsage
	})
	if r.asks {
		return exitDone
	}
	return r.code
}

// interrupt ends the running command or, if the terminal driver edits the line, prints a new prompt.
func (r *repl) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop.interrupt()
	} else if r.asks && !r.rich {
		_ = r.write("\n" + replPrompt)
	}
}

// run runs one command; false when it is the one that leaves.
func (r *repl) run(words []string) bool {
	if words[0] == "exit" || words[0] == "quit" {
		return false
	}
	c := newCLI()
	c.stop = new(interrupter)
	r.running(c.stop)
	if r.socket != "" {
		words = append([]string{"--socket", r.socket}, words...)
	}
	r.code = c.dispatch(words)
	r.running(nil)
	if c.stop.interrupted() {
		_ = r.write("\n")
	}
	return true
}

func (r *repl) running(stop *interrupter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop = stop
}

// readLine reads one line; false at the end of the input.
func (r *repl) readLine() (string, bool) {
	if !r.rich || r.take(false) != nil {
		if r.asks {
			_ = r.write(replPrompt)
		}
		return readPlain(os.Stdin)
	}
	defer r.edits(false)
	r.ed.begin()
	for r.edits(true); ; {
		k, _ := r.kb.next(-1)
		if line, more, done := r.key(k); done {
			return line, more
		}
	}
}

// edits begins or ends the editing of a line, with the terminal as it is then needed.
func (r *repl) edits(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.editing = on; on {
		r.draw()
	} else {
		r.restore()
	}
}

func (r *repl) draw() {
	cols, _, _ := terminalSize(1)
	_ = r.write(r.ed.draw(replPrompt, cols))
}

// signalled obeys a signal of the terminal: a new size, or job control.
func (r *repl) signalled(sig os.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil && r.stop.screen.Load() {
		return
	}
	if r.jobControl(sig); r.editing {
		r.draw()
	}
}

// key handles a key. done is true when the line is complete or, with more false, the input has ended.
func (r *repl) key(k key) (line string, more, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cols, _, _ := terminalSize(1)
	switch r.ed.key(k) {
	case editDone:
		_ = r.write(r.ed.draw(replPrompt, cols) + "\r\n")
		line = strings.TrimRight(string(r.ed.text), " ")
		if r.ed.remember(line) {
			r.keep(line)
		}
		return line, true, true
	case editDrop:
		_ = r.write(r.ed.draw(replPrompt, cols-2) + "^C\r\n")
		r.ed.begin()
	case editQuit:
		_ = r.write("\r\n")
		return "", false, true
	case editWipe:
		_ = r.write(wipeScreen)
	case editStop:
		suspend() // signalled gets the signal
	case editHelp:
		r.complete(cols)
	}
	if len(r.kb.pending) == 0 {
		r.draw()
	}
	return "", true, false
}

// complete finishes the word before the cursor as far as that is certain, or shows what it can be.
func (r *repl) complete(cols int) {
	before := string(r.ed.text[:r.ed.at])
	cur := before[strings.LastIndexByte(before, ' ')+1:]
	words, err := splitWords(before[:len(before)-len(cur)])
	if err != nil || strings.ContainsAny(cur, `"'\`) {
		return
	}
	list := (&cli{socket: r.socket}).candidates(words, cur)
	if len(list) == 0 {
		return
	}
	common := list[0]
	for _, w := range list {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	if len(list) == 1 && !strings.HasSuffix(common, "/") {
		common += " "
	}
	if common != cur {
		r.ed.insert([]rune(common[len(cur):])...)
		return
	}
	text := r.ed.draw(replPrompt, cols) + "\r\n"
	for _, line := range wrap(list, cols-1) {
		text += visible(line) + "\r\n"
	}
	_ = r.write(text)
}

// historyMost is how many lines of the history are kept.
const historyMost = 1000

// openHistory reads the lines of earlier sessions. Without a home, or when the file cannot be read, there are none, which is no error.
func (r *repl) openHistory() {
	dir := cmp.Or(os.Getenv("XDG_STATE_HOME"), inHome(".local", "state"))
	if dir == "" {
		return
	}
	dir = filepath.Join(dir, "zinit")
	if os.MkdirAll(dir, 0o700) != nil {
		return
	}
	r.file = filepath.Join(dir, "history")
	data, err := os.ReadFile(r.file)
	if err != nil || len(data) == 0 {
		return
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) > 2*historyMost {
		lines = lines[len(lines)-historyMost:]
		if os.WriteFile(r.file+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600) == nil {
			_ = os.Rename(r.file+".new", r.file)
		}
	}
	r.ed.history = lines
}

// keep adds a line to the file of the history.
func (r *repl) keep(line string) {
	if r.file == "" {
		return
	}
	f, err := os.OpenFile(r.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, _ = f.WriteString(line + "\n")
		f.Close()
	}
}

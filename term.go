// term.go handles a terminal: its modes, the signals that concern it, and the keys that are typed. It knows nothing of what is shown.

package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// The sequences of ECMA-48 and xterm that are written; a terminal that does not know one ignores it.
const (
	eraseLine   = "\r\x1b[K"
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[?2004h\x1b[0m\x1b[2J" // alternate screen, no cursor, no wrapping, marked pastes
	leaveScreen = "\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"
	beginUpdate = "\x1b[?2026h\x1b[?25l" // the terminal shows nothing until the end of the update
	endUpdate   = "\x1b[?2026l"
)

// Styles are parameters of the sequence that selects a rendition (SGR, ECMA-48 8.3.117).
const (
	styleBold    = "1"
	styleDim     = "2"
	styleReverse = "7"
	styleRed     = "31"
	styleGreen   = "32"
	styleYellow  = "33"
)

// wipeScreen clears the screen and puts the cursor to its top.
const wipeScreen = "\x1b[H\x1b[2J"

// key is one press: a character, a control character as it comes, or one of the constants below.
type key struct {
	code rune
	alt  bool
}

const (
	keyNone rune = -1 - iota // a sequence that means nothing here
	keyUp
	keyDown
	keyLeft
	keyRight
	keyWordLeft
	keyWordRight
	keyHome
	keyEnd
	keyPageUp
	keyPageDown
	keyDelete
	keyPasteBegin
	keyPasteEnd
	keyHangup // the terminal is gone
)

const (
	keyEscape    = 0x1b
	keyEnter     = '\r'
	keyTab       = '\t'
	keyBackspace = 0x7f
)

// ctrl is the control character of a letter.
func ctrl(letter rune) rune { return letter & 0x1f }

// decodeKey takes the first key from what was typed, and says how many bytes that was: 0 when there must be more, unless final.
func decodeKey(b []byte, final bool) (k key, used int) {
	if b[0] != keyEscape {
		if !utf8.FullRune(b) && !final {
			return key{}, 0
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 || r >= 0x80 && r < 0xa0 {
			r = keyNone
		}
		return key{code: r}, n
	}
	switch {
	case len(b) == 1 && !final:
		return key{}, 0
	case len(b) == 1 || b[1] == keyEscape:
		return key{code: keyEscape}, 1
	case b[1] == '[':
		return decodeCSI(b, final)
	case b[1] == 'O' && len(b) > 2:
		return key{code: namedKey("", b[2])}, 3
	case b[1] == 'O' && !final:
		return key{}, 0
	}
	k, n := decodeKey(b[1:], final)
	if n == 0 {
		return key{}, 0
	}
	k.alt = true
	return k, n + 1
}

// decodeCSI takes a control sequence: ESC [ parameters final (ECMA-48 5.4), or ESC [ [ letter of the Linux console.
func decodeCSI(b []byte, final bool) (key, int) {
	i := 2
	if len(b) > 2 && b[2] == '[' {
		i = 3
	}
	for ; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			return key{code: namedKey(string(b[2:i]), b[i])}, i + 1
		}
	}
	if final {
		return key{code: keyNone}, len(b)
	}
	return key{}, 0
}

// sequenceKeys are the keys of sequences by their final letter; before ~ stands the number of the key.
func sequenceKeys() map[string]rune {
	return map[string]rune{
		"A": keyUp, "B": keyDown, "C": keyRight, "D": keyLeft, "H": keyHome, "F": keyEnd,
		"1~": keyHome, "7~": keyHome, "4~": keyEnd, "8~": keyEnd, "3~": keyDelete, "5~": keyPageUp, "6~": keyPageDown,
		"200~": keyPasteBegin, "201~": keyPasteEnd,
	}
}

// namedKey is the key of a sequence: parameters and final letter. The second parameter is 3 with Alt and 5 with Ctrl.
func namedKey(parameters string, letter byte) rune {
	number, modifier, _ := strings.Cut(parameters, ";")
	name := string(letter)
	if letter == '~' {
		name = number + "~"
	}
	code, known := sequenceKeys()[name]
	byWord := modifier == "3" || modifier == "5"
	switch {
	case !known:
		return keyNone
	case code == keyLeft && byWord:
		return keyWordLeft
	case code == keyRight && byWord:
		return keyWordRight
	}
	return code
}

// escapeWait is how many milliseconds what follows an ESC may take before it counts as the key Esc.
const escapeWait = 50

// keyboard reads keys from a terminal in raw mode.
type keyboard struct {
	file    *os.File
	pending []byte
}

// next waits for a key, at most so many milliseconds unless that is less than 0; ok is false when none came.
func (kb *keyboard) next(ms int) (k key, ok bool) {
	for final := false; ; {
		if len(kb.pending) > 0 {
			if k, n := decodeKey(kb.pending, final); n > 0 {
				kb.pending = kb.pending[n:]
				return k, true
			}
			ms = escapeWait
		}
		if !waitReadable(int(kb.file.Fd()), ms) {
			if final = len(kb.pending) > 0; final {
				continue
			}
			return key{}, false
		}
		buf := make([]byte, 256)
		n, err := kb.file.Read(buf)
		if n <= 0 && err != nil {
			return key{code: keyHangup}, true
		}
		kb.pending = append(kb.pending, buf[:n]...)
	}
}

// terminal is the screen and keyboard while the program uses them.
type terminal struct {
	mu     sync.Mutex
	before *termState // how the keyboard was; nil: not taken
	full   bool       // the alternate screen is on
	gone   bool       // the program ends: nothing is written any more
}

// take makes the keyboard raw, and with full shows the alternate screen.
func (t *terminal) take(full bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone || t.before != nil {
		return nil
	}
	before, err := terminalRaw(0)
	if err != nil {
		return fmt.Errorf("cannot read single keys from this terminal: %w", err)
	}
	if t.before, t.full = before, full; full {
		os.Stdout.WriteString(enterScreen)
	}
	return nil
}

// restore makes the terminal what it was before take. It may be called at any time and more than once.
func (t *terminal) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.before == nil {
		return
	}
	_ = terminalSet(0, t.before)
	if t.full {
		os.Stdout.WriteString(leaveScreen)
	}
	t.before, t.full = nil, false
}

// jobControl handles a signal of terminalSignals: the process stops with the terminal restored, and makes the keyboard raw again when it
// continues, since the shell may have changed it.
func (t *terminal) jobControl(sig os.Signal) {
	t.mu.Lock()
	full, taken := t.full, t.before != nil
	t.mu.Unlock()
	if isStop(sig) {
		t.restore()
		stopUntilContinued()
	}
	if taken && t.take(full) == nil {
		_, _ = terminalRaw(0)
	}
}

// write writes in one call, so that nothing is shown by halves.
func (t *terminal) write(s string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil
	}
	_, err := os.Stdout.WriteString(s)
	return err
}

// guard is deferred by every goroutine that runs while the terminal is taken: the message of a panic must be readable.
func (t *terminal) guard() {
	if r := recover(); r != nil {
		t.restore()
		panic(r)
	}
}

// endBySignal restores the terminal and ends the program when one of the signals comes, until stop is called. A terminal that accepts no
// more output delays the end by a second at most.
func (t *terminal) endBySignal(sigs ...os.Signal) (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, sigs...)
	background("signals", func() {
		sig, ok := <-ch
		if !ok {
			return
		}
		code := 128 + int(sig.(syscall.Signal))
		later(time.Second, "exit", func() { os.Exit(code) })
		t.restore()
		t.mu.Lock()
		t.gone = true
		os.Exit(code)
	})
	return func() { signal.Stop(ch); close(ch) }
}

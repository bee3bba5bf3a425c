// term_edit.go is the line editor: keys change a line, draw shows it. It reads and writes nothing itself.

package main

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// editor is one line being typed, and the lines before it.
type editor struct {
	text    []rune // never changed in place: an old one may be kept as draft, killed text or the line before a search
	at      int    // the cursor stands before this rune
	killed  []rune
	history []string
	past    int    // which line of the history is shown; len(history): the new one
	draft   []rune // the new line while an old one is shown
	search  *lineSearch
}

// lineSearch is a search backwards through the history (Ctrl-R).
type lineSearch struct {
	word  []rune
	found int // line of the history
	miss  bool

	text     []rune // what Ctrl-G gives back
	at, past int
}

type editAct int

const (
	editMore editAct = iota // go on
	editDone                // the line is complete
	editDrop                // Ctrl-C
	editQuit                // Ctrl-D on an empty line, or hang-up
	editHelp                // Tab
	editWipe                // Ctrl-L
	editStop                // Ctrl-Z
)

// begin starts a new line.
func (e *editor) begin() {
	e.text, e.at, e.past, e.draft, e.search = nil, 0, len(e.history), nil, nil
}

// remember puts a line into the history, unless it is empty, begins with a space or is the one before; it says whether it did.
func (e *editor) remember(line string) bool {
	if strings.TrimSpace(line) == "" || line[0] == ' ' || len(e.history) > 0 && e.history[len(e.history)-1] == line {
		return false
	}
	e.history = append(e.history, line)
	return true
}

// key changes the line as the key says and tells what is to be done.
func (e *editor) key(k key) editAct {
	if e.search != nil && e.searchKey(k) {
		return editMore
	}
	if k.alt {
		e.altKey(k.code)
		return editMore
	}
	switch k.code {
	case keyEnter, '\n':
		e.at = len(e.text)
		return editDone
	case ctrl('c'):
		e.at = len(e.text)
		return editDrop
	case keyHangup:
		return editQuit
	case keyTab:
		return editHelp
	case ctrl('l'):
		return editWipe
	case ctrl('z'):
		return editStop
	case ctrl('d'):
		if len(e.text) == 0 {
			return editQuit
		}
		e.replace(e.at, e.right())
	case ctrl('r'):
		e.search = &lineSearch{found: len(e.history), text: e.text, at: e.at, past: e.past}
	case keyUp, ctrl('p'):
		e.recall(e.past - 1)
	case keyDown, ctrl('n'):
		e.recall(e.past + 1)
	default:
		e.editKey(k.code)
	}
	return editMore
}

// editKey handles the keys that move within the line or change it.
func (e *editor) editKey(code rune) {
	switch code {
	case keyLeft, ctrl('b'):
		e.at = e.left()
	case keyRight, ctrl('f'):
		e.at = e.right()
	case keyHome, ctrl('a'):
		e.at = 0
	case keyEnd, ctrl('e'):
		e.at = len(e.text)
	case keyWordLeft:
		e.at = e.behindWord(-1, inWord)
	case keyWordRight:
		e.at = e.behindWord(1, inWord)
	case keyBackspace, ctrl('h'):
		e.replace(e.left(), e.at)
	case keyDelete:
		e.replace(e.at, e.right())
	case ctrl('k'):
		e.kill(e.at, len(e.text))
	case ctrl('u'):
		e.kill(0, e.at)
	case ctrl('w'):
		e.kill(e.behindWord(-1, func(r rune) bool { return r != ' ' }), e.at)
	case ctrl('y'):
		e.insert(e.killed...)
	default:
		if code >= ' ' {
			e.insert(code)
		}
	}
}

func (e *editor) altKey(code rune) {
	switch code {
	case 'b', keyLeft:
		e.at = e.behindWord(-1, inWord)
	case 'f', keyRight:
		e.at = e.behindWord(1, inWord)
	case 'd':
		e.kill(e.at, e.behindWord(1, inWord))
	case keyBackspace, ctrl('h'):
		e.kill(e.behindWord(-1, inWord), e.at)
	}
}

func (e *editor) insert(runes ...rune) { e.replace(e.at, e.at, runes...) }

// replace puts runes in the place of a part of the line, and the cursor behind them.
func (e *editor) replace(from, to int, runes ...rune) {
	e.text = slices.Concat(e.text[:from], runes, e.text[to:])
	e.at = from + len(runes)
}

// kill takes a part of the line out for Ctrl-Y.
func (e *editor) kill(from, to int) {
	if from < to {
		e.killed = e.text[from:to]
	}
	e.replace(from, to)
}

// left is where the character before the cursor begins: marks that combine belong to what they stand on.
func (e *editor) left() int {
	i := e.at - 1
	for i > 0 && runeColumns(e.text[i]) == 0 {
		i--
	}
	return max(i, 0)
}

func (e *editor) right() int {
	i := e.at + 1
	for i < len(e.text) && runeColumns(e.text[i]) == 0 {
		i++
	}
	return min(i, len(e.text))
}

func inWord(r rune) bool {
	return r > 0x7f || r == '_' || r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9'
}

// behindWord is the far end of the word at the cursor or, when there is none, of the next: to the right (by is 1) or to the left (-1).
func (e *editor) behindWord(by int, in func(rune) bool) int {
	i := e.at
	for _, inside := range []bool{false, true} {
		for next := i + min(by, 0); next >= 0 && next < len(e.text) && in(e.text[next]) == inside; next += by {
			i += by
		}
	}
	return i
}

// recall shows a line of the history, or the new line behind the newest.
func (e *editor) recall(n int) {
	if n < 0 || n > len(e.history) {
		return
	}
	if e.past == len(e.history) {
		e.draft = e.text
	}
	e.text = e.draft
	if n < len(e.history) {
		e.text = []rune(e.history[n])
	}
	e.past, e.at = n, len(e.text)
}

// searchKey handles a key during a search. A key that does not belong to the search ends it with the line that it found;
// false: the key then does what it always does.
func (e *editor) searchKey(k key) bool {
	s := e.search
	switch {
	case k.code == ctrl('r'):
		e.find(s.found - 1)
	case k.code == keyBackspace || k.code == ctrl('h'):
		s.word = s.word[:max(0, len(s.word)-1)]
		e.find(len(e.history) - 1)
	case k.code >= ' ' && !k.alt:
		s.word = append(s.word, k.code)
		e.find(min(s.found, len(e.history)-1))
	case k.code == ctrl('g'):
		e.text, e.at, e.past, e.search = s.text, s.at, s.past, nil
	default:
		e.search = nil
		return k.code == keyTab || k.code == keyEscape
	}
	return true
}

// find looks backwards from a line of the history for one that has the word.
func (e *editor) find(from int) {
	s := e.search
	for i := from; i >= 0; i-- {
		if at := strings.Index(e.history[i], string(s.word)); at >= 0 {
			s.found, s.miss = i, false
			e.text, e.past = []rune(e.history[i]), i
			e.at = utf8.RuneCountInString(e.history[i][:at])
			return
		}
	}
	s.miss = true
}

// draw gives what writes the line over the one before, with the cursor where it belongs. A line that is too long is shown in part.
func (e *editor) draw(prompt string, cols int) string {
	if s := e.search; s != nil {
		prompt = "search `" + string(s.word) + "`: "
		if s.miss {
			prompt = "no line has `" + string(s.word) + "`: "
		}
	}
	prompt = cut(prompt, max(1, cols-8))
	width := func(i int) int { return columns(visible(string(e.text[i]))) }
	room := max(1, cols-columns(prompt)-1)
	begin, before := e.at, 0
	for ; begin > 0 && before+width(begin-1) <= room; begin-- {
		before += width(begin - 1)
	}
	end := begin
	for used := 0; end < len(e.text) && used+width(end) <= room; end++ {
		used += width(end)
	}
	line := "\r\x1b[1m" + prompt + "\x1b[0m" + visible(string(e.text[begin:end])) + "\x1b[K\r"
	if at := columns(prompt) + before; at > 0 {
		line += "\x1b[" + strconv.Itoa(at) + "C"
	}
	return line
}

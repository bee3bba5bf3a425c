// tui.go is what a person sees and types at a terminal: keys, the line editor and the full screen (model, keys, picture). It is the only place that knows escape sequences beyond colour, and it decides nothing about services.

package main

import (
	"cmp"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
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

// --- keys ---

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
	keyHangup // there is no terminal any more
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

// namedKey is the key of a sequence: parameters and final letter.
func namedKey(parameters string, letter byte) rune {
	if letter == '~' {
		number, _, _ := strings.Cut(parameters, ";")
		switch number {
		case "1", "7":
			return keyHome
		case "4", "8":
			return keyEnd
		case "3":
			return keyDelete
		case "5":
			return keyPageUp
		case "6":
			return keyPageDown
		case "200":
			return keyPasteBegin
		case "201":
			return keyPasteEnd
		}
		return keyNone
	}
	modified := strings.HasSuffix(parameters, ";5") || strings.HasSuffix(parameters, ";3")
	switch {
	case letter == 'A':
		return keyUp
	case letter == 'B':
		return keyDown
	case letter == 'C' && modified:
		return keyWordRight
	case letter == 'D' && modified:
		return keyWordLeft
	case letter == 'C':
		return keyRight
	case letter == 'D':
		return keyLeft
	case letter == 'H':
		return keyHome
	case letter == 'F':
		return keyEnd
	}
	return keyNone
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

// --- line editor ---

// editor is one line being typed, and the lines before it. It is pure: keys change it, draw shows it.
type editor struct {
	text    []rune
	at      int // the cursor stands before this rune
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
		e.cut(e.at, e.right(e.at), false)
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

// editKey obeys the keys that move within the line or change it.
func (e *editor) editKey(code rune) {
	switch code {
	case keyLeft, ctrl('b'):
		e.at = e.left(e.at)
	case keyRight, ctrl('f'):
		e.at = e.right(e.at)
	case keyHome, ctrl('a'):
		e.at = 0
	case keyEnd, ctrl('e'):
		e.at = len(e.text)
	case keyWordLeft:
		e.at = e.wordLeft()
	case keyWordRight:
		e.at = e.wordRight()
	case keyBackspace, ctrl('h'):
		e.cut(e.left(e.at), e.at, false)
	case keyDelete:
		e.cut(e.at, e.right(e.at), false)
	case ctrl('k'):
		e.cut(e.at, len(e.text), true)
	case ctrl('u'):
		e.cut(0, e.at, true)
	case ctrl('w'):
		i := e.at
		for i > 0 && e.text[i-1] == ' ' {
			i--
		}
		for i > 0 && e.text[i-1] != ' ' {
			i--
		}
		e.cut(i, e.at, true)
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
		e.at = e.wordLeft()
	case 'f', keyRight:
		e.at = e.wordRight()
	case 'd':
		e.cut(e.at, e.wordRight(), true)
	case keyBackspace, ctrl('h'):
		e.cut(e.wordLeft(), e.at, true)
	}
}

func (e *editor) insert(runes ...rune) {
	e.splice(e.at, e.at, runes)
	e.at += len(runes)
}

// splice puts runes in the place of a part of the line. It makes a new one: the old one may be the draft.
func (e *editor) splice(from, to int, runes []rune) {
	text := append(make([]rune, 0, len(e.text)+len(runes)), e.text[:from]...)
	e.text = append(append(text, runes...), e.text[to:]...)
}

// cut takes a part of the line out; keep remembers it for Ctrl-Y.
func (e *editor) cut(from, to int, keep bool) {
	if keep && from < to {
		e.killed = append([]rune(nil), e.text[from:to]...)
	}
	e.splice(from, to, nil)
	e.at = from
}

// left is where the character before i begins: marks that combine belong to what they stand on.
func (e *editor) left(i int) int {
	for i--; i > 0 && runeColumns(e.text[i]) == 0; i-- {
	}
	return max(i, 0)
}

func (e *editor) right(i int) int {
	for i++; i < len(e.text) && runeColumns(e.text[i]) == 0; i++ {
	}
	return min(i, len(e.text))
}

func inWord(r rune) bool {
	return r > 0x7f || r == '_' || r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9'
}

func (e *editor) wordLeft() int {
	i := e.at
	for i > 0 && !inWord(e.text[i-1]) {
		i--
	}
	for i > 0 && inWord(e.text[i-1]) {
		i--
	}
	return i
}

func (e *editor) wordRight() int {
	i := e.at
	for i < len(e.text) && !inWord(e.text[i]) {
		i++
	}
	for i < len(e.text) && inWord(e.text[i]) {
		i++
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

// searchKey obeys a key during a search. Other keys than those of the search take the line that it found; false: they then do what they always do.
func (e *editor) searchKey(k key) bool {
	s := e.search
	switch {
	case k.code == ctrl('r'):
		e.find(s.found - 1)
	case k.code == keyBackspace || k.code == ctrl('h'):
		s.word = s.word[:max(0, len(s.word)-1)]
		e.find(len(e.history) - 1)
	case k.code == ctrl('g'):
		e.text, e.at, e.past, e.search = s.text, s.at, s.past, nil
	case k.code == ctrl('c'):
		e.search = nil
		return false
	case k.code == keyEscape:
		e.search = nil
	case k.code >= ' ' && !k.alt:
		s.word = append(s.word, k.code)
		e.find(min(s.found, len(e.history)-1))
	default:
		e.search = nil
		return k.code == keyTab
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
	room := max(1, cols-columns(prompt)-1)
	begin, before := 0, 0
	for i := e.at - 1; i >= 0; i-- {
		w := columns(visible(string(e.text[i])))
		if before+w > room {
			begin = i + 1
			break
		}
		before += w
	}
	var shown strings.Builder
	used := 0
	for _, r := range e.text[begin:] {
		v := visible(string(r))
		if used += columns(v); used > room {
			break
		}
		shown.WriteString(v)
	}
	line := "\r\x1b[1m" + prompt + "\x1b[0m" + shown.String() + "\x1b[K\r"
	if at := columns(prompt) + before; at > 0 {
		line += "\x1b[" + strconv.Itoa(at) + "C"
	}
	return line
}

// wipeScreen clears the screen and puts the cursor to its top.
const wipeScreen = "\x1b[H\x1b[2J"

// --- the picture: cells, and what must be written to make one picture from another ---

// glyph is one column of the screen: a character with its marks. The right half of a wide one is empty.
type glyph struct{ text, style string }

// canvas is a picture of the screen as text.
type canvas struct {
	cols, rows int
	glyphs     []glyph
	curX, curY int // the cursor; -1: none is shown
}

func newCanvas(cols, rows int) *canvas {
	p := &canvas{cols: cols, rows: rows, glyphs: make([]glyph, cols*rows), curX: -1, curY: -1}
	for i := range p.glyphs {
		p.glyphs[i].text = " "
	}
	return p
}

func (p *canvas) row(y int) []glyph { return p.glyphs[y*p.cols : (y+1)*p.cols] }

// put writes a text with control characters made visible into at most `room` columns of a row and returns the column behind it.
// What does not fit the screen is left out, what does not fit the room is cut with a mark.
func (p *canvas) put(x, y int, style, s string, room int) int {
	room = min(room, p.cols-x)
	if y < 0 || y >= p.rows || x < 0 || room <= 0 {
		return x
	}
	row := p.row(y)
	for _, r := range cut(visible(s), room) {
		w := runeColumns(r)
		if w == 0 {
			if x > 0 && len(row[x-1].text) < 16 {
				base := x - 1
				if row[base].text == "" && base > 0 {
					base--
				}
				row[base].text += string(r)
			}
			continue
		}
		if x+w > p.cols {
			break
		}
		free(row, x)
		if x+w < len(row) {
			free(row, x+w)
		}
		row[x] = glyph{string(r), style}
		if w == 2 {
			row[x+1] = glyph{"", style}
		}
		x += w
	}
	return x
}

// free makes a column one that may be written to or begun at: of a wide character that lies across its left edge nothing stays.
func free(row []glyph, x int) {
	if x > 0 && row[x].text == "" {
		row[x-1].text, row[x].text = " ", " "
	}
}

// paint gives a whole row a style.
func (p *canvas) paint(y int, style string) {
	if y >= 0 && y < p.rows {
		for x := range p.row(y) {
			p.row(y)[x].style = style
		}
	}
}

// rule draws a line with a title in it.
func (p *canvas) rule(y int, style, title string) {
	if y < 0 || y >= p.rows {
		return
	}
	p.put(0, y, styleDim, strings.Repeat("─", p.cols), p.cols)
	p.put(3, y, style, " "+title+" ", p.cols-4)
}

// text is the picture for tests: rows of characters without styles.
func (p *canvas) text() string {
	var b strings.Builder
	for y := range p.rows {
		line := ""
		for _, g := range p.row(y) {
			line += g.text
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// update gives what must be written so that the screen shows p after it showed old; nil is a screen of unknown content.
// Rows with characters that terminals may draw in another width are written whole, so that no guess can leave remains.
func (p *canvas) update(old *canvas) string {
	var b strings.Builder
	b.WriteString(beginUpdate)
	if old == nil || old.cols != p.cols || old.rows != p.rows {
		old = newCanvas(p.cols, p.rows)
		b.WriteString("\x1b[0m\x1b[2J")
	}
	for y := range p.rows {
		was, is := old.row(y), p.row(y)
		from, to := 0, p.cols
		for from < to && was[from] == is[from] {
			from++
		}
		if from == to {
			continue
		}
		for was[to-1] == is[to-1] {
			to--
		}
		if !ascii(was) || !ascii(is) {
			from, to = 0, p.cols
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[2K", y+1)
		}
		writeGlyphs(&b, is[from:to], from, y)
	}
	if p.curX >= 0 {
		fmt.Fprintf(&b, "\x1b[%d;%dH\x1b[?25h", p.curY+1, p.curX+1)
	}
	b.WriteString(endUpdate)
	return b.String()
}

func ascii(row []glyph) bool {
	for _, g := range row {
		if len(g.text) != 1 {
			return false
		}
	}
	return true
}

// writeGlyphs writes a part of a row at its place and leaves the terminal without style.
func writeGlyphs(b *strings.Builder, part []glyph, x, y int) {
	fmt.Fprintf(b, "\x1b[%d;%dH", y+1, x+1)
	style := ""
	for _, g := range append(part[:len(part):len(part)], glyph{}) { // the last one ends the style
		if g.style != style {
			style = g.style
			b.WriteString("\x1b[0;" + style + "m")
		}
		b.WriteString(g.text)
	}
}

// fold breaks a text into lines of at most so many columns, at spaces where that is not wasteful. What it goes on with is indented as it began.
func fold(s string, width int) []string {
	s = strings.ReplaceAll(visible(s), "\t", "    ")
	width = max(width, 2)
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	if len(indent) > width/2 {
		indent = ""
	}
	var lines []string
	for columns(s) > width {
		used, space, end := 0, -1, len(s)
		for i, r := range s {
			if used += runeColumns(r); used > width {
				end = i
				if r == ' ' {
					space = i
				}
				break
			}
			if r == ' ' && used > width/2 {
				space = i
			}
		}
		if space > 0 {
			end = space
		}
		lines = append(lines, s[:end])
		s = indent + strings.TrimPrefix(s[end:], " ")
	}
	return append(lines, s)
}

// --- the full screen: its model ---

// tuiModel is everything that the full screen shows. Only its functions change it, and they touch nothing else.
type tuiModel struct {
	cols, rows int
	color      bool
	where      string // socket of the server
	lost       string // why there is no server at the moment; "" there is
	known      bool   // a list of services has come

	services []serviceStatusFull
	order    []int // the services to show, sorted and filtered
	selected string
	filter   string
	sortBy   int
	reverse  bool

	log     []logLine
	logAll  bool // lines of all services, not of the selected one
	logBack int  // how many lines are below the last one shown; 0: it follows
	logCut  int  // how many rows of that last one are below the screen, too
	detail  tuiDetail

	view      tuiView
	onLog     bool // the arrows scroll the log
	pageTop   int
	filtering bool
	pasting   bool
	signal    int     // which row of the choice of signals is selected; -1: none is asked for
	confirm   *tuiAct // waits for y
	question  string
	note      string // how the last action came out
	noteStyle string
}

// tuiView is what fills the screen.
type tuiView int

const (
	viewList tuiView = iota // services, one of them in detail, its log
	viewLog                 // only the log
	viewWhy                 // all about the selected service
	viewHelp
)

// tuiAct is what the model asks for: a call to the server, or something to do with the terminal.
type tuiAct struct {
	kind         string // "call", "quit", "redraw", "suspend"
	method, name string
	signal       string
}

// tuiDetail is what is known of the selected service beyond its row.
type tuiDetail struct {
	Name         string
	Dependencies struct{ Requires, After, Wants, Conflicts []string }
	Why          string
}

// tuiLogMost is how many lines of a log are kept to scroll back.
const tuiLogMost = 2000

// commonSignals are those that people send.
var commonSignals = []string{"TERM", "HUP", "INT", "QUIT", "USR1", "USR2", "KILL", "STOP", "CONT"}

// tuiSorts are the orders of the list, by name of their column.
var tuiSorts = []string{"NAME", "STATE", "UPTIME", "RST", "CPU%", "MEMORY"}

func newTUIModel(cols, rows int) *tuiModel { return &tuiModel{cols: cols, rows: rows, signal: -1} }

// setServices takes the newest state of all services.
func (m *tuiModel) setServices(all []serviceStatusFull) {
	if m.lost != "" {
		m.note = "" // how something came out while there was no server
	}
	m.services, m.known, m.lost = all, true, ""
	m.arrange()
}

// setLost says that there is no server; what was known stays to be seen.
func (m *tuiModel) setLost(why string) { m.lost = why }

// addLog takes a new line. A view that is scrolled back stays where it is.
func (m *tuiModel) addLog(l logLine) {
	if len(l.Text) > 4096 {
		l.Text = l.Text[:4096] + "…"
	}
	m.log = append(m.log, l)
	if m.logBack+m.logCut > 0 {
		m.logBack++
	}
	if len(m.log) >= 2*tuiLogMost {
		m.log = append(m.log[:0], m.log[len(m.log)-tuiLogMost:]...)
	}
	m.logBack = min(m.logBack, len(m.log)-1)
}

func (m *tuiModel) clearLog() { m.log, m.logBack, m.logCut = nil, 0, 0 }

// clearLogOf clears the log if it is still the one of that service: its lines come anew.
func (m *tuiModel) clearLogOf(name string) {
	if m.logOf() == name {
		m.clearLog()
	}
}

// logOf is the service whose log is shown; "" for all.
func (m *tuiModel) logOf() string {
	if m.logAll {
		return ""
	}
	return m.selected
}

func (m *tuiModel) say(style, text string) { m.note, m.noteStyle = text, style }

// before says whether a service stands before another in the list. Those that are equal stay in the order of their names.
func (m *tuiModel) compare(a, b *serviceStatusFull) int {
	if m.reverse {
		a, b = b, a
	}
	switch tuiSorts[m.sortBy] {
	case "STATE":
		return cmp.Compare(stateRank(a.State), stateRank(b.State))
	case "UPTIME":
		return cmp.Compare(b.UptimeMS, a.UptimeMS)
	case "RST":
		return cmp.Compare(b.RestartCount, a.RestartCount)
	case "CPU%":
		return cmp.Compare(b.CPUPercent, a.CPUPercent)
	case "MEMORY":
		return cmp.Compare(b.MemoryBytes, a.MemoryBytes)
	}
	return cmp.Compare(a.Name, b.Name)
}

// stateRank puts first what needs a person.
func stateRank(s state) int {
	return slices.Index([]state{failed, blocked, stopping, starting, running, exited, inactive}, s)
}

// arrange sorts and filters anew, and keeps the selection where that is possible.
func (m *tuiModel) arrange() {
	at := m.at()
	m.order = m.order[:0]
	for i := range m.services {
		s := &m.services[i]
		if m.filter == "" || strings.Contains(strings.ToLower(s.Name+" "+s.State.String()+" "+s.Description), strings.ToLower(m.filter)) {
			m.order = append(m.order, i)
		}
	}
	slices.SortStableFunc(m.order, func(a, b int) int { return m.compare(&m.services[a], &m.services[b]) })
	if m.at() < 0 {
		m.selectAt(at)
	}
}

// at is the row of the selected service; -1 when it is not in the list.
func (m *tuiModel) at() int {
	for i, n := range m.order {
		if n < len(m.services) && m.services[n].Name == m.selected {
			return i
		}
	}
	return -1
}

func (m *tuiModel) selectAt(row int) {
	m.selected = ""
	if len(m.order) > 0 {
		m.selected = m.services[m.order[min(max(row, 0), len(m.order)-1)]].Name
	}
}

// service is the status of a service by its name, or nil.
func (m *tuiModel) service(name string) *serviceStatusFull {
	for i := range m.services {
		if m.services[i].Name == name {
			return &m.services[i]
		}
	}
	return nil
}

// --- the full screen: its keys ---

// tuiKey is one row of the table that names the keys: for the help, for the line of hints, and for what they do (command).
type tuiKey struct {
	does  rune   // the key that stands for all that do the same
	also  string // those that do it too
	label string // how the help names them
	hint  string // for the line of hints; "" is not in it
	help  string
}

var tuiKeys = [...]tuiKey{
	{'s', "", "s", "start", "start the service"},
	{'t', "", "t", "stop", "stop it (asks first)"},
	{'r', "", "r", "restart", "restart it (asks first)"},
	{'k', "", "k", "kill", "send it a signal of your choice"},
	{'w', "\r", "w, Enter", "why", "all about it, and why it does not run"},
	{'l', "", "l", "log", "its log on the whole screen, and back"},
	{'/', "", "/", "filter", "only services with a text in name, state or description"},
	{'o', "", "o", "", "sort by name, state, uptime, restarts, CPU, memory: the next one"},
	{'?', "h", "?, h", "help", "this help"},
	{'q', "\x03", "q, Ctrl-C", "quit", "leave; services stay as they are"},
	{'O', "", "O", "", "sort the other way round"},
	{'a', "", "a", "", "the log of all services together, and back"},
	{'f', "", "f", "", "hold the log where it is, or follow it"},
	{keyTab, "", "Tab", "", "arrows move in the list, or in the log"},
	{keyEscape, "", "Esc", "", "back; in the list: no filter"},
	{ctrl('l'), "", "Ctrl-L", "", "draw the screen again"},
	{ctrl('z'), "", "Ctrl-Z", "", "leave for a while: `fg` of the shell comes back"},
	{keyUp, "\x10", "arrows, PgUp, PgDn, Home, End", "", "move; End of a log follows it"},
	{keyDown, "\x0e", "", "", ""},
	{keyPageUp, "", "", "", ""},
	{keyPageDown, " ", "", "", ""},
	{keyHome, "g", "", "", ""},
	{keyEnd, "G", "", "", ""},
}

// command does what a key of the table stands for.
func (m *tuiModel) command(code rune) *tuiAct {
	switch code {
	case 's':
		return m.about("service.start")
	case 't':
		m.ask("stop", "service.stop")
	case 'r':
		m.ask("restart", "service.restart")
	case 'k':
		m.chooseSignal()
	case 'w':
		m.show(viewWhy)
	case 'l':
		m.show(viewLog)
	case '?':
		m.show(viewHelp)
	case '/':
		m.filtering = true
	case 'o':
		m.sortNext()
	case 'O':
		m.reverse = !m.reverse
		m.arrange()
	case 'a':
		m.logAll = !m.logAll
	case 'f':
		m.toggleFollow()
	case keyTab:
		m.onLog = !m.onLog
	case keyEscape:
		m.back()
	case 'q':
		return &tuiAct{kind: "quit"}
	case ctrl('l'):
		return &tuiAct{kind: "redraw"}
	case ctrl('z'):
		return &tuiAct{kind: "suspend"}
	case keyUp:
		m.move(-1)
	case keyDown:
		m.move(1)
	case keyPageUp:
		m.move(-m.page())
	case keyPageDown:
		m.move(m.page())
	case keyHome:
		m.move(-1 << 20)
	case keyEnd:
		m.move(1 << 20)
	}
	return nil
}

// key changes the model as a key says; what it returns is to be done, nil is nothing.
func (m *tuiModel) key(k key) *tuiAct {
	switch {
	case k.code == keyHangup:
		return &tuiAct{kind: "quit"}
	case k.code == keyPasteBegin || k.code == keyPasteEnd:
		m.pasting = k.code == keyPasteBegin
		return nil
	case m.filtering:
		m.filterKey(k)
		return nil
	case m.pasting || k.alt: // a pasted text is no command
		return nil
	}
	m.note = ""
	switch {
	case m.confirm != nil:
		act := m.confirm
		if m.confirm = nil; k.code == 'y' || k.code == 'Y' {
			return act
		}
		m.say("", "left as it is")
		return nil
	case m.signal >= 0:
		return m.signalKey(k)
	}
	for i := range tuiKeys {
		if row := &tuiKeys[i]; k.code == row.does || strings.ContainsRune(row.also, k.code) {
			return m.command(row.does)
		}
	}
	return nil
}

// about is a call about the selected service; without one there is nothing to do.
func (m *tuiModel) about(method string) *tuiAct {
	if m.selected == "" || m.view == viewHelp {
		return nil
	}
	return &tuiAct{kind: "call", method: method, name: m.selected}
}

func (m *tuiModel) ask(verb, method string) {
	if m.confirm = m.about(method); m.confirm != nil {
		m.question = verb + " " + m.selected + "? y/n"
	}
}

func (m *tuiModel) chooseSignal() {
	s := m.service(m.selected)
	switch {
	case s == nil || m.view == viewHelp:
	case s.PID == 0:
		m.say(styleYellow, s.Name+" has no process")
	default:
		m.signal = 0
	}
}

// signalKey obeys a key while the signals are shown.
func (m *tuiModel) signalKey(k key) *tuiAct {
	n := m.signal
	switch k.code {
	case keyUp, ctrl('p'):
		m.signal = (n + len(commonSignals) - 1) % len(commonSignals)
	case keyDown, ctrl('n'), keyTab:
		m.signal = (n + 1) % len(commonSignals)
	case keyEnter:
		m.signal = -1
		act := m.about("service.kill")
		if act != nil {
			act.signal = "SIG" + commonSignals[n]
		}
		return act
	case keyEscape, 'q', ctrl('c'):
		m.signal = -1
	}
	return nil
}

// filterKey obeys a key while the filter is typed.
func (m *tuiModel) filterKey(k key) {
	switch {
	case k.code == keyEnter:
		m.filtering = false
	case k.code == keyEscape || k.code == ctrl('c'):
		m.filtering, m.filter = false, ""
	case k.code == ctrl('u'):
		m.filter = ""
	case k.code == keyBackspace || k.code == ctrl('h'):
		_, n := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-n]
	case k.code == keyUp:
		m.move(-1)
	case k.code == keyDown:
		m.move(1)
	case k.code >= ' ' && !k.alt:
		m.filter += string(k.code)
	}
	m.arrange()
}

func (m *tuiModel) show(v tuiView) {
	if m.view == v {
		v = viewList
	}
	m.view, m.pageTop = v, 0
}

func (m *tuiModel) back() {
	if m.view == viewList && !m.onLog {
		m.filter = ""
		m.arrange()
	}
	m.view, m.onLog = viewList, false
}

func (m *tuiModel) sortNext() {
	m.sortBy, m.reverse = (m.sortBy+1)%len(tuiSorts), false
	m.say("", "sorted by "+strings.ToLower(strings.Replace(tuiSorts[m.sortBy], "RST", "restarts", 1)))
	m.arrange()
}

func (m *tuiModel) toggleFollow() {
	if m.logBack+m.logCut > 0 {
		m.logBack, m.logCut = 0, 0
	} else if len(m.log) > 1 {
		m.logBack = 1
	}
}

// page is how many rows PgUp and PgDn move.
func (m *tuiModel) page() int {
	l := m.layout()
	rows := l.list
	switch {
	case m.view == viewWhy || m.view == viewHelp:
		rows = m.rows - 2
	case m.onLog || m.view == viewLog:
		rows = l.log
	}
	return max(1, rows-1)
}

// move goes up (less than 0) or down in what the arrows belong to.
func (m *tuiModel) move(by int) {
	switch {
	case m.view == viewWhy || m.view == viewHelp:
		m.pageTop = min(max(0, m.pageTop+by), m.pageEnd())
	case m.view == viewLog || m.onLog:
		m.moveLog(by)
	default:
		m.selectAt(m.at() + by)
	}
}

// moveLog scrolls the log by rows of the screen, of which a long line has several: up to the first row of the first line.
func (m *tuiModel) moveLog(by int) {
	rows := func() int { return len(m.logLines(&m.log[len(m.log)-1-m.logBack])) }
	for ; by < 0 && len(m.log) > 0; by++ {
		switch {
		case m.logCut+1 < rows():
			m.logCut++
		case m.logBack+1 < len(m.log):
			m.logBack, m.logCut = m.logBack+1, 0
		default:
			return
		}
	}
	for ; by > 0 && m.logBack+m.logCut > 0; by-- {
		if m.logCut > 0 {
			m.logCut = min(m.logCut, rows()) - 1
			continue
		}
		m.logBack--
		m.logCut = rows() - 1
	}
}

// --- the full screen: its picture ---

// tuiLayout says how many rows the parts of the screen have. The title, the heading of the list and the last row are extra.
type tuiLayout struct{ list, detail, log int }

// layout shares the rows out. The rules above detail and log count as theirs; with few rows they are left out.
func (m *tuiModel) layout() tuiLayout {
	body := max(0, m.rows-3)
	switch {
	case m.view == viewLog:
		return tuiLayout{log: max(0, m.rows-1)}
	case body < 9:
		return tuiLayout{list: body}
	}
	l := tuiLayout{detail: min(8, 3+body/7)}
	l.list = min(max(3, len(m.order)), (body-l.detail)/2)
	l.log = body - l.detail - l.list
	return l
}

// render draws the model.
func (m *tuiModel) render() *canvas {
	p := newCanvas(max(0, m.cols), max(0, m.rows))
	m.drawTitle(p)
	l := m.layout()
	switch m.view {
	case viewWhy, viewHelp:
		m.drawPage(p)
	case viewLog:
		m.drawLog(p, 0, l.log)
	default:
		m.drawList(p, 1, l.list)
		m.drawDetail(p, 2+l.list, l.detail)
		m.drawLog(p, 2+l.list+l.detail, l.log)
	}
	if m.signal >= 0 {
		m.drawSignals(p)
	}
	m.drawLast(p)
	if !m.color {
		for i := range p.glyphs {
			p.glyphs[i].style = uncoloured(p.glyphs[i].style)
		}
	}
	return p
}

// uncoloured leaves bold, dim and reverse of a style.
func uncoloured(style string) string {
	for _, c := range []string{styleRed, styleGreen, styleYellow} {
		if rest, ok := strings.CutPrefix(style, c); ok {
			return strings.TrimPrefix(rest, ";")
		}
	}
	return style
}

const styleReverse = "7"

// reversed adds reverse video to a style.
func reversed(style string) string {
	if style == "" {
		return styleReverse
	}
	return style + ";" + styleReverse
}

func (m *tuiModel) drawTitle(p *canvas) {
	x := p.put(0, 0, styleBold, "zinit", p.cols)
	switch {
	case m.lost != "":
		p.put(x+2, 0, styleRed, m.lost+"; trying again", p.cols)
		return
	case !m.known:
		p.put(x+2, 0, styleDim, "waiting for the server", p.cols)
		return
	}
	text := tally(m.services)
	if m.filter != "" {
		text += fmt.Sprintf("; %d shown with `%s`", len(m.order), m.filter)
	}
	x = p.put(x+2, 0, "", text, p.cols)
	if room := p.cols - x - 2; columns(m.where) <= room {
		p.put(p.cols-columns(m.where), 0, styleDim, m.where, room)
	}
}

// tuiColumn is one column of the list: its heading, width, and from which width of the screen it is shown.
type tuiColumn struct {
	head  string
	width int
	from  int
	text  func(*serviceStatusFull) string
}

// withProcess is a text about the process of a service, "-" when it has none.
func withProcess(text func(*serviceStatusFull) string) func(*serviceStatusFull) string {
	return func(s *serviceStatusFull) string {
		if s.PID == 0 {
			return "-"
		}
		return text(s)
	}
}

func tuiColumns() []tuiColumn {
	return []tuiColumn{
		{"PID", 7, 40, withProcess(func(s *serviceStatusFull) string { return strconv.Itoa(s.PID) })},
		{"UPTIME", 7, 48, withProcess(func(s *serviceStatusFull) string { return people(millis(s.UptimeMS)) })},
		{"RST", 4, 66, func(s *serviceStatusFull) string { return strconv.Itoa(s.RestartCount) }},
		{"CPU%", 6, 54, withProcess(func(s *serviceStatusFull) string { return strconv.FormatFloat(s.CPUPercent, 'f', 1, 64) })},
		{"MEMORY", 7, 60, withProcess(func(s *serviceStatusFull) string { return size(s.MemoryBytes) })},
	}
}

// nameColumns is how wide the names are shown: as wide as the longest, when there is room.
func (m *tuiModel) nameColumns() int {
	widest := 8
	for i := range m.services {
		widest = max(widest, columns(visible(m.services[i].Name)))
	}
	room := m.cols - 2 - 10
	for _, c := range tuiColumns() {
		if m.cols >= c.from {
			room -= c.width + 1
		}
	}
	return min(widest, max(room, 6))
}

// drawList draws the heading and so many rows of the list around the selected one.
func (m *tuiModel) drawList(p *canvas, y, rows int) {
	width := m.nameColumns()
	m.drawHeading(p, y, width)
	at := m.at()
	top := max(0, min(at-rows/2, len(m.order)-rows))
	for i := 0; i < rows && top+i < len(m.order); i++ {
		m.drawRow(p, y+1+i, width, &m.services[m.order[top+i]], top+i == at)
	}
	if len(m.order) > 0 || !m.known {
		return
	}
	text := "no services yet: zinit create NAME --exec CMD"
	if len(m.services) > 0 {
		text = "no service has `" + m.filter + "`; Esc shows all"
	}
	p.put(2, y+1, styleDim, text, p.cols)
}

func (m *tuiModel) drawHeading(p *canvas, y, width int) {
	head := func(x, room int, text string, right bool) {
		style := styleBold
		if text == tuiSorts[m.sortBy] {
			style = "1;4"
		}
		if right {
			x, room = x+room-columns(text), columns(text)
		}
		p.put(x, y, style, text, room)
	}
	head(2, width, "NAME", false)
	head(2+width+2, 8, "STATE", false)
	x := 2 + width + 2 + 8
	for _, c := range tuiColumns() {
		if m.cols >= c.from {
			head(x+1, c.width, c.head, true)
			x += c.width + 1
		}
	}
	if m.cols-x > 10 {
		head(x+2, 6, "DETAIL", false)
	}
}

func (m *tuiModel) drawRow(p *canvas, y, width int, s *serviceStatusFull, selected bool) {
	style := func(st string) string { return st }
	if selected {
		p.paint(y, styleReverse)
		style = reversed
		p.put(0, y, style(""), ">", 1)
	}
	p.put(2, y, style(""), s.Name, width)
	p.put(2+width+2, y, style(stateStyle(s.State)), s.State.String(), 8)
	x := 2 + width + 2 + 8
	for _, c := range tuiColumns() {
		if m.cols < c.from {
			continue
		}
		text := c.text(s)
		p.put(x+1+max(0, c.width-columns(text)), y, style(""), text, c.width)
		x += c.width + 1
	}
	if m.cols-x > 10 {
		p.put(x+2, y, style(""), detail(s), p.cols)
	}
}

// dependencyText is a list of services with their states: "requires db (running), cache (failed)".
func (m *tuiModel) dependencyText(label string, names []string) string {
	var parts []string
	for _, n := range names {
		state := "missing"
		if s := m.service(n); s != nil {
			state = s.State.String()
		}
		parts = append(parts, n+" ("+state+")")
	}
	if parts == nil {
		return ""
	}
	return label + " " + strings.Join(parts, ", ")
}

// aboutLines are the texts about a service, the most needed first, not yet folded.
func (m *tuiModel) aboutLines(s *serviceStatusFull) []string {
	var lines []string
	add := func(text string) {
		if text != "" {
			lines = append(lines, text)
		}
	}
	add(s.Description)
	if m.detail.Name == s.Name {
		if d := &m.detail.Dependencies; d != nil {
			add(m.dependencyText("requires", d.Requires))
			add(m.dependencyText("after", d.After))
			add(m.dependencyText("wants", d.Wants))
			add(m.dependencyText("conflicts with", d.Conflicts))
		}
		if s.State != running {
			for _, line := range strings.Split(strings.TrimRight(m.detail.Why, "\n"), "\n") {
				add(line)
			}
		}
	}
	if h := s.Health; h != nil && h.Checks > 0 {
		text := "healthy: " + plural(h.Checks, "check")
		if !h.OK {
			text = fmt.Sprintf("unhealthy: %d failed in a row: %s", h.Failures, h.LastError)
		}
		add(text)
	}
	return lines
}

// stateText is the state of a service with what belongs to it: "running, pid 123, up 3m 12s".
func stateText(s *serviceStatusFull) string {
	text := s.State.String()
	if s.PID != 0 {
		text += fmt.Sprintf(", pid %d, up %s", s.PID, people(millis(s.UptimeMS)))
	}
	if d := detail(s); d != "" {
		text += ", " + d
	}
	return text
}

func (m *tuiModel) drawDetail(p *canvas, y, rows int) {
	s := m.service(m.selected)
	if rows < 2 || s == nil {
		return
	}
	p.rule(y, stateStyle(s.State), s.Name+": "+stateText(s))
	var lines []string
	for _, text := range m.aboutLines(s) {
		lines = append(lines, fold(text, p.cols-4)...)
	}
	if more := len(lines) - (rows - 1); more > 0 {
		lines = append(lines[:rows-2], fmt.Sprintf("… %s more: w", plural(more+1, "line")))
	}
	for i, line := range lines {
		p.put(2, y+1+i, "", line, p.cols-2)
	}
}

// drawLog draws a rule and the end of the log, or what is so many lines above it. The whole screen of it folds long lines, the small part cuts them.
func (m *tuiModel) drawLog(p *canvas, y, rows int) {
	if rows < 2 {
		return
	}
	title, style := "log of "+m.logOf(), ""
	if m.logAll || m.selected == "" {
		title = "log of all services"
	}
	switch {
	case m.logBack+m.logCut > 0:
		title += fmt.Sprintf(", %s below; End follows", plural(m.logBack+min(m.logCut, 1), "line"))
	case m.view == viewLog || m.onLog:
		title += ", following"
	}
	if m.onLog && m.view == viewList {
		style = styleBold
	}
	p.rule(y, style, title)
	var lines []tuiLine // from the last one up
	for i := len(m.log) - 1 - m.logBack; i >= 0 && len(lines) < rows-1; i-- {
		rows := m.logLines(&m.log[i])
		if lines == nil {
			rows = rows[min(m.logCut, len(rows)-1):]
		}
		lines = append(lines, rows...)
	}
	shown := min(len(lines), rows-1)
	for i, line := range lines[:shown] {
		p.put(0, y+shown-i, styleBold, line.head, p.cols)
		p.put(line.at, y+shown-i, line.style, line.text, p.cols)
	}
	if len(m.log) == 0 {
		p.put(2, y+1, styleDim, "nothing yet", p.cols)
	}
}

// tuiLine is one row of a log: a head, and a text that begins at a column.
type tuiLine struct {
	head, text, style string
	at                int
}

// logLines are the rows of one line of a log, from the last one up.
func (m *tuiModel) logLines(l *logLine) (rows []tuiLine) {
	line, head := tuiLine{}, ""
	if l.Stream != streamStdout {
		line.style = styleYellow
	}
	if m.logAll && l.Service != "" {
		head = cut(visible(l.Service)+" | ", m.cols/2)
	}
	line.at = columns(head)
	parts := []string{strings.ReplaceAll(l.Text, "\t", "    ")}
	if m.view == viewLog {
		parts = fold(l.Text, m.cols-line.at)
	}
	for i := len(parts) - 1; i >= 0; i-- {
		if line.text = parts[i]; i == 0 {
			line.head = head
		}
		rows = append(rows, line)
	}
	return rows
}

// pageLines are the rows of the page that fills the screen.
func (m *tuiModel) pageLines() (rows []string) {
	for _, text := range m.pageTexts() {
		rows = append(rows, fold(text, m.cols-4)...)
	}
	return rows
}

// pageEnd is the most that a page can be scrolled: its last row is then the last one above the hints.
func (m *tuiModel) pageEnd() int { return max(0, len(m.pageLines())-max(0, m.rows-2)) }

// pageTexts are the lines of the page, not yet folded.
func (m *tuiModel) pageTexts() []string {
	var lines []string
	if m.view == viewHelp {
		for _, k := range tuiKeys {
			if k.label != "" {
				lines = append(lines, fmt.Sprintf("%-10s  %s", k.label, k.help))
			}
		}
		return append(lines, "", "RST counts automatic restarts since the last start by a person, CPU% is 100 for one core.")
	}
	s := m.service(m.selected)
	if s == nil {
		return []string{"no service is selected"}
	}
	lines = append(m.aboutLines(s), "", sortOfService(s)+", wanted "+string(s.Wish))
	if s.PID != 0 {
		lines = append(lines, fmt.Sprintf("uses %s memory, %.1f%% CPU", size(s.MemoryBytes), s.CPUPercent))
	}
	if s.RestartCount > 0 {
		lines = append(lines, "restarted "+strconv.Itoa(s.RestartCount)+"×")
	}
	lines = append(lines, "started "+clock(s.LastStart, time.DateTime)+", stopped "+clock(s.LastStop, time.DateTime))
	if s.Path != "" {
		lines = append(lines, "file "+s.Path)
	}
	return lines
}

func (m *tuiModel) drawPage(p *canvas) {
	title := "help"
	if s := m.service(m.selected); m.view == viewWhy && s != nil {
		title = s.Name + ": " + stateText(s)
	}
	p.rule(0, styleBold, title)
	lines := m.pageLines()
	for y, line := range lines[min(m.pageTop, m.pageEnd()):] {
		if y < p.rows-2 {
			p.put(2, y+1, "", line, p.cols-2)
		}
	}
}

// drawSignals draws the choice of signals over the middle of the screen.
func (m *tuiModel) drawSignals(p *canvas) {
	const width = 24
	rows := min(len(commonSignals), max(1, p.rows-4))
	top := max(0, min(m.signal-rows/2, len(commonSignals)-rows))
	x, y := max(0, (p.cols-width)/2), max(1, (p.rows-rows-2)/2)
	line := func(y int, style, text string) {
		p.put(x, y, style, " "+text+strings.Repeat(" ", max(0, width-1-columns(text))), width)
	}
	line(y, "1;7", cut("kill "+m.selected, width-2))
	for i := range rows {
		n, style, mark := top+i, "", "  "
		if n == m.signal {
			style, mark = styleReverse, "> "
		}
		line(y+1+i, style, fmt.Sprintf("%sSIG%-5s %2d", mark, commonSignals[n], signalNumber(commonSignals[n])))
	}
	line(y+1+rows, styleDim, "Enter sends, Esc leaves")
}

func signalNumber(name string) int {
	n, _ := parseSignal(name)
	return n
}

// drawLast draws the last row: a question, the filter, how the last action came out, or hints.
func (m *tuiModel) drawLast(p *canvas) {
	y := p.rows - 1
	if y < 1 {
		return
	}
	switch {
	case m.confirm != nil:
		p.put(0, y, "1;7", " "+m.question+" ", p.cols)
	case m.filtering:
		p.curX, p.curY = min(p.put(0, y, "", "filter: "+m.filter, p.cols), p.cols-1), y
	case m.note != "":
		p.put(0, y, m.noteStyle, m.note, p.cols)
	case m.lost != "" && m.view != viewList:
		p.put(0, y, styleRed, m.lost+"; trying again", p.cols)
	default:
		m.drawHints(p, y)
	}
}

// drawHints names the keys that one needs most, as far as there is room: help and quit before all others.
func (m *tuiModel) drawHints(p *canvas, y int) {
	width := func(k *tuiKey) int { return len(k.label[:1]) + 1 + len(k.hint) + 2 }
	room, x := p.cols+2, 0
	for i := range tuiKeys {
		if k := &tuiKeys[i]; k.does == '?' || k.does == 'q' {
			room -= width(k)
		}
	}
	for i := range tuiKeys {
		k := &tuiKeys[i]
		if k.hint == "" {
			continue
		}
		if k.does != '?' && k.does != 'q' {
			if room -= width(k); room < 0 {
				continue
			}
		}
		x = p.put(x, y, styleBold, k.label[:1], p.cols) + 1
		x = p.put(x, y, "", k.hint, p.cols) + 2
	}
}

// --- the terminal: taken, written to, and given back whatever happens ---

// terminal is the screen and keyboard of a person while they are ours.
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

// giveBack makes the terminal what it was. It may be called at any time and more than once.
func (t *terminal) giveBack() {
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

// jobControl obeys a signal of terminalSignals: it stops with the terminal given back, and makes the keyboard ours again when somebody has
// continued us, since the shell may have changed it.
func (t *terminal) jobControl(sig os.Signal) {
	t.mu.Lock()
	full, taken := t.full, t.before != nil
	t.mu.Unlock()
	if isStop(sig) {
		t.giveBack()
		stopUntilContinued()
	}
	if !taken {
		return
	}
	if t.take(full) == nil {
		_, _ = terminalRaw(0)
	}
}

// write shows something, in one call so that nothing is seen half.
func (t *terminal) write(s string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil
	}
	_, err := os.Stdout.WriteString(s)
	return err
}

// guard is deferred by every goroutine that runs while the terminal is taken: a panic is to be read on a terminal that shows it.
func (t *terminal) guard() {
	if r := recover(); r != nil {
		t.giveBack()
		panic(r)
	}
}

// endBySignal gives the terminal back and ends the program when it is told to end; a terminal that takes no more output does not keep it.
// It does so until stop is called.
func (t *terminal) endBySignal(sigs ...os.Signal) (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, sigs...)
	quit := make(chan struct{})
	background("signals", func() {
		var sig os.Signal
		select {
		case sig = <-ch:
		case <-quit:
			return
		}
		code := 1
		if n, ok := sig.(syscall.Signal); ok {
			code = 128 + int(n)
		}
		later(time.Second, "exit", func() { os.Exit(code) })
		t.giveBack()
		t.mu.Lock()
		t.gone = true
		os.Exit(code)
	})
	return func() { signal.Stop(ch); close(quit) }
}

// --- the full screen: its loop, and its connections to the server ---

// tui is the running full screen.
type tui struct {
	terminal
	model     *tuiModel
	shown     *canvas // what the terminal shows; nil: unknown
	socket    string
	updates   chan func(*tuiModel)
	wake      chan struct{} // the list is to be asked for now
	ended     chan struct{}
	keysEnded chan struct{} // nobody reads the keyboard any more
	signals   chan os.Signal
	wanted    struct { // the service whose detail is to be asked for
		sync.Mutex
		name string
	}
	logLink *tuiLink
	logOf   string
}

const (
	tuiPeriod   = time.Second            // between two looks at the services
	tuiPace     = 40 * time.Millisecond  // between two pictures, unless a key was pressed
	tuiSettle   = 100 * time.Millisecond // a selection that stands so long is asked about
	tuiPatience = 5 * time.Second        // for an answer, before the server counts as lost
)

// cmdTUI is the full screen, until the person leaves it.
func cmdTUI(c *cli) int {
	cols, rows, ok := terminalSize(1)
	if _, _, in := terminalSize(0); !in || !ok || os.Getenv("TERM") == "dumb" {
		errorf("the full screen needs a terminal that can move its cursor")
		hint("zinit list, zinit monitor and zinit logs -f do without")
		return exitUsage
	}
	c.server.conn.Close()
	defer c.stop.ownScreen()()
	t := &tui{model: newTUIModel(cols, rows), socket: c.socket, updates: make(chan func(*tuiModel), 256),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), keysEnded: make(chan struct{}), signals: make(chan os.Signal, 4)}
	t.model.color, t.model.where = c.color, c.server.path
	if err := t.take(true); err != nil {
		errorf("%v", err)
		return exitRefused
	}
	defer t.endBySignal(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)()
	defer t.giveBack()
	links := []*tuiLink{t.link("services", t.watchServices), t.link("events", t.watchEvents)}
	err := t.loop()
	close(t.ended)
	<-t.keysEnded
	for _, l := range append(links, t.logLink) {
		l.close()
	}
	t.giveBack()
	if err != nil {
		errorf("%v", err)
		return exitRefused
	}
	return exitDone
}

// readKeys hands keys over until the full screen ends.
func (t *tui) readKeys(keys chan key) {
	defer close(t.keysEnded)
	defer t.guard()
	kb := &keyboard{file: os.Stdin}
	for {
		k, ok := kb.next(int(tuiSettle / time.Millisecond))
		select {
		case <-t.ended:
			return
		default:
		}
		if !ok {
			continue
		}
		select {
		case keys <- k:
		case <-t.ended:
			return
		}
		if k.code == keyHangup {
			return
		}
	}
}

// loop takes what comes, a key or news, and shows what it makes of the model. It returns when the person leaves.
func (t *tui) loop() error {
	keys := make(chan key)
	background("keys", func() { t.readKeys(keys) })
	terminalSignals(t.signals)
	defer signal.Stop(t.signals)
	var last time.Time
	for due := time.NewTimer(0); ; {
		select {
		case k := <-keys:
			act := t.model.key(k)
			if act != nil && act.kind == "quit" {
				return nil
			}
			t.obey(act)
			last = time.Time{}
		case f := <-t.updates:
			f(t.model)
			for range len(t.updates) {
				(<-t.updates)(t.model)
			}
		case sig := <-t.signals:
			t.jobControl(sig)
			t.resized()
			last = time.Time{}
		case <-due.C:
		}
		t.reconcile()
		if wait := tuiPace - time.Since(last); wait > 0 {
			due.Reset(wait)
			continue
		}
		if err := t.draw(); err != nil {
			return fmt.Errorf("the terminal is gone: %w", err)
		}
		last = time.Now()
	}
}

func (t *tui) draw() error {
	p := t.model.render()
	if t.shown != nil && t.shown.curX == p.curX && t.shown.curY == p.curY && slices.Equal(t.shown.glyphs, p.glyphs) {
		return nil
	}
	text := p.update(t.shown)
	t.shown = p
	return t.write(text)
}

// resized follows a new size of the terminal, and draws everything again as after a continuation.
func (t *tui) resized() {
	if cols, rows, ok := terminalSize(1); ok {
		t.model.cols, t.model.rows = cols, rows
	}
	t.shown = nil
}

// obey does what the model asks for.
func (t *tui) obey(act *tuiAct) {
	switch {
	case act == nil:
	case act.kind == "redraw":
		t.shown = nil
	case act.kind == "suspend":
		suspend() // loop hears of it
	case act.kind == "call":
		t.call(*act)
	}
}

// post hands news to the loop; false when that has ended.
func (t *tui) post(f func(*tuiModel)) bool {
	select {
	case t.updates <- f:
		return true
	case <-t.ended:
		return false
	}
}

// refresh has the list asked for soon.
func (t *tui) refresh() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// reconcile makes the connections follow the model: the log that is shown, and the service in detail.
func (t *tui) reconcile() {
	t.wanted.Lock()
	changed := t.wanted.name != t.model.selected
	t.wanted.name = t.model.selected
	t.wanted.Unlock()
	if changed {
		t.refresh()
	}
	if of := t.model.logOf(); t.logLink == nil || of != t.logOf {
		t.logLink.close()
		t.logOf = of
		t.model.clearLog()
		t.logLink = t.link("log", func(c *cli, l *tuiLink) error { return t.watchLog(c, l, of) })
	}
}

// tuiLink is one connection that is made again when it breaks, until it is closed.
type tuiLink struct {
	mu     sync.Mutex
	server *serverConn
	closed chan struct{}
	once   sync.Once
}

func (l *tuiLink) close() {
	if l == nil {
		return
	}
	l.once.Do(func() { close(l.closed) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		l.server.conn.Close()
	}
}

// hold makes close end the connection; false when that has been asked for already.
func (l *tuiLink) hold(s *serverConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = s
	return !l.pause(0)
}

// pause waits; true when the link is closed meanwhile.
func (l *tuiLink) pause(d time.Duration) bool {
	select {
	case <-l.closed:
		return true
	case <-time.After(d):
		return false
	}
}

// link runs talk on a connection of its own, and again on a new one a second after it has failed.
func (t *tui) link(what string, talk func(*cli, *tuiLink) error) *tuiLink {
	l := &tuiLink{closed: make(chan struct{})}
	background("full screen: "+what, func() {
		defer t.guard()
		for {
			c := &cli{socket: t.socket, timeout: tuiPatience}
			_, err := c.dial()
			if err == nil && l.hold(c.server) {
				err = talk(c, l)
			}
			if c.server != nil {
				c.server.conn.Close()
			}
			select {
			case <-l.closed:
				return
			default:
			}
			if what == "services" && err != nil {
				t.post(func(m *tuiModel) { m.setLost(err.Error()) })
			}
			if l.pause(tuiPeriod) {
				return
			}
		}
	})
	return l
}

// watchServices asks for all services once a second and whenever something has happened, and for the detail of the selected one.
func (t *tui) watchServices(c *cli, l *tuiLink) error {
	for {
		var all []serviceStatusFull
		if _, err := c.call("service.list_full", nil, &all); err != nil {
			return err
		}
		t.wanted.Lock()
		name := t.wanted.name
		t.wanted.Unlock()
		d, err := c.tuiDetail(name)
		if err != nil {
			return err
		}
		where := c.server.path
		if !t.post(func(m *tuiModel) { m.where, m.detail = where, d; m.setServices(all) }) || l.pause(tuiSettle) {
			return nil
		}
		select {
		case <-l.closed:
			return nil
		case <-t.wake:
		case <-time.After(tuiPeriod - tuiSettle):
		}
	}
}

// tuiDetail asks for what is known of one service beyond its status. A service that is gone has nothing.
func (c *cli) tuiDetail(name string) (d tuiDetail, err error) {
	if name == "" {
		return d, nil
	}
	var why textResult
	for method, into := range map[string]any{"service.get": &d, "service.why": &why} {
		if _, err := c.call(method, params{"name": name}, into); err != nil && isLost(err) {
			return d, err
		}
	}
	d.Name, d.Why = name, why.Text
	return d, nil
}

// watchEvents has the list asked for when a service changes its state.
func (t *tui) watchEvents(c *cli, _ *tuiLink) error {
	return c.listen("events.subscribe", nil, func(*frame) bool { t.refresh(); return true })
}

// watchLog follows the log of a service, "" for all, from its newest lines on.
func (t *tui) watchLog(c *cli, l *tuiLink, of string) error {
	if l.pause(tuiSettle) {
		return nil
	}
	p := params{"lines": tuiLogMost / 4}
	if of != "" {
		p["services"] = []string{of}
	}
	t.post(func(m *tuiModel) { m.clearLogOf(of) })
	return c.listen("logs.follow", p, func(f *frame) bool {
		line, err := decodeLog(f.Params)
		return err != nil || t.post(func(m *tuiModel) {
			if m.logOf() != of {
				return
			}
			if line.Lost > 0 {
				m.addLog(logLine{Stream: streamStderr, Text: line.lostText()})
			}
			m.addLog(line.logLine)
		})
	})
}

// call makes a call on a connection of its own and shows how it came out.
func (t *tui) call(act tuiAct) {
	background("full screen: "+act.method, func() {
		defer t.guard()
		c := &cli{socket: t.socket, timeout: tuiPatience}
		_, err := c.dial()
		var answer stateResult
		p := params{"name": act.name}
		if act.signal != "" {
			p["signal"] = act.signal
		}
		if err == nil {
			_, err = c.call(act.method, p, &answer)
			c.server.conn.Close()
		}
		text, style := act.name+": "+answer.State.String(), ""
		if act.signal != "" {
			text = act.name + ": sent " + act.signal
		}
		if err != nil {
			text, style = err.Error(), styleRed
		}
		t.post(func(m *tuiModel) { m.say(style, text) })
		t.refresh()
	})
}

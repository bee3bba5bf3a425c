// tui_model.go is what the full screen shows, as plain data, and what each key changes in it. It reads and writes nothing outside it.

package main

import (
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// tuiModel is everything that the full screen shows. Only its functions change it, and they touch nothing else.
type tuiModel struct {
	cols, rows int
	color      bool
	where      string // socket of the server
	lost       string // why there is no server at the moment; "" there is
	known      bool   // a list of services has come

	services []serviceStatusFull
	shown    []*serviceStatusFull // those of services that are in the list, sorted and filtered
	selected string
	filter   string
	sortBy   int // in tuiColumns
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
	signal    int    // which row of the choice of signals is selected; -1: none is asked for
	confirm   tuiAct // waits for y
	act       tuiAct // what the last key asks for
	note      string // result of the last action
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

// tuiAct is what a key asks for, beyond a change of the model.
type tuiAct struct {
	what   string // "quit", "redraw", "suspend"; with a name: a method of service
	name   string
	signal string // for kill
}

// tuiDetail is what is known of the selected service beyond its row.
type tuiDetail struct {
	Name         string
	Dependencies struct{ Requires, After, Wants, Conflicts, Binds []string }
	Why          string
}

// tuiLogMost is how many lines of a log are kept to scroll back.
const tuiLogMost = 2000

func newTUIModel(cols, rows int) *tuiModel { return &tuiModel{cols: cols, rows: rows, signal: -1} }

// setServices takes the newest state of all services.
func (m *tuiModel) setServices(all []serviceStatusFull) {
	if m.lost != "" {
		m.note = "" // the result of an action while there was no server
	}
	m.services, m.known, m.lost = all, true, ""
	m.arrange()
}

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
		m.log = slices.Delete(m.log, 0, len(m.log)-tuiLogMost)
	}
	m.logBack = min(m.logBack, len(m.log)-1)
}

func (m *tuiModel) clearLog() { m.log, m.logBack, m.logCut = nil, 0, 0 }

// logOf is the service whose log is shown; "" for all.
func (m *tuiModel) logOf() string {
	if m.logAll {
		return ""
	}
	return m.selected
}

func (m *tuiModel) say(style, text string) { m.note, m.noteStyle = text, style }

// arrange sorts and filters anew, and keeps the selection where that is possible. Services that are equal stay in the order of their names.
func (m *tuiModel) arrange() {
	at := m.at()
	m.shown = nil
	for i := range m.services {
		s := &m.services[i]
		if strings.Contains(strings.ToLower(s.Name+" "+s.State.String()+" "+s.Description), strings.ToLower(m.filter)) {
			m.shown = append(m.shown, s)
		}
	}
	sort.SliceStable(m.shown, func(i, j int) bool {
		if m.reverse {
			i, j = j, i
		}
		return tuiColumns[m.sortBy].compare(m.shown[i], m.shown[j]) < 0
	})
	if m.at() < 0 {
		m.selectAt(at)
	}
}

// at is the row of the selected service; -1 when it is not in the list.
func (m *tuiModel) at() int {
	return slices.IndexFunc(m.shown, func(s *serviceStatusFull) bool { return s.Name == m.selected })
}

func (m *tuiModel) selectAt(row int) {
	m.selected = ""
	if len(m.shown) > 0 {
		m.selected = m.shown[min(max(row, 0), len(m.shown)-1)].Name
	}
}

// service is the status of a service by its name, or nil.
func (m *tuiModel) service(name string) *serviceStatusFull {
	if i := slices.IndexFunc(m.services, func(s serviceStatusFull) bool { return s.Name == name }); i >= 0 {
		return &m.services[i]
	}
	return nil
}

// tuiKey is one row of the table of keys: for the help, for the line of hints, and for what they do.
type tuiKey struct {
	code  rune
	also  string // those that do the same
	label string // how the help names them
	hint  string // for the line of hints; "" is not in it
	help  string
	do    func(*tuiModel)
}

func tuiKeys() []tuiKey {
	return []tuiKey{
		{'s', "", "s", "start", "start the service", func(m *tuiModel) { m.act = m.about("start") }},
		{'t', "", "t", "stop", "stop it (asks first)", func(m *tuiModel) { m.confirm = m.about("stop") }},
		{'r', "", "r", "restart", "restart it (asks first)", func(m *tuiModel) { m.confirm = m.about("restart") }},
		{'k', "", "k", "kill", "send it a signal of your choice", (*tuiModel).chooseSignal},
		{'w', "\r", "w, Enter", "why", "all about it, and why it does not run", func(m *tuiModel) { m.show(viewWhy) }},
		{'l', "", "l", "log", "its log on the whole screen, and back", func(m *tuiModel) { m.show(viewLog) }},
		{'/', "", "/", "filter", "only services with a text in name, state or description; Enter keeps it, Esc drops it, Ctrl-U empties it", func(m *tuiModel) { m.filtering = true }},
		{'o', "", "o", "", "sort by name, state, uptime, restarts, CPU, memory: the next one", (*tuiModel).sortNext},
		{'?', "h", "?, h", "help", "this help", func(m *tuiModel) { m.show(viewHelp) }},
		{'q', "\x03", "q, Ctrl-C", "quit", "leave; services stay as they are", func(m *tuiModel) { m.act.what = "quit" }},
		{'O', "", "O", "", "sort the other way round", func(m *tuiModel) { m.reverse = !m.reverse; m.arrange() }},
		{'a', "", "a", "", "the log of all services together, and back", func(m *tuiModel) { m.logAll = !m.logAll }},
		{'f', "", "f", "", "hold the log where it is, or follow it", (*tuiModel).toggleFollow},
		{keyTab, "", "Tab", "", "Up, Down and the like move in the list, or in the log", func(m *tuiModel) { m.onLog = !m.onLog }},
		{keyEscape, "", "Esc", "", "back; in the list: no filter", (*tuiModel).back},
		{ctrl('l'), "", "Ctrl-L", "", "draw the screen again", func(m *tuiModel) { m.act.what = "redraw" }},
		{ctrl('z'), "", "Ctrl-Z", "", "leave for a while: `fg` of the shell comes back", func(m *tuiModel) { m.act.what = "suspend" }},
		{keyUp, "\x10", "Up, Ctrl-P", "", "a row up", func(m *tuiModel) { m.move(-1) }},
		{keyDown, "\x0e", "Down, Ctrl-N", "", "a row down", func(m *tuiModel) { m.move(1) }},
		{keyPageUp, "", "PgUp", "", "a page up", func(m *tuiModel) { m.move(-m.page()) }},
		{keyPageDown, " ", "PgDn, Space", "", "a page down", func(m *tuiModel) { m.move(m.page()) }},
		{keyHome, "g", "Home, g", "", "to the beginning", func(m *tuiModel) { m.move(-1 << 20) }},
		{keyEnd, "G", "End, G", "", "to the end; that of a log follows it", func(m *tuiModel) { m.move(1 << 20) }},
	}
}

// key changes the model as a key says, and returns what is to be done beyond that.
func (m *tuiModel) key(k key) tuiAct {
	m.act = tuiAct{}
	switch {
	case k.code == keyHangup:
		m.act.what = "quit"
	case k.code == keyPasteBegin || k.code == keyPasteEnd:
		m.pasting = k.code == keyPasteBegin
	case m.filtering:
		m.filterKey(k)
	case m.pasting || k.alt: // a pasted text is no command
	default:
		m.note = ""
		m.command(k.code)
	}
	return m.act
}

// command handles a key: the answer to a question, if there is one, else what the table says.
func (m *tuiModel) command(code rune) {
	switch {
	case m.confirm.what != "":
		if code == 'y' || code == 'Y' {
			m.act = m.confirm
		} else {
			m.say("", "left as it is")
		}
		m.confirm = tuiAct{}
	case m.signal >= 0:
		m.signalKey(code)
	default:
		for _, row := range tuiKeys() {
			if code == row.code || strings.ContainsRune(row.also, code) {
				row.do(m)
			}
		}
	}
}

// about is a call about the selected service; without one there is nothing to do.
func (m *tuiModel) about(method string) tuiAct {
	if m.selected == "" || m.view == viewHelp {
		return tuiAct{}
	}
	return tuiAct{what: method, name: m.selected}
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

// signalKey handles a key while the signals are shown.
func (m *tuiModel) signalKey(code rune) {
	n := m.signal
	switch code {
	case keyUp, ctrl('p'):
		m.signal = (n + len(commonSignals) - 1) % len(commonSignals)
	case keyDown, ctrl('n'), keyTab:
		m.signal = (n + 1) % len(commonSignals)
	case keyEnter:
		m.act, m.signal = m.about("kill"), -1
		m.act.signal = "SIG" + commonSignals[n]
	case keyEscape, 'q', ctrl('c'):
		m.signal = -1
	}
}

// filterKey handles a key while the filter is typed.
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

// show changes to a view, or from it back to the list.
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
	m.sortBy, m.reverse = (m.sortBy+1)%len(tuiColumns), false
	if tuiColumns[m.sortBy].compare == nil { // the PID
		m.sortBy++
	}
	m.say("", "sorted by "+strings.ToLower(strings.Replace(tuiColumns[m.sortBy].head, "RST", "restarts", 1)))
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

// tui_draw.go draws the model on a canvas. It changes nothing in the model.

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	l.list = min(max(3, len(m.shown)), (body-l.detail)/2)
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

// uncoloured leaves bold, dim and reverse of a style: a colour stands before them.
func uncoloured(style string) string {
	if strings.HasPrefix(style, "3") {
		_, style, _ = strings.Cut(style, ";")
	}
	return style
}

// reversed adds reverse video to a style.
func reversed(style string) string { return strings.TrimPrefix(style+";"+styleReverse, ";") }

func (m *tuiModel) drawTitle(p *canvas) {
	x := p.put(0, 0, styleBold, "zinit", p.cols) + 2
	switch {
	case m.lost != "":
		p.put(x, 0, styleRed, m.lost+"; trying again", p.cols)
		return
	case !m.known:
		p.put(x, 0, styleDim, "waiting for the server", p.cols)
		return
	}
	text := tally(m.services)
	if m.filter != "" {
		text += fmt.Sprintf("; %d shown with `%s`", len(m.shown), m.filter)
	}
	x = p.put(x, 0, "", text, p.cols) + 2
	if room := p.cols - x; columns(m.where) <= room {
		p.put(p.cols-columns(m.where), 0, styleDim, m.where, room)
	}
}

// tuiColumn is one column of the list.
type tuiColumn struct {
	head    string
	width   int
	from    int // shown on a screen that has so many columns
	right   bool
	process bool // about the process of a service: "-" when it has none
	text    func(*serviceStatusFull) string
	compare func(a, b *serviceStatusFull) int // nil: the list is not sorted by it
}

var tuiColumns = []tuiColumn{
	{"NAME", 0, 0, false, false, func(s *serviceStatusFull) string { return s.Name },
		func(a, b *serviceStatusFull) int { return cmp.Compare(a.Name, b.Name) }},
	{"STATE", 8, 0, false, false, func(s *serviceStatusFull) string { return s.State.String() },
		func(a, b *serviceStatusFull) int { return cmp.Compare(stateRank(a.State), stateRank(b.State)) }},
	{"PID", 7, 40, true, true, func(s *serviceStatusFull) string { return strconv.Itoa(s.PID) }, nil},
	{"UPTIME", 7, 48, true, true, func(s *serviceStatusFull) string { return span(millis(s.UptimeMS)) },
		func(a, b *serviceStatusFull) int { return cmp.Compare(b.UptimeMS, a.UptimeMS) }},
	{"RST", 4, 66, true, false, func(s *serviceStatusFull) string { return strconv.Itoa(s.RestartCount) },
		func(a, b *serviceStatusFull) int { return cmp.Compare(b.RestartCount, a.RestartCount) }},
	{"CPU%", 6, 54, true, true, func(s *serviceStatusFull) string { return strconv.FormatFloat(s.CPUPercent, 'f', 1, 64) },
		func(a, b *serviceStatusFull) int { return cmp.Compare(b.CPUPercent, a.CPUPercent) }},
	{"MEMORY", 7, 60, true, true, func(s *serviceStatusFull) string { return size(s.MemoryBytes) },
		func(a, b *serviceStatusFull) int { return cmp.Compare(b.MemoryBytes, a.MemoryBytes) }},
}

// stateRank puts first what needs attention.
func stateRank(s state) int {
	return slices.Index([]state{failed, blocked, stopping, starting, running, exited, inactive}, s)
}

// tuiPlace is where a column is drawn.
type tuiPlace struct {
	tuiColumn
	x int
}

// places lays out the columns that the screen has room for. Names are as wide as the longest, when there is room; what is left is for the detail.
func (m *tuiModel) places() (places []tuiPlace) {
	x := 0
	for _, c := range tuiColumns {
		if m.cols < c.from {
			continue
		}
		if x += 2; c.right {
			x--
		}
		places = append(places, tuiPlace{c, x})
		x += c.width
	}
	names := 8
	for i := range m.services {
		names = max(names, columns(visible(m.services[i].Name)))
	}
	names = min(names, max(m.cols-x, 6))
	places[0].width = names
	for i := range places[1:] {
		places[1+i].x += names
	}
	if x += names; m.cols-x > 10 {
		places = append(places, tuiPlace{tuiColumn{head: "DETAIL", width: m.cols - x - 2, text: detail}, x + 2})
	}
	return places
}

func (c *tuiPlace) draw(p *canvas, y int, style, text string) {
	x := c.x
	if c.right {
		x += max(0, c.width-columns(text))
	}
	p.put(x, y, style, text, c.width)
}

// drawList draws the heading and so many rows of the list around the selected one.
func (m *tuiModel) drawList(p *canvas, y, rows int) {
	places := m.places()
	for i := range places {
		style := styleBold
		if places[i].head == tuiColumns[m.sortBy].head {
			style = "1;4"
		}
		places[i].draw(p, y, style, places[i].head)
	}
	at := m.at()
	top := max(0, min(at-rows/2, len(m.shown)-rows))
	for i := 0; i < rows && top+i < len(m.shown); i++ {
		drawRow(p, y+1+i, places, m.shown[top+i], top+i == at)
	}
	switch {
	case len(m.shown) > 0 || !m.known:
	case len(m.services) > 0:
		p.put(2, y+1, styleDim, "no service has `"+m.filter+"`; Esc shows all", p.cols)
	default:
		p.put(2, y+1, styleDim, "no services yet: zinit create NAME --exec CMD", p.cols)
	}
}

func drawRow(p *canvas, y int, places []tuiPlace, s *serviceStatusFull, selected bool) {
	if selected {
		p.put(0, y, styleReverse, ">"+strings.Repeat(" ", max(0, p.cols-1)), p.cols)
	}
	for i := range places {
		c := &places[i]
		text, style := c.text(s), ""
		if c.process && s.PID == 0 {
			text = "-"
		}
		if c.head == "STATE" {
			style = stateStyle(s.State)
		}
		if selected {
			style = reversed(style)
		}
		c.draw(p, y, style, text)
	}
}

// aboutLines are the texts about a service, the most needed first, not yet folded.
func (m *tuiModel) aboutLines(s *serviceStatusFull) []string {
	lines := []string{s.Description}
	if m.detail.Name == s.Name {
		d := &m.detail.Dependencies
		lines = append(lines, m.dependencyText("requires", d.Requires), m.dependencyText("bound to", d.Binds), m.dependencyText("after", d.After),
			m.dependencyText("wants", d.Wants), m.dependencyText("conflicts with", d.Conflicts))
		if s.State != running {
			lines = append(lines, strings.Split(m.detail.Why, "\n")...)
		}
	}
	if h := s.Health; h != nil && h.Checks > 0 {
		text := "healthy: " + plural(h.Checks, "check")
		if !h.OK {
			text = fmt.Sprintf("unhealthy: %d failed in a row: %s", h.Failures, h.LastError)
		}
		lines = append(lines, text)
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// dependencyText is a list of services with their states: "requires db (running), cache (failed)".
func (m *tuiModel) dependencyText(label string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	var parts []string
	for _, n := range names {
		state := "missing"
		if s := m.service(n); s != nil {
			state = s.State.String()
		}
		parts = append(parts, n+" ("+state+")")
	}
	return label + " " + strings.Join(parts, ", ")
}

// stateText is the state of a service with what belongs to it: "running, pid 123, up 3m 12s".
func stateText(s *serviceStatusFull) string {
	text := s.State.String()
	if s.PID != 0 {
		text += fmt.Sprintf(", pid %d, up %s", s.PID, span(millis(s.UptimeMS)))
	}
	if d := detail(s); d != "" {
		text += ", " + d
	}
	return text
}

// folded are texts as lines of at most so many columns.
func folded(texts []string, width int) (lines []string) {
	for _, text := range texts {
		lines = append(lines, fold(text, width)...)
	}
	return lines
}

func (m *tuiModel) drawDetail(p *canvas, y, rows int) {
	s := m.service(m.selected)
	if rows < 2 || s == nil {
		return
	}
	p.rule(y, stateStyle(s.State), s.Name+": "+stateText(s))
	lines := folded(m.aboutLines(s), p.cols-4)
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
	title, style := "log of all services", ""
	if of := m.logOf(); of != "" {
		title = "log of " + of
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
	head, style := "", ""
	if l.Stream != streamStdout {
		style = styleYellow
	}
	if m.logAll && l.Service != "" {
		head = cut(visible(l.Service)+" | ", m.cols/2)
	}
	at := columns(head)
	parts := []string{strings.ReplaceAll(l.Text, "\t", "    ")}
	if m.view == viewLog {
		parts = fold(l.Text, m.cols-at)
	}
	for _, part := range parts {
		rows = append(rows, tuiLine{head, part, style, at})
		head = ""
	}
	slices.Reverse(rows)
	return rows
}

// pageLines are the rows of the page that fills the screen.
func (m *tuiModel) pageLines() []string { return folded(m.pageTexts(), m.cols-4) }

// pageEnd is the most that a page can be scrolled: its last row is then the last one above the hints.
func (m *tuiModel) pageEnd() int { return max(0, len(m.pageLines())-max(0, m.rows-2)) }

// pageTexts are the lines of the page, not yet folded.
func (m *tuiModel) pageTexts() (lines []string) {
	if m.view == viewHelp {
		for _, k := range tuiKeys() {
			lines = append(lines, fmt.Sprintf("%-12s  %s", k.label, k.help))
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
		lines = append(lines, fmt.Sprintf("restarted %d×", s.RestartCount))
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
	for y, line := range m.pageLines()[min(m.pageTop, m.pageEnd()):] {
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
	line := func(style, text string) {
		p.put(x, y, style, " "+text+strings.Repeat(" ", max(0, width-1-columns(text))), width)
		y++
	}
	line("1;7", cut("kill "+m.selected, width-2))
	for n := top; n < top+rows; n++ {
		style, mark := "", "  "
		if n == m.signal {
			style, mark = styleReverse, "> "
		}
		number, _ := parseSignal(commonSignals[n])
		line(style, fmt.Sprintf("%sSIG%-5s %2d", mark, commonSignals[n], number))
	}
	line(styleDim, "Enter sends, Esc leaves")
}

// drawLast draws the last row: a question, the filter, the result of the last action, or hints.
func (m *tuiModel) drawLast(p *canvas) {
	y := p.rows - 1
	if y < 1 {
		return
	}
	switch {
	case m.confirm.what != "":
		p.put(0, y, "1;7", " "+m.confirm.what+" "+m.confirm.name+"? y/n ", p.cols)
	case m.filtering:
		p.curX, p.curY = min(p.put(0, y, "", "filter: "+m.filter, p.cols), p.cols-1), y
	case m.note != "":
		p.put(0, y, m.noteStyle, m.note, p.cols)
	case m.lost != "" && m.view != viewList:
		p.put(0, y, styleRed, m.lost+"; trying again", p.cols)
	default:
		drawHints(p, y)
	}
}

// drawHints names the most needed keys, as far as there is room: help and quit before all others.
func drawHints(p *canvas, y int) {
	const always = "? help  q quit  "
	room, x := p.cols+2-len(always), 0
	for _, k := range tuiKeys() {
		if k.hint == "" {
			continue
		}
		if !strings.Contains(always, k.label[:1]+" "+k.hint) {
			if room -= len(k.hint) + 4; room < 0 {
				continue
			}
		}
		x = p.put(x, y, styleBold, k.label[:1], p.cols) + 1
		x = p.put(x, y, "", k.hint, p.cols) + 2
	}
}

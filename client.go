// client.go turns words into a call and a result into text for people; it decides nothing about services.

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
)

// answerLimit is how long a call that need not wait may take before the server counts as dead.
const answerLimit = 30 * time.Second

// frameLimit bounds one answer of the server: status of some hundred thousand services.
const frameLimit = 256 << 20

// serverConn is a connection to a server: JSON-RPC 2.0, one text per line.
type serverConn struct {
	conn   *net.UnixConn
	path   string
	buf    []byte // read, not yet taken; the next line begins at start
	start  int
	looked int // bytes after start that are known to hold no newline
	lastID int
}

// frame is one line from the server: an answer (ID) or a notification (Method).
type frame struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
	// LeftOut is how many entries the result lacks, because it would have been larger than an answer may be.
	LeftOut int `json:"left_out"`
}

// lostError says that there is no talking to the server any more.
type lostError struct {
	text string
	how  lostHow
}

type lostHow int

const (
	lostAnyhow lostHow = iota
	lostUnsent         // the connection was closed before a request could be written
	lostClosed         // it was closed instead of an answer
	lostSilent         // it stands, but nothing comes
)

func (e *lostError) Error() string { return e.text }

// lostBy says how the server was lost; ok is false for other errors.
func lostBy(err error) (how lostHow, ok bool) {
	var lost *lostError
	if !errors.As(err, &lost) {
		return 0, false
	}
	return lost.how, true
}

// isLost says whether an error means that the connection is of no use any more.
func isLost(err error) bool {
	_, lost := lostBy(err)
	return lost
}

// connect finds a server for a command, or tells where it looked.
func (c *cli) connect() int {
	tried, err := c.dial()
	if err == nil {
		return exitDone
	}
	errorf("%v", err)
	for _, t := range tried {
		fmt.Fprintln(stderr, "  "+visible(t))
	}
	if strings.Contains(strings.Join(tried, ""), notAllowed) {
		hint("run it as root or as the server's user; --socket-mode and --socket-group of the server let others in")
		return exitNoServer
	}
	if named := c.named(); named != "" {
		hint("is it running there? `zinit server --socket %s` starts one", named)
		return exitNoServer
	}
	hint("`zinit server` starts one; --socket PATH or ZINIT_SOCKET names another")
	return exitNoServer
}

// named is the socket that the person has named, or "".
func (c *cli) named() string { return firstSet(c.socket, os.Getenv("ZINIT_SOCKET")) }

// dial connects to the named socket, else to the first of clientSockets that answers and may be trusted. It says what it tried in vain.
func (c *cli) dial() (tried []string, err error) {
	named := c.named()
	paths := []string{named}
	if named == "" {
		paths = clientSockets()
	}
	for _, p := range paths {
		conn, err := dialUnix(p, 2*time.Second)
		if err == nil {
			if err = trusted(peerOf(conn), p, named != ""); err != nil {
				conn.Close()
				err = fmt.Errorf("refused: %w", err)
			}
		}
		if err == nil {
			c.server = &serverConn{conn: conn, path: p}
			c.stop.hold(conn)
			return nil, nil
		}
		tried = append(tried, p+": "+dialReason(err))
	}
	return tried, &lostError{text: "no server answers"}
}

// trusted refuses a server that is not known to be root's or our own, unless the person has named the socket: anybody may put one into /tmp.
// An abstract name leads into other containers too. Windows tells nothing; there the socket lies in a directory that is ours.
func trusted(p peer, path string, named bool) error {
	switch {
	case path[0] == '@' && p.pid == 0:
		return errors.New("it is in another container")
	case named || runtime.GOOS == "windows":
	case !p.known:
		return fmt.Errorf("its user cannot be known; use --socket %s if that is what you want", path)
	case p.uid != 0 && p.uid != os.Geteuid():
		return fmt.Errorf("it belongs to user %d; use --socket %s if that is what you want", p.uid, path)
	}
	return nil
}

const notAllowed = "permission denied"

func dialReason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case errors.Is(err, fs.ErrPermission):
		return notAllowed
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}

// send writes one request and returns its id.
func (s *serverConn) send(method string, params any) (string, error) {
	s.lastID++
	req := struct {
		Version string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
	}{"2.0", s.lastID, method, params}
	line := appendJSON(nil, req)
	_ = s.conn.SetWriteDeadline(time.Now().Add(answerLimit))
	if _, err := s.conn.Write(append(line, '\n')); err != nil {
		return "", &lostError{"the server at " + s.path + " went away: " + dialReason(err), lostUnsent}
	}
	return strconv.Itoa(s.lastID), nil
}

// next reads one frame. A zero time waits for ever; at the deadline the error is os.ErrDeadlineExceeded and nothing is lost.
func (s *serverConn) next(deadline time.Time) (*frame, error) {
	for {
		rest := s.buf[s.start:]
		if i := bytes.IndexByte(rest[s.looked:], '\n'); i >= 0 {
			line := rest[:s.looked+i]
			s.start, s.looked = s.start+s.looked+i+1, 0
			f := new(frame)
			if err := decodeJSON(line, f); err != nil {
				return nil, &lostError{text: "what answers at " + s.path + " is no zinit server"}
			}
			return f, nil
		}
		s.looked = len(rest)
		s.buf, s.start = append(s.buf[:0], rest...), 0
		if len(s.buf) > frameLimit {
			return nil, &lostError{text: "the server at " + s.path + " sends a line without end"}
		}
		s.buf = slices.Grow(s.buf, 16<<10)
		_ = s.conn.SetReadDeadline(deadline)
		n, err := s.conn.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, os.ErrDeadlineExceeded
		}
		if n == 0 && err != nil {
			return nil, &lostError{"the server at " + s.path + " closed the connection", lostClosed}
		}
	}
}

// params are named parameters of a call.
type params map[string]any

// orNone leaves empty parameters out of a request: JSON-RPC allows no null there.
func (p params) orNone() any {
	if len(p) == 0 {
		return nil
	}
	return p
}

// about is a copy of the parameters with the name of a service.
func (p params) about(name string) params {
	all := params{"name": name}
	for k, v := range p {
		all[k] = v
	}
	return all
}

// again says whether a call may be made once more, and connects for it: the connection broke before an answer, as it does when the server
// is replaced, and the method only reads. Changing calls are never repeated. The full screen, which runs no command, has its own way.
func (c *cli) again(method string, err error) bool {
	how, _ := lostBy(err)
	if how != lostClosed && how != lostUnsent || c.cmd == nil || c.stop.interrupted() || !readsOnly(method) {
		return false
	}
	c.server.conn.Close()
	_, err = c.dial()
	return err == nil
}

// call makes one call that needs no waiting and decodes its result into `into` unless that is nil.
func (c *cli) call(method string, p params, into any) (json.RawMessage, error) {
	raw, err := c.callOnce(method, p, into)
	if c.again(method, err) {
		raw, err = c.callOnce(method, p, into)
	}
	return raw, err
}

func (c *cli) callOnce(method string, p params, into any) (json.RawMessage, error) {
	limit := answerLimit
	if c.timeout > 0 {
		limit = c.timeout
	}
	id, err := c.server.send(method, p.orNone())
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(limit); ; {
		f, err := c.server.next(deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, &lostError{fmt.Sprintf("the server at %s does not answer within %s", c.server.path, people(limit)), lostSilent}
		}
		if err != nil {
			return nil, err
		}
		if f.Error != nil && (string(f.ID) == id || string(f.ID) == "null") {
			return nil, f.Error
		}
		if string(f.ID) != id {
			continue
		}
		if f.LeftOut > 0 && c.cmd != nil {
			hint("the answer to %s lacks %d more: all of it would be too large", method, f.LeftOut)
		}
		if into == nil {
			return f.Result, nil
		}
		if err := decodeJSON(f.Result, into); err != nil {
			return nil, fmt.Errorf("the server's answer to %s is not understood: %v", method, err)
		}
		return f.Result, nil
	}
}

// fail tells what went wrong and gives the exit code for it. name is the service it is about, or "".
func (c *cli) fail(name string, err error) int {
	var refused *rpcError
	if c.stop.interrupted() {
		return exitInterrupted
	}
	if isLost(err) {
		errorf("%v", err)
		return exitNoServer
	}
	if !errors.As(err, &refused) {
		errorf("%v", err)
		return exitRefused
	}
	errorf("%s", refused.Message)
	for _, p := range refused.Data.Errors {
		if p.Path == "" && p.Line == 0 && p.Message == refused.Message { // it has been said
			continue
		}
		if p.Path == "" && p.Line == 0 {
			fmt.Fprintln(stderr, "  "+visible(p.Message))
			continue
		}
		fmt.Fprintln(stderr, "  "+visible(p.String()))
	}
	switch refused.Data.Kind {
	case kindServiceNotFound:
		c.hintName(name, &refused.Data)
		return exitNoService
	case kindMethodNotFound:
		if c.cmd.name == "call" {
			break
		}
		hint("client %s and server may be of different versions: zinit ping", version)
	}
	return exitRefused
}

// hintName proposes the service whose name is nearest, unless the server has done so in what it said.
func (c *cli) hintName(name string, said *errorData) {
	var names []string
	if len(said.Names) > 0 || said.NotLoaded != "" {
		return
	}
	if _, err := c.call("service.list", nil, &names); err != nil || len(names) == 0 {
		return
	}
	if near := nearest(name, names); near != "" && name != "" {
		hint("did you mean `%s`?", near)
		return
	}
	hint("zinit list shows what there is")
}

// names expands the globs among the words against the services there are. Words without one pass as they are.
func (c *cli) names(words []string) ([]string, int) {
	var all, names []string
	for _, w := range words {
		if w == "" {
			errorf("a service name is empty")
			return nil, exitUsage
		}
		if !strings.ContainsAny(w, "*?[") {
			names = append(names, w)
			continue
		}
		if all == nil {
			if _, err := c.call("service.list", nil, &all); err != nil {
				return nil, c.fail("", err)
			}
		}
		before := len(names)
		for _, n := range all {
			ok, err := path.Match(w, n)
			if err != nil {
				errorf("bad pattern `%s`", w)
				return nil, exitUsage
			}
			if ok {
				names = append(names, n)
			}
		}
		if len(names) == before {
			errorf("no service matches `%s`", w)
			hint("zinit list shows what there is")
			return nil, exitNoService
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(n string) bool { was := seen[n]; seen[n] = true; return was }), exitDone
}

// unknown is the first of the names that is not among all services, and says so; "" when there is none.
func (c *cli) unknown(names, all []string) string {
	for _, n := range names {
		if !slices.Contains(all, n) && n != "syslog" {
			errorf("no service `%s`", n)
			c.hintName(n, &errorData{})
			return n
		}
	}
	return ""
}

// unknownNow is unknown among the services that there are now.
func (c *cli) unknownNow(names []string) string {
	var all []string
	if _, err := c.call("service.list", nil, &all); err != nil {
		return ""
	}
	return c.unknown(names, all)
}

// one says whether the words name exactly one service: then --json prints its result alone, else a list.
func one(words []string) bool { return len(words) == 1 && !strings.ContainsAny(words[0], "*?[") }

// printJSON prints results unchanged: one alone, or a list of all.
func (c *cli) printJSON(alone bool, results []json.RawMessage) {
	if alone && len(results) == 1 {
		fmt.Fprintf(c.out, "%s\n", results[0])
		return
	}
	parts := make([][]byte, len(results))
	for i, r := range results {
		parts[i] = r
	}
	fmt.Fprintf(c.out, "[%s]\n", bytes.Join(parts, []byte(",")))
}

// each makes the same call for every name, prints the results as JSON or by show, and returns the first bad exit code, also of show.
func (c *cli) each(words []string, method string, extra params, show func(name string, result json.RawMessage) int) int {
	names, code := c.names(words)
	if code != exitDone {
		return code
	}
	var results []json.RawMessage
	for _, name := range names {
		r, err := c.call(method, extra.about(name), nil)
		if err != nil {
			code = worse(code, c.fail(name, err))
			continue
		}
		results = append(results, r)
		out := c.out
		if c.json {
			c.out = bufio.NewWriter(io.Discard)
		}
		code = worse(code, show(name, r))
		c.out = out
	}
	if c.json && len(results) > 0 {
		c.printJSON(one(words), results)
	}
	return code
}

// blocks is each for results of several lines: an empty line stands between them.
func (c *cli) blocks(words []string, method string, show func(name string, result json.RawMessage) int) int {
	first := true
	return c.each(words, method, nil, func(name string, r json.RawMessage) int {
		if !first {
			fmt.Fprintln(c.out)
		}
		first = false
		return show(name, r)
	})
}

// worse keeps the first exit code that is not 0.
func worse(a, b int) int {
	if a != exitDone {
		return a
	}
	return b
}

// simple calls a method that answers at once and prints its result: unchanged with --json, else by show.
func simple[T any](c *cli, method string, p params, show func(T) int) int {
	raw, err := c.call(method, p, nil)
	return shown(c, raw, err, show)
}

// shown prints the result of a call: unchanged with --json, else by show.
func shown[T any](c *cli, raw json.RawMessage, err error, show func(T) int) int {
	var result T
	if err == nil {
		err = decodeJSON(raw, &result)
	}
	if err != nil {
		return c.fail("", err)
	}
	if c.json {
		c.printJSON(true, []json.RawMessage{raw})
		return exitDone
	}
	return show(result)
}

// --- text ---

const (
	styleBold   = "1"
	styleDim    = "2"
	styleRed    = "31"
	styleGreen  = "32"
	styleYellow = "33"
)

func (c *cli) paint(style, s string) string {
	if !c.color || style == "" || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// state is a state in its colour.
func (c *cli) state(s state) string { return c.paint(stateStyle(s), s.String()) }

func stateStyle(s state) string {
	switch s {
	case running:
		return styleGreen
	case failed:
		return styleRed
	case blocked, starting, stopping:
		return styleYellow
	}
	return styleDim
}

// cell is one field of a table.
type cell struct {
	text, style string
	right       bool // aligned to the right
}

// printTable prints rows in aligned columns, cut to the width of the terminal. The first row is the heading.
func (c *cli) printTable(rows [][]cell) {
	var widths []int
	for _, row := range rows {
		for i := range row {
			row[i].text = strings.ReplaceAll(visible(row[i].text), "\t", " ")
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(row[i].text))
		}
	}
	c.narrow(widths)
	for n, row := range rows {
		left := c.width
		if left == 0 {
			left = 1 << 30
		}
		line := ""
		for len(row) > 0 && row[len(row)-1].text == "" {
			row = row[:len(row)-1]
		}
		for i, f := range row {
			f.text = cut(f.text, widths[i])
			pad := strings.Repeat(" ", max(0, widths[i]-columns(f.text)))
			before, after := "", pad+"  "
			if f.right {
				before, after = pad, "  "
			}
			if i == len(row)-1 {
				after = ""
			}
			if n == 0 {
				f.style = styleBold
			}
			text := cut(f.text, max(0, left-columns(before)))
			if f.right && text != f.text {
				break // a part of a number says something else
			}
			line += cut(before, left) + c.paint(f.style, text)
			left -= columns(before) + columns(f.text)
			line += cut(after, max(0, min(left, len(after))))
			left = max(0, left-len(after))
		}
		fmt.Fprintln(c.out, strings.TrimRight(line, " "))
	}
}

// narrow makes the first column narrower when it would push the others off the terminal; the last one may be cut.
func (c *cli) narrow(widths []int) {
	if c.width == 0 || len(widths) < 3 {
		return
	}
	need := 2*len(widths) - 2
	for _, w := range widths[1 : len(widths)-1] {
		need += w
	}
	widths[0] = min(widths[0], max(8, c.width-need-min(widths[len(widths)-1], 12)))
}

// columns is how wide a text is on a terminal: 2 for wide East Asian characters and emoji, 0 for marks that combine.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// wide holds the ranges that terminals draw two columns wide (East Asian Width W and F of UAX #11, emoji).
var wide = [...][2]rune{{0x1100, 0x115f}, {0x231a, 0x231b}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3},
	{0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd}}

func runeColumns(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}

// cut shortens a text to n columns and marks that it did.
func cut(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	if strings.TrimSpace(s) == "" || n < 1 {
		return s[:min(n, len(s))]
	}
	used := 0
	for i, r := range s {
		if used+runeColumns(r) > n-1 {
			return s[:i] + "…"
		}
		used += runeColumns(r)
	}
	return s
}

// people is a duration as people say it: "850ms", "42s", "3m 12s", "2h 5m", "4d 3h".
func people(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case d < time.Second:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %dh", s/86400, s/3600%24)
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// size is a number of bytes as people say it, in powers of 1024: "512B", "1.5M".
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f, unit := float64(n), 0
	for f >= 1023.95 && unit < 5 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f%c", f, " KMGTP"[unit])
}

// clock is a time of the server in the time zone of whoever looks; 0 is never.
func clock(ms int64, layout string) string {
	if ms == 0 {
		return "never"
	}
	return time.UnixMilli(ms).Format(layout)
}

// printText prints a text of the server, line by line, with control characters made visible.
func (c *cli) printText(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintln(c.out, c.fit(visible(line)))
	}
}

// fit cuts a line to the terminal, if there is one.
func (c *cli) fit(line string) string {
	if c.width == 0 {
		return line
	}
	return cut(line, c.width)
}

// reasonText is why a service failed, as a sentence; "" without a reason.
func reasonText(r *wireReason) string {
	if r == nil {
		return ""
	}
	return r.String()
}

// detail says in a few words what is worth knowing about a service beyond its state.
func detail(s *serviceStatusFull) string {
	var parts []string
	if s.State == failed || s.State == stopping || s.RestartInMS != nil {
		parts = append(parts, reasonText(s.Reason))
	}
	if s.State == exited && s.Reason == nil && s.ExitCode != nil && *s.ExitCode != 0 {
		parts = append(parts, fmt.Sprintf("exit code %d", *s.ExitCode))
	}
	if len(s.BlockedBy) > 0 {
		parts = append(parts, "waits for "+strings.Join(s.BlockedBy, ", "))
	}
	if s.RestartInMS != nil {
		parts = append(parts, "restart in "+people(millis(*s.RestartInMS)))
	}
	if s.Health != nil && s.Health.Failures > 0 && s.State != failed {
		parts = append(parts, fmt.Sprintf("%d failed checks: %s", s.Health.Failures, s.Health.LastError))
	}
	if s.RestartCount > 0 {
		parts = append(parts, fmt.Sprintf("restarted %d×", s.RestartCount))
	}
	if s.ConfigChanged {
		parts = append(parts, "changed file counts from the next start")
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	return strings.Join(parts, "; ")
}

// --- waiting ---

// waitTick is how often a terminal is told what a command still waits for.
const waitTick = 250 * time.Millisecond

// interruptible makes Ctrl-C leave with 130 and nothing else: what was asked of the server goes on. In a REPL Ctrl-C ends only the command.
func (c *cli) interruptible() {
	if c.guarded || c.stop != nil {
		return
	}
	c.guarded = true
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt)
	background("interrupt", func() {
		<-ch
		c.erase()
		if c.kept != "" {
			hint("%s", c.kept)
		}
		os.Exit(exitInterrupted)
	})
}

// sketch draws one line over the one drawn before, on a terminal only. erase takes it away.
func (c *cli) sketch(text string) {
	width := c.width
	if width == 0 {
		width = 80
	}
	fmt.Fprint(stderr, eraseLine+c.paint(styleDim, cut(visible(text), width-1)))
}

func (c *cli) erase() {
	if c.progress {
		fmt.Fprint(stderr, eraseLine)
	}
}

// waitFrames reads frames until take says that it has what it wants. On a terminal tick is called every waitTick.
// A zero deadline waits for ever; the error at the deadline is os.ErrDeadlineExceeded.
func (c *cli) waitFrames(deadline time.Time, take func(*frame) (done bool), tick func(elapsed time.Duration)) error {
	began := time.Now()
	for next := began.Add(waitTick); ; {
		until := deadline
		if c.progress && tick != nil && (deadline.IsZero() || next.Before(deadline)) {
			until = next
		}
		f, err := c.server.next(until)
		now := time.Now()
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && (deadline.IsZero() || now.Before(deadline))) {
			return err
		}
		if err == nil && take(f) {
			return nil
		}
		if c.progress && tick != nil && !now.Before(next) {
			tick(now.Sub(began))
			next = now.Add(waitTick)
		}
	}
}

// request is one of several calls that wait at the same time.
type request struct {
	name   string
	result json.RawMessage
	err    error
	done   bool
}

// gather makes the same call for all names at once and waits for every answer. Meanwhile a terminal shows who is still to go and why.
func (c *cli) gather(names []string, method string, extra params) ([]*request, error) {
	all, err := c.gatherOnce(names, method, extra)
	if c.again(method, err) {
		all, err = c.gatherOnce(names, method, extra)
	}
	return all, err
}

func (c *cli) gatherOnce(names []string, method string, extra params) ([]*request, error) {
	all := make([]*request, 0, len(names))
	if len(names) == 0 {
		return all, nil
	}
	c.interruptible()
	byID, asked := map[string]*request{}, map[string]string{}
	for _, name := range names {
		p := extra.about(name)
		if c.timeout > 0 {
			p["timeout_ms"] = c.timeout.Milliseconds()
		}
		id, err := c.server.send(method, p)
		if err != nil {
			return nil, err
		}
		r := &request{name: name}
		all, byID[id] = append(all, r), r
	}
	var deadline time.Time
	if c.timeout > 0 { // the server keeps the time; this is for one that does not answer
		deadline = time.Now().Add(c.timeout + 2*time.Second)
	}
	open, about := len(all), map[string]string{}
	take := func(f *frame) bool {
		if r := byID[string(f.ID)]; r != nil && !r.done {
			r.done, r.result = true, f.Result
			if f.Error != nil {
				r.err = f.Error
			}
			open--
		}
		if name, ok := asked[string(f.ID)]; ok {
			delete(asked, string(f.ID))
			about[name] = progressText(f.Result)
		}
		return open == 0
	}
	tick := func(elapsed time.Duration) {
		c.sketchPending(all, about, open, elapsed)
		if len(asked) > 0 {
			return
		}
		for _, r := range all {
			if !r.done && len(asked) < 8 {
				if id, err := c.server.send("service.status", params{"name": r.name}); err == nil {
					asked[id] = r.name
				}
			}
		}
	}
	err := c.waitFrames(deadline, take, tick)
	c.erase()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &lostError{"the server at " + c.server.path + " does not answer", lostSilent}
	}
	return all, err
}

// sketchPending draws the line about those requests that have no answer yet: "4s: web waits for db, db starting".
func (c *cli) sketchPending(all []*request, about map[string]string, open int, elapsed time.Duration) {
	text := people(elapsed.Truncate(time.Second)) + ": "
	if elapsed < time.Second {
		text = ""
	}
	if open > 1 {
		text += fmt.Sprintf("%d to go: ", open)
	}
	var parts []string
	for _, r := range all {
		if !r.done && len(parts) < 8 {
			parts = append(parts, strings.TrimSpace(r.name+" "+about[r.name]))
		}
	}
	c.sketch(text + strings.Join(parts, ", "))
}

// progressText is what a waiting person wants to know from a status: "starting", "waits for db".
func progressText(status json.RawMessage) string {
	var s serviceStatusFull
	if decodeJSON(status, &s) != nil {
		return ""
	}
	if len(s.BlockedBy) > 0 {
		return "waits for " + strings.Join(s.BlockedBy, " and ")
	}
	if s.RestartInMS != nil {
		return s.State.String() + ", restart in " + people(millis(*s.RestartInMS))
	}
	return s.State.String()
}

// patient makes a call that takes as long as services take to stop or start. Only --timeout ends it, without an end to what was asked.
func (c *cli) patient(method string, p any) (json.RawMessage, error) {
	c.interruptible()
	id, err := c.server.send(method, p)
	if err != nil {
		return nil, err
	}
	var answer *frame
	var deadline time.Time
	if c.timeout > 0 {
		deadline = time.Now().Add(c.timeout)
	}
	err = c.waitFrames(deadline, func(f *frame) bool {
		if string(f.ID) == id || f.Error != nil && string(f.ID) == "null" {
			answer = f
		}
		return answer != nil
	}, func(elapsed time.Duration) { c.sketch(people(elapsed.Truncate(time.Second)) + ": " + c.cmd.name) })
	c.erase()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fmt.Errorf("%s has not answered within %s; it goes on", method, people(c.timeout))
	case err != nil:
		return nil, err
	case answer.Error != nil:
		return nil, answer.Error
	}
	return answer.Result, nil
}

// waitGone waits until the server has closed the connection, and shows on a terminal which services still run.
func (c *cli) waitGone() int {
	c.interruptible()
	var deadline time.Time
	if c.timeout > 0 {
		deadline = time.Now().Add(c.timeout)
	}
	asked, left := "", []string(nil)
	take := func(f *frame) bool {
		var all []serviceStatusFull
		if string(f.ID) == asked && decodeJSON(f.Result, &all) == nil {
			left = nil
			for i := range all {
				if all[i].PID != 0 {
					left = append(left, all[i].Name)
				}
			}
		}
		if string(f.ID) == asked {
			asked = ""
		}
		return false
	}
	tick := func(elapsed time.Duration) {
		text := people(elapsed.Truncate(time.Second)) + ": "
		if len(left) > 0 {
			text += plural(len(left), "service") + " to stop: " + strings.Join(left, ", ")
		}
		c.sketch("shutting down " + strings.TrimSuffix(text, ": "))
		if asked == "" {
			asked, _ = c.server.send("service.list_full", nil)
		}
	}
	err := c.waitFrames(deadline, take, tick)
	c.erase()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		errorf("the server still runs after %s; it goes on shutting down", people(c.timeout))
		return exitRefused
	}
	if how, _ := lostBy(err); how == lostClosed && !c.stop.interrupted() {
		return exitDone
	}
	return c.fail("", err)
}

// --- commands: is what the commands that look at services and act on them do: their calls, and how the results are shown; how to call and how to draw lives in client.go.

// --- commands that look ---

func cmdList(c *cli) int {
	return simple(c, "service.list_full", nil, func(all []serviceStatusFull) int {
		c.printServices(all)
		return exitDone
	})
}

const noServices = "no services yet: zinit create NAME --exec CMD, or zinit add FILE"

func (c *cli) printServices(all []serviceStatusFull) {
	if len(all) == 0 {
		fmt.Fprintln(c.out, noServices)
		return
	}
	rows := [][]cell{{{text: "NAME"}, {text: "STATE"}, {text: "PID", right: true}, {text: "UPTIME", right: true},
		{text: "MEMORY", right: true}, {text: "DETAIL"}}}
	for i := range all {
		s := &all[i]
		row := []cell{{text: s.Name}, {text: s.State.String(), style: stateStyle(s.State)}, {text: "-", right: true},
			{text: "-", right: true}, {text: "-", right: true}, {text: detail(s)}}
		if s.PID != 0 {
			row[2].text, row[3].text = strconv.Itoa(s.PID), people(millis(s.UptimeMS))
		}
		if s.MemoryBytes > 0 {
			row[4].text = size(s.MemoryBytes)
		}
		rows = append(rows, row)
	}
	c.printTable(rows)
}

func cmdStatus(c *cli) int {
	if len(c.args) > 0 {
		return c.blocks(c.args, "service.status_full", func(_ string, r json.RawMessage) int {
			var s serviceStatusFull
			if err := decodeJSON(r, &s); err != nil {
				return c.fail("", err)
			}
			c.printStatus(&s)
			return exitDone
		})
	}
	return simple(c, "service.list_full", nil, func(all []serviceStatusFull) int {
		c.printServices(all)
		if len(all) > 0 {
			fmt.Fprintln(c.out)
			c.paragraph(tally(all))
		}
		return exitDone
	})
}

// tally counts the services by state: "3 services: 2 running, 1 failed".
func tally(all []serviceStatusFull) string {
	count := map[state]int{}
	for i := range all {
		count[all[i].State]++
	}
	var parts []string
	for _, s := range []state{running, starting, stopping, blocked, failed, exited, inactive} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	return plural(len(all), "service") + ": " + strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printStatus prints a block of lines about one service.
func (c *cli) printStatus(s *serviceStatusFull) {
	title := s.Name
	if s.Description != "" {
		title += " - " + s.Description
	}
	fmt.Fprintln(c.out, c.paint(styleBold, c.fit(visible(title))))
	line := func(key, value, style string) {
		if value != "" {
			c.entry(12, "  "+key, value, style)
		}
	}
	line("state", s.State.String(), stateStyle(s.State))
	line("wish", string(s.Wish), "")
	if s.State == failed || s.RestartInMS != nil || s.State == stopping {
		line("reason", reasonText(s.Reason), "")
	}
	line("waits for", strings.Join(s.BlockedBy, ", "), "")
	if s.RestartInMS != nil {
		line("restart", "in "+people(millis(*s.RestartInMS)), "")
	}
	if s.PID != 0 {
		line("process", fmt.Sprintf("%d, up %s", s.PID, people(millis(s.UptimeMS))), "")
		line("uses", fmt.Sprintf("%s memory, %.1f%% CPU", size(s.MemoryBytes), s.CPUPercent), "")
	}
	if s.ExitCode != nil && (s.Reason == nil || s.Reason.Type != reasonExitCode) {
		line("exit code", strconv.Itoa(*s.ExitCode), "")
	}
	if h := s.Health; h != nil {
		text := fmt.Sprintf("ok, %s", plural(h.Checks, "check"))
		if !h.OK {
			text = fmt.Sprintf("%d of %s failed in a row: %s", h.Failures, plural(h.Checks, "check"), h.LastError)
		}
		if h.Checks == 0 {
			text = "not checked yet"
		}
		line("health", text, "")
	}
	if s.RestartCount > 0 {
		line("restarts", strconv.Itoa(s.RestartCount), "")
	}
	if s.LastStart != 0 {
		line("started", clock(s.LastStart, time.DateTime), "")
	}
	if s.LastStop != 0 {
		line("stopped", clock(s.LastStop, time.DateTime), "")
	}
	line("kind", sortOfService(s), "")
	line("file", s.Path, "")
	if s.ConfigChanged {
		line("changed", "the new configuration counts from the next start", "")
	}
	if s.State == failed || s.State == blocked {
		fmt.Fprintln(c.out, c.paint(styleDim, c.fit("  hint: zinit why "+s.Name)))
	}
}

// sortOfService is what sort of service it is: "service, class user, oneshot".
func sortOfService(s *serviceStatusFull) string {
	text := string(s.Kind) + ", class " + string(s.Class)
	if s.Oneshot {
		text += ", oneshot"
	}
	if s.Critical {
		text += ", critical"
	}
	return text
}

// foldTo breaks a text into lines for a terminal where it stands behind so many columns; elsewhere it is one.
func (c *cli) foldTo(s string, behind int) []string {
	if c.width == 0 {
		return []string{visible(s)}
	}
	return fold(s, max(2, c.width-behind))
}

// entry prints a label and, from a column on, a text that is folded to the terminal; where that leaves little room the text stands below.
func (c *cli) entry(at int, label, text, style string) {
	if c.width > 0 && c.width-at < 20 {
		for _, part := range c.foldTo(label, 0) {
			fmt.Fprintln(c.out, part)
		}
		at, label = 6, ""
	}
	for _, part := range c.foldTo(text, at) {
		fmt.Fprintf(c.out, "%-*s%s\n", at, label, c.paint(style, part))
		label = ""
	}
}

// paragraph prints lines, each folded to the terminal.
func (c *cli) paragraph(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		for _, part := range c.foldTo(line, 0) {
			fmt.Fprintln(c.out, part)
		}
	}
}

func cmdStats(c *cli) int {
	return c.blocks(c.args, "service.stats", func(name string, r json.RawMessage) int {
		var s statsResult
		if err := decodeJSON(r, &s); err != nil {
			return c.fail("", err)
		}
		if s.PID == 0 {
			fmt.Fprintln(c.out, s.Name+" has no process")
			return exitDone
		}
		head := fmt.Sprintf("%s: pid %d, %.1f%% CPU, %s memory, %s, %s, %d open files", s.Name, s.PID, s.CPUPercent,
			size(s.MemoryBytes), processes(s.Processes), plural(s.Threads, "thread"), s.FDs)
		c.paragraph(head)
		if len(s.Children) == 0 {
			return exitDone
		}
		rows := [][]cell{{{text: "PID", right: true}, {text: "PPID", right: true}, {text: "CPU", right: true}, {text: "MEMORY", right: true}, {text: "COMMAND"}}}
		for _, k := range s.Children {
			rows = append(rows, []cell{{text: strconv.Itoa(k.PID), right: true}, {text: strconv.Itoa(k.PPID), right: true},
				{text: fmt.Sprintf("%.1f%%", k.CPUPercent), right: true}, {text: size(k.MemoryBytes), right: true}, {text: k.Command}})
		}
		c.printTable(rows)
		return exitDone
	})
}

func processes(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

func cmdTree(c *cli) int {
	p := params{}
	if len(c.args) > 0 {
		p["name"] = c.args[0]
	}
	return c.textOf("service.tree", p)
}

func cmdGraph(c *cli) int {
	return c.textOf("service.graph", params{"format": firstSet(c.flag("format"), "dot")})
}

// textOf prints the `text` of a result. The text is for programs too: it is cut only at a terminal.
func (c *cli) textOf(method string, p params) int {
	var result textResult
	raw, err := c.call(method, p, &result)
	if err != nil {
		name, _ := p["name"].(string)
		return c.fail(name, err)
	}
	if c.json {
		c.printJSON(true, []json.RawMessage{raw})
		return exitDone
	}
	if result.Text == "" {
		fmt.Fprintln(c.out, noServices)
		return exitDone
	}
	c.printText(result.Text)
	return exitDone
}

func cmdWhy(c *cli) int {
	return c.blocks(c.args, "service.why", func(name string, r json.RawMessage) int {
		var a textResult
		if err := decodeJSON(r, &a); err != nil {
			return c.fail("", err)
		}
		c.paragraph(a.Text)
		return exitDone
	})
}

func cmdHealth(c *cli) int {
	type one struct {
		Name  string `json:"name"`
		State state  `json:"state"`
		OK    bool   `json:"ok"`
	}
	result := struct {
		OK       bool  `json:"ok"`
		Services []one `json:"services"`
	}{OK: true, Services: []one{}}
	var all []serviceStatusFull
	if _, err := c.call("service.list_full", nil, &all); err != nil {
		return c.fail("", err)
	}
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	var there []string
	for i := range all {
		there = append(there, all[i].Name)
	}
	if c.unknown(names, there) != "" {
		return exitNoService
	}
	for i := range all {
		s := &all[i]
		if len(names) > 0 && !slices.Contains(names, s.Name) || len(names) == 0 && s.Wish != wishUp {
			continue
		}
		ok := s.State == running || s.State == exited && s.Wish == wishUp && s.RestartInMS == nil
		result.OK = result.OK && ok
		result.Services = append(result.Services, one{s.Name, s.State, ok})
		if !ok && !c.json {
			text := s.Name + " is " + s.State.String()
			if d := detail(s); d != "" {
				text += " (" + d + ")"
			}
			for _, part := range c.foldTo(text, 0) {
				fmt.Fprintln(c.out, c.paint(styleRed, part))
			}
		}
	}
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, result))
	}
	if !result.OK {
		return exitNotRunning
	}
	if !c.json {
		fmt.Fprintln(c.out, "ok, "+plural(len(result.Services), "service"))
	}
	return exitDone
}

// --- logs and events ---

func cmdLogs(c *cli) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	since, err := parseSince(c.flag("since"), time.Now())
	if err != nil {
		return c.misuse("%v", err)
	}
	lines := -1
	if s := c.flag("lines"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return c.misuse("bad --lines `%s`: a number", s)
		}
		lines = int(n)
	}
	if c.has("follow") {
		if len(names) > 0 && c.unknownNow(names) != "" {
			return exitNoService
		}
		return c.followLogs(names, since, lines)
	}
	p := params{}
	for flag, param := range map[string]string{"stream": "stream", "grep": "contains"} {
		if c.has(flag) {
			p[param] = c.flag(flag)
		}
	}
	if since != 0 {
		p["since_ms"] = since
	}
	if lines >= 0 {
		p["lines"] = lines
	}
	return c.filterLogs(names, p, lines)
}

// misuse reports a bad value of a flag.
func (c *cli) misuse(format string, args ...any) int {
	errorf(format, args...)
	hint("%s", c.usageHint())
	return exitUsage
}

// filterLogs prints the lines that there are. Those of several services are merged in the order in which they were written.
func (c *cli) filterLogs(names []string, p params, limit int) int {
	if len(names) < 2 {
		if len(names) == 1 {
			p["service"] = names[0]
		}
		var lines []logLine
		raw, err := c.call("logs.filter", p, &lines)
		if err != nil {
			return c.fail(firstSet(names...), err)
		}
		if c.json {
			c.printJSON(true, []json.RawMessage{raw})
			return exitDone
		}
		c.printLogs(lines, len(names) == 0)
		return exitDone
	}
	var merged []logLine
	code := exitDone
	for _, name := range names {
		p["service"] = name
		var lines []logLine
		if _, err := c.call("logs.filter", p, &lines); err != nil {
			code = worse(code, c.fail(name, err))
			continue
		}
		merged = append(merged, lines...)
	}
	if limit < 0 {
		limit = len(merged)
	}
	merged = newestOf(merged, limit)
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, merged))
		return code
	}
	c.printLogs(merged, true)
	return code
}

func (c *cli) printLogs(lines []logLine, named bool) {
	width := 0
	for i := range lines {
		width = max(width, columns(lines[i].Service))
	}
	for i := range lines {
		c.printLog(&lines[i], named, width)
	}
}

// printLog prints one line of a log, whole: what somebody wrote is not cut.
func (c *cli) printLog(l *logLine, named bool, width int) {
	head := ""
	if c.has("time") {
		head = c.paint(styleDim, clock(l.TimeMS, "2006-01-02 15:04:05.000")) + " "
	}
	if named {
		name := visible(l.Service)
		head += c.paint(styleBold, name) + strings.Repeat(" ", max(0, width-columns(name))) + " | "
	}
	text := l.Text
	if !c.has("raw") {
		text = visible(text)
	}
	if l.Stream == streamStderr {
		text = c.paint(styleYellow, text)
	}
	fmt.Fprintln(c.out, head+text)
}

// parseSince reads a point in time: how long ago (10m), a time of today, a date, or RFC 3339. It gives ms since the epoch; 0 for "".
func parseSince(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d.Abs()).UnixMilli(), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t.UnixMilli(), nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			y, m, d := now.Date()
			return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, now.Location()).UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("bad --since `%s`: such as 10m, 14:30, 2026-01-31 or \"2026-01-31 14:30\"", s)
}

// followLogs prints lines as they come, until Ctrl-C or the end of the server.
func (c *cli) followLogs(names []string, since int64, lines int) int {
	p := params{}
	if len(names) > 0 {
		p["services"] = names
	}
	if c.has("stream") {
		p["stream"] = c.flag("stream")
	}
	if since != 0 && lines < 0 {
		lines = 1000
	}
	if lines >= 0 {
		p["lines"] = lines
	}
	width := 0
	for _, n := range names {
		width = max(width, columns(n))
	}
	return c.subscribe("logs.follow", p, func(raw json.RawMessage) {
		l, err := decodeLog(raw)
		if err != nil || l.TimeMS < since || !strings.Contains(l.Text, c.flag("grep")) {
			return
		}
		if c.json {
			fmt.Fprintf(c.out, "%s\n", appendJSON(nil, l))
			return
		}
		if l.Lost > 0 {
			fmt.Fprintln(c.out, c.paint(styleRed, l.lostText()))
		}
		width = max(width, columns(l.Service))
		c.printLog(&l.logLine, len(names) != 1, width)
	})
}

func decodeLog(raw json.RawMessage) (l followedLine, err error) {
	err = decodeJSON(raw, &l)
	return l, err
}

func (l *followedLine) lostText() string {
	return "(" + plural(int(l.Lost), "line") + " lost: too slow)"
}

// listen makes a call that is answered by notifications and hands over each of them, until take says false or the connection breaks.
func (c *cli) listen(method string, p params, take func(*frame) bool) error {
	id, err := c.server.send(method, p.orNone())
	if err != nil {
		return err
	}
	for {
		f, err := c.server.next(time.Time{})
		switch {
		case err != nil:
			return err
		case string(f.ID) == id && f.Error != nil:
			return f.Error
		case f.Method != "" && !take(f):
			return nil
		}
	}
}

// subscribe is listen for a person: it shows each notification at once, until Ctrl-C or the end of the server.
func (c *cli) subscribe(method string, p params, show func(json.RawMessage)) int {
	c.interruptible()
	err := c.listen(method, p, func(f *frame) bool {
		show(f.Params)
		return len(c.server.buf) > c.server.start || c.out.Flush() == nil // nothing more is here: show it
	})
	if err == nil {
		return exitRefused // nobody reads what is written
	}
	_ = c.out.Flush()
	return c.fail(firstSet(c.args...), err)
}

func cmdMonitor(c *cli) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	p := params{}
	if len(names) > 0 {
		p["services"] = names
	}
	if len(names) > 0 {
		c.unknownNow(names) // it may come
	}
	return c.subscribe("events.subscribe", p, func(raw json.RawMessage) {
		if c.json {
			fmt.Fprintf(c.out, "%s\n", raw)
			return
		}
		var e serviceEvent
		if decodeJSON(raw, &e) != nil {
			return
		}
		if e.Lost > 0 {
			fmt.Fprintf(c.out, "(%s lost: too slow)\n", plural(int(e.Lost), "event"))
		}
		text := visible(e.Type)
		if e.From != nil && e.To != nil {
			text = c.state(*e.From) + " -> " + c.state(*e.To)
		}
		if e.Reason != nil {
			text += " (" + visible(reasonText(e.Reason)) + ")"
		}
		fmt.Fprintf(c.out, "%s %s: %s\n", c.paint(styleDim, clock(e.TimeMS, "15:04:05.000")), c.paint(styleBold, visible(e.Service)), text)
	})
}

// --- commands that act on services ---

func cmdStart(c *cli) int {
	return c.act("service.start", params{"tree": c.has("tree")}, []state{running, exited})
}

func cmdStop(c *cli) int {
	return c.act("service.stop", params{}, nil)
}

func cmdRestart(c *cli) int {
	return c.act("service.restart", params{}, []state{running, exited})
}

// act starts, stops or restarts services. With --wait the states in `good` are the aim; none: every state is.
func (c *cli) act(method string, p params, good []state) int {
	if !c.has("wait") {
		return c.each(c.args, method, p, func(name string, r json.RawMessage) int {
			var answer stateResult
			if err := decodeJSON(r, &answer); err != nil {
				return c.fail(name, err)
			}
			fmt.Fprintln(c.out, visible(name)+": "+c.state(answer.State))
			if answer.State == blocked || answer.State == failed {
				hint("zinit why %s", name)
			}
			return exitDone
		})
	}
	p["wait"] = true
	return c.await(method, p, good)
}

// await makes a call that waits, for all names at once, and says how each of them came out.
func (c *cli) await(method string, p params, good []state) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	all, err := c.gather(names, method, p)
	if err == nil && method == "service.start" {
		err = c.awaitEachOther(all)
	}
	if err != nil {
		return c.fail("", err)
	}
	var results []json.RawMessage
	for _, r := range all {
		if r.err != nil {
			code = worse(code, c.fail(r.name, r.err))
			continue
		}
		results = append(results, r.result)
		answer := r.settled()
		if good == nil || slices.Contains(good, answer.State) {
			if !c.json {
				fmt.Fprintln(c.out, r.name+": "+c.state(answer.State))
			}
			continue
		}
		code = worse(code, c.disappointed(r.name, answer.State, answer.BlockedBy))
	}
	if c.json && len(results) > 0 {
		c.printJSON(one(c.args), results)
	}
	return code
}

// settled is the answer of a call that waited.
func (r *request) settled() (s waitResult) {
	_ = decodeJSON(r.result, &s)
	return s
}

// awaitEachOther waits once more for what was blocked by another one of the same command line: `start --wait web db` asks for
// web while nobody has asked for db yet. By now all have been asked for, and no start is asked for twice.
func (c *cli) awaitEachOther(all []*request) error {
	asked := map[string]bool{}
	for _, r := range all {
		asked[r.name] = r.err == nil
	}
	var again []string
	for _, r := range all {
		s := r.settled()
		if s.State == blocked && slices.ContainsFunc(s.BlockedBy, func(n string) bool { return asked[n] }) {
			again = append(again, r.name)
		}
	}
	if len(again) == 0 {
		return nil
	}
	second, err := c.gather(again, "service.wait", params{"state": running})
	for _, r := range all {
		for _, s := range second {
			if s.name == r.name && s.done {
				r.result, r.err = s.result, s.err
			}
		}
	}
	return err
}

// disappointed says why a service did not get to where it was awaited, and what to do.
func (c *cli) disappointed(name string, is state, blockedBy []string) int {
	text := name + " is " + is.String()
	var s serviceStatusFull
	if len(blockedBy) > 0 {
		text += ", waits for " + strings.Join(blockedBy, ", ")
	} else if _, err := c.call("service.status", params{"name": name}, &s); err == nil && detail(&s) != "" {
		text += " (" + detail(&s) + ")"
	}
	errorf("%s", text)
	if is == blocked { // only a person can help
		var why whyResult
		_, _ = c.call("service.why", params{"name": name}, &why)
		for _, todo := range why.Todo {
			hint("%s", todo)
		}
	}
	hint("zinit why %s", name)
	return exitNotRunning
}

func cmdWait(c *cli) int {
	if !c.has("state") {
		return c.await("service.wait", params{"state": running}, []state{running, exited})
	}
	var aim state
	_ = aim.UnmarshalText([]byte(c.flag("state"))) // what is no state the server refuses
	return c.await("service.wait", params{"state": c.flag("state")}, []state{aim})
}

func cmdIsRunning(c *cli) int {
	return c.each(c.args, "service.is_running", nil, func(name string, r json.RawMessage) int {
		if string(r) == "true" {
			fmt.Fprintln(c.out, name+" is running")
			return exitDone
		}
		fmt.Fprintln(c.out, name+" is not running")
		return exitNotRunning
	})
}

// cmdKill takes the last word as the signal when there are two or more.
func cmdKill(c *cli) int {
	p, sig := params{}, "SIGTERM"
	if len(c.args) == 2 {
		sig = strings.TrimPrefix(c.args[1], "-")
		p["signal"] = sig
	}
	return c.each(c.args[:1], "service.kill", p, func(name string, _ json.RawMessage) int {
		fmt.Fprintln(c.out, visible(name)+": sent "+visible(sig))
		return exitDone
	})
}

// bulk is the answer of service.start_all and its like.
type bulk struct {
	Services []string
	Skipped  []string
	Errors   []struct{ Name, Message string }
}

func (c *cli) actOnAll(method, done string) int {
	raw, err := c.patient(method, nil)
	return shown(c, raw, err, func(b bulk) int {
		c.printNames(done, b.Services)
		c.printNames("left alone", b.Skipped)
		for _, e := range b.Errors {
			errorf("%s: %s", e.Name, e.Message)
		}
		if len(b.Errors) > 0 {
			return exitRefused
		}
		if len(b.Services)+len(b.Skipped) == 0 {
			fmt.Fprintln(c.out, "there are no services of class user")
		}
		return exitDone
	})
}

// printNames prints a labelled list of names in lines of the terminal's width; nothing when there are none.
func (c *cli) printNames(label string, names []string) {
	if len(names) == 0 {
		return
	}
	width := 78
	if c.width > 20 {
		width = c.width - 2
	}
	for _, line := range wrap(append([]string{label + ":"}, names...), width) {
		fmt.Fprintln(c.out, visible(line))
	}
}

func cmdStartAll(c *cli) int  { return c.actOnAll("service.start_all", "started") }
func cmdStopAll(c *cli) int   { return c.actOnAll("service.stop_all", "stopping") }
func cmdDeleteAll(c *cli) int { return c.actOnAll("service.delete_all", "deleted") }

// --- manage: is what the commands about configuration, about the server and without a server do, and completion; how to call and how to draw lives in client.go.

// --- commands about configuration ---

// added is the answer of service.add and its like.
// addConfig sends a configuration and says what became of it.
func (c *cli) addConfig(method string, p params) int {
	raw, err := c.patient(method, p)
	return shown(c, raw, err, func(a putResult) int {
		text := a.Name + " is added"
		if method == "service.set" {
			text = a.Name + " is set"
		}
		if a.Path != nil && *a.Path != "" {
			text += ", file " + *a.Path
		}
		fmt.Fprintln(c.out, visible(text))
		for _, w := range a.Warnings {
			fmt.Fprintln(stderr, "warning: "+visible(w.Message))
		}
		return exitDone
	})
}

// readConfig reads the service that a file describes, - is stdin, with its text, and reports what is wrong with it.
func readConfig(file string) (*config, int) {
	var conf *config
	var bad []problem
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(os.Stdin, maxFileBytes))
		if err != nil {
			errorf("cannot read stdin: %v", err)
			return nil, exitRefused
		}
		if conf, bad, _ = parseTOML(data, "stdin", ""); conf != nil {
			conf.source = string(data)
		}
	} else {
		conf, bad, _ = parseFile(file, false)
	}
	for _, p := range bad {
		fmt.Fprintln(stderr, visible(p.String()))
	}
	if len(bad) > 0 || conf == nil {
		return nil, exitRefused
	}
	return conf, exitDone
}

// putFile sends what a file describes; the server writes the text as its own file, with the comments.
func (c *cli) putFile(method string, conf *config, p params) int {
	p["config"] = conf.value()
	p["text"] = conf.source
	return c.addConfig(method, p)
}

func cmdAdd(c *cli) int {
	conf, code := readConfig(c.args[0])
	if code != exitDone {
		return code
	}
	return c.putFile("service.add", conf, params{"persist": c.has("persist")})
}

func cmdSet(c *cli) int {
	conf, code := readConfig(c.args[0])
	if code != exitDone {
		return code
	}
	return c.putFile("service.set", conf, params{})
}

// cmdCreate builds a configuration from flags; the server checks it.
func cmdCreate(c *cli) int {
	if len(c.args) != 1 {
		return c.misuse("one name, not also `%s`; the program goes behind --exec or --", c.args[1])
	}
	service := map[string]any{"name": c.args[0]}
	switch {
	case len(c.tail) > 0:
		service["exec"] = c.tail
	case c.has("exec"):
		service["exec"] = c.flag("exec")
	default:
		return c.misuse("%s needs a program: --exec CMD or -- CMD ARG", c.args[0])
	}
	for _, f := range []string{"dir", "description", "user", "status"} {
		if c.has(f) {
			service[f] = c.flag(f)
		}
	}
	for _, f := range []string{"oneshot", "critical"} {
		if c.has(f) {
			service[f] = true
		}
	}
	if c.has("env") {
		env := map[string]string{}
		for _, kv := range c.list("env") {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				return c.misuse("bad --env `%s`: NAME=VALUE", kv)
			}
			env[k] = v
		}
		service["env"] = env
	}
	conf := map[string]any{"service": service}
	deps := map[string][]string{}
	for _, f := range []string{"requires", "after", "wants", "conflicts"} {
		for _, v := range c.list(f) {
			deps[f] = append(deps[f], strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	if len(deps) > 0 {
		conf["dependencies"] = deps
	}
	if c.has("restart") {
		conf["lifecycle"] = map[string]any{"restart": c.flag("restart")}
	}
	return c.addConfig("service.create", params{"config": conf, "persist": c.has("persist")})
}

func cmdGet(c *cli) int {
	raw, err := c.call("service.get", params{"name": c.args[0]}, nil)
	if err != nil {
		return c.fail(c.args[0], err)
	}
	if c.json {
		c.printJSON(true, []json.RawMessage{raw})
		return exitDone
	}
	conf, bad, _ := parseJSON(raw)
	if conf == nil || len(bad) > 0 {
		errorf("the configuration of %s is not understood; the server may be of another version", c.args[0])
		hint("zinit --json get %s", c.args[0])
		return exitRefused
	}
	var server pingResult
	if _, err := c.call("system.ping", nil, &server); err == nil && conf.Logging.Console != nil && *conf.Logging.Console == (server.Mode == modeContainer) {
		conf.Logging.Console = nil // the default there
	}
	c.printWhole(string(conf.toml()))
	return exitDone
}

// printWhole is printText for what may be copied: its lines are not cut.
func (c *cli) printWhole(text string) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintln(c.out, visible(line))
	}
}

// cmdEdit lets a person change a copy of a service's file, and has the server take it over. The server alone writes the file itself.
func cmdEdit(c *cli) int {
	name := c.args[0]
	var s serviceStatusFull
	if _, err := c.call("service.status_full", params{"name": name}, &s); err != nil {
		return c.fail(name, err)
	}
	if s.Path == "" {
		errorf("%s has no file", name)
		hint("write one and give it to the service: zinit get %s > FILE, zinit set FILE", name)
		return exitRefused
	}
	before, err := os.ReadFile(s.Path)
	if err != nil {
		errorf("cannot read the file of %s: %v", name, err)
		return exitRefused
	}
	dir, err := os.MkdirTemp("", "zinit-edit-")
	file := filepath.Join(dir, filepath.Base(s.Path))
	if err == nil {
		err = os.WriteFile(file, before, 0o600)
	}
	if err != nil {
		errorf("cannot make a copy to edit: %v", err)
		os.RemoveAll(dir)
		return exitRefused
	}
	c.server.conn.Close() // the server may be replaced while the person thinks
	c.stop.hold(nil)
	code := exitDone
	if err := runEditor(file); err != nil {
		errorf("%v", err)
		hint("EDITOR names the editor")
		code = exitRefused
	}
	after, err := os.ReadFile(file)
	switch {
	case err != nil:
		errorf("the editor has left nothing to read: %v; nothing is changed", err)
		code = exitRefused
	case !bytes.Equal(before, after):
		c.kept = "your text is in " + file + "; when it is right: zinit set " + file
		if code == exitDone {
			code = c.edited(name, file)
		}
		if code != exitDone {
			hint("%s", c.kept)
			return code
		}
	case code == exitDone:
		fmt.Fprintln(c.out, "nothing changed")
	}
	os.RemoveAll(dir)
	return code
}

// edited gives the server the new text of a service's file.
func (c *cli) edited(name, file string) int {
	conf, code := readConfig(file)
	if code != exitDone {
		return code
	}
	if conf.Service.Name != name {
		errorf("the name may not change from %s to %s; nothing is changed", name, conf.Service.Name)
		return exitRefused
	}
	if code = c.connect(); code != exitDone {
		return code
	}
	return c.putFile("service.set", conf, params{})
}

// runEditor runs $VISUAL or $EDITOR (else vi) on a file and waits for its end. Like git it leaves the words of the variable to the shell.
func runEditor(file string) error {
	editor := firstSet(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt) // Ctrl-C is the editor's
	failure, err := sysForeground("/bin/sh", []string{"sh", "-c", editor + ` "$1"`, "sh", file})
	signal.Stop(ch)
	if err != nil {
		return fmt.Errorf("cannot run the editor %s: %w", editor, err)
	}
	if failure != "" {
		return fmt.Errorf("the editor %s ended with %s; nothing is changed", editor, failure)
	}
	return nil
}

func cmdDelete(c *cli) int {
	names, code := c.names(c.args)
	if code != exitDone {
		return code
	}
	p := params{}
	if c.has("force") {
		p["force"] = true
	}
	all, err := c.gather(names, "service.delete", p)
	if err != nil {
		return c.fail("", err)
	}
	var results []json.RawMessage
	for _, r := range all {
		if r.err != nil {
			code = worse(code, c.fail(r.name, r.err))
			if e, is := errors.AsType[*rpcError](r.err); is && e.Data.Kind == kindDependencyError {
				hint("zinit delete --force %s, or first zinit delete %s", r.name, strings.Join(e.Data.Names, " "))
			}
			continue
		}
		results = append(results, r.result)
		if !c.json {
			fmt.Fprintln(c.out, r.name+" is deleted")
		}
	}
	if c.json && len(results) > 0 {
		c.printJSON(one(c.args), results)
	}
	return code
}

func cmdReload(c *cli) int {
	type reload struct {
		Added, Removed, Changed, Restarted []string
		Unchanged                          json.RawMessage
		Errors, Warnings                   []problem
	}
	raw, err := c.patient("service.reload", params{"restart": c.has("restart")})
	return shown(c, raw, err, func(r reload) int {
		c.printNames("added", r.Added)
		c.printNames("removed", r.Removed)
		c.printNames("changed", r.Changed)
		c.printNames("restarted", r.Restarted)
		if len(r.Changed) > len(r.Restarted) {
			fmt.Fprintln(c.out, "what changed counts from the next start: zinit restart NAME")
		}
		if len(r.Added)+len(r.Removed)+len(r.Changed)+len(r.Restarted)+len(r.Errors) == 0 {
			fmt.Fprintln(c.out, "nothing changed")
		}
		printProblems(stderr, r.Errors, r.Warnings)
		if len(r.Errors) > 0 {
			return exitRefused
		}
		return exitDone
	})
}

func printProblems(w io.Writer, errs, warnings []problem) {
	for _, p := range errs {
		fmt.Fprintln(w, visible(p.String()))
	}
	for _, p := range warnings {
		fmt.Fprintln(w, "warning: "+visible(p.String()))
	}
}

// cmdXinet passes on what the server says about its proxies.
func cmdXinet(c *cli) int {
	method, p := "xinet."+c.args[0], params{}
	name := firstSet(c.args[1:]...)
	switch what := c.args[0]; {
	case what == "list" && name == "":
	case what == "status" && name == "":
		method += "_all"
	case what == "status" || what == "delete" && name != "":
		p["name"] = name
	case what == "create" && name != "":
		conf, code := readConfig(name)
		if code != exitDone {
			return code
		}
		p["config"] = conf.value()
	default:
		return c.misuse("one of: xinet list, xinet status [NAME], xinet create FILE, xinet delete NAME")
	}
	raw, err := c.call(method, p, nil)
	if err != nil {
		return c.fail("", err)
	}
	return c.printRaw(raw)
}

// cmdCheck reads files and directories as the server would, and looks at the graph that they make together.
func cmdCheck(c *cli) int {
	result := checkResult{Errors: []problem{}, Warnings: []problem{}}
	configs, errs, warnings := loadForCheck(c.args)
	result.Errors = append(result.Errors, errs...)
	result.Warnings = append(result.Warnings, warnings...)
	errs, warnings = graphProblems(configs)
	result.Errors = append(result.Errors, errs...)
	result.Warnings = append(result.Warnings, warnings...)
	result.OK = len(result.Errors) == 0
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, result))
	} else {
		printProblems(c.out, result.Errors, result.Warnings)
		fmt.Fprintf(c.out, "%s, %s, %s\n", plural(len(configs), "good file"),
			plural(len(result.Errors), "error"), plural(len(result.Warnings), "warning"))
	}
	if !result.OK {
		return exitRefused
	}
	return exitDone
}

// loadForCheck loads what is named, in that order, or else the directories that a server would use.
func loadForCheck(paths []string) (configs []*config, errs, warnings []problem) {
	system, dirs := "", paths
	if len(paths) == 0 {
		dirs = configDirs(nil, false)
		if d := defaultSystemDir(); d != "" {
			if _, err := os.Stat(d); err == nil {
				system = d
			}
		}
		l := loadDirs(system, dirs)
		return l.configs, l.errors, l.warnings
	}
	seen := map[string]string{}
	for _, p := range paths {
		var found []*config
		info, err := os.Stat(p)
		switch {
		case err != nil:
			errs = append(errs, problem{Path: p, Message: "cannot be read: " + reasonOf(err).Error()})
			continue
		case info.IsDir():
			l := loadDirs("", []string{p})
			found, errs, warnings = l.configs, append(errs, l.errors...), append(warnings, l.warnings...)
		default:
			conf, e, w := parseFile(p, false)
			errs, warnings = append(errs, e...), append(warnings, w...)
			if conf != nil && len(e) == 0 {
				found = []*config{conf}
			}
		}
		for _, conf := range found {
			if first, ok := seen[conf.Service.Name]; ok {
				errs = append(errs, problem{Path: conf.path, Line: 1, Column: 1,
					Message: "`" + conf.Service.Name + "` is already in " + first})
				continue
			}
			seen[conf.Service.Name] = conf.path
			configs = append(configs, conf)
		}
	}
	return configs, errs, warnings
}

// graphProblems finds cycles and the like, and warns of required names that nothing has.
func graphProblems(configs []*config) (errs, warnings []problem) {
	all := map[string]*config{}
	var names []string
	for _, conf := range configs {
		if conf.Kind != unitXinet {
			all[conf.Service.Name] = conf
			names = append(names, conf.Service.Name)
		}
	}
	complaints := checkGraph(all)
	for _, n := range names {
		if m := complaints[n]; m.text != "" {
			errs = append(errs, all[n].listing(m.name, m.text))
		}
		for _, r := range all[n].Dependencies.Requires {
			if all[r] != nil {
				continue
			}
			text := "requires `" + r + "`, which is in none of the files"
			if near := nearest(r, names); near != "" {
				text += "; did you mean `" + near + "`?"
			}
			warnings = append(warnings, all[n].listing(r, text))
		}
	}
	return errs, warnings
}

// --- commands about the server, and the rest ---

func cmdPing(c *cli) int {
	return simple(c, "system.ping", nil, func(p pingResult) int {
		fmt.Fprintf(c.out, "zinit %s answers: pid %d, up %s, %s\n", visible(p.Version), p.PID, people(millis(p.UptimeMS)), visible(string(p.Mode)))
		return exitDone
	})
}

func cmdInfo(c *cli) int {
	return simple(c, "system.info", nil, func(i infoResult) int {
		rows := [][2]string{{"version", i.Version}, {"mode", string(i.Mode)}, {"pid", strconv.Itoa(i.PID)},
			{"started", clock(i.StartedMS, time.DateTime)}, {"socket", firstSet(i.Socket, c.server.path)},
			{"services", strings.Join(i.ConfigDirs, ", ")}, {"kernel", i.Kernel}, {"cgroup", i.Cgroup}}
		for _, d := range i.Degraded {
			rows = append(rows, [2]string{"missing", d})
		}
		for _, r := range rows {
			if r[1] != "" {
				c.entry(10, r[0], r[1], "")
			}
		}
		return exitDone
	})
}

func cmdShutdown(c *cli) int { return c.goDown("system.shutdown") }
func cmdPoweroff(c *cli) int { return c.goDown("system.poweroff") }
func cmdReboot(c *cli) int   { return c.goDown("system.reboot") }
func cmdHalt(c *cli) int     { return c.goDown("system.halt") }

// goDown asks for a shutdown and waits until the server is gone. A server that goes before it has answered has done what was asked; one
// that is silent has not.
func (c *cli) goDown(method string) int {
	raw, err := c.call(method, nil, nil)
	switch how, _ := lostBy(err); {
	case how == lostClosed && !c.stop.interrupted():
		return exitDone
	case how == lostSilent:
		return c.silent(err)
	case err != nil:
		return c.fail("", err)
	}
	if c.json {
		c.printJSON(true, []json.RawMessage{raw})
	}
	return c.waitGone()
}

// silent tells what to try with a server that is asked to go down and does not answer.
func (c *cli) silent(err error) int {
	code := c.fail("", err)
	p := peerOf(c.server.conn)
	switch {
	case code != exitNoServer:
	case !p.known || p.pid <= 0:
		hint("a signal asks as well: kill -TERM PID")
	case p.pid == 1:
		hint("a signal asks as well, and PID 1 does not wait for a server that hangs: kill -TERM 1")
	default:
		hint("a signal asks as well: kill -TERM %d; kill -KILL %d ends the server and leaves its services running", p.pid, p.pid)
	}
	return code
}

// cmdUpgrade has the server go over to another binary, or to what is at its own path now. Services do not notice.
func cmdUpgrade(c *cli) int {
	p := params{}
	if len(c.args) > 0 {
		path, err := filepath.Abs(c.args[0])
		if err != nil {
			return c.fail("", err)
		}
		p["binary"] = path
	}
	var r upgradeResult
	raw, err := c.call("system.upgrade", p, &r)
	if err != nil {
		return c.fail("", err)
	}
	if err := c.untilNewServer(r.Version); err != nil {
		return c.fail("", err)
	}
	if c.json {
		c.printJSON(true, []json.RawMessage{raw})
		return exitDone
	}
	c.printText(fmt.Sprintf("version %s has taken over\n", visible(r.Version)))
	return exitDone
}

// untilNewServer waits for the end of the server that we are connected to, and for an answer of the one after it, which should have that version.
func (c *cli) untilNewServer(version string) error {
	limit := answerLimit
	if c.timeout > 0 {
		limit = c.timeout
	}
	due := time.Now().Add(limit)
	for err := error(nil); err == nil; {
		if _, err = c.server.next(due); errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("version %s was to take over, but the server has not ended within %s", version, people(limit))
		}
	}
	for {
		c.server.conn.Close()
		var p pingResult
		_, err := c.dial()
		if err == nil {
			_, err = c.callOnce("system.ping", nil, &p)
		}
		if err == nil && p.Version != version {
			return fmt.Errorf("version %s did not come up; version %s goes on", version, p.Version)
		}
		if err == nil || time.Now().After(due) {
			return err
		}
		time.Sleep(50 * time.Millisecond) // a socket that could not be kept is made anew
	}
}

// cmdCall makes any call; there is no telling how long it takes.
func cmdCall(c *cli) int {
	var p any
	if len(c.args) > 1 {
		if _, err := checkText([]byte(c.args[1])); err != nil {
			return c.misuse("the parameters are %v", err)
		}
		p = json.RawMessage(c.args[1])
	}
	raw, err := c.patient(c.args[0], p)
	if err != nil {
		return c.fail("", err)
	}
	return c.printRaw(raw)
}

// printRaw prints a result that has no shape of its own for people: indented JSON.
func (c *cli) printRaw(raw json.RawMessage) int {
	if c.json {
		c.printJSON(true, []json.RawMessage{raw})
		return exitDone
	}
	c.printWhole(string(indentJSON(raw)))
	return exitDone
}

func cmdDiscover(c *cli) int {
	raw, err := c.call("rpc.discover", nil, nil)
	if err != nil {
		return c.fail("", err)
	}
	return c.printRaw(raw)
}

// cmdProbe runs one check from here: for HEALTHCHECK in images that have no curl.
func cmdProbe(c *cli) int {
	def := &healthDef{Timeout: 5 * time.Second}
	if c.timeout > 0 {
		def.Timeout = c.timeout
	}
	kind, rest, _ := strings.Cut(c.args[0], ":")
	switch {
	case kind == string(healthTCP) && strings.Contains(rest, ":"):
		def.Type, def.Target = healthTCP, rest
	case kind == "unix" && strings.HasPrefix(rest, "/"):
		def.Type, def.Target = healthTCP, rest
	case kind == string(healthHTTP) && len(rest) > 2:
		def.Type, def.Target = healthHTTP, c.args[0]
	default:
		return c.misuse("bad target `%s`: tcp:HOST:PORT, http://HOST[:PORT]/PATH or unix:/PATH", c.args[0])
	}
	err := check(def, nil)
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, map[string]any{"ok": err == nil, "error": errorText(err)}))
	}
	if err != nil {
		errorf("%v", err)
		return exitNotRunning
	}
	if !c.json {
		fmt.Fprintln(c.out, "ok")
	}
	return exitDone
}

func errorText(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}

// --- the boot ---

// cmdAnalyze shows how the boot went: what was waited for, what took long, or both as a picture.
func cmdAnalyze(c *cli) int {
	var b bootResult
	raw, err := c.call("boot.analyze", nil, &b)
	if err != nil {
		return c.fail("", err)
	}
	what := firstSet(append(c.args, "summary")...)
	switch {
	case c.json:
		c.printJSON(true, []json.RawMessage{raw})
	case what == "blame":
		c.printBlame(&b)
	case what == "plot":
		return c.plot(&b)
	case what == "chain" || what == "summary":
		c.printChain(&b)
	default:
		return c.misuse("`%s` is none of blame, chain, plot", what)
	}
	return exitDone
}

// exactly is a time of the boot: "812 ms", "1.25 s".
func exactly(ms int64) string {
	if ms < 1000 {
		return strconv.FormatInt(ms, 10) + " ms"
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', 2, 64) + " s"
}

// printBlame prints who took how long from its start to being ready, the slowest first.
func (c *cli) printBlame(b *bootResult) {
	rows := [][]cell{{{text: "TOOK", right: true}, {text: "NAME"}, {text: "NOW"}}}
	for _, u := range b.slowest() {
		if t := u.took(); t >= 0 {
			rows = append(rows, []cell{{text: exactly(t), right: true}, {text: u.Name}, {text: u.State.String(), style: stateStyle(u.State)}})
		}
	}
	c.printTable(rows)
}

// printChain prints how long the boot took, and the critical chain: each service was the last one that the next waited for.
func (c *cli) printChain(b *bootResult) {
	ready, of := 0, 0
	rows := [][]cell{{{text: "READY AT", right: true}, {text: "TOOK", right: true}, {text: "CRITICAL CHAIN"}}}
	for i := range b.Services {
		if b.Services[i].order() >= 0 {
			of++
		}
		if b.Services[i].ReadyMS != nil {
			ready++
		}
	}
	fmt.Fprintf(c.out, "%d of %s ready after %s\n", ready, plural(of, "service"), exactly(b.TotalMS))
	if len(b.Chain) == 0 {
		return
	}
	for depth, name := range b.Chain {
		if u := b.unit(name); u != nil && u.ReadyMS != nil {
			rows = append(rows, []cell{{text: exactly(*u.ReadyMS), right: true}, {text: exactly(max(0, u.took())), right: true}, {text: strings.Repeat("  ", depth) + name}})
		}
	}
	c.printTable(rows)
}

// plot writes the boot chart to a file, or to what stdout is unless that is a terminal.
func (c *cli) plot(b *bootResult) int {
	svg := bootChart(b)
	file := c.flag("output")
	switch {
	case file != "":
		if err := os.WriteFile(file, []byte(svg), 0o644); err != nil {
			errorf("cannot write the chart: %v", err)
			return exitRefused
		}
		fmt.Fprintln(c.out, "the chart is in "+visible(file))
	case c.width > 0:
		return c.misuse("the chart is an SVG picture, which a terminal does not show")
	default:
		fmt.Fprint(c.out, svg)
	}
	return exitDone
}

// chart is the geometry of a boot chart, in pixels.
type chart struct {
	strings.Builder
	left int   // where the time axis begins
	end  int64 // ms at its right end
	rows []*bootUnit
}

const (
	chartTop   = 76 // the axis
	chartRow   = 24 // height of a row
	chartWidth = 800
	chartRoom  = 84 // for a text right of the axis
)

// The colours of the chart.
const (
	chartBlocked  = "#d8dce3"
	chartStarting = "#6f9ceb"
	chartCritical = "#e8590c"
	chartReady    = "#2b8a3e"
	chartFailed   = "#c92a2a"
	chartPale     = `fill="#868e96"`
)

// x is where a time is.
func (g *chart) x(ms int64) int { return g.left + int(chartWidth*ms/g.end) }

func (g *chart) add(format string, args ...any) { fmt.Fprintf(g, format+"\n", args...) }

// text adds a text with what XML needs escaped.
func (g *chart) text(x, y int, attributes, text string) {
	text = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(visible(text), "&", "&amp;"), "<", "&lt;"), ">", "&gt;")
	g.add(`<text x="%d" y="%d" %s>%s</text>`, x, y, attributes, text)
}

func (g *chart) rect(x, y, width int, colour string) {
	g.add(`<rect x="%d" y="%d" width="%d" height="12" rx="2" fill="%s"/>`, x, y-6, max(1, width), colour)
}

// line draws a vertical line.
func (g *chart) line(x, from, to int, attributes string) {
	g.add(`<path d="M%d %dV%d" %s/>`, x, from, to, attributes)
}

func (g *chart) bar(from, to int64, y int, colour string) {
	g.rect(g.x(from), y, g.x(to)-g.x(from), colour)
}

// bootChart draws the boot as SVG: a row per service in the order in which they started, its time blocked and starting, and when it was ready.
// The critical chain is marked, with a line from each service to the one that waited for it.
func bootChart(b *bootResult) string {
	g := &chart{left: 80, end: max(b.TotalMS, 10)}
	idle := ""
	for i := range b.Services {
		u := &b.Services[i]
		if u.order() < 0 {
			idle += ", " + u.Name
			continue
		}
		g.left = max(g.left, min(300, 24+columns(u.Name)*8))
		g.rows = append(g.rows, u)
		for at := len(g.rows) - 1; at > 0 && g.rows[at-1].order() > u.order(); at-- {
			g.rows[at], g.rows[at-1] = g.rows[at-1], u
		}
		for _, t := range []*int64{u.BlockedMS, u.StartingMS, u.ReadyMS} {
			if t != nil {
				g.end = max(g.end, *t)
			}
		}
	}
	bottom := chartTop + chartRow*len(g.rows) + 8
	g.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="12" fill="#212529">`,
		g.left+chartWidth+chartRoom, bottom+64)
	g.add(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	g.text(16, 26, `font-size="16" font-weight="bold"`, "ready after "+exactly(b.TotalMS))
	g.text(16, 46, chartPale, cut("critical chain: "+strings.Join(b.Chain, " → "), 130))
	g.axis(bottom)
	for i := 1; i < len(b.Chain); i++ {
		if from := b.unit(b.Chain[i-1]); from != nil && from.ReadyMS != nil {
			g.line(g.x(*from.ReadyMS), g.y(b.Chain[i-1]), g.y(b.Chain[i]), `stroke-width="1.5" stroke-dasharray="3 2" stroke="`+chartCritical+`"`)
		}
	}
	for _, u := range g.rows {
		g.unit(u, g.y(u.Name), slices.Contains(b.Chain, u.Name))
	}
	g.legend(bottom + 24)
	if idle != "" {
		g.text(16, bottom+48, chartPale, cut("not part of the boot: "+idle[2:], 130))
	}
	g.add("</svg>")
	return g.String()
}

// y is the middle of the row of a service.
func (g *chart) y(name string) int {
	for i, u := range g.rows {
		if u.Name == name {
			return chartTop + chartRow*i + chartRow/2 + 4
		}
	}
	return chartTop
}

// axis draws the scale: at most ten lines, at round times.
func (g *chart) axis(bottom int) {
	step := int64(1)
	for i := 0; g.end/step > 10; i++ {
		step *= 2
		if i%3 == 1 {
			step = step / 4 * 5
		}
	}
	for t := int64(0); t <= g.end; t += step {
		label := exactly(t)
		if g.end >= 1000 {
			label = strconv.FormatFloat(float64(t)/1000, 'f', -1, 64) + " s"
		}
		g.line(g.x(t), chartTop, bottom, `stroke="#e9ecef"`)
		g.text(g.x(t), chartTop-6, `text-anchor="middle" `+chartPale, label)
	}
}

// unit draws the row of one service.
func (g *chart) unit(u *bootUnit, y int, critical bool) {
	colour, weight := chartStarting, ""
	if critical {
		colour, weight = chartCritical, ` font-weight="bold"`
	}
	g.text(g.left-10, y+4, `text-anchor="end"`+weight, cut(u.Name, 36))
	started, end, note := g.end, g.end, u.State.String()
	if u.StartingMS != nil {
		started = *u.StartingMS
	}
	if u.ReadyMS != nil {
		end, note = *u.ReadyMS, exactly(max(0, u.took()))
	} else if u.State == failed {
		colour = chartFailed
	}
	if u.BlockedMS != nil {
		g.bar(*u.BlockedMS, started, y, chartBlocked)
	}
	if started < end {
		g.bar(started, end, y, colour)
	}
	if u.ReadyMS != nil {
		g.line(g.x(end), y-8, y+8, `stroke-width="3" stroke="`+chartReady+`"`)
	}
	g.text(g.x(end)+7, y+4, `fill="#495057"`, note)
}

// legend explains the colours.
func (g *chart) legend(y int) {
	x := g.left
	for _, l := range [][2]string{{chartBlocked, "blocked"}, {chartStarting, "starting"}, {chartCritical, "starting, critical chain"}, {chartReady, "ready"}, {chartFailed, "failed"}} {
		g.rect(x, y-4, 12, l[0])
		g.text(x+18, y, chartPale, l[1])
		x += 46 + 7*len(l[1])
	}
}

// --- completion ---

// visibleCommands are the rows that people are shown.
func visibleCommands() (rows []*command) {
	for _, cmd := range commands {
		if cmd.group != "" {
			rows = append(rows, cmd)
		}
	}
	return rows
}

// completesTo says what a positional word of a command can be, counted from 0: "service", "file", or the words themselves.
func (c *cli) completesTo(cmd *command, position int) string {
	positional, _, _ := strings.Cut(cmd.args, "[-- ")
	words := strings.Fields(positional)
	if strings.Contains(positional, "...") {
		position = min(position, len(words)-1)
	}
	if position >= len(words) {
		return ""
	}
	switch word := strings.Trim(words[position], "[]."); word {
	case "NAME":
		return "service"
	case "FILE", "PATH":
		return "file"
	case "SHELL":
		return "bash zsh fish"
	case "SIGNAL":
		return strings.Join(commonSignals, " ")
	case "COMMAND":
		return "command"
	default:
		if strings.Contains(word, "|") {
			return strings.ReplaceAll(word, "|", " ")
		}
		return ""
	}
}

// The scripts know the commands; for all else they ask the program (cmdComplete), so that a word of a line has one meaning for all shells and the REPL.
const (
	bashCompletion = `_zinit() {
  local zinit=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} word
  command -v -- "$zinit" >/dev/null || zinit=PROGRAM
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 && $cur != -* ]]; then
    COMPREPLY=($(compgen -W 'COMMANDS' -- "$cur"))
    return
  fi
  while IFS= read -r word; do
    if [[ $word == : ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$cur")
    else
      COMPREPLY+=("${word%%$'\t'*}")
    fi
  done < <("$zinit" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _zinit zinit
`
	zshCompletion = `#compdef zinit
_zinit() {
  local zinit=${(Q)words[1]} tab=$'\t'
  local -a all
  (( $+commands[$zinit] )) || [[ -x $zinit ]] || zinit=PROGRAM
  if (( CURRENT == 2 )) && [[ $words[CURRENT] != -* ]]; then
    all=(
COMMANDS    )
  else
    all=("${(@f)$("$zinit" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    [[ -n $all ]] || return 1
    [[ $all[1] == : ]] && { _files; return }
    all=(${${all//:/\\:}/$tab/:})
  fi
  _describe word all
}
[[ $funcstack[1] == _zinit ]] && _zinit "$@" || compdef _zinit zinit
`
	fishCompletion = `function __zinit_complete
    set -l zinit (commandline -opc)[1]
    command -q $zinit; or set zinit PROGRAM
    $zinit __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null | while read -l word
        if test $word = :
            __fish_complete_path (commandline -ct)
        else
            echo $word
        end
    end
end
complete -c zinit -f
complete -c zinit -n 'not __fish_use_subcommand; or string match -q -- "-*" (commandline -ct)' -a '(__zinit_complete)'
COMMANDS`
)

func cmdCompletion(c *cli) int {
	script, row := "", ""
	switch c.args[0] {
	case "bash":
		script, row = bashCompletion, "%[1]s "
	case "zsh":
		script, row = zshCompletion, "      %[3]s\n"
	case "fish":
		script, row = fishCompletion, "complete -c zinit -n __fish_use_subcommand -a %[1]s -d %[2]s\n"
	default:
		return c.misuse("no completion for `%s`: bash, zsh or fish", c.args[0])
	}
	program, _ := os.Executable()
	rows := ""
	for _, cmd := range visibleCommands() {
		rows += fmt.Sprintf(row, cmd.name, shellQuote(cmd.help), shellQuote(cmd.name+":"+cmd.help))
	}
	fmt.Fprint(c.out, strings.NewReplacer("PROGRAM", shellQuote(program), "COMMANDS", strings.TrimSuffix(rows, " ")).Replace(script))
	return exitDone
}

// shellQuote quotes a text that has no ' for all shells.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "’") + "'" }

// cmdComplete prints what the last of its words can become, each with its help behind a tab; ":" stands for the names of files.
func cmdComplete(c *cli) int {
	if len(c.args) == 0 {
		return exitUsage
	}
	last := len(c.args) - 1
	words := slices.DeleteFunc(slices.Clone(c.args[:last]), func(w string) bool { return w == "=" }) // bash makes words of --flag=value
	kind, lead, cur := c.completes(words, strings.TrimPrefix(c.args[last], "="))
	if kind == "file" && lead == "" {
		fmt.Fprintln(c.out, ":")
		return exitDone
	}
	for _, w := range c.wordsOf(kind, cur) {
		fmt.Fprintln(c.out, lead+w)
	}
	return exitDone
}

// flagNamed is the flag that a word is, or nil.
func flagNamed(word string, known []*commandFlag) *commandFlag {
	for _, f := range known {
		if word == "--"+f.name || f.short != 0 && word == "-"+string(rune(f.short)) {
			return f
		}
	}
	return nil
}

// completes says what a word behind others can be: its kind (see wordsOf), and what of cur is certain already.
func (c *cli) completes(words []string, cur string) (kind, lead, rest string) {
	known, position := globalFlags, 0
	var cmd *command
	for i := 0; i < len(words); i++ {
		w := words[i]
		name, value, joined := strings.Cut(w, "=")
		if f := flagNamed(name, known); f != nil && f.arg != "" {
			if !joined {
				if i++; i == len(words) {
					return f.completesTo(), "", cur
				}
				value = words[i]
			}
			if f.name == "socket" {
				c.socket = value
			}
			continue
		}
		switch {
		case w == "--":
			return "file", "", cur
		case len(w) > 1 && w[0] == '-':
		case cmd == nil:
			if cmd = c.find(w); cmd == nil {
				return "", "", cur
			}
			known = cmd.known()
		default:
			position++
		}
	}
	if !strings.HasPrefix(cur, "-") {
		if cmd == nil {
			return "command", "", cur
		}
		return c.completesTo(cmd, position), "", cur
	}
	if name, value, ok := strings.Cut(cur, "="); ok {
		if f := flagNamed(name, known); f != nil {
			return f.completesTo(), name + "=", value
		}
		return "", "", cur
	}
	for _, f := range known {
		if f.help != "" {
			kind += "\n--" + f.name + "\t" + f.helpText()
		}
	}
	return kind, "", cur
}

// completesTo says what the value of a flag can be, as for the words of a command.
func (f *commandFlag) completesTo() string {
	switch f.arg {
	case "NAME":
		return "service"
	case "PATH", "DIR":
		return "file"
	}
	return strings.Join(f.values, " ")
}

// wordsOf are the words of a kind that begin with cur: "service", "file", "command", or the words themselves, by lines with the help
// of each behind a tab, or by spaces.
func (c *cli) wordsOf(kind, cur string) (words []string) {
	switch kind {
	case "command":
		for _, cmd := range visibleCommands() {
			words = append(words, cmd.name+"\t"+cmd.help)
		}
	case "service":
		c.timeout = 2 * time.Second
		if _, err := c.dial(); err != nil {
			return nil
		}
		_, _ = c.call("service.list", nil, &words)
		c.server.conn.Close()
	case "file":
		dir := cur[:strings.LastIndexByte(cur, '/')+1]
		entries, _ := os.ReadDir(firstSet(dir, "."))
		for _, e := range entries {
			name := dir + e.Name()
			if e.IsDir() {
				name += "/"
			}
			words = append(words, name)
		}
	default:
		if words = strings.Fields(kind); strings.Contains(kind, "\n") {
			words = strings.Split(kind[1:], "\n")
		}
	}
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, cur) })
}

// --- repl ---

// interrupter ends the command that runs in a REPL when Ctrl-C comes: it closes its connection. nil stands for no REPL.
type interrupter struct {
	mu     sync.Mutex
	conn   io.Closer // of the running command; nil: none that may be closed
	hit    bool
	screen bool // the command has the whole screen, and obeys the signals of the terminal itself
}

// ownScreen says that the running command has the whole screen, until done is called.
func (i *interrupter) ownScreen() (done func()) {
	if i == nil {
		return func() {}
	}
	set := func(on bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.screen = on
	}
	set(true)
	return func() { set(false) }
}

func (i *interrupter) hasScreen() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.screen
}

// hold names the connection of the running command; nil: Ctrl-C belongs to another program for now.
func (i *interrupter) hold(conn io.Closer) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.conn = conn; i.hit && conn != nil {
		conn.Close()
	}
}

func (i *interrupter) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.conn != nil {
		i.conn.Close()
		i.hit = true
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

// repl is a conversation with a person, or a script: one command per line.
type repl struct {
	terminal
	socket  string
	rich    bool // the terminal can move its cursor: lines are edited here, not by the system
	asks    bool // a person types
	ed      editor
	kb      keyboard
	file    string       // of the history; "": none
	mu      sync.Mutex   // holds what follows, and the line while it is edited
	editing bool         // the terminal is ours, and shows the line
	stop    *interrupter // of the running command; nil: none runs
	code    int          // of the last command
}

const replPrompt = "zinit> "

func cmdREPL(c *cli) int { return replMain(c.socket) }

// replMain reads commands from stdin and runs them until `exit` or the end of the input. It needs nothing but the descriptors 0 to 2: no
// server, no files, no environment, no capabilities of the terminal. So it is the console of a machine that has no shell, too.
// It returns the exit code of the last command to a script, 0 to a person.
func replMain(socket string) int {
	r := &repl{socket: socket, kb: keyboard{file: os.Stdin}}
	_, _, in := terminalSize(0)
	_, _, out := terminalSize(1)
	term := os.Getenv("TERM")
	r.asks, r.rich = in, in && out && term != "" && term != "dumb"
	defer r.endBySignal(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)()
	defer r.giveBack()
	ints := make(chan os.Signal, 1)
	signal.Notify(ints, os.Interrupt)
	defer signal.Stop(ints)
	background("repl: Ctrl-C", func() {
		for range ints {
			r.interrupt()
		}
	})
	if r.rich {
		signals := make(chan os.Signal, 4)
		terminalSignals(signals)
		defer signal.Stop(signals)
		background("repl: terminal", func() {
			for sig := range signals {
				r.signalled(sig)
			}
		})
	}
	if r.asks {
		r.openHistory()
		keys := ""
		if r.rich {
			keys = "Tab completes, "
		}
		_ = r.write("zinit " + version + ": " + keys + "help explains, exit leaves\n")
	}
	for {
		line, ok := r.readLine()
		if !ok || !r.run(line) {
			break
		}
	}
	if r.asks {
		return exitDone
	}
	return r.code
}

// interrupt ends the running command, or begins the line anew where the system edits it.
func (r *repl) interrupt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop.interrupt()
	} else if r.asks && !r.rich {
		_ = r.write("\n" + replPrompt)
	}
}

// run runs one line; false when it says that it is enough.
func (r *repl) run(line string) bool {
	words, err := splitWords(line)
	if err != nil {
		errorf("%v", err)
		r.code = exitUsage
		return true
	}
	if len(words) > 0 && words[0] == "zinit" {
		words = words[1:]
	}
	if len(words) == 0 {
		return true
	}
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
		r.giveBack()
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
	if r.stop != nil && r.stop.hasScreen() {
		return
	}
	if r.jobControl(sig); r.editing {
		r.draw()
	}
}

// key obeys a key; done is true when the line is complete, or (more is false) the input at its end.
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
		suspend() // signalled hears of it
	case editHelp:
		r.complete(cols)
	}
	if len(r.kb.pending) == 0 {
		r.draw()
	}
	return "", true, false
}

// readPlain reads a line byte by byte, so that nothing is taken from a command that reads the same input.
func readPlain(f io.Reader) (string, bool) {
	var line []byte
	for b := make([]byte, 1); len(line) < 64<<10; {
		n, err := f.Read(b)
		switch {
		case n == 1 && b[0] == '\n':
			return strings.TrimSuffix(string(line), "\r"), true
		case n == 1:
			line = append(line, b[0])
		case err != nil:
			return string(line), len(line) > 0
		}
	}
	return string(line), true
}

// candidates are the words that may stand behind those of a line and begin with cur.
func (c *cli) candidates(words []string, cur string) (list []string) {
	kind, lead, rest := c.completes(words, cur)
	list = c.wordsOf(kind, rest)
	for i, w := range list {
		w, _, _ = strings.Cut(w, "\t")
		list[i] = lead + w
	}
	if kind == "command" && strings.HasPrefix("exit", rest) {
		list = append(list, "exit")
	}
	return list
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
	dir := firstSet(os.Getenv("XDG_STATE_HOME"), inHome(".local", "state"))
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

// client.go has what all commands share: the connection to the server, the call, the names of services, results and errors. It decides nothing about services.

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// answerLimit is how long a call that need not wait may take before the server counts as dead.
const answerLimit = 30 * time.Second

// frameLimit is the longest line that is accepted from the server, in bytes.
const frameLimit = 256 << 20

// serverConn is a connection to a server: JSON-RPC 2.0, one text per line.
type serverConn struct {
	conn   *net.UnixConn
	path   string
	in     *bufio.Reader
	line   []byte // the beginning of a line whose end has not come yet
	lastID int
}

// frame is one line from the server: an answer (ID) or a notification (Method).
type frame struct {
	ID     json.RawMessage
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *rpcError
	// LeftOut is how many entries the result lacks, because it would have been larger than an answer may be.
	LeftOut int
}

// parseFrame reads the envelope of a line from the server; what it carries stays part of text. It uses no reflection, which would take a good part of the time of a short command.
func parseFrame(text []byte) (*frame, error) {
	if !json.Valid(text) {
		return nil, errors.New("not JSON")
	}
	m := jsonMembers(text)
	f := &frame{ID: m["id"], Params: m["params"], Result: m["result"]}
	if method := m["method"]; len(method) > 0 && method[0] == '"' {
		f.Method = unquoted(method)
	}
	f.LeftOut, _ = strconv.Atoi(string(m["left_out"]))
	if e := m["error"]; len(e) > 0 && string(e) != "null" {
		if err := decodeJSON(e, &f.Error); err != nil {
			return nil, err
		}
	}
	if m == nil || f.ID == nil && f.Method == "" {
		return nil, errors.New("neither an answer nor a notification")
	}
	return f, nil
}

// lostError says that the server cannot be talked to any more.
type lostError struct {
	text string
	how  lostHow
}

type lostHow int

const (
	notLost lostHow = iota
	lostAnyhow
	lostUnsent // the connection was closed before a request could be written
	lostClosed // it was closed instead of an answer
	lostSilent // it is open, but nothing comes
)

func (e *lostError) Error() string { return e.text }

// lostBy says how the server was lost; notLost for other errors.
func lostBy(err error) lostHow {
	if lost, ok := errors.AsType[*lostError](err); ok {
		return lost.how
	}
	return notLost
}

// connect finds a server for a command, or says where it looked.
func (c *cli) connect() int {
	tried, err := c.dial()
	if err == nil {
		return exitDone
	}
	errorf("%v", err)
	for _, t := range tried {
		fmt.Fprintln(stderr, "  "+visible(t))
	}
	switch named := c.named(); {
	case strings.Contains(strings.Join(tried, ""), notAllowed):
		hint("run it as root or as the server's user; --socket-mode and --socket-group of the server let others in")
	case named != "":
		hint("is it running there? `zinit server --socket %s` starts one", named)
	default:
		hint("`zinit server` starts one; --socket PATH or ZINIT_SOCKET names another")
	}
	return exitNoServer
}

// named is the socket that the user has named, or "".
func (c *cli) named() string { return cmp.Or(c.socket, os.Getenv("ZINIT_SOCKET")) }

// dial connects to the named socket, else to the first of clientSockets that answers and may be trusted. tried says why the others were not taken.
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
			c.server = &serverConn{conn: conn, path: p, in: bufio.NewReaderSize(conn, 32<<10)}
			c.stop.hold(conn)
			return nil, nil
		}
		tried = append(tried, p+": "+dialReason(err))
	}
	return tried, &lostError{"no server answers", lostAnyhow}
}

// trusted refuses a server that is not known to be root's or our own, unless the user has named the socket: anybody may put one into /tmp.
// An abstract name may lead into another container. On Windows the owner is not known; there the socket is in a directory of the user.
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
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there"
	case errors.Is(err, fs.ErrPermission):
		return notAllowed
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}

// send writes one request and returns its id. Empty parameters are left out: JSON-RPC allows no null there.
func (s *serverConn) send(method string, p any) (string, error) {
	if named, is := p.(params); is && len(named) == 0 {
		p = nil
	}
	s.lastID++
	line := fmt.Appendf(nil, `{"jsonrpc":%q,"id":%d,"method":`, rpcVersion, s.lastID)
	line = appendJSON(line, method)
	if p != nil {
		line = appendJSON(append(line, `,"params":`...), p)
	}
	line = append(line, '}')
	_ = s.conn.SetWriteDeadline(time.Now().Add(answerLimit))
	if _, err := s.conn.Write(append(line, '\n')); err != nil {
		return "", &lostError{"the server at " + s.path + " went away: " + dialReason(err), lostUnsent}
	}
	return strconv.Itoa(s.lastID), nil
}

// next reads one frame. A zero time waits without limit; at the deadline the error is os.ErrDeadlineExceeded and nothing is lost.
func (s *serverConn) next(deadline time.Time) (*frame, error) {
	_ = s.conn.SetReadDeadline(deadline)
	for {
		part, err := s.in.ReadSlice('\n')
		s.line = append(s.line, part...)
		switch {
		case err == nil:
			f, err := parseFrame(s.line)
			s.line = nil // it is f's now
			if err != nil {
				return nil, &lostError{"what answers at " + s.path + " is no zinit server", lostAnyhow}
			}
			return f, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, os.ErrDeadlineExceeded
		case len(s.line) > frameLimit:
			return nil, &lostError{"the server at " + s.path + " sends a line without end", lostAnyhow}
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, &lostError{"the server at " + s.path + " closed the connection", lostClosed}
		}
	}
}

// params are named parameters of a call.
type params map[string]any

// with adds a parameter unless it is empty.
func (p params) with(key, value string) params {
	if value != "" {
		p[key] = value
	}
	return p
}

// withName is a copy of the parameters with the name of a service.
func (p params) withName(name string) params {
	all := params{"name": name}
	maps.Copy(all, p)
	return all
}

// mayRepeat says whether a call may be made once more, and connects for it: the connection broke before an answer, as it does when the server
// is replaced, and the method only reads. A call that changes something is never repeated. The full screen, which runs no command, has its own way.
func (c *cli) mayRepeat(method string, err error) bool {
	how := lostBy(err)
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
	if c.mayRepeat(method, err) {
		raw, err = c.callOnce(method, p, into)
	}
	return raw, err
}

func (c *cli) callOnce(method string, p params, into any) (json.RawMessage, error) {
	limit := cmp.Or(c.timeout, answerLimit)
	raw, err := c.exchangeOne(method, p, time.Now().Add(limit), nil)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &lostError{fmt.Sprintf("the server at %s does not answer within %s", c.server.path, span(limit)), lostSilent}
	}
	if err != nil || into == nil {
		return raw, err
	}
	if err := decodeJSON(raw, into); err != nil {
		return nil, fmt.Errorf("the server's answer to %s is not understood: %v", method, err)
	}
	return raw, nil
}

// fail says what went wrong and returns the exit code for it. name is the service that it is about, or "".
func (c *cli) fail(name string, err error) int {
	if c.stop.interrupted() {
		return exitInterrupted
	}
	errorf("%s", c.inCommands(err.Error()))
	if lostBy(err) != notLost {
		return exitNoServer
	}
	refused, is := errors.AsType[*rpcError](err)
	if !is {
		return exitRefused
	}
	for _, p := range refused.Data.Errors {
		if text := p.String(); text != refused.Message {
			fmt.Fprintln(stderr, "  "+visible(c.inCommands(text)))
		}
	}
	switch refused.Data.Kind {
	case kindServiceNotFound:
		c.hintName(name, &refused.Data)
		return exitNoService
	case kindMethodNotFound:
		if c.cmd.name != "call" {
			hint("client %s and server may be of different versions: zinit ping", version)
		}
	case kindDependencyError:
		if c.cmd.name == "delete" {
			hint("zinit delete --force %s, or first zinit delete %s", name, strings.Join(refused.Data.Names, " "))
		}
	}
	return exitRefused
}

// ownWords are the commands for the methods that the server proposes.
var ownWords = strings.NewReplacer("service.set ", "`zinit set FILE` ", "service.reload ", "`zinit reload` ", "system.shutdown ", "`zinit shutdown` ",
	"xinet.register replaces it", "`zinit xinet delete` removes it", "use xinet.create", "use `zinit xinet create`", "use service.create", "use `zinit add`")

// inCommands puts what the server proposes into words of the command line, except for who makes calls.
func (c *cli) inCommands(text string) string {
	if c.cmd != nil && c.cmd.name == "call" {
		return text
	}
	return ownWords.Replace(text)
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

// unknown says which of the names is not among all services, and proposes another; false if each of them is.
func (c *cli) unknown(names, all []string) bool {
	i := slices.IndexFunc(names, func(n string) bool { return n != "syslog" && !slices.Contains(all, n) })
	if i < 0 {
		return false
	}
	errorf("no service `%s`", names[i])
	c.hintName(names[i], &errorData{})
	return true
}

// unknownNow is unknown among the services that there are now.
func (c *cli) unknownNow(names []string) bool {
	if len(names) == 0 {
		return false
	}
	var all []string
	_, err := c.call("service.list", nil, &all)
	return err == nil && c.unknown(names, all)
}

// printJSON prints a result unchanged.
func (c *cli) printJSON(raw json.RawMessage) { fmt.Fprintf(c.out, "%s\n", raw) }

// printList prints results unchanged: as a list, or alone if the words name exactly one service.
func (c *cli) printList(words []string, results [][]byte) {
	switch {
	case len(results) == 0:
	case len(words) == 1 && !strings.ContainsAny(words[0], "*?["):
		c.printJSON(results[0])
	default:
		fmt.Fprintf(c.out, "[%s]\n", bytes.Join(results, []byte(",")))
	}
}

// each makes the same call for every service that the words name and prints the results, see showAll.
func (c *cli) each(words []string, method string, extra params, into any, show func(name string) int) int {
	names, code := c.names(words)
	if code != exitDone {
		return code
	}
	all := make([]*request, len(names))
	for i, name := range names {
		all[i] = &request{name: name}
		all[i].result, all[i].err = c.call(method, extra.withName(name), nil)
	}
	return c.showAll(words, all, into, show)
}

// showAll prints the results of the same call for several services: unchanged with --json, else by show, which finds each decoded in into.
// It returns the first exit code that is not 0, with --json too.
func (c *cli) showAll(words []string, all []*request, into any, show func(name string) int) int {
	code, out := exitDone, c.out
	if c.json {
		c.out = bufio.NewWriter(io.Discard)
	}
	var results [][]byte
	for _, r := range all {
		if r.err == nil {
			results = append(results, r.result)
			reflect.ValueOf(into).Elem().SetZero()
			r.err = decodeJSON(r.result, into)
		}
		if r.err != nil {
			code = cmp.Or(code, c.fail(r.name, r.err))
			continue
		}
		code = cmp.Or(code, show(r.name))
	}
	if c.out = out; c.json {
		c.printList(words, results)
	}
	return code
}

// blocks is each for results of several lines: an empty line stands between them.
func (c *cli) blocks(method string, into any, show func()) int {
	first := true
	return c.each(c.args, method, nil, into, func(string) int {
		if !first {
			fmt.Fprintln(c.out)
		}
		first = false
		show()
		return exitDone
	})
}

// simple calls a method that answers at once and prints its result: unchanged with --json, else by show, which finds it decoded in into.
func (c *cli) simple(method string, p params, into any, show func() int) int {
	raw, err := c.call(method, p, nil)
	name, _ := p["name"].(string)
	return c.shown(name, raw, err, into, show)
}

// shown prints the result of a call as simple does. name is the service that it is about, or "".
func (c *cli) shown(name string, raw json.RawMessage, err error, into any, show func() int) int {
	if err == nil {
		err = decodeJSON(raw, into)
	}
	if err != nil {
		return c.fail(name, err)
	}
	if c.json {
		c.printJSON(raw)
		return exitDone
	}
	return show()
}

// misuse reports a bad value of a flag.
func (c *cli) misuse(format string, args ...any) int {
	errorf(format, args...)
	hint("%s", c.usageHint())
	return exitUsage
}

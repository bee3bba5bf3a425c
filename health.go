// health.go runs one health check and says pass or fail, and finds and reaches addresses for all who connect; when to check, and what a failure means, is decided elsewhere.

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// httpLimit is how much of an answer an http check reads at most: it wants the status line only.
const httpLimit = 64 << 10

// check makes one check of a service and returns nil when it passes, else why not, for people. It ends within def.Timeout, all in all.
// run executes an exec check; notify services are not asked, they tell.
func check(def *healthDef, run func(program execDef, timeout time.Duration) error) error {
	due := time.Now().Add(def.Timeout)
	var err error
	switch def.Type {
	case "tcp":
		err = checkTCP(def.Target, due)
	case "http":
		err = checkHTTP(def.Target, due)
	case "exec":
		return run(def.Exec, def.Timeout)
	case "notify":
		return nil
	default:
		return fmt.Errorf("unknown health type %q: it may be tcp, http, exec or notify", def.Type)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", def.Target, plainly(err, def.Timeout))
}

// plainly reduces an error of a socket to what matters: the address is in the message already.
func plainly(err error, timeout time.Duration) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.EAGAIN): // the latter: a Unix socket whose queue is full
		return fmt.Sprintf("no answer within %v", timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ENOENT):
		return "no such socket"
	}
	return errnoOf(err).Error()
}

// checkTCP passes when host:port, or the socket at a path, accepts a connection.
func checkTCP(target string, due time.Time) error {
	conn, err := dialTarget(target, due)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dialTarget connects to host:port or to a Unix socket (a target that begins with / or unix:).
func dialTarget(target string, due time.Time) (*sock, error) {
	if file := strings.TrimPrefix(target, "unix:"); file != target || strings.HasPrefix(target, "/") {
		return dialUnix(file, time.Until(due))
	}
	host, text, ok := splitHostPort(strings.TrimPrefix(target, "tcp:"))
	port, err := strconv.ParseUint(text, 10, 16)
	if !ok || err != nil {
		return nil, errors.New("a tcp target is host:port or the path of a socket")
	}
	return dialTCP(host, int(port), time.Until(due))
}

// splitURL takes http://host[:port][/path][?query] apart. address is ready to dial, host is for the Host header (RFC 9112, 3.2).
func splitURL(url string) (address, host, resource string, err error) {
	rest, ok := strings.CutPrefix(url, "http://")
	if !ok {
		if strings.HasPrefix(url, "https://") {
			return "", "", "", errors.New("https is not supported, use http:// or an exec check")
		}
		return "", "", "", errors.New("an http target is http://host[:port]/path")
	}
	rest, _, _ = strings.Cut(rest, "#")
	host, resource = rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, resource = rest[:i], rest[i:]
		if resource[0] == '?' {
			resource = "/" + resource
		}
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", "", errors.New("the url contains a space or a control character; write it as %20")
	}
	name, port := host, "80"
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if n, portErr := strconv.Atoi(port); portErr != nil || n < 1 || n > 65535 {
		return "", "", "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	if bare == "" || strings.Contains(name, "@") || strings.Contains(bare, ":") != strings.HasPrefix(name, "[") {
		return "", "", "", errors.New("an http target is http://host[:port]/path, with an IPv6 address in [ ]")
	}
	return joinHostPort(bare, port), host, resource, nil
}

// checkHTTP asks for a resource with HTTP/1.1 and passes on a final status of 2xx or 3xx. Interim answers (1xx, RFC 9110 15.2) are skipped,
// redirects are not followed.
func checkHTTP(url string, due time.Time) error {
	address, host, resource, err := splitURL(url)
	if err != nil {
		return err
	}
	conn, err := dialTarget(address, due)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(due)
	if _, err := io.WriteString(conn, "GET "+resource+" HTTP/1.1\r\nHost: "+host+"\r\nUser-Agent: zinit/"+version+"\r\nAccept: */*\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	return httpStatus(bufio.NewReader(io.LimitReader(conn, httpLimit)))
}

// httpStatus reads answers up to the first that is final.
func httpStatus(r *bufio.Reader) error {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return noAnswer(err)
		}
		proto, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		digits, _, _ := strings.Cut(rest, " ")
		status, err := strconv.Atoi(digits)
		if !strings.HasPrefix(proto, "HTTP/1.") || err != nil || len(digits) != 3 {
			return fmt.Errorf("the answer is not HTTP: %q", clip(line, 60))
		}
		switch {
		case status >= 200 && status < 400:
			return nil
		case status >= 400:
			return fmt.Errorf("status %s", visible(clip(rest, 80)))
		}
		for strings.TrimRight(line, "\r\n") != "" {
			if line, err = r.ReadString('\n'); err != nil {
				return noAnswer(err)
			}
		}
	}
}

// noAnswer words the end of a connection that came before the status.
func noAnswer(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the connection ended before the answer")
	}
	return err
}

// clip shortens foreign text to n bytes of valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// --- sockets ---

const (
	unixRetry = 10 * time.Millisecond // pace of the tries while the queue of a Unix socket is full
	dialShare = 2 * time.Second       // what one of several addresses gets at least, while there is as much
)

// listenUnix listens at a path that does not exist, or on Linux at "@name" in the abstract namespace. Closing it leaves the path.
func listenUnix(path string) (*sock, error) { return sysListen(endpoint{path: path}) }

// dialUnix connects to the socket at a path or "@name". While the server's queue of new connections is full (EAGAIN) it tries again until the timeout.
func dialUnix(path string, timeout time.Duration) (*sock, error) {
	for due := time.Now().Add(timeout); ; time.Sleep(unixRetry) {
		conn, err := sysDial("unix", endpoint{path: path}, due)
		if !errors.Is(err, syscall.EAGAIN) || time.Until(due) < unixRetry {
			return conn, err
		}
	}
}

// listenTCP listens on a port of a host, 0 for any; "" is all addresses of both families.
func listenTCP(host string, port int) (*sock, error) {
	if host == "" {
		l, err := sysListen(endpoint{ip: make([]byte, 16), port: port})
		if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) { // no IPv6 here
			return sysListen(endpoint{ip: make([]byte, 4), port: port})
		}
		return l, err
	}
	found, err := lookup(host, time.Now().Add(resolveTimeout))
	if err != nil {
		return nil, err
	}
	found[0].port = port
	return sysListen(found[0])
}

// dialTCP connects to a port of a host: to the first of its addresses that accepts, within timeout all in all. The error is that of the first address.
func dialTCP(host string, port int, timeout time.Duration) (*sock, error) {
	due := time.Now().Add(timeout)
	found, err := lookup(host, due)
	if err != nil {
		return nil, err
	}
	var first error
	for i, to := range found {
		to.port = port
		left := time.Until(due)
		conn, err := sysDial("tcp", to, time.Now().Add(max(left/time.Duration(len(found)-i), min(left, dialShare))))
		if err == nil && conn.localAddr() == conn.remoteAddr() { // nobody listens, and the kernel chose the very port for our end
			conn.Close()
			err = syscall.ECONNREFUSED
		}
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// --- host names: /etc/hosts and DNS (RFC 1035), for images without a C library ---

const (
	resolveTimeout = 5 * time.Second // of one try, unless resolv.conf says otherwise
	resolveTries   = 2               // of each server
	resolveServers = 3               // of resolv.conf, see resolv.conf(5)
	resolveMost    = 32              // addresses of one name
	dnsHeader      = 12
	dnsA           = 1
	dnsAAAA        = 28
	dnsNoName      = 3 // the code NXDOMAIN
)

// hostError says that a host has no address, or why that is not known.
type hostError struct{ host, why string }

func (e *hostError) Error() string { return "cannot find the address of " + visible(e.host) + e.why }

// lookup finds the addresses of a host, at least one when there is no error. Literals, and "localhost" or "", need no look-up: images without
// /etc/hosts exist.
func lookup(host string, due time.Time) ([]endpoint, error) {
	if host == "" || strings.EqualFold(host, "localhost") {
		return []endpoint{{ip: []byte{127, 0, 0, 1}}, {ip: []byte{15: 1}}}, nil
	}
	if ip, zone, ok := parseIP(host); ok {
		return []endpoint{{ip: ip, zone: zone}}, nil
	}
	return sysLookup(host, due)
}

// resolver is where names are looked up.
type resolver struct {
	hosts, conf string // hosts(5), resolv.conf(5)
	port        int    // of the name servers
}

var systemResolver = resolver{"/etc/hosts", "/etc/resolv.conf", 53}

// resolverConf is what resolv.conf says.
type resolverConf struct {
	servers []endpoint
	search  []string
	ndots   int
	timeout time.Duration
}

// lookup finds the addresses of a name in the hosts file, else by asking the name servers; it ends at due.
func (r resolver) lookup(host string, due time.Time) ([]endpoint, error) {
	if found := r.inHosts(strings.TrimSuffix(host, ".")); len(found) > 0 {
		return found, nil
	}
	conf := r.read()
	why := ""
	for _, name := range conf.candidates(host) {
		found, problem := conf.ask(name, due)
		if len(found) > 0 {
			return found, nil
		}
		if problem != "" {
			why = ": " + problem
		}
		if time.Until(due) <= 0 {
			break
		}
	}
	return nil, &hostError{host, why}
}

// eachEntry calls f with the words of each line of a small text file, without comments.
func eachEntry(file string, comments string, f func(words []string)) {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if i := strings.IndexAny(line, comments); i >= 0 {
			line = line[:i]
		}
		if words := strings.Fields(line); len(words) > 1 {
			f(words)
		}
	}
}

func (r resolver) inHosts(host string) (found []endpoint) {
	eachEntry(r.hosts, "#", func(words []string) {
		ip, zone, ok := parseIP(words[0])
		for _, name := range words[1:] {
			if ok && strings.EqualFold(strings.TrimSuffix(name, "."), host) && len(found) < resolveMost {
				found = append(found, endpoint{ip: ip, zone: zone})
				return
			}
		}
	})
	return found
}

// read reads resolv.conf. Without one, or without a server in it, a server on this machine is asked.
func (r resolver) read() *resolverConf {
	c := &resolverConf{ndots: 1, timeout: resolveTimeout}
	eachEntry(r.conf, "#;", func(words []string) {
		switch words[0] {
		case "nameserver":
			if ip, zone, ok := parseIP(words[1]); ok && len(c.servers) < resolveServers {
				c.servers = append(c.servers, endpoint{ip: ip, zone: zone, port: r.port})
			}
		case "domain", "search":
			c.search = words[1:]
		case "options":
			for _, w := range words[1:] {
				key, value, _ := strings.Cut(w, ":")
				n, err := strconv.Atoi(value)
				switch {
				case err != nil || n < 0:
				case key == "ndots":
					c.ndots = min(n, 15)
				case key == "timeout":
					c.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
				}
			}
		}
	})
	if c.servers == nil {
		c.servers = []endpoint{{ip: []byte{127, 0, 0, 1}, port: r.port}}
	}
	return c
}

// candidates are the full names that a host may mean, the likeliest first: a name with few dots is tried in the search domains before it is tried as it is.
func (c *resolverConf) candidates(host string) (names []string) {
	if full, ok := strings.CutSuffix(host, "."); ok {
		return []string{full}
	}
	for _, domain := range c.search {
		if domain = strings.Trim(domain, "."); domain != "" {
			names = append(names, host+"."+domain)
		}
	}
	if strings.Count(host, ".") >= c.ndots {
		return append([]string{host}, names...)
	}
	return append(names, host)
}

// ask gets the addresses of a full name from the first server that knows whether there are any. problem says why none did.
func (c *resolverConf) ask(name string, due time.Time) (found []endpoint, problem string) {
	queries := [][]byte{dnsQuery(name, dnsA), dnsQuery(name, dnsAAAA)}
	if queries[0] == nil {
		return nil, "it is no name of a host"
	}
	for left := resolveTries * len(c.servers); left > 0 && time.Until(due) > 0; left-- {
		server := c.servers[(resolveTries*len(c.servers)-left)%len(c.servers)]
		until := time.Now().Add(min(c.timeout, time.Until(due)/time.Duration(left)))
		found, problem = askServer(server, queries, until)
		if found != nil || problem == "" {
			return found, ""
		}
	}
	return nil, problem
}

// askServer asks one server all queries at once and waits for the answers. Some addresses are enough; none is known for sure only if problem is "".
func askServer(server endpoint, queries [][]byte, until time.Time) (found []endpoint, problem string) {
	silent := fmt.Sprintf("the name server %s does not answer", ipText(server.ip))
	conn, err := sysDial("udp", server, until)
	if err != nil {
		return nil, fmt.Sprintf("the name server %s cannot be reached: %v", ipText(server.ip), errnoOf(err))
	}
	defer conn.Close()
	_ = conn.SetDeadline(until)
	answers := make([]*dnsAnswer, len(queries))
	for _, q := range queries {
		id := rand.Uint32()
		q[0], q[1] = byte(id>>8), byte(id)
		if _, err := conn.Write(q); err != nil { // also when nobody listens there: the answer to the first query says so
			return nil, silent
		}
	}
	for due, buf := len(queries), make([]byte, 2048); due > 0; {
		n, err := conn.Read(buf)
		if err != nil && err != io.EOF { // an empty datagram is no end
			problem = silent
			break
		}
		for i, q := range queries {
			a := readAnswer(buf[:n], q)
			if a == nil || answers[i] != nil {
				continue
			}
			if a.truncated {
				a = askAgain(server, q, until)
			}
			answers[i] = a
			due--
		}
	}
	for _, a := range answers {
		if a == nil {
			continue
		}
		if a.code != 0 && a.code != dnsNoName {
			problem = fmt.Sprintf("the name server %s has error %d", ipText(server.ip), a.code)
		}
		for _, ip := range a.ips {
			found = append(found, endpoint{ip: ip})
		}
	}
	return found, problem
}

// askAgain asks by TCP what was too long for a datagram (RFC 1035, 4.2.2: messages have their length in front). Failure is server failure, code 2.
func askAgain(server endpoint, query []byte, until time.Time) *dnsAnswer {
	failed := &dnsAnswer{code: 2}
	conn, err := sysDial("tcp", server, until)
	if err != nil {
		return failed
	}
	defer conn.Close()
	_ = conn.SetDeadline(until)
	if _, err := conn.Write(append([]byte{byte(len(query) >> 8), byte(len(query))}, query...)); err != nil {
		return failed
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return failed
	}
	msg := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return failed
	}
	if a := readAnswer(msg, query); a != nil {
		return a
	}
	return failed
}

// dnsQuery is a question with recursion wanted and id 0; nil when the name cannot be one (RFC 1035, 2.3.4).
func dnsQuery(name string, kind byte) []byte {
	q := []byte{0, 0, 1, 0, 0, 1, dnsHeader - 1: 0}
	if len(name) > 253 {
		return nil
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) < 1 || len(label) > 63 {
			return nil
		}
		q = append(append(q, byte(len(label))), label...)
	}
	return append(q, 0, 0, kind, 0, 1)
}

// dnsAnswer is what an answer says to its question.
type dnsAnswer struct {
	code      int // 0: fine
	truncated bool
	ips       [][]byte
}

// readAnswer reads a message that came for a query; nil when it is not the answer to it: same id, same question in any case. The
// records of aliases lead to the addresses in the same message, so all addresses of the right kind count. What is cut off or malformed is left out.
func readAnswer(msg, query []byte) *dnsAnswer {
	const response, opcode, cut = 0x80, 0x78, 0x02
	if len(msg) < len(query) || msg[0] != query[0] || msg[1] != query[1] || msg[2]&(response|opcode) != response ||
		msg[4] != 0 || msg[5] != 1 || !bytes.EqualFold(msg[dnsHeader:len(query)], query[dnsHeader:]) {
		return nil
	}
	a := &dnsAnswer{code: int(msg[3] & 0xf), truncated: msg[2]&cut != 0}
	kind := query[len(query)-3]
	size := 4
	if kind == dnsAAAA {
		size = 16
	}
	rest := msg[len(query):]
	for range int(msg[6])<<8 | int(msg[7]) {
		rest = afterName(rest)
		if len(rest) < 10 {
			break
		}
		head, length := rest[:10], int(rest[8])<<8|int(rest[9])
		if rest = rest[10:]; len(rest) < length {
			break
		}
		if head[0] == 0 && head[1] == kind && head[2] == 0 && head[3] == 1 && length == size && len(a.ips) < resolveMost {
			a.ips = append(a.ips, bytes.Clone(rest[:size]))
		}
		rest = rest[length:]
	}
	return a
}

// afterName skips a name: labels up to an empty one or a pointer (RFC 1035, 4.1.4). nil: it is malformed.
func afterName(b []byte) []byte {
	for len(b) > 0 {
		n := int(b[0])
		switch {
		case n == 0:
			return b[1:]
		case n >= 0xc0 && len(b) >= 2:
			return b[2:]
		case n > 63 || len(b) < 1+n:
			return nil
		}
		b = b[1+n:]
	}
	return nil
}

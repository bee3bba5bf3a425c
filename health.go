// health.go runs one health check and says pass or fail, and connects for all who do; when to check, and what a failure means, is decided elsewhere.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
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
	case healthTCP:
		err = checkTCP(def.Target, due)
	case healthHTTP:
		err = checkHTTP(def.Target, due)
	case healthExec:
		return run(def.Exec, def.Timeout)
	case "notify":
		return nil
	default:
		return fmt.Errorf("unknown health type %q: it may be %s", def.Type, strings.Join(healthTypes, ", "))
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", def.Target, plainly(err, def.Timeout))
}

// plainly reduces an error of a socket to what matters: the address is in the message already.
func plainly(err error, timeout time.Duration) string {
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("cannot find the address of %s: %s", visible(name.Name), name.Err)
	}
	late, ok := errors.AsType[net.Error](err)
	switch {
	case ok && late.Timeout(), errors.Is(err, syscall.EAGAIN): // the latter: a Unix socket whose queue is full
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
func dialTarget(target string, due time.Time) (net.Conn, error) {
	if file := strings.TrimPrefix(target, "unix:"); file != target || strings.HasPrefix(target, "/") {
		return dialUnix(file, time.Until(due))
	}
	host, port, err := net.SplitHostPort(strings.TrimPrefix(target, "tcp:"))
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return nil, errors.New("a tcp target is host:port or the path of a socket")
	}
	return dialTCP(host, port, due)
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
	return net.JoinHostPort(bare, port), host, resource, nil
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

const unixRetry = 10 * time.Millisecond // pace of the tries while the queue of a Unix socket is full

// dialUnix connects to the socket at a path, or on Linux to "@name" in the abstract namespace. While the server's queue of new connections
// is full (EAGAIN) it tries again until the timeout.
func dialUnix(path string, timeout time.Duration) (*net.UnixConn, error) {
	if path == "" {
		return nil, errors.New("the path of the socket is empty")
	}
	for due := time.Now().Add(timeout); ; time.Sleep(unixRetry) {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if !errors.Is(err, syscall.EAGAIN) || time.Until(due) < unixRetry {
			return conn, err
		}
	}
}

// dialTCP connects to a port of a host. "localhost" and "" are 127.0.0.1 and ::1 without a look-up: images without /etc/hosts exist.
func dialTCP(host, port string, due time.Time) (net.Conn, error) {
	if host != "" && !strings.EqualFold(host, "localhost") {
		return (&net.Dialer{Deadline: due}).Dial("tcp", net.JoinHostPort(host, port))
	}
	conn, err := (&net.Dialer{Deadline: time.Now().Add(time.Until(due) / 2)}).Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		if v6, err := (&net.Dialer{Deadline: due}).Dial("tcp", net.JoinHostPort("::1", port)); err == nil {
			return v6, nil
		}
	}
	return conn, err
}

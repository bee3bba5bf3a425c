// health.go runs one health check and says pass or fail; when to check, and what a failure means, is decided elsewhere.

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

// check makes one check of a service and returns nil when it passes, else why it failed, for people. It takes no longer than def.Timeout.
// run executes an exec check. Types that tell by themselves are not asked.
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
		if !strings.HasPrefix(proto, "HTTP/1.") || err != nil || len(digits) != 3 || status < 100 {
			return fmt.Errorf("the answer is not HTTP: %q", shorten(line))
		}
		switch {
		case status >= 200 && status < 400:
			return nil
		case status >= 400:
			return fmt.Errorf("status %s", visible(shorten(rest)))
		}
		for strings.TrimRight(line, "\r\n") != "" {
			if line, err = r.ReadString('\n'); err != nil {
				return noAnswer(err)
			}
		}
	}
}

// noAnswer is the error when a connection ended before the status.
func noAnswer(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the connection ended before the answer")
	}
	return err
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

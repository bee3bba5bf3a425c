// Package zinit is a client of the zinit supervisor: JSON-RPC 2.0 over its Unix socket, with the standard library only.
//
// Methods, types and kinds of errors are in methods.go, which is made from the API document of the server; docs/rpc.md says what they mean.
// A [Client] may be used by several goroutines: their requests wait side by side on one connection. When the server is replaced, requests that
// only read are sent again; one that changes something is never sent twice.
package zinit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	replaceLimit = 30 * time.Second      // how long the next server may take
	replacePause = 50 * time.Millisecond // between two attempts
	writeLimit   = 30 * time.Second
	feedMax      = 10000 // notifications that wait for one iterator; logs.follow also gives no more lines from before
)

// ErrServerGone says that no server answers, or that the connection broke before an answer. Whether a changing request was carried out is then
// not known.
var ErrServerGone = errors.New("the server is gone")

// Error is what the server refused. Compare it with [errors.Is] to the kinds, such as [ErrServiceNotFound]; programs read Data, never the message.
type Error struct {
	Code    int       `json:"code"`
	Kind    string    `json:"-"` // also in Data
	Message string    `json:"message"`
	Data    ErrorData `json:"data"`
}

func (e *Error) Error() string { return e.Message }

// Is says whether target is an Error of the same kind.
func (e *Error) Is(target error) bool {
	t, is := target.(*Error)
	return is && t.Kind == e.Kind
}

// Client is a connection to the server. Close it when it is not needed any more.
type Client struct {
	// OnLeftOut, unless it is nil, is told when an answer lacks entries because it would have been too large. Set it before the first call.
	OnLeftOut func(method string, entries int)

	path   string
	ended  context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	conn *conn
}

// Dial connects to the server at path; when that is "", to ZINIT_SOCKET, or where the zinit command looks.
func Dial(ctx context.Context, path string) (*Client, error) {
	if path == "" {
		path = os.Getenv("ZINIT_SOCKET")
	}
	places := []string{path}
	if path == "" {
		places = sockets()
	}
	var tried []string
	for _, place := range places {
		cn, err := dial(ctx, place)
		if err == nil && path == "" {
			if err = refuseStranger(cn.sock, place); err != nil {
				cn.sock.Close()
			}
		}
		if err != nil {
			tried = append(tried, place+": "+err.Error())
			continue
		}
		c := &Client{path: place, conn: cn}
		c.ended, c.cancel = context.WithCancel(context.Background())
		return c, nil
	}
	return nil, fmt.Errorf("%w: no server answers (%s)", ErrServerGone, strings.Join(tried, "; "))
}

// Path is the socket.
func (c *Client) Path() string { return c.path }

// Close ends the connection, what waits on it, and iterators.
func (c *Client) Close() error {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn.sock.Close()
}

// sockets are the places where a server may be found when nobody names one: those of the zinit command, the system's first.
func sockets() (places []string) {
	linux := runtime.GOOS == "linux"
	if linux {
		places = append(places, "/run/zinit.sock")
	}
	home, _ := os.UserHomeDir()
	if dir := os.Getenv("XDG_RUNTIME_DIR"); linux && dir != "" {
		places = append(places, filepath.Join(dir, "zinit.sock"))
	} else if home != "" {
		places = append(places, filepath.Join(home, "hero", "var", "zinit.sock"))
	}
	if linux {
		places = append(places, "/tmp/zinit.sock")
		if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil {
			places = append(places, "/dev/shm/zinit."+strings.Trim(ns, "pid:[]")+"/zinit.sock")
		}
		places = append(places, "@zinit")
	}
	return places
}

// connected is the connection, made again if it broke. The next server may take its time.
func (c *Client) connected(ctx context.Context) (*conn, error) {
	for until := time.Now().Add(replaceLimit); ; {
		c.mu.Lock()
		old := c.conn
		c.mu.Unlock()
		if !old.gone() {
			return old, nil
		}
		fresh, err := dial(ctx, c.path)
		if err != nil && time.Now().Before(until) {
			if err := c.pause(ctx); err != nil {
				return nil, err
			}
			continue
		} else if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrServerGone, err)
		}
		c.mu.Lock()
		if c.conn == old && c.ended.Err() == nil {
			c.conn = fresh
		} else {
			fresh.sock.Close()
		}
		c.mu.Unlock()
		if c.ended.Err() != nil {
			return nil, net.ErrClosed
		}
	}
}

// pause waits a moment between two attempts.
func (c *Client) pause(ctx context.Context) error {
	select {
	case <-time.After(replacePause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended.Done():
		return net.ErrClosed
	}
}

// call makes a request and decodes its result. One that only reads is sent again when the server was replaced before it answered.
func call[T any](ctx context.Context, c *Client, method string, params any, reading bool) (result T, err error) {
	raw, err := c.call(ctx, method, params, reading, nil)
	if err != nil {
		return result, err
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return result, fmt.Errorf("the answer to %s: %w", method, err)
	}
	return result, nil
}

func (c *Client) call(ctx context.Context, method string, params any, reading bool, f *feed) (json.RawMessage, error) {
	var until time.Time
	for {
		cn, err := c.connected(ctx)
		if err != nil {
			return nil, err
		}
		a, err := cn.request(ctx, method, params, f)
		switch {
		case errors.Is(err, ErrServerGone) && c.ended.Err() != nil:
			return nil, net.ErrClosed
		case errors.Is(err, ErrServerGone) && reading && (until.IsZero() || time.Now().Before(until)):
			if until.IsZero() {
				until = time.Now().Add(replaceLimit)
			}
			if err := c.pause(ctx); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		case a.LeftOut > 0 && c.OnLeftOut != nil:
			c.OnLeftOut(method, a.LeftOut)
		}
		return a.Result, nil
	}
}

// marked is a notification: it has a number, and says how many were lost before it.
type marked interface {
	mark() (seq int64, lost *int64)
}

// subscribe makes a subscription, and returns its notifications as an iterator for one loop. The subscription ends with the loop, which ends
// with an error, that of ctx too. It goes on with the next server when this one is replaced. Numbered notifications go on behind the last one, when the next
// server still has what came before; otherwise the next one's Lost is at least 1.
func subscribe[T marked](ctx context.Context, c *Client, method string, params any, numbered bool) (iter.Seq2[T, error], error) {
	f := newFeed()
	if _, err := c.call(ctx, method, params, true, f); err != nil {
		return nil, err
	}
	return func(yield func(T, error) bool) {
		defer func() { f.unsubscribe() }()
		var last int64
		gap := false
		for {
			raw, lost, err := f.next(ctx)
			if errors.Is(err, ErrServerGone) {
				gap = true
				if numbered && last > 0 {
					params = withLines(params)
				}
				f = newFeed()
				if _, err = c.call(ctx, method, params, true, f); err == nil {
					continue
				}
			}
			var item T
			if err == nil {
				err = json.Unmarshal(raw, &item)
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			seq, missed := item.mark()
			if numbered && seq <= last {
				gap = false // the next server has all since
				continue
			}
			last = seq
			*missed += lost
			if gap {
				*missed++
				gap = false
			}
			if !yield(item, nil) {
				return
			}
		}
	}, nil
}

// withLines asks for as many lines from before as there can be.
func withLines(params any) any {
	all := map[string]any{}
	text, err := json.Marshal(params)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || all == nil { // there are no parameters
		all = map[string]any{}
	}
	all["lines"] = feedMax
	return all
}

package zinit

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

// conn is one connection: answers go to the requests with their ids, notifications to the feeds of their subscriptions.
type conn struct {
	sock   net.Conn
	path   string
	broken chan struct{} // closed when nothing can come any more

	mu      sync.Mutex
	lastID  int64
	waiting map[int64]*request
	feeds   map[int64]*feed
	refused *Error // why the server closed the connection
}

type request struct {
	answer chan frame
	feed   *feed // of a subscription
}

// frame is a line from the server: an answer, or a notification.
type frame struct {
	ID      *int64          `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *Error          `json:"error"`
	LeftOut int             `json:"left_out"`
}

func dial(ctx context.Context, path string) (*conn, error) {
	sock, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	cn := &conn{sock: sock, path: path, broken: make(chan struct{}), waiting: map[int64]*request{}, feeds: map[int64]*feed{}}
	go cn.read()
	return cn, nil
}

func (cn *conn) gone() bool {
	select {
	case <-cn.broken:
		return true
	default:
		return false
	}
}

// read hands out what comes, until the connection breaks.
func (cn *conn) read() {
	for lines := json.NewDecoder(cn.sock); ; {
		var f frame
		if lines.Decode(&f) != nil {
			break
		}
		if f.Error != nil {
			f.Error.Kind = f.Error.Data.Kind
		}
		cn.take(f)
	}
	cn.sock.Close()
	cn.mu.Lock()
	defer cn.mu.Unlock()
	close(cn.broken)
}

func (cn *conn) take(f frame) {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	var to struct {
		Subscription int64 `json:"subscription"`
	}
	switch {
	case f.Method != "":
		if json.Unmarshal(f.Params, &to) == nil && cn.feeds[to.Subscription] != nil {
			cn.feeds[to.Subscription].put(f.Params)
		}
	case f.ID == nil: // of a line that the server could not read: it closes the connection
		cn.refused = f.Error
	default:
		r := cn.waiting[*f.ID]
		if r == nil {
			return
		}
		delete(cn.waiting, *f.ID)
		if r.feed != nil && f.Error == nil && json.Unmarshal(f.Result, &to) == nil {
			r.feed.conn, r.feed.id = cn, to.Subscription
			cn.feeds[to.Subscription] = r.feed
		}
		r.answer <- f
	}
}

// send writes one request; with an answer that is to come, or without.
func (cn *conn) send(method string, params any, r *request) (id int64, err error) {
	line := struct {
		Version string `json:"jsonrpc"`
		ID      int64  `json:"id,omitempty"`
		Method  string `json:"method"`
		Params  any    `json:"params,omitempty"`
	}{"2.0", 0, method, params}
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if r != nil {
		cn.lastID++
		line.ID = cn.lastID
	}
	text, err := json.Marshal(line)
	if err != nil {
		return 0, err
	}
	if r != nil {
		cn.waiting[line.ID] = r
	}
	_ = cn.sock.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := cn.sock.Write(append(text, '\n')); err != nil {
		cn.sock.Close()
		return line.ID, fmt.Errorf("%w: %v", ErrServerGone, err)
	}
	return line.ID, nil
}

// request sends one and waits for its answer.
func (cn *conn) request(ctx context.Context, method string, params any, f *feed) (frame, error) {
	r := &request{make(chan frame, 1), f}
	id, err := cn.send(method, params, r)
	if err == nil {
		select {
		case a := <-r.answer:
			return answered(a)
		case <-ctx.Done():
			err = ctx.Err()
		case <-cn.broken:
			select {
			case a := <-r.answer: // it came just before the end
				return answered(a)
			default:
				err = fmt.Errorf("%w: the server at %s closed the connection before it answered", ErrServerGone, cn.path)
			}
		}
	}
	cn.mu.Lock()
	defer cn.mu.Unlock()
	delete(cn.waiting, id)
	if cn.refused != nil {
		err = cn.refused
	}
	return frame{}, err
}

func answered(a frame) (frame, error) {
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}

// feed is the notifications of one subscription that nobody has read yet. Where they are too many the oldest are dropped and counted.
type feed struct {
	conn *conn // both are known when the subscription is answered
	id   int64
	wake chan struct{}

	mu    sync.Mutex
	items []json.RawMessage
	lost  int64
}

func newFeed() *feed { return &feed{wake: make(chan struct{}, 1)} }

func (f *feed) put(item json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.items) == feedMax {
		f.lost += 1 + lostIn(f.items[0])
		f.items = f.items[1:]
	}
	f.items = append(f.items, item)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func lostIn(item json.RawMessage) int64 {
	var v struct {
		Lost int64 `json:"lost"`
	}
	_ = json.Unmarshal(item, &v)
	return v.Lost
}

func (f *feed) take() (item json.RawMessage, lost int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.items) == 0 {
		return nil, 0
	}
	item, f.items = f.items[0], f.items[1:]
	lost, f.lost = f.lost, 0
	return item, lost
}

// next waits for a notification. lost is how many were dropped here before it.
func (f *feed) next(ctx context.Context) (item json.RawMessage, lost int64, err error) {
	for {
		if item, lost = f.take(); item != nil {
			return item, lost, nil
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-f.conn.broken:
			if item, lost = f.take(); item != nil {
				return item, lost, nil
			}
			return nil, 0, ErrServerGone
		}
	}
}

// unsubscribe ends the subscription; the server is not asked whether there was one.
func (f *feed) unsubscribe() {
	if f.conn == nil {
		return
	}
	f.conn.mu.Lock()
	delete(f.conn.feeds, f.id)
	f.conn.mu.Unlock()
	_, _ = f.conn.send("events.unsubscribe", map[string]int64{"subscription": f.id}, nil)
}

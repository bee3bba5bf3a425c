// rpc_json.go is how texts are read and written: one strict pass over what comes in, then encoding/json, and one way to write what goes out. What a text says is not known here.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"unicode/utf8"
)

// rpcDepthMax is how many lists and objects may stand in each other in a text that comes in.
const rpcDepthMax = 128

// checkText says why a text is not one value of RFC 8259 in UTF-8, nested at most rpcDepthMax deep. twice is the path to the first key that an
// object has twice, nil if there is none: readers differ about which of the two counts.
func checkText(text []byte) (twice []string, err error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not JSON: it is not valid UTF-8")
	}
	if !json.Valid(text) {
		var v json.RawMessage
		return nil, notJSON(json.Unmarshal(text, &v))
	}
	s := keyScan{text: text}
	return s.run()
}

// notJSON puts an error of encoding/json into our words.
func notJSON(err error) error {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON: %v, at byte %d", e, e.Offset)
	}
	return err
}

// keyScan goes through a text that is known to be JSON and looks at what encoding/json lets pass.
type keyScan struct {
	text []byte
	open []jsonLevel
}

// jsonLevel is a list or an object that has begun. keys are those of an object so far, the one that is being read last.
type jsonLevel struct {
	object bool
	keys   []string
	known  map[string]bool // the keys, once there are many
	n      int             // elements of a list before the present one
}

func (s *keyScan) run() (twice []string, err error) {
	for i := 0; i < len(s.text); i++ {
		switch s.text[i] {
		case '{', '[':
			if len(s.open) == rpcDepthMax {
				return nil, fmt.Errorf("nested deeper than %d levels, at byte %d", rpcDepthMax, i+1)
			}
			s.open = append(s.open, jsonLevel{object: s.text[i] == '{'})
		case '}', ']':
			s.open = s.open[:len(s.open)-1]
		case ',':
			s.open[len(s.open)-1].n++
		case '"':
			end := behindString(s.text, i)
			if isKey(s.text, end) && s.open[len(s.open)-1].add(keyText(s.text[i:end])) && twice == nil {
				twice = s.path()
			}
			i = end - 1
		}
	}
	return twice, nil
}

// behindString is the index behind the string that begins at text[i].
func behindString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// isKey says whether the string that ends before text[i] is a key.
func isKey(text []byte, i int) bool {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i < len(text) && text[i] == ':'
}

// keyText is a quoted key without its escapes.
func keyText(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var key string
	json.Unmarshal(quoted, &key)
	return key
}

// add notes a key and says whether it was there before.
func (l *jsonLevel) add(key string) (was bool) {
	const many = 16
	if l.known == nil && len(l.keys) < many {
		for _, k := range l.keys {
			was = was || k == key
		}
		l.keys = append(l.keys, key)
		return was
	}
	if l.known == nil {
		l.known = map[string]bool{}
		for _, k := range l.keys {
			l.known[k] = true
		}
	}
	was = l.known[key]
	l.known[key], l.keys[len(l.keys)-1] = true, key
	return was
}

// path names where the scan is; #1 is the first element of a list.
func (s *keyScan) path() (path []string) {
	for _, l := range s.open {
		if !l.object {
			path = append(path, "#"+strconv.Itoa(l.n+1))
		} else {
			path = append(path, l.keys[len(l.keys)-1])
		}
	}
	return path
}

// decodeJSON reads one value. A number that goes to an any is a json.Number, so that nothing of it is lost.
func decodeJSON(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return notJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("not JSON: something follows the value")
	}
	return nil
}

// jsonWriter collects what an encoder writes. It is used again and again.
type jsonWriter struct {
	b []byte
	e *json.Encoder
}

func (w *jsonWriter) Write(text []byte) (int, error) {
	w.b = appendVisible(w.b, bytes.TrimSuffix(text, []byte{'\n'}))
	return len(text), nil
}

var jsonWriters = sync.Pool{New: func() any {
	w := new(jsonWriter)
	w.e = json.NewEncoder(w)
	w.e.SetEscapeHTML(false)
	return w
}}

// encodeJSON appends v to b on one line. < and & stay as they are; invalid UTF-8 becomes U+FFFD, and of control characters none is written as such.
func encodeJSON(b []byte, v any) ([]byte, error) {
	w := jsonWriters.Get().(*jsonWriter)
	defer jsonWriters.Put(w)
	w.b = b
	err := w.e.Encode(v)
	b, w.b = w.b, nil
	return b, err
}

// appendVisible appends a text with the control characters that encoding/json leaves as they are, those behind U+007E, escaped: a terminal would
// obey them. They can stand in strings only.
func appendVisible(b, text []byte) []byte {
	from := 0
	for i := 0; i < len(text); i++ {
		n, code := 1, text[i]
		switch {
		case code == 0xc2 && text[i+1] >= 0x80 && text[i+1] < 0xa0:
			n, code = 2, text[i+1]
		case code != 0x7f:
			continue
		}
		b = fmt.Appendf(append(b, text[from:i]...), `\u00%02x`, code)
		i += n - 1
		from = i + 1
	}
	return append(b, text[from:]...)
}

// appendJSON is encodeJSON for what can always be written; what cannot becomes null.
func appendJSON(b []byte, v any) []byte {
	text, err := encodeJSON(b, v)
	if err != nil {
		return append(b, "null"...)
	}
	return text
}

// indentJSON is a text that is known to be JSON on many lines, for people.
func indentJSON(text []byte) []byte {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(text), "", "  ") != nil {
		return text
	}
	return b.Bytes()
}

// listed is a list that JSON writes as one also when it is nil.
func listed[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

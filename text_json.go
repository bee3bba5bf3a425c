// text_json.go reads and writes JSON texts: one strict pass over what comes in, then encoding/json, and one way to write what goes out. What a text says is not known here.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
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

// jsonLevel is a list or an object that has begun.
type jsonLevel struct {
	keys map[string]bool // those of an object so far; nil: it is a list
	key  string          // the last of them
	n    int             // elements of a list before the present one
}

func (s *keyScan) run() (twice []string, err error) {
	for i := 0; i < len(s.text); i++ {
		switch s.text[i] {
		case '{', '[':
			if len(s.open) == rpcDepthMax {
				return nil, fmt.Errorf("nested deeper than %d levels, at byte %d", rpcDepthMax, i+1)
			}
			s.open = append(s.open, jsonLevel{})
			if s.text[i] == '{' {
				s.open[len(s.open)-1].keys = map[string]bool{}
			}
		case '}', ']':
			s.open = s.open[:len(s.open)-1]
		case ',':
			s.open[len(s.open)-1].n++
		case '"':
			end := behindString(s.text, i)
			if isKey(s.text, end) && s.open[len(s.open)-1].add(unquoted(s.text[i:end])) && twice == nil {
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

// add notes a key and says whether it was there before.
func (l *jsonLevel) add(key string) (was bool) {
	was = l.keys[key]
	l.keys[key], l.key = true, key
	return was
}

// jsonMembers are the members of an object that checkText has let pass, by name, as they stand in it: no copies. nil where the text is another value.
func jsonMembers(text []byte) map[string]json.RawMessage {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || text[0] != '{' {
		return nil
	}
	members := map[string]json.RawMessage{}
	key, from, depth := "", 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			end := behindString(text, i)
			if depth == 1 && isKey(text, end) {
				key = unquoted(text[i:end])
				end += bytes.IndexByte(text[end:], ':') + 1
				from = end
			}
			i = end - 1
		}
		if from > 0 && (depth == 1 && text[i] == ',' || depth == 0) {
			members[key] = bytes.TrimSpace(text[from:i])
			from = 0
		}
	}
	return members
}

// path names where the scan is; #1 is the first element of a list.
func (s *keyScan) path() (path []string) {
	for _, l := range s.open {
		if l.keys == nil {
			path = append(path, "#"+strconv.Itoa(l.n+1))
		} else {
			path = append(path, l.key)
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

// jsonWriter appends what an encoder writes, without the newline at the end.
type jsonWriter []byte

func (w *jsonWriter) Write(text []byte) (int, error) {
	*w = appendVisible(*w, bytes.TrimSuffix(text, []byte{'\n'}))
	return len(text), nil
}

// encodeJSON appends v to b on one line. < and & stay as they are; invalid UTF-8 becomes U+FFFD, and of control characters none is written as such.
func encodeJSON(b []byte, v any) ([]byte, error) {
	w := jsonWriter(b)
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return w, err
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

// jsonText is v as indented JSON.
func jsonText(v any) string {
	return string(indentJSON(appendJSON(nil, v))) + "\n"
}

// unquoted is the text of a JSON string that is known to be well formed.
func unquoted(v json.RawMessage) (s string) {
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	json.Unmarshal(v, &s)
	return s
}

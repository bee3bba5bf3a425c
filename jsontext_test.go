// jsontext_test.go holds our own JSON against encoding/json; no method of the server is tested here.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

// judged is what encoding/json makes of a text, with numbers as they were written.
func judged(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err = d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err = d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more follows: %v", err)
	}
	return ours(v), nil
}

// ours brings a value of encoding/json into our types.
func ours(v any) any {
	switch v := v.(type) {
	case json.Number:
		return jsonNumber(v)
	case []any:
		for i := range v {
			v[i] = ours(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = ours(v[k])
		}
	}
	return v
}

// nastyTexts are those that JSON readers are known to get wrong, right and wrong ones.
var nastyTexts = []string{
	"", " ", "null", " true ", "false", "nul", "True", "nulll", "null null", "\xef\xbb\xbf1", "\v1", "\u00a01",
	"0", "-0", "00", "01", "-", "+1", "-01", "1.", ".5", "1.5", "1e5", "1E+05", "1e", "1e+", "1.e1", "0x1", "1_000", "NaN", "Infinity", "-Infinity",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "123456789012345678901234567890", "1e400", "1e-400", "5.0", "1-1",
	`""`, `"`, `"a`, `'a'`, `"\"`, `"\""`, `"\/\b\f\n\r\t\\"`, `"\x41"`, `"\a"`, `"\U0041"`, "\"\n\"", "\"\t\"", "\"\x00\"", "\"\x1f\"", "\"\x7f\"",
	`"\u0041"`, `"\u00e9"`, `"\u004"`, `"\u00g1"`, `"\u"`, `"\u0000"`, `"\u2028\u2029"`, "\"\u2028\"",
	`"\ud83d\ude00"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\ud83d\`, `"\udbff\udfff"`, `"\ufffd"`, `"\uffff"`,
	"\"\xff\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"a\xe2\x82\"", "\"\xff\\n\"", "{\"\xff\":1}",
	"[]", "[ ]", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1,,2]", "[[]]", "[[],[[]]]", "[}", "[1}", "[1]]", `["a":1]`,
	"{}", "{ }", "{", "}", `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, `{"a":}`, `{:1}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`, `{"a":1 "b":2}`, `{"a":1]`, `{"a":1}}`,
	`{"a":1,"a":2}`, `{"a":{"b":1},"a":{"c":2}}`, `{"":0}`, `{"\u0061":1,"a":2}`, `{"a":[{"b":{}},[]]}`,
	"// a\n1", "/* a */ 1", "1 // a", "[1,\n2,\r\n\t3]", "\r\n1\r\n", "[1]\x00", "tru", "t", "fals", "-a", "{\"a\":\n", `{"__proto__":[]}`,
	strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("[", 100), strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100),
}

// compare holds one text against encoding/json: accepted or not, its value, written again, and indented.
func compare(t *testing.T, text []byte) {
	t.Helper()
	got, err := parseJSONText(text)
	if err != nil && strings.Contains(err.Error(), "nested deeper") {
		return
	}
	want, wantErr := judged(text)
	if (err == nil) != (wantErr == nil) || (checkJSON(text) == nil) != json.Valid(text) {
		t.Fatalf("%q: %v, encoding/json says %v", text, err, wantErr)
	}
	if err != nil {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q is %#v, want %#v", text, got, want)
	}
	again := appendJSON(nil, got)
	if back, err := parseJSONText(again); err != nil || !reflect.DeepEqual(back, got) {
		t.Fatalf("%q is written as %q: %v", text, again, err)
	}
	var indented bytes.Buffer
	if json.Indent(&indented, bytes.Trim(text, " \t\r\n"), "", "  "); !bytes.Equal(indentJSON(text), indented.Bytes()) {
		t.Fatalf("%q is indented as\n%s\nwant\n%s", text, indentJSON(text), indented.Bytes())
	}
	var raw rawJSON
	if err := decodeJSON(text, &raw); err != nil || !bytes.Equal(raw, bytes.Trim(text, " \t\r\n")) {
		t.Fatalf("%q passed on is %q: %v", text, raw, err)
	}
}

func TestNastyJSON(t *testing.T) {
	for _, text := range nastyTexts {
		compare(t, []byte(text))
	}
}

func FuzzJSON(f *testing.F) {
	for _, text := range nastyTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(compare)
}

// randomJSON is any value that JSON can hold.
func randomJSON(r *rand.Rand, depth int) any {
	kinds := 8
	if depth == 0 {
		kinds = 6
	}
	switch r.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return r.IntN(2) == 0
	case 2:
		return int64(r.Uint64())
	case 3:
		return r.Uint64() >> r.IntN(64)
	case 4:
		return r.NormFloat64() * math.Pow(10, float64(r.IntN(600)-300))
	case 5:
		runes := make([]rune, r.IntN(12))
		for i := range runes {
			runes[i] = rune(r.IntN(1 << (1 + r.IntN(20))))
		}
		return string(runes)
	case 6:
		list := make([]any, r.IntN(5))
		for i := range list {
			list[i] = randomJSON(r, depth-1)
		}
		return list
	}
	m := map[string]any{}
	for range r.IntN(5) {
		m[fmt.Sprint(randomJSON(r, 0))] = randomJSON(r, depth-1)
	}
	return m
}

// TestRandomJSON: what we write, encoding/json reads as what it would have written, and we read what it writes.
func TestRandomJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		v := randomJSON(r, 5)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		json.Unmarshal(text, &want)
		if err := json.Unmarshal(appendJSON(nil, v), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\ngot  %s\nwant %s", err, appendJSON(nil, v), text)
		}
		compare(t, text)
	}
}

type jsonInner struct {
	Deep  string `json:"deep"`
	Count uint16 `json:"count,omitempty"`
}

type jsonSample struct {
	jsonInner
	Text    string            `json:"text"`
	Small   int8              `json:"small"`
	Big     int64             `json:"big"`
	Share   float64           `json:"share"`
	Yes     bool              `json:"yes"`
	Maybe   *int              `json:"maybe"`
	Gone    *jsonInner        `json:"gone,omitempty"`
	List    []jsonInner       `json:"list"`
	Words   []string          `json:"words,omitempty"`
	By      map[string]int    `json:"by"`
	Names   map[string]string `json:"names,omitempty"`
	Any     any               `json:"any"`
	Hidden  string            `json:"-"`
	private int
}

func TestJSONWritesStructs(t *testing.T) {
	n := -3
	full := jsonSample{jsonInner{"d<&>", 7}, "é\"\\\x01\xff\n", -128, math.MinInt64, 1.5e-9, true, &n, &jsonInner{}, []jsonInner{{"a", 0}, {"", 1}},
		[]string{""}, map[string]int{"z": 1, "a\n": 2}, map[string]string{"k": "v"}, []any{nil, 1, "x", jsonInner{Deep: "y"}}, "hidden", 1}
	for _, v := range []any{full, &full, jsonSample{List: []jsonInner{}, By: map[string]int{}}, []*jsonSample{nil, &full}, [2]int{1, 2}, float32(0.1), (*jsonSample)(nil), 1e21, 1e-7, 123456789.0, 0.0} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendJSON(nil, v); !sameJSON(got, text) {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	for want, v := range map[string]any{
		`[]`:                       []string(nil),
		`null`:                     map[string]any(nil),
		`[null,null]`:              []any{math.NaN(), func() {}},
		`[12345678901234567890.0]`: []jsonNumber{"12345678901234567890.0"},
		`{"a":[1, 2],"b":null}`:    map[string]any{"a": rawJSON("[1,\n2]"), "b": rawJSON(nil)},
		`{"type":"start_timeout"}`: &wireReason{Type: "start_timeout"},
		`[-9223372036854775808,18446744073709551615]`: []any{int64(math.MinInt64), uint64(math.MaxUint64)},
		`[{"type":"spawn_error","message":"m"}]`:      []wireReason{{Type: "spawn_error", Message: "m"}},
		`{"name":1,"pid":2}`:                          struct{ Name, PID int }{1, 2},
	} {
		if got := string(appendJSON(nil, v)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestJSONShowsNoControls: what a terminal would obey is never written as such, and reads back as it was.
func TestJSONShowsNoControls(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		text, back := appendString(nil, "a"+string(r)+"b"), ""
		if err := json.Unmarshal(text, &back); err != nil || back != "a"+string(r)+"b" && !(r >= 0xd800 && r < 0xe000) {
			t.Errorf("%U is written as %q: %v", r, text, err)
		}
		if strings.ContainsFunc(string(text), unicode.IsControl) {
			t.Errorf("%U is written as %q", r, text)
		}
	}
}

func TestJSONReadsStructs(t *testing.T) {
	four := 4
	base := jsonSample{Text: "old", Big: 1, Maybe: &four, Words: []string{"w"}}
	for _, c := range []struct {
		text, err string
		want      func(s *jsonSample)
	}{
		{`{}`, "", func(s *jsonSample) {}},
		{`null`, "", func(s *jsonSample) {}},
		{`{"deep":"x","count":65535,"text":"\u00e9","small":-128,"big":9223372036854775807,"share":-1e3,"yes":true}`, "", func(s *jsonSample) {
			s.Deep, s.Count, s.Text, s.Small, s.Big, s.Share, s.Yes = "x", 65535, "é", -128, math.MaxInt64, -1000, true
		}},
		{`{"text":null,"maybe":null,"words":null,"any":null}`, "", func(s *jsonSample) { s.Maybe, s.Words = nil, nil }},
		{`{"words":[],"list":[{"deep":"a"},{"count":1}]}`, "", func(s *jsonSample) { s.Words, s.List = []string{}, []jsonInner{{"a", 0}, {"", 1}} }},
		{`{"words":["a","b"],"gone":{"deep":"g"},"by":{"k":1},"names":{"a":"b"}}`, "", func(s *jsonSample) {
			s.Words, s.Gone, s.By, s.Names = []string{"a", "b"}, &jsonInner{Deep: "g"}, map[string]int{"k": 1}, map[string]string{"a": "b"}
		}},
		{`{"any":[1.50,{"a":null}]}`, "", func(s *jsonSample) { s.Any = []any{jsonNumber("1.50"), map[string]any{"a": nil}} }},
		{`{"Text":"other case","hidden":"x","Hidden":"x","-":"x","private":3,"unknown":[{}]}`, "", func(s *jsonSample) {}},
		{`{"text":"a","text":"b"}`, "", func(s *jsonSample) { s.Text = "b" }},
		{`{"small":128}`, "128\" at byte 10 does not fit: int8 is expected", nil},
		{`{"small":1.5}`, "int8", nil},
		{`{"small":"1"}`, "int8", nil},
		{`{"count":-1}`, "uint16", nil},
		{`{"count":65536}`, "uint16", nil},
		{`{"big":9223372036854775808}`, "int64", nil},
		{`{"share":1e400}`, "float64", nil},
		{`{"share":"NaN"}`, "float64", nil},
		{`{"yes":1}`, "bool", nil},
		{`{"text":1}`, "string", nil},
		{`{"words":{}}`, "slice", nil},
		{`{"words":[1]}`, "string", nil},
		{`{"by":[]}`, "map", nil},
		{`{"by":{"a":"b"}}`, "int", nil},
		{`{"gone":[]}`, "struct", nil},
		{`[]`, "struct", nil},
		{`{"text":"a"} x`, "at byte 14 the end of the text is expected", nil},
		{`{"text":"a"`, "it ends at byte 11, where a comma or } is expected", nil},
		{`{"words":["a" "b"]}`, "at byte 15 a comma or ] is expected", nil},
		{``, "it ends at byte 0, where a value is expected", nil},
	} {
		got, want := base, base
		got.Maybe = &four
		err := decodeJSON([]byte(c.text), &got)
		if c.want == nil {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s gives %v, want %q", c.text, err, c.err)
			}
			continue
		}
		if c.want(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", c.text, err, got, want)
		}
	}
}

// sameJSON says whether two texts mean the same to a reader that knows only float64.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// TestJSONDepth: a request may not nest deeply, an answer may: the tree of a long chain of services does.
func TestJSONDepth(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	for n, fits := range map[int]bool{rpcDepthMax: true, rpcDepthMax + 1: false, 1 << 20: false} {
		if _, err := parseJSONText(nested(n)); (err == nil) != fits {
			t.Errorf("%d levels: %v", n, err)
		}
	}
	var v any
	for n, fits := range map[int]bool{jsonDepthMax: true, jsonDepthMax + 1: false, 1 << 20: false} {
		if err := decodeJSON(nested(n), &v); (err == nil) != fits {
			t.Errorf("%d levels of an answer: %v", n, err)
		}
	}
}

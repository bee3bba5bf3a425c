// text_json_test.go tests how texts are read and written: the strict pass beside encoding/json, and what goes out.

//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// nastyTexts are those that JSON readers are known to get wrong, right and wrong ones.
var nastyTexts = []string{
	"", " ", "null", " true ", "nul", "True", "null null", "\xef\xbb\xbf1", "0", "-0", "00", "01", "+1", "1.", ".5", "1e5", "1e400", "NaN",
	"9223372036854775808", `""`, `"`, `"\"`, `"\\"`, `"\\\""`, `"\x41"`, "\"\n\"", "\"\x7f\"", `"\u004"`, `"\ud83d\ude00"`, `"\ud83d"`, "\"\xff\"", "\"\xed\xa0\x80\"",
	"[]", "[", "[1,]", "[1 2]", "[}", "{}", `{"a"`, `{"a":1,}`, `{a:1}`, `{"a":1,"a":2}`, `{"a":{"b":1},"c":{"b":2}}`, `{"\u0061":1,"a":2}`, `{"a:":1,"a":": {"}`,
	`{"a":[{"b":{}},[],{"b":1,"c":2,"b":3}]}`, `{"":0,"":1}`, `{"a":"a","b":"b","a" : 1}`, "// a\n1", "[1,\n2,\r\n\t3]", "[1]\x00", `{"\ud800":1,"\udfff":2}`,
	strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), strings.Repeat("[", 200) + strings.Repeat("]", 200),
}

// slowTwice finds keys that stand twice in an object, and the depth, by the tokens of encoding/json.
func slowTwice(t *testing.T, text []byte) (twice bool, deepest int) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value func(depth int)
	token := func() json.Token {
		v, err := d.Token()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		return v
	}
	value = func(depth int) {
		deepest = max(deepest, depth)
		switch token() {
		case json.Delim('{'):
			keys := map[string]bool{}
			for d.More() {
				key := token().(string)
				twice, keys[key] = twice || keys[key], true
				value(depth + 1)
			}
			token()
		case json.Delim('['):
			for d.More() {
				value(depth + 1)
			}
			token()
		}
	}
	value(0)
	return twice, deepest
}

// holdTo holds the strict pass against a slow one.
func holdTo(t *testing.T, text []byte) {
	t.Helper()
	path, err := checkText(text)
	if !utf8.Valid(text) || !json.Valid(text) {
		if err == nil || !strings.HasPrefix(err.Error(), "not JSON: ") {
			t.Fatalf("%q: %v", text, err)
		}
		return
	}
	twice, deepest := slowTwice(t, text)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "nested deeper") || deepest < rpcDepthMax {
			t.Fatalf("%q, %d deep: %v", text, deepest, err)
		}
		return
	}
	if deepest > rpcDepthMax || twice != (path != nil) {
		t.Fatalf("%q, %d deep: twice is %q, want one: %v", text, deepest, path, twice)
	}
	var want map[string]json.RawMessage
	if json.Unmarshal(text, &want) != nil {
		want = nil
	}
	if got := jsonMembers(text); !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: the members are %q, want %q", text, got, want)
	}
}

func TestStrictPass(t *testing.T) {
	for _, text := range nastyTexts {
		holdTo(t, []byte(text))
	}
	for text, want := range map[string]string{
		`{"a":1,"b":2}`:                               "",
		`{"a":1,"a":2}`:                               "a",
		`{"a":1,"A":2}`:                               "",
		`{"\u0061":"a\"","a":2}`:                      "a",
		`{"a":{"b":1,"b":2},"a":3}`:                   "a.b",
		`{"a":[{"x":1},{"y":[],"y":2}]}`:              "a.#2.y",
		`[{"a":1},{"a":1}]`:                           "",
		`{"a":"a\",\"a\":1","b":"{\"b\":1,\"b\":2}"}`: "",
	} {
		if twice, err := checkText([]byte(text)); err != nil || strings.Join(twice, ".") != want {
			t.Errorf("%s: %q, %v; want %q", text, twice, err, want)
		}
	}
	for depth, fits := range map[int]bool{rpcDepthMax: true, rpcDepthMax + 1: false, 400_000: false} {
		for _, pair := range []string{"[]", "{}"} {
			begin := pair[:1]
			if pair == "{}" {
				begin = `{"a":`
			}
			text := strings.Repeat(begin, depth-1) + pair + strings.Repeat(pair[1:], depth-1)
			if _, err := checkText([]byte(text)); (err == nil) != fits {
				t.Errorf("%d levels of %s: %v", depth, pair, err)
			}
		}
	}
	many := []string{}
	for i := range 100 {
		many = append(many, fmt.Sprintf(`"k%d":1`, i))
	}
	for i := range many {
		text := "{" + strings.Join(append(slices.Clone(many), many[i]), ",") + "}"
		if twice, err := checkText([]byte(text)); err != nil || !slices.Equal(twice, []string{fmt.Sprintf("k%d", i)}) {
			t.Fatalf("%q, %v in %s", twice, err, text)
		}
	}
}

// TestStrictPassIsLinear: a text eight times as long takes about eight times as long, not 64 times, up to the longest line that is allowed.
func TestStrictPassIsLinear(t *testing.T) {
	for what, text := range map[string]func(size int) string{
		"keys": func(size int) string {
			var keys strings.Builder
			for i := 0; keys.Len() < size-20; i++ {
				fmt.Fprintf(&keys, `,"%x":0`, i)
			}
			return "{" + keys.String()[1:] + "}"
		},
		"objects": func(size int) string { return "[" + strings.Repeat("{},", size/3-1) + "1]" },
		"escapes": func(size int) string { return `"` + strings.Repeat(`\\`, size/2-1) + `"` },
	} {
		least := func(size int) time.Duration {
			least, text := time.Hour, []byte(text(size))
			for range 7 {
				began := time.Now()
				if twice, err := checkText(text); err != nil || twice != nil {
					t.Fatal(twice, err)
				}
				least = min(least, time.Since(began))
			}
			return least
		}
		long, short := least(rpcLineMax), least(rpcLineMax/8)
		t.Logf("%s: %v, an eighth %v", what, long, short)
		if long > 40*short {
			t.Errorf("%s: %v, and %v for an eighth", what, long, short)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, text := range nastyTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(holdTo)
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

// TestRandomJSON: what is written stands on one line without control characters, and reads back as it was, to the last digit.
func TestRandomJSON(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	for range 2000 {
		v := randomJSON(r, 5)
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text := appendJSON(nil, v)
		if bytes.ContainsFunc(text, unicode.IsControl) {
			t.Fatalf("%q", text)
		}
		holdTo(t, text)
		var a, b any
		if err := decodeJSON(text, &a); err != nil {
			t.Fatal(err)
		}
		decodeJSON(want, &b)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("got %s, want %s", text, want)
		}
	}
}

// TestJSONShowsNoControls: what a terminal would obey is never written as such, and reads back as it was.
func TestJSONShowsNoControls(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		text, back := appendJSON(nil, "a"+string(r)+"b"), ""
		if err := json.Unmarshal(text, &back); err != nil || back != "a"+string(r)+"b" {
			t.Errorf("%U is written as %q: %v", r, text, err)
		}
		if strings.ContainsFunc(string(text), unicode.IsControl) {
			t.Errorf("%U is written as %q", r, text)
		}
	}
	if got := string(appendJSON(nil, "<&>\xff\xc2")); got != `"<&>\ufffd\ufffd"` {
		t.Error(got)
	}
	if got := string(appendJSON([]byte("x"), []any{math.NaN()})); got != "xnull" {
		t.Error(got)
	}
}

// TestNumbersSurvive: integers above 2^53 are not rounded, whatever they are read into.
func TestNumbersSurvive(t *testing.T) {
	const n = `{"seq":18446744073709551615,"list":[9007199254740993,-9223372036854775808]}`
	var v any
	if err := decodeJSON([]byte(n), &v); err != nil {
		t.Fatal(err)
	}
	keys := slices.Sorted(maps.Keys(v.(map[string]any)))
	if got := string(appendJSON(nil, v)); len(keys) != 2 || !strings.Contains(got, "18446744073709551615") || !strings.Contains(got, "[9007199254740993,-9223372036854775808]") {
		t.Error(got)
	}
	line := logLine{Seq: math.MaxUint64, TimeMS: math.MaxInt64}
	var back logLine
	if err := decodeJSON(appendJSON(nil, &line), &back); err != nil || back != line {
		t.Error(err, back)
	}
	for _, bad := range []string{`{"seq":1} x`, `{"seq":1}{}`, `{"seq":-1}`, `{"seq":18446744073709551616}`, `{"seq":1.5}`, `{"seq":"1"}`, ``, `[]`} {
		if err := decodeJSON([]byte(bad), &back); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// TestTypesWriteLists: the members of a status are all there, and a reason has those of its type only.
func TestTypesWriteLists(t *testing.T) {
	seven := 7
	for want, v := range map[string]any{
		`{"name":"","kind":"","state":"inactive","wish":"","pid":0,"exit_code":null,"reason":null,"health":null,"uptime_ms":0,"restart_count":0,"restart_in_ms":null,"blocked_by":[],"config_changed":false}`: &serviceStatus{BlockedBy: listed[string](nil)},
		`{"type":"start_timeout"}`:                                                                   &wireReason{Type: "start_timeout", Message: "no"},
		`{"type":"exit_code","code":null}`:                                                           &wireReason{Type: "exit_code"},
		`{"type":"exit_code","code":7}`:                                                              &wireReason{Type: "exit_code", Code: &seven},
		`{"type":"signal","signal":9,"name":"","core":true}`:                                         &wireReason{Type: "signal", Signal: 9, Core: true},
		`{"type":"signal","signal":9,"name":"","core":false,"oom":true}`:                             &wireReason{Type: "signal", Signal: 9, OOM: true},
		`{"type":"spawn_error","message":"<a> & \u0085"}`:                                            &wireReason{Type: "spawn_error", Message: "<a> & \u0085"},
		`{"subscription":3,"seq":5,"time_ms":6,"service":"a","stream":"stdout","text":"x","lost":2}`: &logNote{3, followedLine{logLine{5, 6, "a", "stdout", "x"}, 2}},
	} {
		if got := string(appendJSON(nil, v)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if tenth(math.NaN()) != 0 || tenth(math.Inf(1)) != 0 || tenth(1.26) != 1.3 {
		t.Error("tenth")
	}
}

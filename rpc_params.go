// rpc_params.go is the parameters of one call: brought into the order of the method's row, checked, and handed to the handler.

//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rpcParamsMax is the most parameters that a method has.
const rpcParamsMax = 6

// paramKinds says of each kind what it is in words and in JSON Schema, and which values it takes.
var paramKinds = [...]paramKind{
	{"string", "a string", `{"type": "string"}`, isString},
	{"bool", "true or false", `{"type": "boolean"}`, func(v json.RawMessage) bool { return v[0] == 't' || v[0] == 'f' }},
	{"integer", "a whole number, 0 or more", `{"type": "integer", "minimum": 0}`, isWhole},
	{"signal", "the name or number of a signal", `{"type": ["string", "integer"]}`, func(v json.RawMessage) bool { return isString(v) || isWhole(v) }},
	{"strings", "a list of strings", `{"type": "array", "items": {"type": "string"}}`, func(v json.RawMessage) bool { _, ok := stringsOf(v); return ok }},
	{"config", "an object: a service's configuration with the sections of its file", `{"$ref": "#/components/schemas/Config"}`,
		func(v json.RawMessage) bool { return v[0] == '{' }},
}

type paramKind struct {
	name, expected, schema string
	accepts                func(value json.RawMessage) bool
}

// row is the row of the parameter's kind.
func (p *rpcParam) row() *paramKind {
	return &paramKinds[slices.IndexFunc(paramKinds[:], func(k paramKind) bool { return k.name == p.kind })]
}

func isString(v json.RawMessage) bool { return v[0] == '"' }

func isWhole(v json.RawMessage) bool { _, ok := wholeNumber(v); return ok }

// bind brings params into the row's order and checks them. Every complaint names the parameter and says what is expected.
func (q *rpcCall) bind(r *rpcRequest) error {
	if r.twice != nil {
		if len(r.twice) > 1 {
			return q.wrong(r.twice[0], "%s is given twice", visible(strings.Join(r.twice[1:], ".")))
		}
		return q.wrong(r.twice[0], "given twice")
	}
	var err error
	switch {
	case r.params == nil:
	case r.params[0] == '{':
		err = q.bindNamed(r.params)
	default:
		err = q.bindListed(r.params)
	}
	if err != nil {
		return err
	}
	for i, p := range q.row.takes {
		if p.required && q.values[i] == nil {
			return q.wrong(p.name, "missing: it is %s", p.expected())
		}
	}
	return nil
}

func (q *rpcCall) bindListed(params json.RawMessage) error {
	var list []json.RawMessage
	if err := json.Unmarshal(params, &list); err != nil {
		return err
	}
	for i, value := range list {
		if i >= len(q.row.takes) {
			return q.wrong("#"+strconv.Itoa(i+1), "surplus: %s takes %s", q.row.name, q.row.signature())
		}
		if err := q.set(i, value); err != nil {
			return err
		}
	}
	return nil
}

func (q *rpcCall) bindNamed(params json.RawMessage) error {
	named := jsonMembers(params)
	var names []string
	for i, p := range q.row.takes {
		names = append(names, p.name)
		if value, given := named[p.name]; given {
			if err := q.set(i, value); err != nil {
				return err
			}
			delete(named, p.name)
		}
	}
	if len(named) == 0 {
		return nil
	}
	key := sortedKeys(named)[0]
	if near := nearest(key, names); near != "" {
		return q.near(q.wrong(key, "unknown; did you mean %s?", near), near)
	}
	return q.wrong(key, "unknown: %s takes %s", q.row.name, q.row.signature())
}

// set checks one value against its parameter. null counts as absent.
func (q *rpcCall) set(i int, value json.RawMessage) error {
	p := q.row.takes[i]
	if string(value) == "null" {
		return nil
	}
	if !p.row().accepts(value) || p.among != nil && p.kind == "string" && !slices.Contains(p.among, unquoted(value)) {
		return q.wrong(p.name, "%s is not %s", visible(shorten(string(value))), p.expected())
	}
	q.values[i] = value
	if p.among == nil || p.kind != "strings" {
		return nil
	}
	words, _ := stringsOf(value)
	for _, w := range words {
		if near := nearest(w, p.among); !slices.Contains(p.among, w) && near != "" {
			return q.near(q.wrong(p.name, "%s is not %s; did you mean %s?", quoted(w), p.expected(), near), near)
		} else if !slices.Contains(p.among, w) {
			return q.wrong(p.name, "%s is not %s", quoted(w), p.expected())
		}
	}
	return nil
}

func (q *rpcCall) wrong(name, format string, args ...any) *rpcError {
	e := refuse(kindInvalidParams, "parameter %s: %s", visible(name), fmt.Sprintf(format, args...))
	e.Data.Param = name
	return e
}

// near adds what was probably meant to an error, for programs.
func (q *rpcCall) near(e *rpcError, name string) *rpcError {
	e.Data.Names = []string{name}
	return e
}

// stringsOf reads a list of strings; false: it is something else.
func stringsOf(value json.RawMessage) ([]string, bool) {
	var list []*string
	if value[0] != '[' || json.Unmarshal(value, &list) != nil || slices.Contains(list, nil) {
		return nil, false
	}
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = *s
	}
	return words, true
}

// expected says what a parameter must be.
func (p *rpcParam) expected() string {
	if p.among != nil {
		return "one of " + strings.Join(p.among, ", ")
	}
	return p.row().expected
}

// wholeNumber reads an integer from 0 to 2^53, also when it is written like 5.0 or 1e3.
func wholeNumber(value json.RawMessage) (int64, bool) {
	if n, err := strconv.ParseInt(string(value), 10, 64); err == nil {
		return n, n >= 0 && n <= 1<<53
	}
	f, err := strconv.ParseFloat(string(value), 64)
	return int64(f), err == nil && f >= 0 && f <= 1<<53 && f == float64(int64(f))
}

// raw is the text of a parameter, nil when it is absent. A name that the row does not have is a mistake in the handler.
func (q *rpcCall) raw(name string) (*rpcParam, json.RawMessage) {
	for i, p := range q.row.takes {
		if p.name == name {
			return p, q.values[i]
		}
	}
	panic("no parameter " + name + " in " + q.row.name)
}

func (q *rpcCall) has(name string) bool {
	_, v := q.raw(name)
	return v != nil
}

func (q *rpcCall) str(name string) string {
	p, v := q.raw(name)
	if v == nil {
		s, _ := p.preset.(string)
		return s
	}
	if v[0] != '"' {
		return string(v)
	}
	return unquoted(v)
}

func (q *rpcCall) flag(name string) bool {
	_, v := q.raw(name)
	return v != nil && v[0] == 't'
}

func (q *rpcCall) num(name string) int64 {
	p, v := q.raw(name)
	if v == nil {
		n, _ := p.preset.(int)
		return int64(n)
	}
	n, _ := wholeNumber(v)
	return n
}

// list is a list of strings; nil when it is absent.
func (q *rpcCall) list(name string) (words []string) {
	if _, v := q.raw(name); v != nil {
		words, _ = stringsOf(v)
	}
	return words
}

// millis is a time in milliseconds; 0, absent, and what is over a hundred years mean none.
func (q *rpcCall) millis(name string) time.Duration {
	n := q.num(name)
	if n > 100*366*24*3600*1000 {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

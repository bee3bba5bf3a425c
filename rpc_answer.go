// rpc_answer.go writes answers, and cuts those that would be larger than an answer may be.

//go:build !windows

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// rpcAnswerMax is the size of the largest answer.
const rpcAnswerMax = 4 << 20

// appendAnswer appends the answer with a result. What is larger than an answer may be is cut, and the answer says by how much.
func appendAnswer(b []byte, id json.RawMessage, result any) []byte {
	frame := answerFrame{Version: rpcVersion, ID: id, Result: result}
	if r, is := result.(interface{ lacking() int }); is {
		frame.LeftOut = r.lacking()
	}
	for from := len(b); ; b = b[:from] {
		text, err := encodeJSON(b, &frame)
		if err != nil {
			return appendFailure(b, id, refuse(kindInternalError, "the result cannot be written: %v", err))
		}
		size := len(text) - from
		if size <= rpcAnswerMax {
			return text
		}
		left := shrink(result, 0.9*rpcAnswerMax/float64(size))
		if left == 0 {
			return appendFailure(b, id, refuse(kindInternalError, "the answer would be larger than %d bytes", rpcAnswerMax))
		}
		frame.LeftOut += left
	}
}

// appendFailure appends the answer with an error. Of many errors of one configuration the first are kept.
func appendFailure(b []byte, id json.RawMessage, e *rpcError) []byte {
	const most = 1000
	if n := len(e.Data.Errors); n > most {
		e.Data.Errors = append(slices.Clone(e.Data.Errors[:most]), problem{Message: fmt.Sprintf("%d more errors are left out", n-most)})
	}
	return appendJSON(b, &errorFrame{rpcVersion, id, e})
}

// shrink leaves out so much of a result that about the given share of it stays: the ends of lists, or of a list and of the text that says the same.
// It returns how many entries were left out; where there is a text only, its lines.
func shrink(result any, share float64) (left int) {
	v := reflect.ValueOf(result)
	if v.Kind() != reflect.Pointer {
		return 0
	}
	if v = v.Elem(); v.Kind() == reflect.Slice {
		return cutList(v, share)
	}
	lines := 0
	for i := range v.NumField() {
		switch f := v.Field(i); {
		case f.Kind() == reflect.Slice:
			left += cutList(f, share)
		case v.Type().Field(i).Name == "Text":
			lines = cutLines(f.Addr().Interface().(*string), share)
		}
	}
	return cmp.Or(left, lines)
}

// cutList keeps about the given share of a list and returns how many elements it left out. Of log lines the newest, at the end, are kept.
func cutList(list reflect.Value, share float64) int {
	keep := int(float64(list.Len()) * share)
	left := list.Len() - keep
	switch list.Interface().(type) {
	case []logLine, textList:
		list.Set(list.Slice(left, list.Len()))
	default:
		list.Set(list.Slice(0, keep))
	}
	return left
}

// cutLines keeps the first lines of a text, about the given share of it, and returns how many it left out. A shortened drawing stays valid.
func cutLines(text *string, share float64) int {
	keep := strings.LastIndexByte((*text)[:int(float64(len(*text))*share)], '\n') + 1
	left := strings.Count((*text)[keep:], "\n")
	if left == 0 {
		return 0
	}
	last := "... %d lines more\n"
	switch {
	case strings.HasPrefix(*text, "digraph zinit {"):
		last = "  // %d lines more\n}\n"
	case strings.HasPrefix(*text, "# TYPE "):
		last = "# %d lines more\n# EOF\n"
	case strings.HasPrefix(*text, "flowchart "):
		last = "  %%%% %d lines more\n"
	}
	*text = (*text)[:keep] + fmt.Sprintf(last, left)
	return left
}

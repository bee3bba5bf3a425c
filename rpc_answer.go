// rpc_answer.go writes answers, and cuts those that would be larger than an answer may be.

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// rpcAnswerMax is the size of the largest answer.
const rpcAnswerMax = 4 << 20

// shrinker is a result that can be large. shrink leaves out so much that about the given share of it stays, and returns how many entries were left out.
type shrinker interface{ shrink(share float64) int }

// appendAnswer appends the answer with a result. What is larger than an answer may be is cut, and the answer says by how much.
func appendAnswer(b []byte, id json.RawMessage, result any) []byte {
	frame := answerFrame{Version: rpcVersion, ID: id, Result: result}
	if r, is := result.(interface{ lacking() int }); is {
		frame.LeftOut = r.lacking()
	}
	for from := len(b); ; b = b[:from] {
		text, err := encodeJSON(b, &frame)
		if err != nil {
			return appendFailure(b, id, rpcFail(kindInternalError, "the result cannot be written: %v", err))
		}
		size := len(text) - from
		if size <= rpcAnswerMax {
			return text
		}
		left := 0
		if s, can := result.(shrinker); can {
			left = s.shrink(0.9 * rpcAnswerMax / float64(size))
		}
		if left == 0 {
			return appendFailure(b, id, rpcFail(kindInternalError, "the answer would be larger than %d bytes", rpcAnswerMax))
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

// cutList keeps the first part of a list, about the given share, and returns how many elements it left out.
func cutList[T any](list *[]T, share float64) int {
	keep := int(float64(len(*list)) * share)
	left := len(*list) - keep
	*list = (*list)[:keep]
	return left
}

// cutLines keeps the first lines of a text, about the given share of it, then last, and returns how many lines it left out.
func cutLines(text *string, share float64, last string) int {
	keep := strings.LastIndexByte((*text)[:int(float64(len(*text))*share)], '\n') + 1
	left := strings.Count((*text)[keep:], "\n")
	if left > 0 {
		*text = (*text)[:keep] + strings.ReplaceAll(last, "%d", fmt.Sprint(left))
	}
	return left
}

const moreLines = "... %d lines more\n"

func (l *serviceList) shrink(share float64) int { return cutList((*[]serviceStatusFull)(l), share) }
func (l *nameList) shrink(share float64) int    { return cutList((*[]string)(l), share) }
func (l *childList) shrink(share float64) int   { return cutList((*[]childProcess)(l), share) }

// The newest lines are kept.
func (l *lineList) shrink(share float64) int { return cutFront((*[]logLine)(l), share) }
func (l *textList) shrink(share float64) int { return cutFront((*[]string)(l), share) }

func cutFront[T any](list *[]T, share float64) int {
	left := len(*list) - int(float64(len(*list))*share)
	*list = (*list)[left:]
	return left
}

func (r *statsResult) shrink(share float64) int { return r.Children.shrink(share) }

func (r *checkResult) shrink(share float64) int {
	return cutList(&r.Errors, share) + cutList(&r.Warnings, share)
}

func (r *putResult) shrink(share float64) int { return cutList(&r.Warnings, share) }

func (r *bulkResult) shrink(share float64) int {
	return cutList(&r.Services, share) + cutList(&r.Skipped, share) + cutList(&r.Errors, share)
}

func (r *reloadResult) shrink(share float64) int {
	n := cutList(&r.Errors, share) + cutList(&r.Warnings, share)
	for _, l := range []*[]string{&r.Added, &r.Removed, &r.Changed, &r.Unchanged, &r.Restarted} {
		n += cutList(l, share)
	}
	return n
}

func (r *restartResult) shrink(share float64) int { return cutList(&r.Services, share) }

func (r *whyResult) shrink(share float64) int {
	cutLines(&r.Text, share, moreLines)
	return cutList(&r.Reasons, share)
}

func (r *treeResult) shrink(share float64) int {
	cutLines(&r.Text, share, moreLines)
	return cutList(&r.Roots, share)
}

func (r *processResult) shrink(share float64) int {
	cutLines(&r.Text, share, moreLines)
	return cutList(&r.Roots, share)
}

func (r *debugResult) shrink(share float64) int {
	cutLines(&r.Text, share, moreLines)
	return cutList(&r.Services, share)
}

func (r *bootResult) shrink(share float64) int {
	return cutList(&r.Services, share) + cutList(&r.Chain, share)
}

// The languages of drawings go by lines: what is left of one is a drawing.
func (r *textResult) shrink(share float64) int {
	last := moreLines
	switch {
	case strings.HasPrefix(r.Text, "digraph "):
		last = "  // %d lines more\n}\n"
	case strings.HasPrefix(r.Text, "flowchart "):
		last = "  %% %d lines more\n"
	}
	return cutLines(&r.Text, share, last)
}

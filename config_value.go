// config_value.go checks one value and sets its key; it knows neither files nor other keys.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// complaint is what is wrong with a value; sub is the element's index or the table's key, or "".
type complaint struct{ sub, text string }

// kindNames say what a key takes, for people; elementNames what its list has.
var (
	kindNames = [...]string{
		kindText: "a string", kindFlag: "true or false", kindNumber: "an integer", kindTexts: "a list of strings", kindOneOrMore: "a string or a list of strings", kindNumbers: "a list of integers",
		kindTable: "a table of strings", kindCommand: "a string or a list of strings", kindProbe: "a string, a list of strings or an integer",
		kindIdentity: "a name or a number", kindSignal: "the name or the number of a signal", kindEndings: "a list of exit codes and names of signals", kindRlimit: `an integer or "unlimited"`,
	}
	elementNames = [...]string{kindTexts: "strings", kindOneOrMore: "strings", kindNumbers: "integers", kindCommand: "strings", kindProbe: "strings"}
)

// what names the kind of value that a key takes, for people.
func (f *field) what() string {
	if len(f.oneOf) > 0 {
		return "one of " + quotedList(f.oneOf)
	}
	name := kindNames[f.kind]
	for suffix, unit := range map[string]string{"_ms": "milliseconds", "_bytes": "bytes", "_timeout": "seconds"} {
		if f.kind == kindNumber && strings.HasSuffix(f.key, suffix) {
			name += " (" + unit + ")"
		}
	}
	return name
}

// set reads a plain value (string, bool, int64, []any, map[string]any) into the config and says all that is wrong with it.
func (f *field) set(c *config, v any) []complaint {
	p := f.at(c)
	switch v := v.(type) {
	case bool:
		if f.kind == kindFlag {
			return put(p, v, "")
		}
	case int64:
		switch f.kind {
		case kindNumber, kindRlimit:
			return f.setNumber(p, v)
		case kindProbe:
			return f.setProbe(p.(*healthDef), strconv.FormatInt(v, 10))
		case kindSignal:
			return f.setSignal(p, strconv.FormatInt(v, 10))
		case kindIdentity:
			text := fmt.Sprintf("%+d", v)
			return put(p, text, f.badText(text))
		}
	case string:
		switch {
		case f.kind == kindText || f.kind == kindIdentity:
			return put(p, v, f.badText(v))
		case f.kind == kindSignal:
			return f.setSignal(p, v)
		case f.kind == kindOneOrMore && v == "":
			return put[[]string](p, nil, "")
		case f.kind == kindOneOrMore:
			return put(p, []string{v}, f.badText(v))
		case f.kind == kindCommand:
			return f.setLine(p.(*execDef), v)
		case f.kind == kindProbe:
			return f.setProbe(p.(*healthDef), v)
		case f.kind == kindRlimit && (v == "unlimited" || v == "infinity"):
			return put(p, int64(-1), "")
		}
	case []any:
		switch f.kind {
		case kindTexts, kindOneOrMore:
			return f.setTexts(p.(*[]string), v)
		case kindEndings:
			return f.setEndings(p.(*[]ending), v)
		case kindNumbers:
			return f.setNumbers(p.(*[]int), v)
		case kindCommand:
			return f.setArgv(p.(*execDef), v)
		case kindProbe:
			return f.setArgv(&p.(*healthDef).Exec, v)
		}
	case map[string]any:
		if f.kind == kindTable {
			return f.setTable(p.(*map[string]string), v)
		}
	}
	return f.wrongType(v)
}

// put stores v at p, a *T or, for a key that may be absent, a **T. If bad is not "", it stores nothing and returns that.
func put[T any](p any, v T, bad string) []complaint {
	if bad != "" {
		return []complaint{{"", bad}}
	}
	switch p := p.(type) {
	case *T:
		*p = v
	case **T:
		*p = &v
	}
	return nil
}

// elements reads a list of one type and checks each element.
func elements[T any](f *field, list []any, check func(T) string) (good []T, bad []complaint) {
	for i, v := range list {
		e, ok := v.(T)
		text := ""
		if ok {
			text = check(e)
		} else {
			text = fmt.Sprintf("`%s` must be a list of %s, but element %d is %s", f.key, elementNames[f.kind], i+1, typeName(v))
		}
		if text == "" {
			good = append(good, e)
		} else {
			bad = append(bad, complaint{strconv.Itoa(i), text})
		}
	}
	return good, bad
}

func (f *field) wrongType(v any) []complaint {
	text := fmt.Sprintf("`%s` must be %s, not %s", f.key, f.what(), typeName(v))
	if line := f.suggest(v); line != "" {
		text += "; write " + line
	}
	return []complaint{{"", text}}
}

// suggest is the line that somebody who wrote v may have meant, or an example; "" when there is none.
func (f *field) suggest(v any) string {
	s, isText := v.(string)
	n, isNumber := v.(int64)
	text := tomlText(plainValue(f.def))
	switch {
	case f.kind == kindFlag:
		yes := n == 1 || slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(s))
		text = strconv.FormatBool(yes)
	case f.kind == kindNumber || f.kind == kindRlimit:
		if meant, ok := numberIn(s, f.key); ok {
			text = tomlText(meant)
		}
	case f.kind == kindTexts && isText:
		text = tomlText([]string{shorten(s)})
	case f.kind == kindEndings && isText:
		text = tomlText([]string{shorten(s)})
	case (f.kind == kindNumbers || f.kind == kindEndings) && isNumber:
		text = tomlText([]int{int(n)})
	case f.kind == kindTable:
		text = `{ NAME = "value" }`
	case f.key == "umask":
		text = `"022"`
	case f.kind == kindText && isNumber && len(f.oneOf) == 0:
		text = fmt.Sprintf("\"%d\"", n)
	}
	if text == "" {
		return ""
	}
	return f.key + " = " + text
}

// numberIn finds the number that a string was meant to be: "8080", "10s" for a key of milliseconds, "512M" for one of bytes.
func numberIn(s, key string) (int64, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	d, err := time.ParseDuration(s)
	if err == nil && strings.HasSuffix(key, "_ms") {
		return d.Milliseconds(), true
	}
	if err == nil && strings.HasSuffix(key, "_timeout") {
		return int64(d / time.Second), true
	}
	digits := strings.TrimRight(strings.ToUpper(s), "IB")
	if digits == "" || !strings.HasSuffix(key, "_bytes") {
		return 0, false
	}
	shift := 10 * (1 + strings.IndexByte("KMGT", digits[len(digits)-1]))
	n, err := strconv.ParseInt(strings.TrimSpace(digits[:len(digits)-1]), 10, 16)
	return n << shift, err == nil && shift > 0
}

// badText says what makes a string unusable for this key; "" when it is fine.
func (f *field) badText(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Sprintf("`%s` contains a NUL character, which no program can be given", f.key)
	}
	if len(f.oneOf) > 0 && !slices.Contains(f.oneOf, s) {
		text := fmt.Sprintf("`%s` must be %s, not %s", f.key, f.what(), quoted(s))
		if near := nearest(s, f.oneOf); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return text
	}
	if f.kind == kindIdentity {
		return badIdentity(f.key, s)
	}
	if f.check == nil {
		return ""
	}
	if err := f.check(s); err != nil {
		return fmt.Sprintf("`%s`: %v", f.key, err)
	}
	return ""
}

func badIdentity(key, s string) string {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err == nil && (n < 0 || n >= math.MaxUint32) || errors.Is(err, strconv.ErrRange):
		return fmt.Sprintf("`%s` must be a name or a number from 0 to %d, not %s", key, uint32(math.MaxUint32-1), quoted(strings.TrimPrefix(s, "+")))
	case strings.ContainsAny(s, ":/ \t\r\n"):
		return fmt.Sprintf("`%s` %s is no name of a user or group; give one name or number", key, quoted(s))
	}
	return ""
}

// outOfRange says that a number is not allowed for this key; "" when it is.
func (f *field) outOfRange(n int64) string {
	most := f.max
	if most == 0 {
		most = math.MaxInt32
	}
	switch {
	case n < f.min && f.min == 0:
		return fmt.Sprintf("`%s` must not be negative, but is %d", f.key, n)
	case n < f.min && (most == math.MaxInt32 || most == maxMillis):
		return fmt.Sprintf("`%s` must be at least %d, but is %d", f.key, f.min, n)
	case n > most && most == maxMillis:
		return fmt.Sprintf("`%s` must be at most %d (a hundred years in milliseconds), but is %d", f.key, most, n)
	case n < f.min || n > most:
		return fmt.Sprintf("`%s` must be from %d to %d, but is %d", f.key, f.min, most, n)
	}
	return ""
}

func (f *field) setNumber(p any, n int64) []complaint {
	bad := f.outOfRange(n)
	switch p.(type) {
	case *int:
		return put(p, int(n), bad)
	case *time.Duration:
		return put(p, time.Duration(n)*time.Millisecond, bad)
	}
	return put(p, n, bad)
}

func (f *field) setSignal(p any, s string) []complaint {
	n, err := parseSignal(s)
	if err != nil {
		return []complaint{{"", fmt.Sprintf("`%s`: %v", f.key, err)}}
	}
	return put(p, n, "")
}

func (f *field) setTexts(p *[]string, list []any) (bad []complaint) {
	*p, bad = elements(f, list, f.badText)
	if f.key == "caps" {
		for i, s := range *p {
			(*p)[i] = strings.TrimPrefix(strings.ToLower(s), "cap_")
		}
	}
	return bad
}

func (f *field) setNumbers(p *[]int, list []any) []complaint {
	numbers, bad := elements(f, list, f.outOfRange)
	*p = nil
	for _, n := range numbers {
		*p = append(*p, int(n))
	}
	return bad
}

// setEndings reads a list of exit codes and names of signals. A signal has no number here: that would be an exit code.
func (f *field) setEndings(p *[]ending, list []any) (bad []complaint) {
	*p = nil
	for i, v := range list {
		e, text := ending{}, ""
		switch v := v.(type) {
		case int64:
			e.Code, text = int(v), f.outOfRange(v)
		case string:
			n, err := parseSignal(v)
			if _, isNumber := strconv.Atoi(v); isNumber == nil {
				err = fmt.Errorf("%s is a string; write the exit code without quotes, or the name of a signal", quoted(v))
			}
			if e.Signal = n; err != nil {
				text = fmt.Sprintf("`%s`: %v", f.key, err)
			}
		default:
			text = fmt.Sprintf("`%s` must be %s, but element %d is %s", f.key, f.what(), i+1, typeName(v))
		}
		if text != "" {
			bad = append(bad, complaint{strconv.Itoa(i), text})
			continue
		}
		*p = append(*p, e)
	}
	return bad
}

func (f *field) setTable(p *map[string]string, table map[string]any) (bad []complaint) {
	*p = make(map[string]string, len(table))
	for _, key := range sortedKeys(table) {
		v := table[key]
		s, ok := v.(string)
		text := ""
		switch {
		case !ok:
			text = fmt.Sprintf("`%s`: the value of %s must be a string, not %s", f.key, quoted(key), typeName(v))
			if plain := tomlText(v); plain != "" {
				text += fmt.Sprintf("; write %s = %s", tomlKey(shorten(key)), tomlString(plain))
			}
		case key == "" || strings.ContainsAny(key, "=\x00"):
			text = fmt.Sprintf("`%s`: %s is no name of a variable; it must not be empty nor contain =", f.key, quoted(key))
		default:
			text = f.badText(s)
		}
		if text == "" {
			(*p)[key] = s
		} else {
			bad = append(bad, complaint{key, text})
		}
	}
	return bad
}

func (f *field) setLine(p *execDef, line string) []complaint {
	bad := f.badText(line)
	if _, _, err := splitExec(line); bad == "" && err != nil {
		bad = fmt.Sprintf("`%s`: %v", f.key, err)
	}
	return put(p, execDef{Line: line}, bad)
}

func (f *field) setArgv(p *execDef, list []any) []complaint {
	argv, bad := elements(f, list, f.badText)
	if len(bad) == 0 && (len(argv) == 0 || argv[0] == "") {
		bad = []complaint{{"", fmt.Sprintf("`%s` names no program: the list begins with it, as in [\"/usr/bin/app\", \"--port\", \"80\"]", f.key)}}
	}
	*p = execDef{Argv: argv}
	return bad
}

// setProbe only keeps what was written: which form is right depends on the type (see checkProbe).
func (f *field) setProbe(h *healthDef, s string) []complaint {
	bad := f.badText(s)
	if s == "" {
		bad = "`target` is empty; it says what to look at, as in \"localhost:8080\""
	}
	return put(&h.Target, s, bad)
}

func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64, json.Number:
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	}
	return "something else"
}

// stdinKind says what a service has as its stdin.
type stdinKind string

const (
	stdinFromNull stdinKind = "null"
	stdinFromPipe stdinKind = "pipe"
)

var stdinKinds = []string{string(stdinFromNull), string(stdinFromPipe)}

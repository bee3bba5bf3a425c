// flags.go is the one parser of flags: words and a table of flags go in, values come out. What a flag means is up to the table of its command.

package main

import (
	"strconv"
	"strings"
	"time"
)

// commandFlag is one flag of a command.
type commandFlag struct {
	name   string
	short  byte
	arg    string   // name of its value; "" for a switch
	values []string // the words that it can be, if there are few
	help   string   // %s stands for those
}

func (f *commandFlag) helpText() string { return strings.Replace(f.help, "%s", orList(f.values), 1) }

// spelling is the long form of a flag with the name of its value: "--since T".
func (f *commandFlag) spelling() string {
	s := "--" + f.name
	if f.arg != "" {
		s += " " + f.arg
	}
	return s
}

// usageError is a complaint about the command line with what to try instead.
type usageError struct {
	text, hint string
	unknown    bool // a flag that is none
}

func (e *usageError) Error() string { return e.text }

// flagValues are the values of the flags that were given, by name; a switch has an empty one.
type flagValues map[string][]string

func (v flagValues) has(flag string) bool { return len(v[flag]) > 0 }

func (v flagValues) list(flag string) []string { return v[flag] }

// flag is the value of a flag, the last one when it was given more than once; "" without it.
func (v flagValues) flag(flag string) string {
	if list := v[flag]; len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// flagNamed is the flag that a word is, or nil.
func flagNamed(word string, known []*commandFlag) *commandFlag {
	for _, f := range known {
		if word == "--"+f.name || f.short != 0 && word == "-"+string(rune(f.short)) {
			return f
		}
	}
	return nil
}

// parseFlag reads the flag that words begin with (--name, --name=value, --name value, -n, -n5, -n=5, or switches together: -cg) and returns how many words it took.
func (v *flagValues) parseFlag(words []string, known []*commandFlag) (int, error) {
	w := words[0]
	name, value, joined := strings.Cut(w, "=")
	more := "" // letters behind the first one
	if w[1] != '-' && len(name) > 2 {
		name, more, joined = w[:2], w[2:], true
		value = strings.TrimPrefix(more, "=")
	}
	f, used := flagNamed(name, known), 1
	switch {
	case f == nil:
		return 0, unknownFlag(name, known)
	case f.arg == "" && more != "":
		if flagNamed("-"+more[:1], known) == nil {
			return 0, unknownFlag(w, known)
		}
		n, err := v.parseFlag(append([]string{"-" + more}, words[1:]...), known)
		if err != nil {
			return 0, err
		}
		used = n
	case f.arg == "" && joined:
		return 0, &usageError{text: "flag " + w + " takes no value"}
	case f.arg != "" && !joined:
		if len(words) < 2 {
			return 0, &usageError{text: "flag " + w + " needs a value: " + f.arg}
		}
		value, used = words[1], 2
	}
	if *v == nil {
		*v = flagValues{}
	}
	(*v)[f.name] = append((*v)[f.name], value)
	return used, nil
}

func unknownFlag(name string, known []*commandFlag) error {
	var names []string
	for _, f := range known {
		names = append(names, "--"+f.name)
	}
	e := &usageError{text: "unknown flag `" + name + "`", unknown: true}
	if near := nearest(name, names); near != "" {
		e.hint = "did you mean `" + near + "`?"
	}
	return e
}

// parseMillis reads a count of milliseconds.
func parseMillis(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	return time.Duration(n) * time.Millisecond, err
}

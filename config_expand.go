// config_expand.go replaces ${NAME} and ${NAME:-default} in the texts of a file with `expand = true`; where the values come from is not known here.

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// reference is one ${NAME} or ${NAME:-default} of a text.
type reference struct {
	name, text string // text: as it is written
	def        string
	hasDefault bool
}

// readReference reads the reference that a text begins with: ${.
func readReference(text string) (reference, error) {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return reference{}, fmt.Errorf("%s is never closed; write ${NAME}, or $$ for a $", quoted(text))
	}
	r := reference{text: text[:end+1]}
	r.name, r.def, r.hasDefault = strings.Cut(text[2:end], ":-")
	if !isVariable(r.name) {
		return r, fmt.Errorf("%s is neither ${NAME} nor ${NAME:-default}; $$ is a $", quoted(r.text))
	}
	if strings.Contains(r.def, "${") {
		return r, fmt.Errorf("the default in %s may have no ${ in it", quoted(r.text))
	}
	return r, nil
}

// expand replaces the references in a text by what lookup knows, and $$ by $; any other $ is itself. A default counts for what is unset or empty. What was put in
// is not looked at again. A reference without a value or default is an error that names it.
func expand(text string, lookup func(name string) (value string, ok bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		switch {
		case !found:
			return out.String(), nil
		case strings.HasPrefix(rest, "$"):
			out.WriteByte('$')
			text = rest[1:]
			continue
		case !strings.HasPrefix(rest, "{"):
			out.WriteByte('$')
			text = rest
			continue
		}
		r, err := readReference("$" + rest)
		if err != nil {
			return "", err
		}
		value, ok := lookup(r.name)
		switch {
		case r.hasDefault && value == "":
			value = r.def
		case !ok:
			return "", fmt.Errorf("${%s} is not set; set it in env or env_file, or give a default as in ${%s:-value}", r.name, r.name)
		}
		out.WriteString(value)
		text = rest[len(r.text)-1:]
	}
}

// checkExpand says what makes the references of a text unusable, whatever the values are.
func checkExpand(text string) error {
	_, err := expand(text, func(string) (string, bool) { return "", true })
	return err
}

// isExpanded says whether a text has something that expand replaces.
func (c *config) isExpanded(text string) bool {
	return c.Service.Expand && (strings.Contains(text, "${") || strings.Contains(text, "$$"))
}

// words are the words of a command before they are expanded. A reference is (a part of) one word, also with spaces in its default, and needs no shell; quotes do not
// protect it. A line that needs a shell for another reason is left to it, references and all.
func (e execDef) words(expanded bool) (argv []string, needsShell bool, err error) {
	if !expanded || e.Line == "" {
		return e.split()
	}
	const mark = "\x00" // no text of a file has one
	var masked strings.Builder
	var hidden []string
	for text := e.Line; text != ""; {
		before, rest, found := strings.Cut(text, "$")
		masked.WriteString(before)
		if !found {
			break
		}
		whole := "$"
		if strings.HasPrefix(rest, "$") {
			whole = "$$"
		} else if r, err := readReference("$" + rest); strings.HasPrefix(rest, "{") && err == nil {
			whole = r.text
		}
		if whole == "$" {
			masked.WriteString(whole)
		} else {
			masked.WriteString(mark)
			hidden = append(hidden, whole)
		}
		text = rest[len(whole)-1:]
	}
	argv, needsShell, err = splitExec(masked.String())
	if _, _, plain := splitExec(e.Line); err != nil && plain != nil {
		err = plain // with the place in the line as it is written
	}
	for i, word := range argv {
		for strings.Contains(word, mark) {
			word = strings.Replace(word, mark, hidden[0], 1)
			hidden = hidden[1:]
		}
		argv[i] = word
	}
	return argv, needsShell, err
}

// checkReferences finds what no environment can make right in the texts that are expanded.
func (r *reader) checkReferences() {
	c := r.c
	check := func(text string, at ...string) {
		if err := checkExpand(text); err != nil {
			r.fail(true, at, "`%s`: %v", at[1], err)
		}
	}
	command := func(e execDef, at ...string) {
		argv, needsShell, err := e.words(true)
		if err != nil {
			r.fail(true, at, "`%s`: %v", at[1], err)
		}
		for i, word := range argv {
			switch {
			case needsShell:
			case e.Line != "":
				check(word, at...)
			default:
				check(word, append(at[:2:2], strconv.Itoa(i))...)
			}
		}
	}
	command(c.Service.Exec, "service", "exec")
	command(c.Lifecycle.StopExec, "lifecycle", "stop_exec")
	check(c.Service.Dir, "service", "dir")
	check(c.Logging.File, "logging", "file")
	for name, value := range c.Service.Env {
		check(value, "service", "env", name)
	}
	if h := c.Health; h != nil {
		command(h.Exec, "health", "target")
		check(h.Target, "health", "target")
	}
}

// config_read.go makes a config of the text of a file, or of CONFIG from RPC, with every complaint at its place; it opens no file.

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// reader collects what is found while a configuration is read.
type reader struct {
	c           *config
	path        string
	text        string           // empty for JSON
	places      map[string]place // by path of keys; nil for JSON
	errs, warns []problem
}

// problemAt makes a complaint about a byte of the text.
func (r *reader) problemAt(offset int, message string) problem {
	offset = min(max(offset, 0), len(r.text))
	before := r.text[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return problem{r.path, 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:]), message}
}

// about returns a problem at a key (or its value) or, if the text does not have it, at the nearest enclosing table.
func (r *reader) about(value bool, message string, parts ...string) problem {
	if r.places == nil {
		return problem{Path: r.path, Message: message}
	}
	for n := len(parts); n > 0; n-- {
		at, ok := r.places[pathKey(parts[:n]...)]
		if ok && value && n == len(parts) {
			return r.problemAt(at.value, message)
		}
		if ok {
			return r.problemAt(at.key, message)
		}
	}
	return r.problemAt(0, message)
}

func (r *reader) fail(value bool, parts []string, format string, args ...any) {
	r.errs = append(r.errs, r.about(value, fmt.Sprintf(format, args...), parts...))
}

func (r *reader) warn(parts []string, format string, args ...any) {
	r.warns = append(r.warns, r.about(false, fmt.Sprintf(format, args...), parts...))
}

// listing is a complaint about a name in the dependencies of c, at its place there as long as c has the text of its file.
func (c *config) listing(name, text string) problem {
	r := readTOML([]byte(c.source), c.path, c.Service.Name)
	d := &c.Dependencies
	for i, names := range [][]string{d.Requires, d.After, d.Wants, d.Conflicts, d.Binds} {
		if at := slices.Index(names, name); at >= 0 {
			return r.about(true, text, "dependencies", keysOf("dependencies")[i], strconv.Itoa(at))
		}
	}
	return r.problemAt(0, text)
}

// parseTOML reads the text of a file. All its errors are reported at once, and then the config is nil; warnings alone do not hinder it.
// defaultName is the name if the file gives none.
func parseTOML(data []byte, path, defaultName string) (*config, []problem, []problem) {
	return readTOML(data, path, defaultName).result()
}

func (r *reader) result() (*config, []problem, []problem) {
	order := func(list []problem) []problem {
		sort.SliceStable(list, func(i, j int) bool {
			a, b := &list[i], &list[j]
			return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
		})
		if len(list) > maxProblems {
			more := len(list) - maxProblems
			list = append(list[:maxProblems:maxProblems], problem{r.path, list[maxProblems].Line, list[maxProblems].Column, fmt.Sprintf("and %d more of this kind", more)})
		}
		return list
	}
	if len(r.errs) > 0 {
		return nil, order(r.errs), order(r.warns)
	}
	return r.c, nil, order(r.warns)
}

func readTOML(data []byte, path, defaultName string) *reader {
	r := &reader{c: newConfig(), path: path, text: strings.TrimPrefix(string(data), "\ufeff"), places: map[string]place{}}
	s := scanner{text: r.text, places: r.places}
	s.file()
	text := r.text
	if s.tooMuch != "" {
		text = text[:s.at]
	}
	tree, bad := decodeTOML(text)
	if s.tooMuch != "" && (bad == nil || bad.Position.Line == 0 || bad.Position.Line > strings.Count(text, "\n")) {
		r.errs = append(r.errs, r.problemAt(s.at, s.tooMuch))
		return r
	}
	if bad != nil {
		r.errs = append(r.errs, r.problemAt(bad.Position.Start, syntaxMessage(bad.Message)))
		return r
	}
	if strings.Contains(defaultName, templateMark) {
		fillIn(tree, instanceOf(defaultName, tree))
	}
	r.document(tree, defaultName)
	return r
}

// decodeTOML decodes a text. If the library panics, that is returned as an error of the file.
func decodeTOML(text string) (tree map[string]any, bad *toml.ParseError) {
	defer func() {
		if p := recover(); p != nil {
			tree, bad = nil, &toml.ParseError{Message: fmt.Sprint(p)}
		}
	}()
	var whole any // as it was read; into a map it would be copied
	_, err := toml.Decode(text, &whole)
	if pe, is := err.(toml.ParseError); is {
		return nil, &pe
	}
	if err != nil {
		return nil, &toml.ParseError{Message: err.Error()}
	}
	return plainValue(whole).(map[string]any), nil
}

// syntaxMessage makes the library's complaint one of ours, with what to try where that is clear.
func syntaxMessage(s string) string {
	s = visible(s)
	first, size := utf8.DecodeRuneInString(s)
	if strings.HasPrefix(s, "Key '") {
		first = unicode.ToLower(first)
	}
	s = string(first) + s[size:]
	switch {
	case strings.HasPrefix(s, "expected value but found"):
		s += "; strings stand in quotes, as in key = \"value\""
	case strings.HasPrefix(s, "strings cannot contain newlines"):
		s += "; is the closing quote missing?"
	case strings.HasPrefix(s, "invalid escape"):
		s += "; write \\\\ for a backslash, or use 'single quotes'"
	}
	return s
}

// parseJSON reads CONFIG as it comes over RPC: the same keys and checks as a file. Its problems have no path and no line.
// What only the graph forbids (a dependency on itself and the like) is left to checkGraph.
func parseJSON(data []byte) (*config, []problem, []problem) {
	r := &reader{c: newConfig()}
	var tree any
	twice, err := checkText(data)
	if err == nil {
		err = decodeJSON(data, &tree)
	}
	if err == nil && twice != nil {
		err = fmt.Errorf("not clear: %s is given twice", strings.Join(twice, "."))
	}
	if err != nil {
		r.fail(false, nil, "the config is %v", err)
		return r.result()
	}
	table, ok := plainValue(tree).(map[string]any)
	if !ok {
		r.fail(false, nil, `the config must be an object of sections, as in {"service": {"name": "app", "exec": "/usr/bin/app"}}, not %s`, typeName(tree))
		return r.result()
	}
	r.document(table, "")
	return r.result()
}

// plainValue brings what TOML and JSON decode to into one form: string, bool, int64, float64, []any, map[string]any without nulls.
func plainValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(string(v), 64)
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
		return f
	case []map[string]any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case []any: // it may be a default, which all share
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			v[k] = plainValue(e)
		}
	}
	return v
}

// document reads the decoded file: sections, then what they say together.
func (r *reader) document(tree map[string]any, defaultName string) {
	if !r.findKind(tree) {
		return
	}
	kind := r.c.Kind
	for _, name := range sortedKeys(tree) {
		table, ok := tree[name].(map[string]any)
		switch {
		case !slices.Contains(allSections, name):
			r.unknownSection(name, tree[name])
		case !ok:
			r.fail(true, []string{name}, "`%s` must be a section, not %s; write [%s] on a line of its own", name, typeName(tree[name]), name)
		case sectionsOf(unitKind(name)) != nil && name != string(kind):
			r.fail(false, []string{name}, "a file describes one thing: [%s] and [%s] cannot stand together; put them into two files", kind, name)
		case !slices.Contains(sectionsOf(kind), name):
			r.fail(false, []string{name}, "[%s] has no meaning for a [%s], which has no process; its sections are %s", name, kind, bracketList(sectionsOf(kind)))
		default:
			r.section(name, table)
		}
	}
	if table, ok := tree[string(kind)].(map[string]any); ok {
		r.name(kind, table, defaultName)
		r.checkTogether(tree)
	}
}

// findKind finds out what the file describes; false when it describes nothing.
func (r *reader) findKind(tree map[string]any) bool {
	for _, k := range []unitKind{unitService, unitTarget, unitXinet} {
		if _, ok := tree[string(k)]; ok {
			r.c.Kind = k
			return true
		}
	}
	const want = "a file needs [service] (a program), [target] (a milestone) or [xinet] (a proxy)"
	if len(tree) == 0 {
		r.fail(false, nil, "the configuration is empty; %s, and beside [service] there may be %s", want, bracketList(sectionsOf(unitService)[1:]))
		return false
	}
	for _, name := range sortedKeys(tree) {
		if !slices.Contains(allSections, name) {
			r.unknownSection(name, tree[name])
		}
	}
	if len(r.errs) == 0 {
		r.fail(false, []string{sortedKeys(tree)[0]}, "nothing says what this is: %s", want)
	}
	return false
}

func (r *reader) unknownSection(name string, v any) {
	if _, isTable := v.(map[string]any); !isTable {
		for _, section := range append([]string{string(r.c.Kind)}, allSections...) {
			if fieldOf(section, name) != nil {
				r.fail(false, []string{name}, "`%s` stands outside a section; it belongs below [%s]", name, section)
				return
			}
		}
		if ours := inZinit(name); ours != "" {
			r.fail(false, []string{name}, "`%s` stands outside a section; %s", visible(name), ours)
		} else {
			r.fail(false, []string{name}, "`%s` stands outside a section, and no section has such a key; the sections are %s", visible(shorten(name)), bracketList(sectionsOf(r.c.Kind)))
		}
		return
	}
	text := fmt.Sprintf("unknown section [%s]", visible(shorten(name)))
	if near := nearest(name, allSections); near != "" {
		text += fmt.Sprintf("; did you mean [%s]?", near)
	} else {
		text += "; there are " + bracketList(allSections)
	}
	r.fail(false, []string{name}, "%s", text)
}

// section reads the keys of one section.
func (r *reader) section(name string, table map[string]any) {
	r.c.open(name)
	excused := map[string]bool{} // keys that were probably meant by a misspelt one
	for _, key := range sortedKeys(table) {
		f := fieldOf(name, key)
		if f == nil {
			excused[r.unknownKey(name, key)] = true
			continue
		}
		for _, bad := range f.set(r.c, table[key]) {
			parts := []string{name, key}
			if bad.sub != "" {
				parts = append(parts, bad.sub)
			}
			r.fail(true, parts, "%s", bad.text)
		}
	}
	for _, f := range fieldsOf(name) {
		if _, ok := table[f.key]; !ok && f.must && !excused[f.key] {
			r.fail(false, []string{name}, "[%s] lacks the key `%s`: %s (%s)", name, f.key, f.doc, f.what())
		}
	}
}

// unknownKey complains about a key and returns the key of this section that was probably meant, or "".
func (r *reader) unknownKey(section, key string) string {
	at := []string{section, key}
	mine := keysOf(section)
	for _, other := range sectionsOf(r.c.Kind) {
		if fieldOf(other, key) != nil {
			r.fail(false, at, "unknown key `%s` in [%s]; it belongs in [%s]", visible(key), section, other)
			return ""
		}
	}
	if ours := inZinit(key); ours != "" && r.c.Kind == unitService {
		r.fail(false, at, "unknown key `%s`; %s", visible(key), ours)
		return foreignWord(key).key
	}
	if near := nearest(key, mine); near != "" {
		r.fail(false, at, "unknown key `%s`; did you mean `%s`?", visible(key), near)
		return near
	}
	for _, other := range sectionsOf(r.c.Kind) {
		if near := nearest(key, keysOf(other)); near != "" {
			r.fail(false, at, "unknown key `%s`; did you mean `%s`? It belongs in [%s]", visible(key), near, other)
			return ""
		}
	}
	r.fail(false, at, "unknown key `%s` in [%s]; there are %s", visible(shorten(key)), section, strings.Join(mine, ", "))
	return ""
}

// name sets the name of the unit: from the key or, without one, from the name of the file.
func (r *reader) name(kind unitKind, table map[string]any, defaultName string) {
	name := &r.c.Service.Name
	if kind == unitXinet {
		name = &r.c.Xinet.Name
	}
	_, given := table["name"]
	_, _, instance := splitInstance(defaultName)
	switch {
	case isTemplate(defaultName), instance && (!given || *name == defaultName):
		r.templateName(name, given, defaultName)
	case given && strings.Contains(*name, templateMark):
		r.fail(true, []string{string(kind), "name"}, "%s is the name of an instance; the file of its template is called NAME@.toml, and `instances` in it lists them", quoted(*name))
	case given:
	case defaultName == "":
		r.fail(false, []string{string(kind)}, "[%s] lacks the key `name`: what it is called", kind)
	case validName(defaultName) != nil:
		r.fail(false, []string{string(kind)}, "the file's name cannot be the name of the %s: %v; rename the file or set `name`", kind, validName(defaultName))
	default:
		*name = defaultName
	}
	if len(r.c.Service.Instances) > 0 && !isTemplate(defaultName) {
		r.fail(true, []string{"service", "instances"}, "only a template has instances; call its file NAME@.toml, and leave `name` out")
	}
	r.c.Service.Name = *name
}

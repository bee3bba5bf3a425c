// docs_generate_test.go writes the tables of README.md and docs/ that the code knows: keys, commands, methods, results, errors, exit codes, files.

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What stands between <!-- generated: NAME WORD --> and <!-- end --> is made by the function of that name.
var docGenerators = map[string]func(t *testing.T, word string) string{
	"keys": keyTable, "commands": commandTableOf, "command": commandTexts, "exit-codes": exitCodeTable, "methods": methodTexts, "method-table": methodTable,
	"types": typeTexts, "error-data": errorDataTable, "errors": errorTable, "reasons": reasonTable, "files": fileTable, "tests": testFileTable, "budget": budgetTable,
}

// TestDocs compares the generated parts of all pages, and the clients in other languages, with the code. With -update it writes them.
func TestDocs(t *testing.T) {
	region := regexp.MustCompile(`(?s)<!-- generated: ([a-z-]+) ?([a-z-]*) -->\n.*?<!-- end -->`)
	for path, page := range docPages(t) {
		made := region.ReplaceAllStringFunc(page, func(old string) string {
			m := region.FindStringSubmatch(old)
			generate := docGenerators[m[1]]
			if generate == nil {
				t.Fatalf("%s: nothing generates %s", path, m[1])
			}
			head, _, _ := strings.Cut(old, "\n")
			return head + "\n\n" + strings.TrimSpace(generate(t, m[2])) + "\n\n<!-- end -->"
		})
		switch {
		case made == page:
		case *update:
			if err := os.WriteFile(path, []byte(made), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s differs from the code: run go test -run TestDocs -update, and look at the diff", path)
		}
	}
	t.Run("clients", compareClients)
}

// TestDocsLength: the README stays short enough to be read.
func TestDocsLength(t *testing.T) {
	if n := strings.Count(docPages(t)["README.md"], "\n"); n > 250 {
		t.Errorf("the README has %d lines, more than 250", n)
	}
}

// table is a table of Markdown.
func table(head string, rows [][]string) string {
	var b strings.Builder
	b.WriteString(head + "\n|" + strings.Repeat("---|", strings.Count(head, "|")-1) + "\n")
	for _, cells := range rows {
		b.WriteString("|")
		for _, cell := range cells {
			b.WriteString(" " + strings.ReplaceAll(strings.ReplaceAll(cell, "|", `\|`), "\n", " ") + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

// keyTable has the keys of a section.
func keyTable(t *testing.T, section string) string {
	var rows [][]string
	for _, f := range fields {
		if f.section != section {
			continue
		}
		def := ""
		if f.def != nil {
			def = code(tomlText(f.value(blank())))
		}
		switch {
		case f.must:
			def = "required"
		case f.kind == kindTexts || (f.kind == kindNumbers || f.kind == kindEndings) && f.def == nil:
			def = "`[]`"
		}
		rows = append(rows, []string{code(f.key), f.takes(), def, f.doc})
	}
	if len(rows) == 0 {
		t.Fatalf("no section %s", section)
	}
	return table("| key | value | default | |", rows)
}

// takes is what the key can be, in few words.
func (f *field) takes() string {
	if len(f.oneOf) > 0 {
		return "`" + strings.Join(f.oneOf, "`, `") + "`"
	}
	s := strings.NewReplacer("an integer (", "", ")", "", "an integer", "number", "a list of ", "", "a table of", "table of", "a string", "string", "a list", "list", "a name", "name",
		"a number", "number", "the name", "name", "the number", "number").Replace(f.what())
	if f.kind == kindTexts || f.kind == kindNumbers || f.kind == kindEndings {
		s = "list of " + s
	}
	ranged := f.kind == kindNumber || f.kind == kindNumbers
	switch {
	case ranged && f.max > 0 && f.max < 1<<32:
		s += fmt.Sprintf(", %d to %d", f.min, f.max)
	case ranged && f.min > 0:
		s += fmt.Sprintf(", at least %d", f.min)
	}
	return s
}

// commandTableOf has a line for each command.
func commandTableOf(*testing.T, string) string {
	var rows [][]string
	group := ""
	for _, cmd := range commands {
		if cmd.group == "" {
			continue
		}
		if cmd.group != group {
			group = cmd.group
			rows = append(rows, []string{"**" + group + "**", ""})
		}
		rows = append(rows, []string{"[`" + cmd.name + "`](#" + cmd.name + ")", cmd.help})
	}
	return table("| command | |", rows)
}

// commandTexts is what `zinit help COMMAND` prints, for each.
func commandTexts(*testing.T, string) string {
	var b strings.Builder
	for _, cmd := range commands {
		if cmd.group == "" {
			continue
		}
		var help bytes.Buffer
		c := &cli{out: bufio.NewWriter(&help)}
		c.commandHelp(cmd)
		c.out.Flush()
		text, _, _ := strings.Cut(help.String(), "\nWith every command:")
		fmt.Fprintf(&b, "### %s\n\n```text\n%s\n```\n\n", cmd.name, strings.TrimSpace(text))
	}
	return b.String()
}

// sources are the files of the program, parsed with their comments.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	var files []*ast.File
	paths, _ := filepath.Glob("*.go")
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// comment is what stands beside something, or above it.
func comment(beside, above *ast.CommentGroup) string {
	if text := strings.TrimSpace(beside.Text()); text != "" {
		return text
	}
	return strings.TrimSpace(above.Text())
}

// exitCodeTable has the constants whose names begin with exit, and their comments.
func exitCodeTable(t *testing.T, _ string) string {
	var rows [][]string
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.ValueSpec)
			if !is || !strings.HasPrefix(spec.Names[0].Name, "exit") || len(spec.Values) != 1 {
				return true
			}
			if value, is := spec.Values[0].(*ast.BasicLit); is && value.Kind == token.INT {
				text := comment(spec.Comment, spec.Doc)
				if spec.Names[0].Name == "exitDone" && text == "" {
					text = "done"
				}
				rows = append(rows, []string{value.Value, text})
			}
			return true
		})
	}
	slices.SortFunc(rows, func(a, b []string) int {
		return cmp.Or(cmp.Compare(len(a[0]), len(b[0])), strings.Compare(a[0], b[0]))
	})
	return table("| code | |", rows)
}

// members are the comments of the members of all structs, by type and name.
func members(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, is := n.(*ast.TypeSpec)
			if !is {
				return true
			}
			if s, is := spec.Type.(*ast.StructType); is {
				for _, f := range s.Fields.List {
					for _, name := range f.Names {
						all[spec.Name.Name+"."+name.Name] = comment(f.Comment, f.Doc)
					}
				}
			}
			return true
		})
	}
	return all
}

// method is a row of the table of methods, with its parameters.
func methodsByName() []rpcMethod {
	list := slices.Clone(rpcMethods)
	for i := range list {
		list[i].takes = nil
		list[i].resolve()
	}
	return list
}

// methodTable has a line for each method.
func methodTable(*testing.T, string) string {
	var rows [][]string
	for _, m := range methodsByName() {
		read := ""
		if readsOnly(m.name) {
			read = "R"
		}
		rows = append(rows, []string{"[`" + m.name + "`](#" + anchorOf(m.name) + ")", read, m.doc})
	}
	return table("| method | | |", rows)
}

func anchorOf(name string) string { return strings.ReplaceAll(name, ".", "") }

// methodTexts has a part for each method: parameters, result, errors.
func methodTexts(*testing.T, string) string {
	var b strings.Builder
	for _, m := range methodsByName() {
		doc := strings.ToUpper(m.doc[:1]) + m.doc[1:]
		if strings.HasPrefix(m.doc, "`") {
			doc = m.doc
		}
		fmt.Fprintf(&b, "### %s\n\n%s.", m.name, doc)
		if readsOnly(m.name) {
			b.WriteString(" *Reading.*")
		}
		if m.waits {
			b.WriteString(" May wait; requests after it do not.")
		}
		b.WriteString("\n\n")
		var rows [][]string
		for _, p := range m.takes {
			rows = append(rows, []string{code(p.name), p.takesWords(), p.defaultWords(), p.doc})
		}
		if len(rows) > 0 {
			b.WriteString(table("| parameter | | default | |", rows) + "\n")
		}
		fmt.Fprintf(&b, "Result: %s", resultOf(m.result))
		if len(m.errors) > 0 {
			var words []string
			for _, k := range errorKinds {
				if slices.Contains(m.errors, k.kind) {
					words = append(words, code(string(k.kind)))
				}
			}
			b.WriteString(" Errors: " + strings.Join(words, ", ") + ".")
		}
		b.WriteString("\n\n")
	}
	return b.String()
}

func (p *rpcParam) takesWords() string {
	switch {
	case len(p.among) > 0:
		return "`" + strings.Join(p.among, "`, `") + "`"
	case p.kind == "config":
		return "object"
	case p.kind == "signal":
		return "string or integer"
	case p.kind == "strings":
		return "list of strings"
	}
	return p.kind
}

func (p *rpcParam) defaultWords() string {
	switch {
	case p.required:
		return "required"
	case p.preset != nil:
		return code(string(mustJSON(p.preset)))
	}
	return ""
}

func resultOf(v any) string {
	if either, is := v.(eitherOf); is {
		var words []string
		for _, one := range either {
			words = append(words, typeWords(reflect.TypeOf(one)))
		}
		return strings.Join(words, " or ") + "."
	}
	return typeWords(reflect.TypeOf(v)) + "."
}

// typeWords is a type as JSON has it, with a link where it has a name.
func typeWords(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[configValue]():
		return "an object with the sections and keys of a [service file](service-files.md)"
	case t == reflect.TypeFor[okResult]():
		return "`{\"ok\": true}`"
	case t == reflect.TypeFor[wireReason]():
		return "[Reason](#reason)"
	case t == reflect.TypeFor[state]():
		return "[state](states.md#states)"
	case wordsOf(t) != nil:
		return "`" + strings.Join(wordsOf(t), "`, `") + "`"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWords(t.Elem()) + " or null"
	case reflect.Slice:
		return "list of " + typeWords(t.Elem())
	case reflect.Struct:
		name := wireName(t)
		return "[" + name + "](#" + strings.ToLower(name) + ")"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Map:
		return "object"
	}
	return "string"
}

// typeTexts has the members of every named type of results and notifications.
func typeTexts(t *testing.T, _ string) string {
	var types []reflect.Type
	var take func(reflect.Type)
	take = func(r reflect.Type) {
		switch r.Kind() {
		case reflect.Pointer, reflect.Slice:
			take(r.Elem())
		case reflect.Struct:
			if slices.Contains(types, r) || r == reflect.TypeFor[okResult]() || r == reflect.TypeFor[wireReason]() {
				return
			}
			if r.Name() != "partial" && r.Name() != "followedLine" {
				types = append(types, r)
			}
			for i := range r.NumField() {
				if f := r.Field(i); f.Tag.Get("json") != "" || f.Anonymous {
					take(f.Type)
				}
			}
		}
	}
	for _, m := range rpcMethods {
		if either, is := m.result.(eitherOf); is {
			for _, one := range either {
				take(reflect.TypeOf(one))
			}
			continue
		}
		take(reflect.TypeOf(m.result))
	}
	for _, n := range rpcNotes {
		take(reflect.TypeOf(n.params))
	}
	slices.SortFunc(types, func(a, b reflect.Type) int {
		return strings.Compare(strings.ToLower(a.Name()), strings.ToLower(b.Name()))
	})
	comments := members(t)
	var b strings.Builder
	for _, r := range types {
		fmt.Fprintf(&b, "### %s\n\n%s\n", wireName(r), table("| member | | |", memberRows(r, comments)))
	}
	return b.String()
}

func memberRows(r reflect.Type, comments map[string]string) (rows [][]string) {
	for i := range r.NumField() {
		f := r.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			rows = append(rows, memberRows(f.Type, comments)...)
		case name != "":
			kind := typeWords(f.Type)
			if option == "omitempty" {
				kind += "; may be absent"
			}
			rows = append(rows, []string{code(name), kind, comments[r.Name()+"."+f.Name]})
		}
	}
	return rows
}

// reasonTable has the types of reasons and their members.
func reasonTable(t *testing.T, _ string) string {
	var rows [][]string
	for _, r := range reasonRows {
		rows = append(rows, []string{code(string(r.kind)), code(strings.Join(r.members, "`, `"))})
	}
	return table("| `type` | other members |", rows)
}

// errorTable has the codes and kinds of errors.
func errorTable(*testing.T, string) string {
	var rows [][]string
	for _, k := range errorKinds {
		rows = append(rows, []string{strconv.Itoa(k.code), code(string(k.kind)), k.doc})
	}
	return table("| `code` | `data.kind` | |", rows)
}

// errorDataTable has what else programs find in an error.
func errorDataTable(t *testing.T, _ string) string {
	return table("| member of `data` | | |", memberRows(reflect.TypeFor[errorData](), members(t)))
}

// firstSentence is what a file says about itself.
func firstSentence(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimPrefix(strings.TrimPrefix(line, "//"), " ")
	return strings.TrimPrefix(line, path+" ")
}

// fileTable is the map of the files: each with its sentence. With the word "rooms", only the first file of each room.
func fileTable(t *testing.T, word string) string {
	var rows [][]string
	paths, _ := filepath.Glob("*.go")
	first := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		room, _, part := strings.Cut(strings.TrimSuffix(path, ".go"), "_")
		if first[room] == "" || !part || path == room+"_linux.go" {
			first[room] = path
		}
		rows = append(rows, []string{code(path), firstSentence(t, path)})
	}
	if word == "rooms" {
		rows = nil
		for _, room := range slices.Sorted(maps.Keys(first)) {
			rows = append(rows, []string{code(first[room]), firstSentence(t, first[room])})
		}
	}
	return table("| file | |", rows)
}

// testFileTable is the same for the tests.
func testFileTable(t *testing.T, _ string) string {
	var rows [][]string
	paths, _ := filepath.Glob("*_test.go")
	for _, path := range paths {
		rows = append(rows, []string{code(path), firstSentence(t, path)})
	}
	return table("| file | |", rows)
}

// budgetTable has what the program may cost.
func budgetTable(*testing.T, string) string {
	var rows [][]string
	for _, group := range budget {
		for _, r := range group.rows {
			sign := "≤ "
			if r.floor {
				sign = "≥ "
			}
			rows = append(rows, []string{r.name, fmt.Sprintf("%s%g %s", sign, r.must, r.unit), fmt.Sprintf("%g", r.aim)})
		}
	}
	return table("| row | must | aim |", rows)
}

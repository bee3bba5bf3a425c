// docs_test.go holds README.md and docs/ against the code and the tree: links, lengths, and the table of failure modes; what is run of them is in docs_console_test.go.

//go:build linux

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// docPages are the README, every page below docs/, and those of the clients, by path.
func docPages(t *testing.T) map[string]string {
	t.Helper()
	paths, _ := filepath.Glob("docs/*.md")
	clients, _ := filepath.Glob("clients/*/README.md")
	pages := map[string]string{}
	for _, path := range slices.Concat(paths, clients, []string{"README.md"}) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[path] = string(text)
	}
	return pages
}

// prose is a page without its code blocks and code spans.
func prose(page string) string {
	page = regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllStringFunc(page, func(code string) string { return strings.NewReplacer("[", " ", "]", " ").Replace(code) })
}

// anchors are the names by which the headings of a page can be reached.
func anchors(page string) map[string]bool {
	names := map[string]bool{}
	text := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		names[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, heading[1])] = true
	}
	return names
}

// TestDocsLinks: every link leads to a file of the tree, and to a heading of it where it names one; every page is reached from the README.
func TestDocsLinks(t *testing.T) {
	pages := docPages(t)
	reached := map[string]bool{"README.md": true}
	for path, page := range pages {
		for _, link := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(prose(page), -1) {
			if strings.HasPrefix(link[1], "https://") {
				continue
			}
			file, anchor, named := strings.Cut(link[1], "#")
			target := filepath.Join(filepath.Dir(path), file)
			if file == "" {
				target = path
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s: %v", path, link[1], err)
			}
			if named && !anchors(pages[target])[anchor] {
				t.Errorf("%s: the link to %s: no such heading", path, link[1])
			}
			if path == "README.md" {
				reached[target] = true
			}
		}
	}
	for path := range pages {
		if !reached[path] {
			t.Errorf("no link in the README leads to %s", path)
		}
	}
}

// TestDocsMachine: docs/machine.md has every step of the boot, in order, and every word of the kernel command line.
func TestDocsMachine(t *testing.T) {
	page := docPages(t)["docs/machine.md"]
	_, steps, _ := strings.Cut(page, "| step |")
	for _, stage := range bootTable {
		_, rest, found := strings.Cut(steps, "\n| "+stage.name)
		if !found {
			_, rest, found = strings.Cut(steps, "\n| `"+stage.name+"`")
		}
		if !found {
			t.Errorf("the step %q is missing, or not in its place", stage.name)
			continue
		}
		steps = rest
	}
	source, err := os.ReadFile("init_cmdline.go")
	if err != nil {
		t.Fatal(err)
	}
	_, words, _ := strings.Cut(page, "## Kernel command line")
	found := regexp.MustCompile(`"(zinit\.[a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(found) < 6 {
		t.Errorf("%d words in the source: they stand elsewhere now", len(found))
	}
	for _, word := range found {
		if !regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(word[1]) + "[`=]").MatchString(words) {
			t.Errorf("the word %s is missing", word[1])
		}
	}
}

// TestFailureModes: the table in docs/failure-modes.md has rows 1 to 90, every test and trace that a row names exists, and every test that is
// named after rows stands in them.
func TestFailureModes(t *testing.T) {
	rows := map[int]string{}
	for line := range strings.Lines(docPages(t)["docs/failure-modes.md"]) {
		cells := strings.Split(line, "|")
		if n, err := strconv.Atoi(strings.TrimSpace(cells[min(1, len(cells)-1)])); err == nil {
			rows[n] = line
			if len(cells) != 6 || strings.TrimSpace(cells[3]) == "" && strings.TrimSpace(cells[4]) == "" {
				t.Errorf("row %d has neither a test nor a reason: %s", n, line)
			}
		}
	}
	tests := testNames(t)
	for n := 1; n <= 90; n++ {
		if rows[n] == "" {
			t.Errorf("there is no row %d", n)
		}
		for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(rows[n], -1) {
			if !tests[name[1]] {
				t.Errorf("row %d names %s, which does not exist", n, name[1])
			}
		}
		for _, name := range regexp.MustCompile("`([0-9]{2}[a-z0-9-]*)`").FindAllStringSubmatch(rows[n], -1) {
			if found, _ := filepath.Glob("testdata/traces/" + name[1] + "*.txt"); len(found) != 1 {
				t.Errorf("row %d names the trace %s, which does not exist", n, name[1])
			}
		}
	}
	for name := range tests {
		numbers, is := strings.CutPrefix(name, "TestRow")
		for _, word := range strings.Split(numbers, "_") {
			n, err := strconv.Atoi(word)
			if !is || err != nil {
				break
			}
			if !strings.Contains(rows[n], "`"+name+"`") {
				t.Errorf("%s does not stand in row %d", name, n)
			}
		}
	}
}

// testNames are the names of all tests.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	paths, _ := filepath.Glob("*_test.go")
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, is := decl.(*ast.FuncDecl); is && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

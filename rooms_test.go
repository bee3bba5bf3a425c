// rooms_test.go guards the house: which file may use which, in one package where the compiler guards nothing. Its table is the picture of the architecture.

package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms is the picture of the house: which rooms each may use. Calls go down only, and along the wire: main to client and server, client to rpc over the
// socket, rpc to the supervisor through its doors, the supervisor to the graph and to those that do its work.
var rooms = map[string]string{
	"main":       "client tui init rpc supervisor graph logs wire config",
	"client":     "main wire config health term",
	"tui":        "main client wire term",
	"init":       "link logs",
	"rpc":        "supervisor graph wire logs proc config xinet link",
	"supervisor": "graph wire proc logs health xinet config link",
	"graph":      "wire config link",
	"proc":       "wire config",
	"health":     "config",
	"logs":       "wire config",
	"xinet":      "wire config logs",
	"wire":       "config",
	"config":     "",
}

// leaves know nothing of services: every room may use them, and they use each other.
var leaves = []string{"text", "signal", "flags", "program", "term", "link", "sys"}

// beyond lists the single names that a room uses against the picture, "from to: names". It is short and stays so.
var beyond = map[string]string{
	"link logs": "logf",
}

// doors are what the requests of clients may use of the supervisor itself: all that changes goes through submit and ask, all that looks through view.
var doors = "submit post settle ask view info begun opts degraded cgroups reloadAll instantiate prepareRestart upgrade mode logs events putProxy deleteProxy proxyStatus proxyConfig proxyNames shutdownLater cancelShutdown plannedAt"

// bare gives every import an empty package: what the standard library is does not matter here, and the check takes no time.
type bare map[string]*types.Package

func (b bare) Import(path string) (*types.Package, error) {
	if b[path] == nil {
		b[path] = types.NewPackage(path, filepath.Base(path))
		b[path].MarkComplete()
	}
	return b[path], nil
}

// maxBeyond bounds the list of exceptions.
const maxBeyond = 12

func TestRooms(t *testing.T) {
	exceptions, n := map[string][]string{}, 0
	for way, names := range beyond {
		exceptions[way] = strings.Fields(names)
		n += len(exceptions[way])
	}
	if n > maxBeyond {
		t.Errorf("%d single names stand beyond the picture, more than %d: move them to where they belong", n, maxBeyond)
	}
	needed, here := map[string]bool{}, map[string]bool{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		fset := token.NewFileSet()
		files := parseRooms(t, fset, goos)
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		pkg, _ := (&types.Config{Importer: bare{}, Error: func(error) {}}).Check("zinit", fset, files, info)
		room := func(p token.Pos) string { return roomOf(fset.Position(p).Filename) }
		for _, f := range files {
			here[room(f.Package)] = true
		}
		inside := membersOf(pkg, "supervisor")
		for id, obj := range info.Uses {
			if obj.Pkg() != pkg || !isShared(pkg, obj) {
				continue
			}
			from, to := room(id.Pos()), room(obj.Pos())
			way := from + " " + to
			switch {
			case from == to:
			case slices.Contains(exceptions[way], obj.Name()):
				needed[way+" "+obj.Name()] = true
			case from == "rpc" && inside[obj] && !slices.Contains(strings.Fields(doors), obj.Name()):
				t.Errorf("%s: %s is no door of the supervisor", fset.Position(id.Pos()), obj.Name())
			case slices.Contains(leaves, to) && (rooms[from] != "" || from == "config" || slices.Contains(leaves, from)):
			case !slices.Contains(strings.Fields(rooms[from]), to):
				t.Errorf("%s: %s must not use %s of %s", fset.Position(id.Pos()), from, obj.Name(), to)
			}
		}
	}
	for way, names := range exceptions {
		for _, name := range names {
			if !needed[way+" "+name] {
				t.Errorf("%q is not needed beyond the picture any more: %s", name, way)
			}
		}
	}
	for name := range rooms {
		if !here[name] {
			t.Errorf("there is no file in the room %s", name)
		}
	}
	for name := range here {
		if _, ok := rooms[name]; !ok && !slices.Contains(leaves, name) {
			t.Errorf("the room %s has no row", name)
		}
	}
}

// roomOf is the beginning of a file's name.
func roomOf(path string) string {
	name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".go"), "_")
	return name
}

// isShared says whether other rooms can see an object: what stands at the top level, and the methods and fields of types.
func isShared(pkg *types.Package, obj types.Object) bool {
	if v, is := obj.(*types.Var); is && v.IsField() {
		return true
	}
	fn, is := obj.(*types.Func)
	return obj.Parent() == pkg.Scope() || is && fn.Signature().Recv() != nil
}

// membersOf is the fields and methods of a type.
func membersOf(pkg *types.Package, name string) map[types.Object]bool {
	all := map[types.Object]bool{}
	named, _ := pkg.Scope().Lookup(name).(*types.TypeName)
	if named == nil {
		return all
	}
	n := named.Type().(*types.Named)
	for m := range n.Methods() {
		all[m] = true
	}
	if s, is := n.Underlying().(*types.Struct); is {
		for f := range s.Fields() {
			all[f] = true
		}
	}
	return all
}

// parseRooms reads the files of one system, and finds what is forbidden whoever it uses.
func parseRooms(t *testing.T, fset *token.FileSet, goos string) (files []*ast.File) {
	t.Helper()
	system := build.Default
	system.GOOS = goos
	paths, _ := filepath.Glob("*.go")
	for _, path := range paths {
		if match, err := system.MatchFile(".", path); err != nil || !match || strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		for _, i := range file.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			if slices.Contains([]string{"os/exec", "net/http"}, name) {
				t.Errorf("%s imports %s: it races with the reaper, or makes the program large", path, name)
			}
			if strings.HasPrefix(path, "graph") && !slices.Contains([]string{"cmp", "container/heap", "fmt", "maps", "slices", "sort", "strconv", "strings", "time"}, name) {
				t.Errorf("the core imports %s: it does no work, it says what is to be done", name)
			}
		}
		for _, decl := range file.Decls {
			fn, _ := decl.(*ast.FuncDecl)
			ast.Inspect(decl, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					if fn == nil || fn.Name.Name != "background" {
						t.Errorf("%s: go outside background", fset.Position(n.Pos()))
					}
				case *ast.SelectorExpr:
					if n.Sel.Name == "AfterFunc" && (fn == nil || fn.Name.Name != "later") {
						t.Errorf("%s: AfterFunc outside later: a panic in it is not reported", fset.Position(n.Pos()))
					}
					if x, _ := n.X.(*ast.Ident); strings.HasPrefix(path, "graph") && x != nil && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}, n.Sel.Name) {
						t.Errorf("%s: the core looks at a clock; time is given to it", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
	return files
}

// TestFilesSayWhatTheyAre: every file begins with its sentence, and neither files nor functions are long.
func TestFilesSayWhatTheyAre(t *testing.T) {
	const longFile, longFunction = 500, 60
	paths, _ := filepath.Glob("*.go")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		top, _, _ := strings.Cut(text, "\npackage ")
		if !regexp.MustCompile(`(?m)^// ` + regexp.QuoteMeta(path) + ` .*[.;:]`).MatchString(top) {
			t.Errorf("%s does not begin with a sentence about itself", path)
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		if n := strings.Count(text, "\n"); n > longFile {
			t.Errorf("%s has %d lines, more than %d: divide it", path, n, longFile)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, data, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, is := decl.(*ast.FuncDecl)
			if !is || fn.Name.Name == "on" {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > longFunction {
				t.Errorf("%s: %s has %d lines, more than %d", path, fn.Name.Name, n, longFunction)
			}
		}
	}
}

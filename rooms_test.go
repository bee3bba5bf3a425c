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

// rooms says what each file may use of which other: all of it, only the functions, types and methods named in brackets, or all but those with
// a minus. What stands higher uses what stands lower; where it is the other way round the few names are listed. sys is sys_*.go.
var rooms = map[string]string{
	"main": "client tui init(initMain initFlags) supervisor(serverMain) config(nearest visible loadStatuses restartPolicies) logs(parseLogLevel logInfo levelNames streamWords String) graph(stateNames drawingFormats) sys(terminalSize sysProcessLimit)",
	"tui":  "main client wire config(parseSignal visible) graph(" + states + ") logs(logLine streamStdout streamStderr) sys",
	"client": "main tui(commonSignals fold terminal take giveBack write endBySignal keyboard next editor begin key draw insert remember editDone editDrop editHelp editQuit editWipe editStop jobControl eraseLine wipeScreen) " +
		"wire rpc(-listenRPC -serveRPC -rpcMethods) graph(reasonExitCode UnmarshalText " + states + ") logs(logLine newestOf streamStderr) health(check dialUnix) config sys(peerOf sysForeground terminalSize terminalSignals suspend)",

	"init": "link main client(flagNamed) health(dialUnix) proc(decodeStatus closeAll) logs(logf logError logInfo logWarn serverLog flush setLogLevel logDebug String) graph(span) config(pairOf parseSignal signalName visible nearest quoted reasonOf) sys",

	"rpc": "link(socketKey powerKind powerOff powerExit) wire supervisor(supervisor ask submit view info load prepareRestart upgrade) graph(-step -on -enter -add -wish -settleAll) xinet logs health(dialUnix) " +
		"proc(childrenOf cpuPercent procStats readStat resident) config sys main(serverOptions version)",
	"wire": "graph(failureReason reasonType reasonExitCode reasonSignal reasonStartTimeout reasonStopTimeout reasonHealth reasonDependencyFailed reasonSpawnError reasonMissingDependency nameError treeNode whyReason String state stateNames) config(problem signalName unitKind unitKinds unitClass unitClasses) logs(logLine logStream streamWords) rpc(encodeJSON)",
	"supervisor": "wire graph proc logs health(check) xinet config sys main(serverOptions serverFlags version firstSet exitDone exitRefused exitUsage keeperSockets) " +
		"rpc(listenRPC takeRPC serveRPC rpcListener rpcServer close key descriptor pause goOn moveHub newMoveHub tell) " +
		"link init(ownProgram ignoreForExec upgradeTime ownTime becauseCritical checkRecord keeperProven provenVersion stateProven)",

	"link": "logs(logf logError) sys",

	"graph": "config wire link(powerKind powerExit) proc(exit)",

	"proc":   "config(config execDef serviceDef lookupUser envFile splitExec signalName visible) sys",
	"health": "config(healthDef execDef visible healthTCP healthHTTP healthExec healthTypes) proc(errnoOf) main(version)",
	"logs":   "config(loggingDef visible logFormat formatRaw formatTime formatJSON) rpc(appendJSON) sys",
	"xinet":  "config logs(logf logError logWarn logInfo logDebug) sys",
	"config": "sys(sysReadRegular sysKeepOwner sysSignals sigRtmin sigRtmax) rpc(checkText decodeJSON) main(version)",
	"sys":    "proc(spec nullFile procStat closeAll files ids start kin kinOf errNotSupported) logs(scratch newScratch batchMax maxLine errSuperseded errUnspliced) rpc(peer) link(powerKind powerReboot powerHalt)",
}

// states are the states of a unit as those who show them use them.
const states = "state String inactive blocked starting running stopping exited failed"

// everywhere says what of main any file may use.
var everywhere = []string{"background", "later", "guarded", "spareThreads"}

// bare gives every import an empty package: what the standard library is does not matter here, and the check takes no time.
type bare map[string]*types.Package

func (b bare) Import(path string) (*types.Package, error) {
	if b[path] == nil {
		b[path] = types.NewPackage(path, filepath.Base(path))
		b[path].MarkComplete()
	}
	return b[path], nil
}

func TestRooms(t *testing.T) {
	allowed, used := map[string]map[string][]string{}, map[string]bool{}
	for from, row := range rooms {
		allowed[from] = map[string][]string{}
		for row += " "; strings.TrimSpace(row) != ""; {
			room, rest, _ := strings.Cut(strings.TrimLeft(row, " "), " ")
			if name, first, some := strings.Cut(room, "("); some {
				names, after, _ := strings.Cut(first+" "+rest, ")")
				allowed[from][name], row = strings.Fields(names), after
				continue
			}
			allowed[from][room], row = []string{"-"}, rest
		}
	}
	here := map[string]bool{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		fset := token.NewFileSet()
		files := parseRooms(t, fset, goos)
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		pkg, _ := (&types.Config{Importer: bare{}, Error: func(error) {}}).Check("zinit", fset, files, info)
		room := func(p token.Pos) string {
			name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(fset.Position(p).Filename), ".go"), "_")
			here[name] = true
			return name
		}
		for id, obj := range info.Uses {
			fn, _ := obj.(*types.Func)
			if obj.Pkg() != pkg || obj.Parent() != pkg.Scope() && (fn == nil || fn.Signature().Recv() == nil) {
				continue // not ours, or a local thing or a field: who may have a value may look at it
			}
			from, to := room(id.Pos()), room(obj.Pos())
			if to == "main" && slices.Contains(everywhere, obj.Name()) {
				continue
			}
			used[from+" "+to] = true
			names := allowed[from][to]
			if ok := len(names) > 0 && (slices.Contains(names, obj.Name()) || names[0][0] == '-' && !slices.Contains(names, "-"+obj.Name())); from != to && !ok {
				t.Errorf("%s: %s must not use %s of %s", fset.Position(id.Pos()), from, obj.Name(), to)
			}
		}
	}
	for from, row := range allowed {
		for to := range row {
			if here[from] && here[to] && !used[from+" "+to] {
				t.Errorf("%s does not use %s any more: take it out of the picture", from, to)
			}
		}
	}
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
			if strings.HasPrefix(path, "graph") && !slices.Contains([]string{"cmp", "container/heap", "fmt", "iter", "maps", "slices", "strconv", "strings", "time"}, name) {
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

// TestFilesSayWhatTheyAre: every file begins with its sentence, and the parts of a room are short.
func TestFilesSayWhatTheyAre(t *testing.T) {
	const long = 500
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
		room, _, part := strings.Cut(path, "_")
		if n := strings.Count(text, "\n"); part && room != "sys" && !strings.HasSuffix(path, "_test.go") && n > long {
			t.Errorf("%s has %d lines, more than %d: divide it", path, n, long)
		}
	}
}

// TestFailureModes holds the table of failure modes in the README against the tests: there are rows 1 to 58, every test that a row names exists,
// and every test that is named after rows stands in them.
func TestFailureModes(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Failure modes\n")
	rows := map[int]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if n, err := strconv.Atoi(strings.TrimSpace(cells[min(1, len(cells)-1)])); err == nil {
			rows[n] = line
			if len(cells) != 6 || strings.TrimSpace(cells[3]) == "" && strings.TrimSpace(cells[4]) == "" {
				t.Errorf("row %d has neither a test nor a reason: %s", n, line)
			}
		}
	}
	for n := 1; n <= 58; n++ {
		if rows[n] == "" {
			t.Errorf("there is no row %d", n)
		}
	}
	tests := map[string]bool{}
	paths, _ := filepath.Glob("*_test.go")
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if fn, is := decl.(*ast.FuncDecl); is && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				tests[fn.Name.Name] = true
			}
		}
	}
	for n, row := range rows {
		for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(row, -1) {
			if !tests[name[1]] {
				t.Errorf("row %d names %s, which does not exist", n, name[1])
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

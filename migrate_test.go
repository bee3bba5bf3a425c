// migrate_test.go tries examples/migrate.py: what the files of other supervisors become, that zinit accepts it, and that services of Debian run with it.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// migrate runs the script in a directory and returns what it printed on stdout, on stderr, and its exit code.
func migrate(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	script, err := filepath.Abs("examples/migrate.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", append([]string{script}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// filesOf are the files of a directory, by name.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(f)] = string(text)
	}
	return found
}

// TestMigrate holds what each input under testdata/migrate becomes, what is said about it, and that `zinit check` accepts it; -update writes it anew.
func TestMigrate(t *testing.T) {
	needs(t, "python3", "cp")
	for name, inputs := range map[string][]string{
		"systemd-types":     {"in"},
		"systemd-limits":    {"in"},
		"systemd-order":     {"in"},
		"systemd-sockets":   {"in"},
		"systemd-templates": {"in"},
		"systemd-dropins":   {"in/lib/systemd/system", "in/etc/systemd/system"},
		"systemd-instance":  {"in/lib/systemd/system/getty@tty2.service", "in/lib/systemd/system/one.service"},
		"supervisord":       {"in/supervisord.conf"},
		"runit":             {"in"},
		"s6-rc":             {"in"},
		"zinit-rust":        {"in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			golden := filepath.Join("testdata/migrate", name)
			if out, err := exec.Command("cp", "-a", filepath.Join(golden, "in"), dir).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, said, code := migrate(t, dir, append([]string{"-o", "out"}, inputs...)...)
			got := filesOf(t, filepath.Join(dir, "out"))
			got["said"] = fmt.Sprintf("%sexit code %d\n", said, code)
			for file, text := range got {
				got[file] = strings.ReplaceAll(text, dir, "/old")
			}
			if lost := strings.Contains(said, ": "); code != 0 != lost && name != "systemd-dropins" {
				t.Errorf("exit code %d\n%s", code, said)
			}
			if out, err := exec.Command(zinitBinary(t), "check", filepath.Join(dir, "out")).CombinedOutput(); err != nil {
				t.Errorf("zinit check: %v\n%s", err, out)
			}
			want := filepath.Join(golden, "want")
			if *update {
				if err := os.RemoveAll(want); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(want, 0o755); err != nil {
					t.Fatal(err)
				}
				for file, text := range got {
					if err := os.WriteFile(filepath.Join(want, file), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			old := filesOf(t, want)
			for file := range old {
				if _, there := got[file]; !there {
					t.Errorf("no %s was written", file)
				}
			}
			for file, text := range got {
				if text != old[file] {
					t.Errorf("%s is\n%s\nand not\n%s", file, text, old[file])
				}
			}
		})
	}
}

// TestMigrateArguments tries what ends with 2: nothing is written then.
func TestMigrateArguments(t *testing.T) {
	needs(t, "python3")
	dir := shortDir(t)
	for name, text := range map[string]string{
		"web.yaml":         "exec: web\n",
		"anchor.yaml":      "exec: &x web\n",
		"list.yaml":        "exec: web\nafter: [a,\n  b]\n",
		"none.yaml":        "run: web\n",
		"odd.service":      "ExecStart=x\n",
		"quote.conf":       "[program:x]\ncommand=app 'a\n",
		"none.conf":        "[other]\na=b\n",
		"file":             "",
		"a.service":        "[Service]\nExecStart=a\n[Install]\nWantedBy=multi-user.target\n",
		"a.yaml":           "exec: a\n",
		"one/x":            "",
		"kind/a/type":      "other\n",
		"out/web.toml":     "# mine\n",
		"empty/.hidden":    "",
		"folder.yaml/none": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		args []string
		says string
	}{
		{nil, "no INPUT"},
		{[]string{"--frobnicate"}, "there is no --frobnicate"},
		{[]string{"web.yaml", "-o"}, "-o needs a directory"},
		{[]string{"missing.service"}, "missing.service: there is no such file"},
		{[]string{"missing"}, "missing: there is no such file or directory"},
		{[]string{"worker@1.service"}, "worker@1.service: neither this unit nor its template exists"},
		{[]string{"file"}, "file: I do not know what this is"},
		{[]string{"one"}, "one: this directory has neither units of systemd"},
		{[]string{"anchor.yaml"}, "anchor.yaml:1: & has a meaning in YAML that is not understood here"},
		{[]string{"list.yaml"}, "list.yaml:2: a list or table in one line must end in it"},
		{[]string{"none.yaml"}, "none.yaml: it has no exec"},
		{[]string{"odd.service"}, "odd.service: this is no unit of systemd: ExecStart=x"},
		{[]string{"quote.conf"}, "[program:x] of quote.conf: command: No closing quotation"},
		{[]string{"none.conf"}, "none.conf: this is no configuration of supervisord"},
		{[]string{"kind"}, "kind/a/type: other is neither longrun, oneshot nor bundle"},
		{[]string{"a.service", "a.yaml"}, "a: both a.service of systemd and a.yaml would be this file"},
		{[]string{"-o", "out", "web.yaml", "a.service"}, "out/web.toml: there already; --force overwrites"},
		{[]string{"-o", "file/x", "web.yaml"}, "file/x: Not a directory"},
	} {
		stdout, stderr, code := migrate(t, dir, row.args...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, "migrate.py: "+row.says) {
			t.Errorf("migrate.py %s: exit code %d, want 2 and %q\n%s%s", strings.Join(row.args, " "), code, row.says, stdout, stderr)
		}
	}
	if got := filesOf(t, filepath.Join(dir, "out")); len(got) != 1 || got["web.toml"] != "# mine\n" {
		t.Errorf("out has changed: %q", got)
	}
	if _, said, code := migrate(t, dir, "-o", "out", "--force", "web.yaml", "a.service"); code != 0 || said != "" {
		t.Errorf("with --force: exit code %d\n%s", code, said)
	}
	if got := filesOf(t, filepath.Join(dir, "out")); !strings.Contains(got["web.toml"], "exec = \"web\"") || got["a.toml"] == "" {
		t.Errorf("with --force out has %q", got)
	}
	if out, _, code := migrate(t, dir, "web.yaml"); code != 0 || !strings.HasPrefix(out, "# web.toml\n") {
		t.Errorf("without -o: exit code %d\n%s", code, out)
	}
}

// TestMigrateKeys holds the table of keys in the script against that of the program.
func TestMigrateKeys(t *testing.T) {
	needs(t, "python3")
	cmd := exec.Command("python3", "-Bc", "import json, migrate; print(json.dumps({s: k.split() for s, k in migrate.KEYS.items()}))")
	cmd.Env = append(os.Environ(), "PYTHONPATH=examples")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var keys map[string][]string
	if err := json.Unmarshal(out, &keys); err != nil {
		t.Fatal(err)
	}
	for section, list := range keys {
		for _, key := range list {
			if fieldOf(section, key) == nil {
				t.Errorf("the script writes [%s] %s, which the program does not know", section, key)
			}
		}
	}
}

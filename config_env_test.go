// config_env_test.go tests env_file: what its lines mean, and what is said of one that cannot be used.

//go:build unix

package main

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRow68_EnvFileIsReadAsPeopleWriteIt has a row for each way to write a line; an error has file and line in front.
func TestRow68_EnvFileIsReadAsPeopleWriteIt(t *testing.T) {
	for text, want := range map[string]string{
		"# comment\n\nA=1\r\n  B = two words \r\n   # more\n": "A=1|B=two words",
		"\ufeffA=1\n":                       "A=1",
		"A=1\n\ufeffB=2":                    `2: "\ufeffB" is no name of a variable`,
		"export A=1\nexport\tB = 2\n":       "A=1|B=2",
		"export=1\n":                        "export=1",
		"A=\nB=\"\"\nC=''\n":                "A=|B=|C=",
		"A=a=b\nB==\n":                      "A=a=b|B==",
		"A=x # y\n":                         "A=x # y",
		"A='x # y'\n":                       "A=x # y",
		"A= \" x \" \nB=' y '\n":            "A= x |B= y ",
		`A="a\tb\"c\\d\$e\x"`:               "A=a\tb\"c\\d$e\\x",
		`A="two\nlines"`:                    "A=two\nlines",
		`A='a\nb"'`:                         `A=a\nb"`,
		`A=a\nb`:                            `A=a\nb`,
		"A=it's\nB=x\"\nC=5\" disk\n":       "A=it's|B=x\"|C=5\" disk",
		"A=$HOME ${HOME} `id`\nB=\"$HOME\"": "A=$HOME ${HOME} `id`|B=$HOME",
		"A=1\nA=2\n":                        "A=1|A=2",
		"_a9=ü\n":                           "_a9=ü",
		"\nnonsense\n":                      `2: "nonsense" is not KEY=VALUE`,
		"=x\n":                              `1: "" is no name of a variable`,
		"export =x\n":                       "export=x",
		"A B=1\n":                           `1: "A B" is no name of a variable`,
		"9A=1\n":                            `1: "9A" is no name of a variable`,
		"A-B=1\n":                           `1: "A-B" is no name of a variable`,
		"Ä=1\n":                             `1: "Ä" is no name of a variable`,
		"A=\x00\n":                          `1: the value of A contains a NUL character`,
		"A=\"x\n":                           `1: the double quote of A is never closed`,
		"A='x\nB='\n":                       `1: the single quote of A is never closed`,
		`A="x\"`:                            `1: the double quote of A is never closed`,
		"A=\"x\"y\n":                        `1: the value of A goes on behind its closing quote`,
		"A='x' # y\n":                       `1: the value of A goes on behind its closing quote`,
	} {
		dir := files(t, map[string]string{"app.env": text})
		path := filepath.Join(dir, "app.env")
		var got []string
		err := (&serviceDef{EnvFiles: []string{path}}).envFile(func(string) {}, func(key, value string) error {
			got = append(got, key+"="+value)
			return nil
		})
		answer := strings.Join(got, "|")
		if err != nil {
			answer = strings.TrimPrefix(err.Error(), path+":")
		}
		if answer != want && !(err != nil && strings.HasPrefix(answer, want)) {
			t.Errorf("%q gives %q, want %q", text, answer, want)
		}
	}
}

func TestEnvFiles(t *testing.T) {
	dir := files(t, map[string]string{"a.env": "A=a\nB=a\n", "b.env": "B=b\n", "bad.env": "A=1\nnonsense\n"})
	a, b, bad, gone := filepath.Join(dir, "a.env"), filepath.Join(dir, "b.env"), filepath.Join(dir, "bad.env"), filepath.Join(dir, "gone.env")
	env := func(names ...string) (map[string]string, error) {
		all, err := serviceEnv(&serviceDef{Name: "app", EnvFiles: names, Env: map[string]string{"C": "env"}}, "", "", func(string) {})
		m := map[string]string{}
		for _, entry := range all {
			if k, v, _ := strings.Cut(entry, "="); strings.Contains("ABC", k) {
				m[k] = v
			}
		}
		return m, err
	}
	for _, names := range [][]string{{a, b}, {"-" + a, "-" + gone, b}} {
		if got, err := env(names...); err != nil || !maps.Equal(got, map[string]string{"A": "a", "B": "b", "C": "env"}) {
			t.Errorf("%q give %v, %v", names, got, err)
		}
	}
	for name, want := range map[string]string{gone: "a leading - in env_file makes a missing one no error", "-" + bad: bad + ":2: ", dir: "it is a directory"} {
		if _, err := env(a, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", name, err, want)
		}
	}
}

func TestEnvFileIsAStringOrAList(t *testing.T) {
	for text, want := range map[string][]string{`"/a"`: {"/a"}, `["/a", "-/b"]`: {"/a", "-/b"}, `[]`: nil, `""`: nil, `["/a"]`: {"/a"}} {
		c := good(t, "[service]\nexec = \"app\"\nenv_file = "+text+"\n")
		if !slices.Equal(c.Service.EnvFiles, want) {
			t.Errorf("env_file = %s is %q", text, c.Service.EnvFiles)
		}
		roundTrip(t, c)
	}
	for text, want := range map[string]string{`1`: "a string or a list of strings", `["/a", 1]`: "element 2 is an integer", `["/a", ""]`: "names no file", `"-"`: "names no file"} {
		if got := strings.Join(complaints("[service]\nexec = \"app\"\nenv_file = "+text+"\n"), "\n"); !strings.Contains(got, want) {
			t.Errorf("env_file = %s gives %q, want %q", text, got, want)
		}
	}
}

// TestCheckReadsEnvFiles: what would keep the service from starting is seen before, but a file that is not there yet is no mistake.
func TestCheckReadsEnvFiles(t *testing.T) {
	dir := files(t, map[string]string{"bad.env": "A=1\nA B=2\n"})
	bad := filepath.Join(dir, "bad.env")
	c := &config{Service: serviceDef{Name: "app", EnvFiles: []string{"-" + bad, filepath.Join(dir, "gone.env"), "relative.env"}}}
	got := envProblems([]*config{c})
	if len(got) != 1 || got[0].Path != bad || got[0].Line != 2 || !strings.Contains(got[0].Message, `"A B" is no name of a variable`) {
		t.Errorf("check says %v", got)
	}
}

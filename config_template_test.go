// config_template_test.go is the manual of templates: which instances there are, what their files say, and what is refused.

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loadTexts loads a directory of these files, and returns the names of what is there.
func loadTexts(t *testing.T, files map[string]string, wanted ...string) (*loadResult, []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := loadDirs("", []string{dir}, wanted)
	var names []string
	for _, c := range l.configs {
		names = append(names, c.Service.Name)
	}
	slices.Sort(names)
	return l, names
}

const gettyTemplate = `[service]
instances = ["tty1", "ttyS0"]
exec = ["/sbin/getty", "115200", "${instance}"]
env = { LINE = "on ${instance}" }

[logging]
file = "/var/log/getty-${instance}.log"
`

func TestTemplates(t *testing.T) {
	files := map[string]string{
		"getty@":      gettyTemplate,
		"worker@":     "[service]\nexec = \"work ${instance}\"\n[dependencies]\nrequires = [\"queue@${instance}\"]\n",
		"queue@":      "[service]\nexec = \"queue\"\n",
		"idle@":       "[service]\nexec = \"idle\"\n",
		"app":         "[service]\nexec = \"app\"\n[dependencies]\nwants = [\"worker@a:1\"]\nafter = [\"worker@b\", \"nobody@x\"]\nconflicts = [\"idle@y\"]\n",
		"getty@ttyS0": "[service]\nexec = \"special ${instance}\"\n",
	}
	l, names := loadTexts(t, files)
	if len(l.errors)+len(l.warnings) > 0 {
		t.Errorf("%v %v", l.errors, l.warnings)
	}
	want := []string{"app", "getty@tty1", "getty@ttyS0", "queue@a:1", "queue@b", "worker@a:1", "worker@b"}
	if !slices.Equal(names, want) {
		t.Errorf("there are %v, want %v", names, want)
	}
	for _, c := range l.configs {
		switch c.Service.Name {
		case "getty@tty1":
			if got := strings.Join(c.Service.Exec.Argv, " ") + " " + c.Service.Env["LINE"] + " " + c.Logging.File; got != "/sbin/getty 115200 tty1 on tty1 /var/log/getty-tty1.log" {
				t.Errorf("getty@tty1 is %q", got)
			}
			if !c.ofTemplate() || c.persist || stemOf(c.path) != "getty@" || len(c.Service.Instances) > 0 {
				t.Errorf("getty@tty1: %+v", c)
			}
			again, errs, _ := parseTOML([]byte(c.source), c.path, c.Service.Name)
			if again == nil || !again.same(c) {
				t.Errorf("read again from what is saved: %v", errs)
			}
			roundTrip, errs, _ := parseTOML(c.toml(), c.path, c.Service.Name)
			if roundTrip == nil || !roundTrip.same(c) {
				t.Errorf("written and read again: %v", errs)
			}
		case "getty@ttyS0":
			if c.Service.Exec.Line != "special ttyS0" || c.ofTemplate() || !c.persist {
				t.Errorf("getty@ttyS0: %+v", c)
			}
		}
	}
	if _, names = loadTexts(t, files, "idle@z", "nothing@z", "app"); !slices.Contains(names, "idle@z") || slices.Contains(names, "nothing@z") {
		t.Errorf("with idle@z wanted there are %v", names)
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for _, row := range []struct{ file, text, want string }{
		{"a@", "[service]\nexec = \"x\"\nname = \"b\"", "leave `name` out"},
		{"a@", "[service]\nexec = \"x\"\ninstances = [\"b c\"]", "\"b c\" is not allowed as an instance"},
		{"a@", "[service]\nexec = \"x\"\nrestat = 1\ninstances = [\"b\", \"c\"]", "did you mean `restart`?"},
		{"a@", "[xinet]\nlisten = [\":1\"]\nbackend = \":2\"\nservice = \"x\"", "a proxy cannot be a template"},
		{"a b@", "[service]\nexec = \"x\"", "cannot be the name of a template"},
		{"a", "[service]\nexec = \"x\"\ninstances = [\"b\"]", "only a template has instances"},
		{"a", "[service]\nexec = \"x\"\nname = \"b@c\"", "is the name of an instance"},
		{"a", "[service]\nexec = \"x\"\n[dependencies]\nrequires = [\"b@c d\"]", "not allowed as an instance"},
	} {
		l, names := loadTexts(t, map[string]string{row.file: row.text})
		if len(l.errors) != 1 || !strings.Contains(l.errors[0].Message, row.want) || len(names) > 0 {
			t.Errorf("%s: %q gives %v and %v, want %q", row.file, row.text, names, l.errors, row.want)
		}
	}
}

// config_env.go reads the files of env_file, lines KEY=VALUE; it expands nothing.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// envFile gives each variable that the files of env_file set to take, in order; a missing file whose name begins with "-" is ignored. at is called with each file before it
// is read.
func (d *serviceDef) envFile(at func(string), take func(key, value string) error) error {
	for _, path := range d.EnvFiles {
		path, optional := strings.CutPrefix(path, "-")
		at(path)
		if err := d.readEnvFile(path, take); err != nil && !(optional && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// envProblems finds the lines that keep a service from starting, in the files that exist and are readable. Relative paths are skipped: they may be other files to
// the server.
func envProblems(configs []*config) (bad []problem) {
	for _, c := range configs {
		check := func(_, value string) error {
			if !c.Service.Expand {
				return nil
			}
			return checkExpand(value)
		}
		for _, path := range c.Service.EnvFiles {
			path = strings.TrimPrefix(path, "-")
			if !filepath.IsAbs(path) {
				continue
			}
			if line, ok := errors.AsType[*badEnvLine](c.Service.readEnvFile(path, check)); ok {
				bad = append(bad, problem{Path: path, Line: line.number, Column: 1, Message: line.text + "; " + c.Service.Name + " cannot be started with it"})
			}
		}
	}
	return bad
}

// readEnvFile reads KEY=VALUE lines. Blank lines and lines that begin with # are ignored. A line that is invalid, or that take refuses, is a *badEnvLine error.
func (d *serviceDef) readEnvFile(path string, take func(key, value string) error) error {
	data, err := readRegular(path, maxFileBytes)
	if err != nil {
		return fmt.Errorf("cannot read env_file %s: %w; a leading - in env_file makes a missing one no error", visible(path), reasonOf(err))
	}
	for i, line := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		if line = strings.Trim(line, envSpace); line == "" || line[0] == '#' {
			continue
		}
		key, value, err := d.envEntry(line)
		if err == nil {
			err = take(key, value)
		}
		if err != nil {
			return &badEnvLine{path, i + 1, err.Error()}
		}
	}
	return nil
}

// envSpace is what may stand around keys and values.
const envSpace = " \t\r"

// badEnvLine is an invalid line of an env_file.
type badEnvLine struct {
	path   string
	number int // from 1
	text   string
}

func (b *badEnvLine) Error() string {
	return fmt.Sprintf("%s:%d: %s", visible(b.path), b.number, b.text)
}

// envEntry reads one line, without the spaces around it. `export` in front and spaces around key and value do not count.
func (d *serviceDef) envEntry(line string) (key, value string, err error) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return "", "", fmt.Errorf("%s is not KEY=VALUE", quoted(line))
	}
	key = strings.Trim(key, envSpace)
	if words := strings.Fields(key); len(words) == 2 && words[0] == "export" {
		key = words[1]
	}
	if !isVariable(key) {
		return "", "", fmt.Errorf("%s is no name of a variable, which has letters, digits and _, and does not begin with a digit", quoted(key))
	}
	if strings.IndexByte(value, 0) >= 0 {
		return "", "", fmt.Errorf("the value of %s contains a NUL character", key)
	}
	value, err = d.withoutQuotes(key, strings.Trim(value, envSpace))
	return key, value, err
}

// withoutQuotes removes the quotes around a value. Between double quotes \n \t \" \\ and \$ are escapes; any other backslash is itself, as in a shell.
// Where the value is to be expanded, a $ that must not be, \$ or one between single quotes, becomes $$.
func (d *serviceDef) withoutQuotes(key, value string) (string, error) {
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return value, nil
	}
	mark, name := value[0], map[byte]string{'"': "double", '\'': "single"}[value[0]]
	var plain strings.Builder
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case c == mark:
			if i+1 < len(value) {
				return "", fmt.Errorf("the value of %s goes on behind its closing quote; put quotes around all of it, or none", key)
			}
			return plain.String(), nil
		case c == '\\' && mark == '"' && i+1 < len(value) && strings.IndexByte(`nt"\$`, value[i+1]) >= 0:
			i++
			if value[i] == '$' && d.Expand {
				plain.WriteByte('$')
			}
			plain.WriteString(strings.NewReplacer("n", "\n", "t", "\t").Replace(value[i : i+1]))
		case c == '$' && mark == '\'' && d.Expand:
			plain.WriteString("$$")
		default:
			plain.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the %s quote of %s is never closed; a value is one line, in which \\n is a line end", name, key)
}

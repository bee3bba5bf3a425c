// config_write.go writes a config: as the text of a file, and as CONFIG for RPC.

package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is what the key has in c, as a plain value that JSON and TOML can write; nil: it is not set and has no default.
func (f *field) value(c *config) any {
	switch p := f.at(c).(type) {
	case *string:
		if n, err := strconv.ParseInt(*p, 10, 64); f.kind == kindIdentity && err == nil && (*p)[0] == '+' {
			return n
		}
		return *p
	case *bool:
		return *p
	case *int:
		name := signalName(*p)
		if _, err := strconv.Atoi(name); f.kind == kindSignal && err != nil {
			return name
		}
		return int64(*p)
	case *int64:
		return *p
	case *time.Duration:
		return p.Milliseconds()
	case *[]string:
		if f.kind == kindOneOrMore && len(*p) < 2 {
			return strings.Join(*p, "")
		}
		return append([]string{}, *p...)
	case *[]int:
		return append([]int{}, *p...)
	case *[]ending:
		list := []any{}
		for _, e := range *p {
			if e.Signal != 0 {
				list = append(list, signalName(e.Signal))
			} else {
				list = append(list, int64(e.Code))
			}
		}
		return list
	case *map[string]string:
		table := map[string]string{}
		maps.Copy(table, *p)
		return table
	case *execDef:
		return p.written()
	case *healthDef:
		if p.Target != "" {
			return p.Target
		}
		return p.Exec.written()
	case **string:
		return given(*p)
	case **bool:
		return given(*p)
	case **int64:
		if *p != nil && f.kind == kindRlimit && **p < 0 {
			return "unlimited"
		}
		return given(*p)
	}
	return nil
}

// given is the value of a key that may be absent.
func given[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// none says that no command was written.
func (e execDef) none() bool { return e.Line == "" && len(e.Argv) == 0 }

// written is the command as it was written: a string, a list, or nil for none.
func (e execDef) written() any {
	switch {
	case e.Line != "":
		return e.Line
	case len(e.Argv) > 0:
		return append([]string{}, e.Argv...)
	}
	return nil
}

// sections are the sections that c has, in the order of a file.
func (c *config) sections() (names []string) {
	for _, s := range allSections {
		if slices.Contains(sectionsOf(c.Kind), s) && c.has(s) {
			names = append(names, s)
		}
	}
	return names
}

// value is CONFIG as service.get answers it: every key with its default, commands as they were written.
// Absent are only keys that have neither a value nor a default of their own (stop_exec, console, and those of [limits]).
func (c *config) value() map[string]any {
	all := map[string]any{}
	for _, section := range c.sections() {
		table := map[string]any{}
		for _, f := range fieldsOf(section) {
			if v := f.value(c); v != nil {
				table[f.key] = v
			}
		}
		all[section] = table
	}
	return all
}

// toml is the text of the file: the name, and what differs from the defaults. Read again it gives the same config.
func (c *config) toml() []byte {
	var parts []string
	for _, section := range c.sections() {
		part := ""
		for _, f := range fieldsOf(section) {
			if text := tomlText(f.value(c)); text != "" && text != f.defaultText(c) {
				part += f.key + " = " + text + "\n"
			}
		}
		if part != "" || !slices.Contains([]string{"dependencies", "conditions", "lifecycle", "logging"}, section) {
			parts = append(parts, "["+section+"]\n"+part)
		}
	}
	return []byte(strings.Join(parts, "\n"))
}

// defaultText is what the key would be if the file did not say it. A oneshot has no start timeout, and a check that reports readiness itself has no interval.
func (f *field) defaultText(c *config) string {
	if f.key == "start_timeout_ms" && c.Service.Oneshot || f.key == "interval_ms" && c.Health.tells() {
		return "0"
	}
	return tomlText(f.value(blank()))
}

// tomlText writes a plain value; "" for nil and what cannot be written.
func tomlText(v any) string {
	switch v := v.(type) {
	case string:
		return tomlString(v)
	case bool, int64, float64:
		return fmt.Sprint(v)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = tomlString(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = tomlText(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []int:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
	case map[string]string:
		if len(v) == 0 {
			return "{}"
		}
		var parts []string
		for _, k := range sortedKeys(v) {
			parts = append(parts, tomlKey(k)+" = "+tomlString(v[k]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return ""
}

// tomlString writes a basic string. What JSON writes is one (TOML 1.0).
func tomlString(s string) string {
	return string(appendJSON(nil, s))
}

func tomlKey(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isNameByte(r) || r == '.' }) {
		return tomlString(s)
	}
	return s
}

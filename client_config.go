// client_config.go holds the commands about configuration: add, set, create, get, edit, delete, reload, check. It writes no file of a service.

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func cmdAdd(c *cli) int {
	conf, code := readConfig(c.args[0])
	if code != exitDone {
		return code
	}
	return c.putFile("service.add", conf, params{"persist": c.has("persist")})
}

func cmdSet(c *cli) int {
	conf, code := readConfig(c.args[0])
	if code != exitDone {
		return code
	}
	return c.putFile("service.set", conf, params{})
}

// readConfig reads the configuration in a file, or stdin for -, and prints its errors. The exit code is exitDone if there are none.
func readConfig(file string) (*config, int) {
	var conf *config
	var bad []problem
	if file == "-" {
		data, err := io.ReadAll(io.LimitReader(os.Stdin, maxFileBytes))
		if err != nil {
			errorf("cannot read stdin: %v", err)
			return nil, exitRefused
		}
		if conf, bad, _ = parseTOML(data, "stdin", ""); conf != nil {
			conf.source = string(data)
		}
	} else {
		conf, bad, _ = parseFile(file, false)
	}
	printProblems(stderr, bad, nil)
	if len(bad) > 0 || conf == nil {
		return nil, exitRefused
	}
	return conf, exitDone
}

// putFile sends what a file describes; the server writes the text as its own file, with the comments.
func (c *cli) putFile(method string, conf *config, p params) int {
	p["config"] = conf.value()
	return c.put(method, p.with("text", conf.source))
}

// put sends a configuration and says what became of it.
func (c *cli) put(method string, p params) int {
	raw, err := c.longCall(method, p)
	var a putResult
	return c.shown("", raw, err, &a, func() int {
		text := a.Name + " is added"
		if method == "service.set" {
			text = a.Name + " is set"
		}
		if a.Path != nil && *a.Path != "" {
			text += ", file " + *a.Path
		}
		fmt.Fprintln(c.out, visible(text))
		for _, w := range a.Warnings {
			fmt.Fprintln(stderr, "warning: "+visible(w.Message))
		}
		return exitDone
	})
}

// cmdCreate builds a configuration from flags; the server checks it.
func cmdCreate(c *cli) int {
	if len(c.args) != 1 {
		return c.misuse("one name, not also `%s`; the program goes behind --exec or --", c.args[1])
	}
	conf := map[string]params{"service": {"name": c.args[0]}}
	for _, f := range c.cmd.flags {
		if f.name == "persist" || !c.has(f.name) {
			continue
		}
		section := "service"
		for _, s := range []string{"dependencies", "lifecycle"} {
			if fieldOf(s, f.name) != nil {
				section = s
			}
		}
		var value any = c.flag(f.name)
		switch {
		case f.arg == "":
			value = true
		case f.name == "env":
			env := map[string]string{}
			for _, kv := range c.list("env") {
				k, v, ok := strings.Cut(kv, "=")
				if !ok {
					return c.misuse("bad --env `%s`: NAME=VALUE", kv)
				}
				env[k] = v
			}
			value = env
		case section == "dependencies":
			value = strings.FieldsFunc(strings.Join(c.list(f.name), ","), func(r rune) bool { return r == ',' || r == ' ' })
		}
		if conf[section] == nil {
			conf[section] = params{}
		}
		conf[section][f.name] = value
	}
	if len(c.tail) > 0 {
		conf["service"]["exec"] = c.tail
	} else if !c.has("exec") {
		return c.misuse("%s needs a program: --exec CMD or -- CMD ARG", c.args[0])
	}
	return c.put("service.create", params{"config": conf, "persist": c.has("persist")})
}

func cmdGet(c *cli) int {
	name := c.args[0]
	var raw json.RawMessage
	return c.simple("service.get", params{"name": name}, &raw, func() int {
		conf, bad, _ := parseJSON(raw)
		if conf == nil || len(bad) > 0 {
			errorf("the configuration of %s is not understood; the server may be of another version", name)
			hint("zinit --json get %s", name)
			return exitRefused
		}
		var server pingResult
		if _, err := c.call("system.ping", nil, &server); err == nil && conf.Logging.Console != nil && *conf.Logging.Console == (server.Mode == modeContainer) {
			conf.Logging.Console = nil // the default there
		}
		c.printWhole(string(conf.toml()))
		return exitDone
	})
}

// cmdEdit has a copy of a service's file edited and sends it to the server, which alone writes the file itself.
func cmdEdit(c *cli) int {
	name := c.args[0]
	var s serviceStatusFull
	if _, err := c.call("service.status_full", params{"name": name}, &s); err != nil {
		return c.fail(name, err)
	}
	if isTemplate(stemOf(s.Path)) {
		errorf("%s is an instance of the template %s", name, s.Path)
		hint("edit that file, then: zinit reload")
		return exitRefused
	}
	if s.Path == "" {
		errorf("%s has no file", name)
		hint("write one and give it to the service: zinit get %s > FILE, zinit set FILE", name)
		return exitRefused
	}
	before, err := os.ReadFile(s.Path)
	if err != nil {
		errorf("cannot read the file of %s: %v", name, err)
		return exitRefused
	}
	dir, err := os.MkdirTemp("", "zinit-edit-")
	file := filepath.Join(dir, filepath.Base(s.Path))
	if err == nil {
		err = os.WriteFile(file, before, 0o600)
	}
	if err != nil {
		errorf("cannot make a copy to edit: %v", err)
		os.RemoveAll(dir)
		return exitRefused
	}
	c.server.conn.Close() // the server may be replaced in the meantime
	c.stop.hold(nil)
	code := exitDone
	if err := runEditor(file); err != nil {
		errorf("%v", err)
		hint("EDITOR names the editor")
		code = exitRefused
	}
	after, err := os.ReadFile(file)
	switch {
	case err != nil:
		errorf("the editor has left nothing to read: %v; nothing is changed", err)
		code = exitRefused
	case !bytes.Equal(before, after):
		c.kept = "your text is in " + file + "; when it is right: zinit set " + file
		if code == exitDone {
			code = c.edited(name, file)
		}
		if code != exitDone {
			hint("%s", c.kept)
			return code
		}
	case code == exitDone:
		fmt.Fprintln(c.out, "nothing changed")
	}
	os.RemoveAll(dir)
	return code
}

// edited gives the server the new text of a service's file.
func (c *cli) edited(name, file string) int {
	conf, code := readConfig(file)
	if code == exitDone && conf.Service.Name != name {
		errorf("the name may not change from %s to %s; nothing is changed", name, conf.Service.Name)
		return exitRefused
	}
	if code == exitDone {
		code = c.connect()
	}
	if code != exitDone {
		return code
	}
	return c.putFile("service.set", conf, params{})
}

// runEditor runs $VISUAL or $EDITOR (else vi) on a file and waits for its end. Like git it leaves the words of the variable to the shell.
func runEditor(file string) error {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt) // Ctrl-C is the editor's
	failure, err := sysForeground("/bin/sh", []string{"sh", "-c", editor + ` "$1"`, "sh", file})
	signal.Stop(ch)
	if err != nil {
		return fmt.Errorf("cannot run the editor %s: %w", editor, err)
	}
	if failure != "" {
		return fmt.Errorf("the editor %s ended with %s; nothing is changed", editor, failure)
	}
	return nil
}

func cmdDelete(c *cli) int {
	p := params{}
	if c.has("force") {
		p["force"] = true
	}
	return c.awaitAll("service.delete", p, new(okResult), func(name string) int {
		fmt.Fprintln(c.out, name+" is deleted")
		return exitDone
	})
}

func cmdReload(c *cli) int {
	raw, err := c.longCall("service.reload", params{"restart": c.has("restart")})
	var r reloadResult
	return c.shown("", raw, err, &r, func() int {
		c.printNames("added", r.Added)
		c.printNames("removed", r.Removed)
		c.printNames("changed", r.Changed)
		c.printNames("restarted", r.Restarted)
		down := slices.DeleteFunc(slices.Clone(r.Changed), func(name string) bool { return slices.Contains(r.Restarted, name) })
		switch {
		case len(down) == 0:
		case c.has("restart"):
			fmt.Fprintln(c.out, "not running, so not restarted: zinit start "+visible(strings.Join(down, " ")))
		default:
			fmt.Fprintln(c.out, "what changed counts from the next start: zinit restart NAME")
		}
		if len(r.Added)+len(r.Removed)+len(r.Changed)+len(r.Restarted)+len(r.Errors) == 0 {
			fmt.Fprintln(c.out, "nothing changed")
		}
		printProblems(stderr, r.Errors, r.Warnings)
		if len(r.Errors) > 0 {
			return exitRefused
		}
		return exitDone
	})
}

func printProblems(w io.Writer, errs, warnings []problem) {
	for _, p := range errs {
		fmt.Fprintln(w, visible(p.String()))
	}
	for _, p := range warnings {
		fmt.Fprintln(w, "warning: "+visible(p.String()))
	}
}

// cmdCheck reads files and directories as the server would, and looks at the graph that they make together.
func cmdCheck(c *cli) int {
	l := loadForCheck(c.args)
	errs, warnings := graphProblems(l.configs)
	errs = append(errs, envProblems(l.configs)...)
	limit, _, err := shutdownLimit("", os.Getenv("ZINIT_CONTAINER") == "1")
	if err != nil {
		l.errors = append(l.errors, problem{Message: err.Error()})
	} else {
		warnings = append(warnings, shutdownWarnings(l.configs, limit)...)
	}
	result := checkResult{Errors: listed(append(l.errors, errs...)), Warnings: listed(append(l.warnings, warnings...))}
	result.OK = len(result.Errors) == 0
	if c.json {
		fmt.Fprintf(c.out, "%s\n", appendJSON(nil, result))
	} else {
		printProblems(c.out, result.Errors, result.Warnings)
		good := slices.DeleteFunc(l.files, func(path string) bool {
			return slices.ContainsFunc(result.Errors, func(p problem) bool { return p.Path == path })
		})
		fmt.Fprintf(c.out, "%s, %s, %s\n", plural(len(good), "good file"),
			plural(len(result.Errors), "error"), plural(len(result.Warnings), "warning"))
	}
	if !result.OK {
		return exitRefused
	}
	return exitDone
}

// loadForCheck loads what is named, in that order, or else the directories that a server would use.
func loadForCheck(paths []string) *loadResult {
	if len(paths) > 0 {
		return loadPaths("", paths, nil, (*loadResult).named)
	}
	system := defaultSystemDir()
	if _, err := os.Stat(system); err != nil {
		system = ""
	}
	return loadDirs(system, configDirs(nil, false), nil)
}

// graphProblems finds cycles and the like, and warns of required names, and services of proxies, that nothing has.
func graphProblems(configs []*config) (errs, warnings []problem) {
	all := map[string]*config{}
	var names []string
	for _, conf := range configs {
		if conf.Kind != unitXinet {
			all[conf.Service.Name] = conf
			names = append(names, conf.Service.Name)
		}
	}
	complaints := checkGraph(all)
	for _, n := range names {
		if m := complaints[n]; m.text != "" {
			errs = append(errs, all[n].listing(m.name, m.text))
		}
		for _, r := range all[n].Dependencies.needed() {
			if all[r] != nil {
				continue
			}
			text := "requires `" + r + "`, which is in none of the files"
			if near := nearest(r, names); near != "" {
				text += "; did you mean `" + near + "`?"
			}
			warnings = append(warnings, all[n].listing(r, text))
		}
	}
	for _, conf := range configs {
		if conf.Kind != unitXinet || all[conf.Xinet.Service] != nil {
			continue
		}
		text := "is for the service `" + conf.Xinet.Service + "`, which is in none of the files"
		if near := nearest(conf.Xinet.Service, names); near != "" {
			text += "; did you mean `" + near + "`?"
		}
		warnings = append(warnings, conf.listing(conf.Xinet.Service, text))
	}
	return errs, warnings
}

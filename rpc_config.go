// rpc_config.go answers the methods that add, replace, read and delete services, their files included.

//go:build !windows

package main

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// putWish is what a method of the service.set family wants.
type putWish struct {
	replace, mustExist, persist bool
}

func doCreate(q *rpcCall) (any, error) { return q.put(putWish{persist: q.flag("persist")}) }

func doRegister(q *rpcCall) (any, error) { return q.put(putWish{persist: true}) }

func doMonitor(q *rpcCall) (any, error) { return q.put(putWish{}) }

func doSet(q *rpcCall) (any, error) { return q.put(putWish{replace: true, persist: true}) }

func doUpdate(q *rpcCall) (any, error) { return q.put(putWish{replace: true, mustExist: true}) }

// config reads the parameter config.
func (q *rpcCall) config() (*config, []problem, error) {
	_, text := q.raw("config")
	c, errs, warnings := parseJSON(text)
	if len(errs) == 0 && c.Kind == unitXinet {
		errs = []problem{{Message: "this is a proxy, not a service: use xinet.create"}}
	}
	if len(errs) > 0 {
		return nil, warnings, configError(errs)
	}
	return c, warnings, nil
}

// put adds or replaces a service: the file first, then the graph; when the graph refuses, the file is as it was.
func (q *rpcCall) put(w putWish) (any, error) {
	c, warnings, err := q.config()
	if err != nil {
		return nil, err
	}
	r := q.server()
	r.configs.Lock()
	defer r.configs.Unlock()
	old, err := q.precheck(c, w)
	if err != nil {
		return nil, err
	}
	if w.mustExist {
		w.persist = old.persist
	}
	if err = q.core().instantiate(c.mentions()...); err != nil {
		return nil, err
	}
	undo := func() {}
	if w.persist {
		if undo, err = q.save(c, old); err != nil {
			return nil, err
		}
	}
	a, err := q.ask(event{kind: eventPut, name: c.Service.Name, cfg: c, replace: w.replace, restart: w.replace})
	if err != nil {
		undo()
		return nil, err
	}
	warnings = append(warnings, shutdownWarnings([]*config{c}, q.core().opts.shutdownTimeout)...)
	result := &putResult{OK: true, Name: c.Service.Name, Warnings: listed(append(warnings, a.Warnings...))}
	if c.path != "" {
		result.Path = &c.path
	}
	return result, nil
}

// precheck says what is there under the name now, and refuses what the graph would refuse.
func (q *rpcCall) precheck(c *config, w putWish) (old *config, err error) {
	name := c.Service.Name
	owner, text := "", ""
	q.core().view(func(g *graph, _ time.Time) {
		if u := g.unit(name); u != nil {
			old = u.newest()
		} else if w.mustExist {
			err = g.unknown(name)
			return
		}
		text = g.faultOf(c)
	})
	if w.persist && err == nil {
		owner = q.ownerOf(q.target(c, old), name)
	}
	switch {
	case err != nil:
	case old != nil && !w.replace:
		err = refuse(kindAlreadyExists, "%s exists already; service.set replaces it", name)
	case old != nil && old.system && old.path != "":
		err = refuse(kindInvalidState, "%s comes from the system directory; edit %s and reload", name, old.path)
	case old != nil && old.ofTemplate():
		err = refuse(kindInvalidState, "%s is an instance of the template %s; edit that and reload", name, old.path)
	case owner != "":
		err = refuse(kindServiceFileError, "cannot write %s: it is the file of %s", q.target(c, old), owner)
	case text != "":
		err = refuse(kindDependencyError, "%s", text)
	}
	return old, err
}

// ownerOf names the service that has this file, other than the one that is to be written there. Who writes a new file need not look.
func (q *rpcCall) ownerOf(path, name string) (owner string) {
	if _, err := os.Lstat(path); err != nil {
		return ""
	}
	q.core().view(func(g *graph, _ time.Time) {
		if u := g.unit(name); u != nil && u.newest().path == path {
			return
		}
		for n, u := range g.units {
			if n != name && u.newest().path == path {
				owner = n
			}
		}
	})
	return owner
}

// target is the file that c is to be written to, "" when there is no directory for it.
func (q *rpcCall) target(c, old *config) string {
	if old != nil && old.persist && old.path != "" {
		return old.path
	}
	if dirs := q.core().opts.configDirs; len(dirs) > 0 {
		return path.Join(dirs[0], c.Service.Name+".toml")
	}
	return ""
}

// save writes the file of c and returns what puts the former one back.
func (q *rpcCall) save(c, old *config) (undo func(), err error) {
	path := q.target(c, old)
	if path == "" {
		return nil, refuse(kindServiceFileError, "cannot keep %s: the server has no services directory", c.Service.Name)
	}
	before, readErr := os.ReadFile(path)
	if readErr == nil && old == nil {
		return nil, refuse(kindServiceFileError, "cannot write %s: there is a file already that is not loaded; service.reload says why, or move it away", path)
	}
	if readErr != nil && !errors.Is(readErr, os.ErrNotExist) {
		return nil, refuse(kindServiceFileError, "cannot write %s: %v", path, readErr)
	}
	text, err := q.fileText(c, path)
	if err != nil {
		return nil, err
	}
	if err := saveFile(path, c, text); err != nil {
		return nil, refuse(kindServiceFileError, "cannot write %s: %v", path, err)
	}
	c.path, c.persist = path, true
	return func() {
		err := os.Remove(path)
		if readErr == nil {
			err = replaceFile(path, before)
		}
		if err != nil {
			logf(logError, "cannot put %s back: %v", path, err)
		}
	}, nil
}

// fileText is what the file of c is to contain: the parameter text, which must say what c says when it is read from that path, or c written anew.
func (q *rpcCall) fileText(c *config, path string) ([]byte, error) {
	if !q.has("text") {
		return c.toml(), nil
	}
	text := q.str("text")
	d, errs, _ := parseTOML([]byte(text), path, strings.TrimSuffix(filepath.Base(path), ".toml"))
	switch {
	case len(errs) > 0:
		return nil, configError(errs)
	case len(text) > maxFileBytes:
		return nil, q.wrong("text", "%v", tooLarge(maxFileBytes))
	case d.Service.Name != c.Service.Name:
		return nil, q.wrong("text", "it describes %s, not %s; give it name = \"%s\"", d.Service.Name, c.Service.Name, c.Service.Name)
	case !d.same(c):
		return nil, q.wrong("text", "it does not say the same as config")
	}
	c.source = text
	return []byte(text), nil
}

func doCheck(q *rpcCall) (any, error) {
	_, text := q.raw("config")
	c, errs, warnings := parseJSON(text)
	if len(errs) == 0 && c.Kind != unitXinet {
		text := ""
		q.core().view(func(g *graph, _ time.Time) { text = g.faultOf(c) })
		if text != "" {
			errs = append(errs, problem{Message: text})
		}
	}
	if len(errs) == 0 {
		errs = envProblems([]*config{c})
		warnings = append(warnings, shutdownWarnings([]*config{c}, q.core().opts.shutdownTimeout)...)
	}
	return &checkResult{len(errs) == 0, listed(errs), listed(warnings)}, nil
}

func doGet(q *rpcCall) (any, error) {
	var c *config
	if err := q.look(func(_ *graph, u *unit, _ time.Time) { c = u.newest() }); err != nil {
		return nil, err
	}
	all := c.value()
	if logging, ok := all["logging"].(map[string]any); ok && logging["console"] == nil {
		logging["console"] = q.core().mode == modeContainer
	}
	return configValue(all), nil
}

func doDelete(q *rpcCall) (any, error) {
	var file string
	err := q.look(func(_ *graph, u *unit, _ time.Time) { file = ownFile(u) })
	if err != nil {
		return nil, err
	}
	return q.park(event{kind: eventDelete, name: q.str("name"), force: q.flag("force")}, true, func(answer) (any, error) {
		return okResult{true}, q.server().deleteFile(q.str("name"), file)
	})
}

func doDeleteAll(q *rpcCall) (any, error) {
	files := map[string]string{}
	q.core().view(func(g *graph, _ time.Time) {
		for _, n := range g.names() {
			files[n] = ownFile(g.unit(n))
		}
	})
	return q.park(event{kind: eventDeleteAll}, true, func(a answer) (any, error) {
		for _, n := range a.Names {
			if err := q.server().deleteFile(n, files[n]); err != nil {
				a.Errs = append(a.Errs, bulkFailure{n, err.Error()})
			}
		}
		return bulkOf(a), nil
	})
}

// ownFile is the file that goes with a unit when it is deleted, or "".
func ownFile(u *unit) string {
	if c := u.newest(); c.persist {
		return c.path
	}
	return ""
}

// deleteFile removes the file of a deleted service, if it had one and has not been added again meanwhile.
func (r *rpcServer) deleteFile(name, path string) error {
	r.configs.Lock()
	defer r.configs.Unlock()
	back := false
	r.s.view(func(g *graph, _ time.Time) { back = g.unit(name) != nil })
	if path == "" || back {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return refuse(kindServiceFileError, "%s is stopped and removed, but its file is still there: %v", name, err)
	}
	return nil
}

func doReload(q *rpcCall) (any, error) {
	q.server().configs.Lock()
	defer q.server().configs.Unlock()
	r, err := q.core().reloadAll("", q.flag("restart"))
	if err != nil {
		return nil, err
	}
	for _, l := range []*[]string{&r.Added, &r.Removed, &r.Changed, &r.Unchanged, &r.Restarted} {
		*l = listed(*l)
	}
	r.Errors, r.Warnings = listed(r.Errors), listed(r.Warnings)
	return r, nil
}

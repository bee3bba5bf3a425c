// config_load.go reads the files of the directories of services and replaces one; what a file says is for config_read.go.

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// loadResult is the result of reading the directories of services.
type loadResult struct {
	configs          []*config // in load order: the system directory first, then the others as given; files in name order
	errors, warnings []problem
	unreadable       []string // directories that exist and cannot be read
	missing          []string // directories that do not exist
	read             []string // directories that were read
	files            []string // that were read, or could not be
}

// loadDirs reads every NAME.toml of the directories ("" is skipped). A bad file is reported and hinders no other; of two files with
// the same name inside, the second one is refused. It may block as long as the disk does.
// wanted are instances of templates that are to be there although nothing lists or mentions them.
func loadDirs(systemDir string, dirs, wanted []string) *loadResult {
	return loadPaths(systemDir, dirs, wanted, (*loadResult).list)
}

// loadPaths is loadDirs for paths of which list gives the files.
func loadPaths(systemDir string, paths, wanted []string, list func(l *loadResult, path string) []string) *loadResult {
	loaded := &loadResult{}
	first := map[string]*config{} // by the name inside
	t := templates{named: map[string]*fileRead{}}
	seen := map[string]bool{}
	for i, dir := range append([]string{systemDir}, paths...) {
		if dir == "" && i == 0 || seen[filepath.Clean(dir)] {
			continue
		}
		seen[filepath.Clean(dir)] = true
		files := list(loaded, dir)
		loaded.files = append(loaded.files, files...)
		for _, f := range readFiles(files, i == 0) {
			if f.bad != nil {
				loaded.errors = append(loaded.errors, *f.bad)
				continue
			}
			loaded.warnings = append(loaded.warnings, f.warns...)
			loaded.errors = append(loaded.errors, f.errs...)
			c := f.c
			if c == nil || t.take(&f) {
				continue
			}
			name := c.Service.Name
			if other := first[name]; other != nil {
				loaded.errors = append(loaded.errors, f.reader.about(true, fmt.Sprintf("the name %q is already taken by %s; give one of them another name", name, visible(other.path)), string(c.Kind), "name"))
				continue
			}
			first[name] = c
			loaded.configs = append(loaded.configs, c)
		}
	}
	t.instantiate(loaded, first, wanted)
	return loaded
}

// fileRead is a file that was read, or why it could not be.
type fileRead struct {
	reader      *reader
	c           *config // nil: it is refused
	errs, warns []problem
	bad         *problem
}

// readFiles reads files in parallel, on at most one goroutine per processor: the boot waits for it.
func readFiles(paths []string, system bool) []fileRead {
	all := make([]fileRead, len(paths))
	var next atomic.Int64
	var hands sync.WaitGroup
	read := func() {
		for i := int(next.Add(1)) - 1; i < len(paths); i = int(next.Add(1)) - 1 {
			f := &all[i]
			if f.reader, f.bad = readFile(paths[i], system); f.bad == nil {
				f.c, f.errs, f.warns = f.reader.result()
			}
		}
	}
	const each = 10 // files per additional goroutine
	for range min(runtime.NumCPU()-1, len(paths)/each) {
		hands.Add(1)
		background("read", func() { defer hands.Done(); read() })
	}
	read()
	hands.Wait()
	return all
}

// list gives the service files of a directory in name order.
func (l *loadResult) list(dir string) (paths []string) {
	if dir == "" {
		return nil
	}
	dir = filepath.Clean(dir)
	names, err := readNames(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.missing = append(l.missing, dir)
		l.warnings = append(l.warnings, problem{Path: dir, Message: "there is no such directory, so no services come from it; create it, or name another one with --config-dir"})
		return nil
	case err != nil:
		l.unreadable = append(l.unreadable, dir)
		l.errors = append(l.errors, problem{Path: dir, Message: "cannot read the directory: " + reasonOf(err).Error()})
		return nil
	}
	l.read = append(l.read, dir)
	for _, name := range names {
		if name[0] != '.' && strings.HasSuffix(name, ".toml") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths
}

// named is list for what a user has named: a file, or a directory, which must exist.
func (l *loadResult) named(path string) []string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		l.errors = append(l.errors, problem{Path: path, Message: "cannot be read: " + reasonOf(err).Error()})
		return nil
	case info.IsDir():
		return l.list(path)
	}
	return []string{path}
}

// parseFile reads one file. With system its class is "system" whatever it says.
func parseFile(path string, system bool) (*config, []problem, []problem) {
	r, bad := readFile(path, system)
	if bad != nil {
		return nil, []problem{*bad}, nil
	}
	return r.result()
}

func readFile(path string, system bool) (*reader, *problem) {
	data, err := readRegular(path, maxFileBytes)
	if err != nil {
		return nil, &problem{path, 1, 1, "cannot read the file: " + reasonOf(err).Error()}
	}
	return readAs(data, path, system, stemOf(path)), nil
}

// stemOf is the name of a service file without .toml.
func stemOf(path string) string { return strings.TrimSuffix(filepath.Base(path), ".toml") }

// readAs reads the text of a file, for the unit that has this name unless the text gives another.
func readAs(data []byte, path string, system bool, name string) *reader {
	r := readTOML(data, path, name)
	r.c.path, r.c.system, r.c.persist, r.c.source = path, system, !system, string(data)
	if system {
		r.c.Service.Class = classSystem
	}
	return r
}

// readRegular reads a regular file of at most limit bytes. It never waits for the writer of a FIFO and opens no device.
func readRegular(path string, limit int64) ([]byte, error) {
	if data, ok := sysReadRegular(path, limit); ok {
		return data, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(info, limit); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err == nil {
		err = regular(info, limit)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = tooLarge(limit)
	}
	return data, err
}

func regular(info fs.FileInfo, limit int64) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("it is a directory, not a file")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a named pipe, not a regular file")
	case !mode.IsRegular():
		return errors.New("it is a device or a socket, not a regular file")
	case info.Size() > limit:
		return tooLarge(limit)
	}
	return nil
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it is larger than %d bytes, the most that such a file may have", limit)
}

// saveFile writes text as the file of c. It is atomic (a new file renamed over the old one), so that on any error the old file stays as it
// was, and a symbolic link is replaced, not followed. A file that describes another service is left alone.
func saveFile(path string, c *config, text []byte) error {
	if err := validName(c.Service.Name); err != nil {
		return err
	}
	if r, bad := readFile(path, false); bad == nil {
		if other := r.c.Service.Name; other != "" && other != c.Service.Name {
			return fmt.Errorf("it describes %q; rename that file first", other)
		}
	}
	return replaceFile(path, text)
}

// replaceFile puts data at path, durably and all or nothing. What is there keeps its mode and owner; a new file has mode 0644.
func replaceFile(path string, data []byte) error {
	dir, name := filepath.Split(path)
	before, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Clean(dir), "."+name+".*.new") // hidden: a directory that is being read skips it
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	mode := fs.FileMode(0o644)
	if err == nil && before != nil {
		mode, err = before.Mode().Perm(), sysKeepOwner(f, path)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	if d, err := os.Open(filepath.Clean(dir)); err == nil {
		_ = d.Sync() // not every file system can; the rename itself has happened
		d.Close()
	}
	return nil
}

// shutdownWarnings warns of files that set stop_timeout_ms to more than a shutdown may take. A default is not reported.
func shutdownWarnings(configs []*config, limit time.Duration) (warnings []problem) {
	for _, c := range configs {
		if c.Lifecycle.StopTimeout <= limit {
			continue
		}
		text := c.source
		if text == "" {
			text = string(c.toml())
		}
		if !strings.Contains(text, "stop_timeout_ms") {
			continue
		}
		r := readTOML([]byte(text), c.path, c.Service.Name)
		if _, set := r.places[pathKey("lifecycle", "stop_timeout_ms")]; !set {
			continue
		}
		if c.path == "" {
			r.places = nil // there is no file that could have a place
		}
		warnings = append(warnings, r.about(true, fmt.Sprintf("stop_timeout_ms (%d) is longer than a shutdown may take (--shutdown-timeout-ms %d): in a shutdown it is killed earlier",
			c.Lifecycle.StopTimeout.Milliseconds(), limit.Milliseconds()), "lifecycle", "stop_timeout_ms"))
	}
	return warnings
}

// init_modules.go loads the kernel modules that /etc/modules names, with what they depend on; it looks for no hardware.

//go:build linux

package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// moduleTable knows the modules of the running kernel by their name, with _ for -.
type moduleTable struct {
	dir     string              // as the machine sees it: /lib/modules/RELEASE
	needs   map[string][]string // file of a module: those of what it needs
	file    map[string]string   // name: file, relative to dir
	builtin string              // the text of modules.builtin
}

// wantedModule is one line of /etc/modules: a name and its parameters.
type wantedModule struct{ name, options string }

// moduleName is how the kernel calls the module in a file: modprobe(8) takes - and _ for the same.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// parseModulesDep reads what depmod(8) wrote: "kernel/a.ko: kernel/b.ko kernel/c.ko".
func parseModulesDep(text string) (file map[string]string, needs map[string][]string) {
	file, needs = map[string]string{}, map[string][]string{}
	for _, l := range contentLines(text) {
		if name, rest, _ := strings.Cut(l.text, ":"); name != l.text && name != "" {
			file[moduleName(name)] = name
			needs[name] = strings.Fields(rest)
		}
	}
	return file, needs
}

// loadOrder lists the files to load for one module: dependencies first, the module last, each once, even if the table has a cycle.
func (t *moduleTable) loadOrder(file string) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(f string) {
		if seen[f] {
			return
		}
		seen[f] = true
		for _, need := range t.needs[f] {
			visit(need)
		}
		order = append(order, f)
	}
	visit(file)
	return order
}

// moduleTable reads the table of the running kernel.
func (b *boot) moduleTable() (*moduleTable, error) {
	_, release, _ := strings.Cut(kernelName(), " ")
	var err error
	for _, dir := range []string{"/lib/modules/", "/usr/lib/modules/"} {
		t := &moduleTable{dir: dir + release}
		var data []byte
		if data, err = os.ReadFile(b.path(t.dir + "/modules.dep")); err == nil {
			t.file, t.needs = parseModulesDep(string(data))
			t.builtin, _ = b.read(t.dir + "/modules.builtin")
			return t, nil
		}
	}
	return nil, fmt.Errorf("cannot read /lib/modules/%s/modules.dep: %w; depmod makes it", release, reasonOf(err))
}

// wantedModules reads /etc/modules and /etc/modules-load.d/*.conf: each name once.
func (b *boot) wantedModules() (wanted []wantedModule) {
	seen := map[string]bool{}
	for _, f := range append([]string{"/etc/modules"}, b.confFiles("/etc/modules-load.d")...) {
		text, err := b.read(f)
		if err != nil {
			logf(logWarn, "boot: cannot read %s: %v", f, err)
		}
		for _, l := range contentLines(text) {
			name, options, _ := strings.Cut(l.text, " ")
			if name = moduleName(name); !seen[name] {
				seen[name] = true
				wanted = append(wanted, wantedModule{name, strings.TrimSpace(options)})
			}
		}
	}
	return wanted
}

func (b *boot) moduleSteps() (steps []bootStep) {
	wanted := b.wantedModules()
	t, err := b.moduleTable()
	if err != nil {
		if len(wanted) == 0 {
			return nil
		}
		return []bootStep{failedStep("load kernel modules", err)}
	}
	named := len(wanted)
	for _, name := range buttonModules {
		if t.file[name] != "" && b.words.powerButton != "ignore" {
			wanted = append(wanted, wantedModule{name: name})
		}
	}
	for i, m := range wanted {
		s := bootStep{what: "load module " + m.name, maybe: i >= named, do: func() error { return b.loadModule(t, m) }}
		if file, known := t.file[m.name]; known {
			for i, f := range t.loadOrder(file) {
				if f != file {
					s.what += [2]string{" after ", " "}[min(i, 1)] + moduleName(f)
				}
			}
		}
		if m.options != "" {
			s.what += " (" + m.options + ")"
		}
		if b.moduleLoaded(m.name) {
			s.done = "already loaded"
		}
		steps = append(steps, s)
	}
	return steps
}

// moduleLoaded says whether the kernel has it: sysfs has a directory for each, also for most that are built in.
func (b *boot) moduleLoaded(name string) bool {
	_, err := os.Stat(b.path("/sys/module/" + name))
	return err == nil
}

// loadModule loads one with all that it needs. One that is loaded, or built into the kernel, is fine.
func (b *boot) loadModule(t *moduleTable, m wantedModule) error {
	file, known := t.file[m.name]
	if !known {
		if b.moduleLoaded(m.name) || strings.Contains(strings.ReplaceAll(t.builtin, "-", "_"), "/"+m.name+".ko") {
			return nil
		}
		return fmt.Errorf("%s/modules.dep has none of that name", t.dir)
	}
	for _, f := range t.loadOrder(file) {
		name, options := moduleName(f), ""
		if f == file {
			options = m.options
		}
		if b.moduleLoaded(name) {
			continue
		}
		if err := loadModuleFile(b.path(t.dir+"/"+f), options); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// loadModuleFile hands a file to the kernel, which unpacks it by itself if it can (Linux 5.17, CONFIG_MODULE_DECOMPRESS).
func loadModuleFile(file, options string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	packed := !strings.HasSuffix(file, ".ko")
	err = sysLoadModule(f, options, packed)
	switch {
	case err == syscall.EEXIST:
		return nil
	case packed && (err == syscall.EOPNOTSUPP || err == syscall.EINVAL || err == syscall.ENOEXEC):
		return fmt.Errorf("this kernel cannot unpack %s (%v); unpack it and run depmod", filepath.Base(file), err)
	}
	return err
}

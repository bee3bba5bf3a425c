// init_settings.go sets the host name, lo, sysctl, Ctrl-Alt-Del and the random seed; it mounts nothing.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func (b *boot) hostnameSteps() []bootStep {
	text, err := b.read("/etc/hostname")
	if err != nil {
		return []bootStep{failedStep("read /etc/hostname", err)}
	}
	name := ""
	if lines := contentLines(text); len(lines) > 0 { // the first line that is no comment: hostname(5)
		name = lines[0].text
	}
	s := bootStep{what: "set the host name to " + name, do: func() error { return sysSetHostname(name) }}
	if now, _ := os.Hostname(); now == name {
		s.done = "it is already"
	}
	if name == "" {
		s.what, s.done = "set the host name", "/etc/hostname has none"
	}
	if len(name) > 64 { // HOST_NAME_MAX of Linux
		s.do = func() error { return errors.New("it is longer than 64 bytes") }
	}
	return []bootStep{s}
}

func (b *boot) loopbackSteps() []bootStep {
	return []bootStep{{what: "bring up the network interface lo", do: sysLoopbackUp}}
}

func (b *boot) ctrlAltDelSteps() []bootStep {
	return []bootStep{{what: "have Ctrl-Alt-Del sent to PID 1 as SIGINT", do: func() error { return sysReboot("cad") }}}
}

// sysctlLine is one setting of a sysctl.d(5) file.
type sysctlLine struct {
	line       int
	key, value string // key as written
	optional   bool   // it began with -: errors do not matter
}

// parseSysctl reads "key = value" lines and complains about others.
func parseSysctl(text string) (settings []sysctlLine, complaints []error) {
	for _, l := range contentLines(text) {
		key, value, found := strings.Cut(l.text, "=")
		key, optional := strings.CutPrefix(strings.TrimSpace(key), "-")
		if sysctlPath(key) == "" || !found && !optional {
			complaints = append(complaints, fmt.Errorf("line %d: %s is not KEY = VALUE", l.n, quoted(l.text)))
			continue
		}
		if found { // "-key" alone takes a key out of a pattern in other programs
			settings = append(settings, sysctlLine{l.n, key, strings.TrimSpace(value), optional})
		}
	}
	return settings, complaints
}

// sysctlPath is where a key lives below /proc/sys, or "" if it can be nowhere. The first separator decides (sysctl.d(5)):
// after a dot, dots are slashes and slashes dots; after a slash everything stays.
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		key = strings.NewReplacer(".", "/", "/", ".").Replace(key)
	}
	for _, part := range strings.Split(key, "/") {
		if part == "" || part == "." || part == ".." {
			return ""
		}
	}
	return key
}

func (b *boot) sysctlSteps() (steps []bootStep) {
	for _, f := range append(b.confFiles("/etc/sysctl.d"), "/etc/sysctl.conf") {
		text, err := b.read(f)
		if err != nil {
			steps = append(steps, failedStep("read "+f, err))
		}
		settings, complaints := parseSysctl(text)
		for _, c := range complaints {
			steps = append(steps, failedStep("read all of "+f, c))
		}
		for _, s := range settings {
			steps = append(steps, bootStep{what: fmt.Sprintf("set %s = %s (%s:%d)", s.key, s.value, f, s.line),
				maybe: s.optional, do: func() error { return b.setSysctl(s) }})
		}
	}
	return steps
}

// setSysctl writes a setting, or all that its pattern means. A value that the kernel refuses is an error with its reason.
func (b *boot) setSysctl(s sysctlLine) (errs error) {
	files := matchTree(b.path("/proc/sys"), strings.Split(sysctlPath(s.key), "/"))
	if len(files) == 0 {
		return errors.New("this kernel has no such setting; does it come with a module?")
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(s.value)
			f.Close()
		}
		if err != nil {
			errs = errors.Join(errs, reasonOf(err))
		}
	}
	return errs
}

// matchTree lists the files below dir whose path fits the parts, which may be patterns of path.Match.
func matchTree(dir string, parts []string) (files []string) {
	names := []string{parts[0]}
	if strings.ContainsAny(parts[0], "*?[") {
		names, _ = readNames(dir)
		names = slices.DeleteFunc(names, func(name string) bool { fits, _ := path.Match(parts[0], name); return !fits })
	}
	for _, name := range names {
		p := dir + "/" + name
		if len(parts) > 1 {
			files = append(files, matchTree(p, parts[1:])...)
			continue
		}
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			files = append(files, p)
		}
	}
	return files
}

// seedFile keeps randomness over a boot; /var/lib/misc is where the FHS has state that needs no directory of its own.
const seedFile = "/var/lib/misc/random-seed"

const seedBytes = 512 // the pool of older kernels (4096 bits); newer ones need less

func (b *boot) seedSteps() []bootStep {
	s := bootStep{what: "load the random seed from " + seedFile, do: b.loadSeed}
	if _, err := os.Stat(b.path(seedFile)); err != nil {
		s.done = "there is none yet"
	}
	return []bootStep{s}
}

// loadSeed mixes the seed into the kernel's pool, without credit, and replaces it at once: the same seed must not be used in two boots.
func (b *boot) loadSeed() error {
	seed, err := os.ReadFile(b.path(seedFile))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(b.path("/dev/urandom"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(seed)
	f.Close()
	if err != nil {
		return err
	}
	return b.saveSeed()
}

// saveSeed writes a new seed for the next boot, readable by root only. In an initramfs there is nothing to save it in.
func (b *boot) saveSeed() error {
	name := b.path(seedFile)
	if sysVolatile(b.path("/")) {
		return nil
	}
	seed := make([]byte, seedBytes)
	random, err := os.Open(b.path("/dev/urandom"))
	if err != nil {
		return err
	}
	_, err = io.ReadFull(random, seed)
	random.Close()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(seed) // in place: one block, and a torn seed is as good as any
	return errors.Join(err, f.Sync(), f.Close())
}

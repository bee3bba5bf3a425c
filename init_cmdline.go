// init_cmdline.go reads the kernel's command line; what its words do is up to the steps of the boot.

//go:build linux

package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// bootWords is what the kernel's command line says to us.
type bootWords struct {
	debug, emergency bool
	quiet            bool   // our own log says warnings and errors only
	shutdownTimeout  string // ms, as it is written
	config           string // services directory
	target           string // what to start instead of everything
	root             string // device to go over to from an initramfs
	watchdog         string // device to feed
	powerButton      string // ignore: it does nothing

	// Words of the kernel that count for the root file system too.
	init, rootType, rootFlags string
	readOnly                  bool
}

// bootKey is one word that we know, and where its value goes: *bool is a switch, *string a text.
type bootKey struct {
	name string
	to   any
}

func (w *bootWords) keys() []bootKey {
	return []bootKey{
		{"zinit.debug", &w.debug}, {"zinit.emergency", &w.emergency}, {"zinit.config", &w.config}, {"zinit.target", &w.target}, {"zinit.root", &w.root},
		{"zinit.watchdog", &w.watchdog}, {"zinit.power-button", &w.powerButton}, {"zinit.shutdown-timeout-ms", &w.shutdownTimeout}, {"single", &w.emergency}, {"quiet", &w.quiet}, {"init", &w.init}, {"rootfstype", &w.rootType}, {"rootflags", &w.rootFlags},
	}
}

// parseBootWords reads a kernel command line: words with blanks between them, double quotes around what has blanks, up to "--".
// The last of several equal keys counts. Words that begin with "zinit." and mean nothing are complained about.
func parseBootWords(line string) (w bootWords, complaints []string) {
	keys := w.keys()
	for _, word := range splitBootLine(line) {
		if word == "--" {
			break
		}
		key, value, valued := strings.Cut(word, "=")
		i := slices.IndexFunc(keys, func(k bootKey) bool { return k.name == key })
		switch {
		case key == "ro" || key == "rw":
			w.readOnly = key == "ro"
		case i < 0 && strings.HasPrefix(key, "zinit."):
			complaints = append(complaints, unknownBootKey(key, keys))
		case i < 0: // for the kernel or somebody else
		default:
			switch to := keys[i].to.(type) {
			case *bool:
				*to = !valued || !slices.Contains([]string{"0", "n", "no", "off", "false"}, value)
			case *string:
				if _, err := parseMillis(value); err != nil && to == &w.shutdownTimeout && value != "" {
					complaints = append(complaints, key+"="+value+": it must be a number of milliseconds")
					continue
				}
				if *to = cmp.Or(value, *to); value == "" {
					complaints = append(complaints, key+" needs a value: "+key+"=...")
				}
			}
		}
	}
	return w, complaints
}

func unknownBootKey(key string, keys []bootKey) string {
	var names []string
	for _, k := range keys {
		if strings.HasPrefix(k.name, "zinit.") {
			names = append(names, k.name)
		}
	}
	text := "unknown word `" + key + "`"
	if near := nearest(key, names); near != "" {
		return text + "; did you mean `" + near + "`?"
	}
	return text + "; there are " + strings.Join(names, ", ")
}

// splitBootLine splits as the kernel does (next_arg in lib/cmdline.c): a double quote anywhere in a word protects blanks; quotes are dropped.
func splitBootLine(line string) (words []string) {
	word, quoted, open := []byte(nil), false, false
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted, open = !quoted, true
		case !quoted && (c == ' ' || c >= '\t' && c <= '\r' || c == 0):
			if open {
				words = append(words, string(word))
			}
			word, open = word[:0], false
		default:
			word, open = append(word, c), true
		}
	}
	if open {
		words = append(words, string(word))
	}
	return words
}

func (b *boot) wordSteps() (steps []bootStep) {
	text, err := b.read("/proc/cmdline")
	if err != nil {
		return []bootStep{failedStep("read /proc/cmdline", err)}
	}
	var complaints []string
	b.words, complaints = parseBootWords(text)
	for _, k := range b.words.keys() {
		switch to := k.to.(type) {
		case *bool:
			if *to {
				steps = append(steps, bootStep{what: k.name, done: "noted"})
			}
		case *string:
			if *to != "" {
				steps = append(steps, bootStep{what: k.name + "=" + *to, done: "noted"})
			}
		}
	}
	for _, c := range complaints {
		steps = append(steps, failedStep("obey the kernel's command line", errors.New(c)))
	}
	return steps
}

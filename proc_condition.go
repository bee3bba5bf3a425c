// proc_condition.go says whether the conditions of a service hold at a start; what follows from that is decided elsewhere.

//go:build !windows

package main

import (
	"os"
	"strings"
)

// unmetCondition is the first entry of [conditions] that does not hold now, as people read it; "" when all hold. Variables are looked for in the environment that
// the service is to get. It may hang, as resolve may; at is told before what it looks at.
func unmetCondition(c *config, invocation string, at func(string)) (string, error) {
	d := &c.Conditions
	if len(d.Env) > 0 {
		home, err := resolveUser(&spec{}, &c.Service)
		if err != nil {
			return "", err
		}
		env, err := serviceEnv(&c.Service, invocation, home, at)
		if err != nil {
			return "", err
		}
		for _, entry := range d.Env {
			if !holds(entry, func(text string) bool {
				name, want, given := strings.Cut(text, "=")
				value := envValue([]byte(strings.Join(env, "\x00")), name)
				return given && value == want || !given && value != ""
			}) {
				return "env " + visible(entry), nil
			}
		}
	}
	for _, entry := range d.Exists {
		if !holds(entry, func(path string) bool {
			at(path)
			_, err := os.Stat(path)
			return err == nil
		}) {
			return "exists " + visible(entry), nil
		}
	}
	return "", nil
}

// holds asks whether what an entry says is so, or with a leading ! is not.
func holds(entry string, is func(text string) bool) bool {
	text, opposite := strings.CutPrefix(entry, "!")
	return is(text) != opposite
}

// supervisor_template.go adds the instances of templates that somebody asks for by name.

//go:build !windows

package main

import (
	"errors"
	"slices"
	"time"
)

// wantedInstances are the instances that are to be up: a reload keeps them although nothing lists or mentions them.
func (s *supervisor) wantedInstances() (names []string) {
	s.view(func(g *graph, _ time.Time) {
		for name, u := range g.units {
			if _, _, ok := splitInstance(name); ok && u.up {
				names = append(names, name)
			}
		}
	})
	slices.Sort(names)
	return names
}

// instantiate adds those of the named instances that have a template and are not loaded, and what they mention in turn. A name without a template is left to whoever
// uses it. It reads files, so it is not for the owner.
func (s *supervisor) instantiate(names ...string) error {
	var missing []*config
	seen := map[string]bool{}
	for i := 0; i < len(names); i++ {
		name := names[i]
		if _, _, ok := splitInstance(name); !ok || seen[name] {
			continue
		}
		seen[name] = true
		known := false
		s.view(func(g *graph, _ time.Time) { known = g.unit(name) != nil })
		if known {
			continue
		}
		c, errs := loadInstance(name, s.opts.configDirs, s.opts.systemDir)
		if len(errs) > 0 {
			return configError(errs)
		}
		if c != nil {
			missing = append(missing, c)
			names = append(names, c.mentions()...)
		}
	}
	for _, c := range slices.Backward(missing) { // what is needed before who needs it
		_, err := s.ask(event{kind: eventPut, name: c.Service.Name, cfg: c}, nil)
		if r, ok := errors.AsType[*rpcError](err); ok && r.Data.Kind == kindAlreadyExists {
			continue // somebody else was quicker
		}
		if err != nil {
			return err
		}
	}
	return nil
}

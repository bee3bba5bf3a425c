// config_template.go makes the instances of a template, NAME@.toml: each, NAME@INSTANCE, is a unit like any other, with ${instance} replaced in all texts of the file.

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

const (
	templateMark   = "@"
	instanceWord   = "${instance}"
	sampleInstance = "instance" // what a template without instances is checked with
)

// isTemplate says whether a name is that of a template, NAME@.
func isTemplate(name string) bool { return len(name) > 1 && strings.HasSuffix(name, templateMark) }

// splitInstance takes NAME@INSTANCE apart; ok is false for other names, that of the template included.
func splitInstance(name string) (template, instance string, ok bool) {
	before, instance, _ := strings.Cut(name, templateMark)
	return before + templateMark, instance, before != "" && instance != ""
}

// validUnit checks the name of a service or target where it is mentioned: it may be an instance.
func validUnit(s string) error {
	template, instance, ok := splitInstance(s)
	if !ok {
		return validName(s)
	}
	if len(s) > maxNameBytes {
		return fmt.Errorf("the name %s is longer than %d bytes", quoted(s), maxNameBytes)
	}
	if err := validName(strings.TrimSuffix(template, templateMark)); err != nil {
		return err
	}
	return validInstance(instance)
}

func validInstance(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return !isNameByte(r) && r != ':' }) || s == "" {
		return fmt.Errorf("%s is not allowed as an instance; an instance has A-Z a-z 0-9 - _ . : and nothing else", quoted(s))
	}
	return nil
}

// fillIn replaces ${instance} in every text of what was read.
func fillIn(v any, instance string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, instanceWord, instance)
	case []any:
		for i := range v {
			v[i] = fillIn(v[i], instance)
		}
	case map[string]any:
		for k := range v {
			v[k] = fillIn(v[k], instance)
		}
	}
	return v
}

// instanceOf is what stands for ${instance} in a file that is read under this name: of a template, its first instance.
func instanceOf(name string, tree map[string]any) string {
	if _, instance, ok := splitInstance(name); ok {
		return instance
	}
	service, _ := tree[string(unitService)].(map[string]any)
	if list, _ := service["instances"].([]any); len(list) > 0 {
		if first, ok := list[0].(string); ok {
			return first
		}
	}
	return sampleInstance
}

// templateName is the name of a unit whose file is a template, or is read as one of its instances.
func (r *reader) templateName(name *string, given bool, fileName string) {
	if given && *name != fileName {
		r.fail(true, []string{string(r.c.Kind), "name"}, "the file is a template, and its instances are called %sINSTANCE; leave `name` out", strings.TrimSuffix(fileName, sampleInstance))
	}
	*name = fileName // templates and instances alike
	check := fileName
	if isTemplate(fileName) {
		check += sampleInstance
	} else {
		r.c.Service.Instances = nil // they are of the template
	}
	if err := validUnit(check); err != nil {
		r.fail(false, []string{string(r.c.Kind)}, "the file's name cannot be the name of a template: %v", err)
	}
	if r.c.Kind == unitXinet {
		r.fail(false, []string{string(r.c.Kind)}, "a proxy cannot be a template; give the file a name without %s", templateMark)
	}
}

// ofTemplate says whether the unit is an instance that comes from the file of a template.
func (c *config) ofTemplate() bool {
	_, _, ok := splitInstance(c.Service.Name)
	return ok && c.path != "" && isTemplate(stemOf(c.path))
}

// mentions are the units that a configuration needs or comes after: an instance among them exists because of that.
func (c *config) mentions() []string {
	d := &c.Dependencies
	names := slices.Concat(d.needed(), d.After, d.Wants)
	if c.Kind == unitXinet {
		names = append(names, c.Xinet.Service)
	}
	return names
}

// templates are the templates that were read, in their order, and what makes their instances.
type templates struct {
	files []*fileRead
	named map[string]*fileRead
}

// take notes a good template; false for another file. Of two with the same name the first one counts.
func (t *templates) take(f *fileRead) bool {
	name := f.c.Service.Name
	if isTemplate(name) && t.named[name] == nil {
		t.files = append(t.files, f)
		t.named[name] = f
	}
	return isTemplate(name)
}

// instantiate adds the instances to what was loaded: those that templates list, those that units mention, and those of wanted; and what these mention in turn. Where
// there is a file NAME@INSTANCE.toml, that is the one that counts.
func (t *templates) instantiate(l *loadResult, known map[string]*config, wanted []string) {
	var queue []string
	for _, f := range t.files {
		for _, instance := range f.c.Service.Instances {
			queue = append(queue, f.c.Service.Name+instance)
		}
	}
	for _, c := range l.configs {
		queue = append(queue, c.mentions()...)
	}
	queue = append(queue, wanted...)
	for i := 0; i < len(queue); i++ {
		name := queue[i]
		template, _, ok := splitInstance(name)
		f := t.named[template]
		if !ok || f == nil || known[name] != nil {
			continue
		}
		c, errs, _ := f.instance(name)
		l.errors = append(l.errors, errs...)
		if c != nil {
			known[name] = c
			l.configs = append(l.configs, c)
			queue = append(queue, c.mentions()...)
		}
	}
}

// instance reads the text of a template again, as one of its instances.
func (f *fileRead) instance(name string) (*config, []problem, []problem) {
	r := readAs([]byte(f.reader.text), f.c.path, f.c.system, name)
	r.c.persist = false // the file is not its own
	return r.result()
}

// loadInstance reads one instance from the template of the first directory that has it; nil and no problems: there is none.
func loadInstance(name string, dirs []string, systemDir string) (*config, []problem) {
	template, _, ok := splitInstance(name)
	if !ok || validUnit(name) != nil {
		return nil, nil
	}
	for i, dir := range append([]string{systemDir}, dirs...) {
		path := filepath.Join(dir, template+".toml")
		data, err := readRegular(path, maxFileBytes)
		if dir == "" || err != nil {
			continue
		}
		r := readAs(data, path, i == 0, name)
		r.c.persist = false
		c, errs, _ := r.result()
		return c, errs
	}
	return nil, nil
}

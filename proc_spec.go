// proc_spec.go turns a configuration into what the kernel must be told to execute a program: arguments, environment, directory and user. It starts nothing.

//go:build !windows

package main

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// resolve turns ex, a program of service c, into a spec: environment, program file, user. It checks with ordinary blocking calls all that
// can be checked before a fork, so it may hang on a dead mount for as long as that is dead: call it on a goroutine and bound how many.
// at is told, before each, which path it looks at. Every error is a spawn error for people.
func resolve(c *config, ex execDef, invocation string, at func(string)) (*spec, error) {
	s := &c.Service
	sp := &spec{Dir: s.Dir, Stdin: -1, Stdout: -1, Stderr: -1, UID: -1, GID: -1}
	home, err := resolveUser(sp, s)
	if err != nil {
		return nil, err
	}
	if sp.Env, err = serviceEnv(s, invocation, home, at); err != nil {
		return nil, err
	}
	if sp.stage, err = stageOf(c, at); err != nil {
		return nil, err
	}
	words, shell, err := ex.words(s.Expand)
	if err != nil {
		return nil, cannotExec(err, "exec: %v", err)
	}
	sp.Argv = slices.Clone(words)
	for i := range words {
		if sp.Argv[i], err = s.expanded("exec", words[i], sp.Env); err != nil {
			return nil, err
		}
	}
	if sp.Dir, err = s.expanded("dir", s.Dir, sp.Env); err != nil {
		return nil, err
	}
	if shell {
		sp.Argv = []string{"/bin/sh", "-c", ex.Line}
		if _, err := os.Stat("/bin/sh"); err != nil && !sp.stage.chroot() {
			return nil, cannotExec(errnoOf(err), "exec needs a shell (%s) and this system has no /bin/sh: write it as an array, exec = [\"/path/to/program\", \"argument\"]", visible(ex.Line))
		}
	}
	if len(sp.Argv) == 0 || sp.Argv[0] == "" {
		return nil, cannotExec(syscall.EINVAL, "exec is empty")
	}
	if sp.stage.chroot() {
		return sp, nil // what is in there only a process in there can see
	}
	if sp.Dir != "" {
		at(sp.Dir)
		if err := checkDir(sp.Dir); err != nil {
			return nil, err
		}
	}
	if sp.Path, err = lookProgram(sp, at); err != nil {
		return nil, err
	}
	return sp, nil
}

// resolveUser fills in the ids of user and group; the home directory is "" when no user is given. No switch is needed to become who we are.
func resolveUser(sp *spec, s *serviceDef) (string, error) {
	if s.User == "" && s.Group == "" {
		return "", nil
	}
	uid, gid, groups, home, err := lookupUser(s.User, s.Group)
	if err != nil {
		return "", cannotExec(err, "%v", err)
	}
	if uid == os.Geteuid() && (gid == os.Getegid() || gid < 0) || uid < 0 && gid == os.Getegid() {
		return home, nil
	}
	sp.UID, sp.GID, sp.Groups = uid, gid, groups
	return home, nil
}

// privateEnv are variables of the server that mean the server, not what it starts.
var privateEnv = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "ZINIT_SERVICE", "ZINIT_INVOCATION_ID"}

// serverEnv is what services inherit of the server's environment, computed once.
var serverEnv = sync.OnceValue(func() []string { return inheritedEnv(os.Environ(), servesMachine) })

// servesMachine says that we serve a machine. It is set before anything is started.
var servesMachine bool

// inheritedEnv is what services inherit of an environment, with a PATH in any case. On a machine that is nothing but the HOME of root and the terminal: the rest comes from
// the words of the kernel's command line and from what an initrd did.
func inheritedEnv(environ []string, machine bool) []string {
	lookup := variableIn(environ)
	if machine {
		term, _ := lookup("TERM")
		_, _, _, home, _ := lookupUser("0", "")
		return []string{"PATH=" + defaultPath, "HOME=" + cmp.Or(home, "/"), "TERM=" + cmp.Or(term, "linux")}
	}
	env := slices.DeleteFunc(environ, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(privateEnv, name)
	})
	if path, _ := lookup("PATH"); path == "" {
		env = setEnv(env, "PATH="+defaultPath)
	}
	return env
}

// serviceEnv is the environment of a service: the server's own, the user's HOME, USER and LOGNAME, env_file, env, and who it is.
// Later ones win. A variable appears once: programs differ in which of two they take. at is told each file before it is read.
// What is expanded in a line of env_file sees what is above it; in env, the server's environment and env_file.
func serviceEnv(s *serviceDef, invocation, home string, at func(string)) ([]string, error) {
	env := slices.Clone(serverEnv())
	if home != "" && s.User != "" {
		env = setEnv(env, "HOME="+home)
		if _, err := strconv.Atoi(s.User); err != nil {
			env = setEnv(setEnv(env, "USER="+s.User), "LOGNAME="+s.User)
		}
		if servesMachine {
			env = setEnv(env, "SHELL="+loginShell(s.User))
		}
	}
	err := s.envFile(at, func(key, value string) (err error) {
		if s.Expand {
			value, err = expand(value, variableIn(env))
		}
		env = setEnv(env, key+"="+value)
		return err
	})
	if err != nil {
		return nil, cannotExec(nil, "%v", err)
	}
	before := env
	if s.Expand {
		before = slices.Clone(env)
	}
	for name, value := range s.Env {
		if value, err = s.expanded("env "+name, value, before); err != nil {
			return nil, err
		}
		env = setEnv(env, name+"="+value)
	}
	env = setEnv(env, "ZINIT_SERVICE="+s.Name)
	if invocation != "" {
		env = setEnv(env, "ZINIT_INVOCATION_ID="+invocation)
	}
	return env, nil
}

// expanded is the text of a key with the variables of env in it, if the file says so. An error is a spawn error that names the key.
func (s *serviceDef) expanded(key, text string, env []string) (string, error) {
	if !s.Expand {
		return text, nil
	}
	text, err := expand(text, variableIn(env))
	if err != nil {
		return "", cannotExec(nil, "%s: %v", key, err)
	}
	return text, nil
}

// expandedFor is expanded for what is no part of a start: the target of a check, a log file. It may hang like the env_file that it reads.
func expandedFor(c *config, key, text string) (string, error) {
	if !c.isExpanded(text) {
		return text, nil
	}
	home, err := resolveUser(&spec{}, &c.Service)
	if err != nil {
		return "", err
	}
	env, err := serviceEnv(&c.Service, "", home, func(string) {})
	if err != nil {
		return "", err
	}
	return c.Service.expanded(key, text, env)
}

// variableIn looks variables up in an environment.
func variableIn(env []string) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		for _, entry := range env {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// setEnv replaces or appends NAME=VALUE.
func setEnv(env []string, entry string) []string {
	name := entry[:strings.IndexByte(entry, '=')+1]
	i := slices.IndexFunc(env, func(e string) bool { return name != "" && strings.HasPrefix(e, name) })
	if i < 0 {
		return append(env, entry)
	}
	env[i] = entry
	return env
}

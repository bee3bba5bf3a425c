// config_foreign.go knows the words of other supervisors, and what each is in our files; it reads none of theirs.

package main

import (
	"fmt"
	"slices"
	"strings"
)

// foreign maps keys of other supervisors to one of ours.
type foreign struct {
	section, key string
	words        string // in lower case, with _ between
}

// foreignWords are keys of supervisord, systemd, Compose, Kubernetes, dinit, s6 and the first zinit that have another name here.
func foreignWords() []foreign {
	return []foreign{
		{"service", "exec", "command cmd run execstart args entrypoint program"},
		{"service", "dir", "cwd workdir working_dir working_directory workingdirectory directory chdir"},
		{"service", "env", "environment envs"},
		{"service", "env_file", "environmentfile environment_file envfile"},
		{"service", "user", "run_as runas username"},
		{"service", "status", "autostart startup enabled"},
		{"service", "oneshot", "type one_shot"},
		{"service", "runtime_dirs", "runtimedirectory runtime_directory"},
		{"dependencies", "requires", "depends_on depends dependencies dependson needs requisite"},
		{"dependencies", "after", "before priority startafter start_after"},
		{"dependencies", "wants", "waits_for"},
		{"dependencies", "binds", "bindsto binds_to partof part_of"},
		{"dependencies", "mounts", "requiresmountsfor"},
		{"lifecycle", "restart", "autorestart restart_policy respawn"},
		{"lifecycle", "restart_delay_ms", "restartsec restart_sec restart_delay backoff"},
		{"lifecycle", "max_restarts", "startretries startlimitburst restart_limit_count"},
		{"lifecycle", "stability_period_ms", "startlimitintervalsec startlimitinterval"},
		{"lifecycle", "start_timeout_ms", "timeoutstartsec timeoutsec start_timeout initial_delay_seconds initialdelayseconds"},
		{"lifecycle", "stop_timeout_ms", "stopwaitsecs timeoutstopsec stop_timeout shutdown_timeout stop_grace_period terminationgraceperiodseconds"},
		{"lifecycle", "stop_signal", "killsignal stopsignal term_signal signal"},
		{"lifecycle", "stop_exec", "execstop stop_command"},
		{"lifecycle", "kill_mode", "killmode stopasgroup killasgroup"},
		{"lifecycle", "success_codes", "exitcodes successexitstatus"},
		{"health", "target", "test healthcheck_command tcpsocket httpget"},
		{"health", "interval_ms", "periodseconds period_seconds"},
		{"health", "timeout_ms", "timeoutseconds timeout_seconds"},
		{"health", "retries", "failurethreshold failure_threshold"},
		{"logging", "file", "stdout_logfile stderr_logfile logfile log_file log"},
		{"logging", "max_size_bytes", "stdout_logfile_maxbytes stderr_logfile_maxbytes"},
		{"logging", "keep", "stdout_logfile_backups stderr_logfile_backups"},
		{"logging", "console", "standardoutput standarderror"},
		{"limits", "nofile", "limitnofile minfds"},
		{"limits", "nproc", "limitnproc minprocs"},
		{"limits", "memory_max_bytes", "memorymax mem_limit"},
		{"limits", "pids_max", "tasksmax pids_limit"},
		{"limits", "oom_score_adj", "oomscoreadjust"},
		{"limits", "no_new_privs", "nonewprivileges"},
		{"limits", "caps", "ambientcapabilities cap_add"},
	}
}

// foreignPhrases are keys of other supervisors that no single key replaces, each with an explanation.
var foreignPhrases = [][2]string{
	{"numprocs", "in zinit this is a template, NAME@.toml, with `instances` in [service]"},
	{"process_name", "in zinit the name is that of the file, or `name` in [service]"},
	{"execstartpre", "in zinit this is a service of its own with `oneshot = true`, in `requires`"},
	{"execreload", "in zinit this is `zinit kill NAME HUP`"},
	{"redirect_stderr", "in zinit both streams are logged; leave it out"},
	{"wantedby", "in zinit every service of the directory is started; leave it out, or set `status` in [service]"},
	{"volumes", "in zinit there is no such thing: services see the files of the system"},
}

// foreignWord finds what a word of others is here; its key is "" when it is none.
func foreignWord(word string) foreign {
	word = strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	for _, f := range foreignWords() {
		if slices.Contains(strings.Fields(f.words), word) {
			return f
		}
	}
	return foreign{}
}

// inZinit says what a key of another supervisor is in our files; "" for any other word.
func inZinit(key string) string {
	if f := foreignWord(key); f.key != "" {
		return fmt.Sprintf("in zinit this is `%s` in [%s]", f.key, f.section)
	}
	return pairOf(foreignPhrases, strings.ToLower(key))
}

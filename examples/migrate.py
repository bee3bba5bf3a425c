#!/usr/bin/env python3
"""Writes zinit service files from those of other supervisors.

usage: migrate.py [-o DIR] [--force] INPUT...

INPUT is one of
  supervisord.conf                          supervisord, with the files that it includes
  NAME.service, .socket, .target, DIR       systemd units, with their drop-ins; a name without / is looked for where systemd looks
  DIR with directories that have a `type`   s6-rc, s6-overlay
  DIR with directories that have a `run`    runit, daemontools, s6
  NAME.yaml, DIR with such files            zinit 0.2 (the one in Rust)

The files go to DIR (-o), or to the standard output. What is there already is only overwritten with --force.
What the input leaves to the defaults of its supervisor is left to those of zinit, unless they mean something else.

Each thing that has no counterpart is named on stderr and in a comment of the file. Exit code: 0 all was carried over, 1 something was
lost, 2 wrong usage, or an input that cannot be read.

Python 3.11, standard library only.
"""

import configparser
import glob
import os
import pwd
import re
import shlex
import signal
import sys

# --- what is written

# Every key that is used here, in the order in which a file is written.
KEYS = {
    "service": "name exec dir description env env_file expand tty runtime_dirs pid_file instances status class critical oneshot user group",
    "target": "name description status",
    "xinet": "name listen backend service connect_timeout idle_timeout single_connection description pass",
    "dependencies": "requires after wants conflicts binds mounts",
    "conditions": "env exists",
    "lifecycle": "restart restart_delay_ms restart_delay_max_ms stability_period_ms max_restarts start_timeout_ms stop_timeout_ms stop_signal"
    " stop_exec kill_mode success_codes restart_prevent ready_after_ms",
    "health": "type target interval_ms timeout_ms retries start_interval_ms",
    "logging": "buffer_lines file max_size_bytes keep format console",
    "limits": "nofile nproc core as memlock nice oom_score_adj umask no_new_privs caps chroot memory_max_bytes cpu_max_percent pids_max",
}

# Marks inside of texts: a variable that is one word, one that is split into words, their end, the instance of a template, and a variable that
# must be set.
VAR, SPLIT, END, INSTANCE, MUST = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
MARKED = re.compile(f"[{VAR}{SPLIT}{MUST}](.*?){END}")


class Wrong(Exception):
    """An input that cannot be read: exit code 2."""


class Shell(str):
    """A command line for /bin/sh."""


class Unit:
    """One file to be written."""

    def __init__(self, name, kind, origin):
        self.name, self.kind, self.origin = name, kind, origin
        self.values, self.comments = {}, {}
        self.notes, self.losses = [], []

    def set(self, key, value, source, comment=None, section=None):
        """Sets section.key; source is what it comes from. False: there is no health check for it to belong to."""
        section, key = key.split(".") if "." in key else (section or self.kind, key)
        if section == "health" and key != "type" and not self.get("health.type"):
            return False
        assert key in KEYS[section].split(), key
        self.values.setdefault(section, {})[key] = value
        if comment:
            self.comments[section, key] = comment
        return True

    def get(self, key, default=None):
        section, key = key.split(".")
        return self.values.get(section, {}).get(key, default)

    def add(self, key, *names, source=None):
        """Appends to a list, each name once."""
        have = self.get(key, [])
        if more := [n for n in dict.fromkeys(names) if n not in have]:
            self.set(key, have + more, source or key)

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def lose(self, what, why=""):
        """Remembers a thing that has no counterpart."""
        what = " ".join(shown(what).split())
        if (what, why) not in self.losses:
            self.losses.append((what, why))

    # --- as TOML

    def expands(self):
        """Says whether a value needs `expand`: one with a variable that no shell puts in."""
        return any(MARKED.search(text) for text in self.texts())

    def texts(self):
        for key in ("service.exec", "service.dir", "service.env", "lifecycle.stop_exec", "health.target", "logging.file"):
            value = self.get(key)
            for text in value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]:
                if isinstance(text, str) and not isinstance(text, Shell):
                    yield text

    def render(self):
        expand = self.kind == "service" and self.expands()
        if expand:
            self.values["service"]["expand"] = True
        out = [f"# From {self.origin}."]
        out += [f"# {shown(n)}" for n in self.notes]
        if self.losses:
            out += ["#", "# Without a counterpart:"]
            out += [f"#   {what}" + (f": {why}" if why else "") for what, why in self.losses]
        for section, keys in KEYS.items():
            have = self.values.get(section, {})
            if not have and section != self.kind:
                continue
            out += ["", f"[{section}]"]
            tables = []
            for key in keys.split():
                if key not in have:
                    continue
                value, comment = have[key], self.comments.get((section, key))
                if isinstance(value, Shell) and expand and not needs_shell(re.sub(r"\$\$|\$\{[^}]*\}", "", value)):
                    value = ["/bin/sh", "-c", str(value)]  # or its variables would not be left to the shell
                can_expand = expand and section in ("service", "lifecycle", "health", "logging")
                if isinstance(value, dict):
                    inline = "{ " + ", ".join(f"{bare(k)} = {toml(v, can_expand)}" for k, v in value.items()) + " }"
                    if len(inline) > 80:
                        tables.append((f"[{section}.{key}]", value, comment))
                        continue
                    text = inline
                else:
                    text = toml(value, can_expand)
                line = f"{key} = {text}"
                if comment and "\n" in text:
                    out.append(f"# {comment}")
                elif comment:
                    line += f"  # {comment}"
                out.append(line)
            for head, table, comment in tables:
                out += ["", head + (f"  # {comment}" if comment else "")]
                out += [f"{bare(k)} = {toml(v, expand)}" for k, v in table.items()]
        return "\n".join(out) + "\n"


def bare(key):
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quoted(key)


def toml(value, expand=False):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        items = [toml(v, expand) for v in value]
        line = "[" + ", ".join(items) + "]"
        return line if len(line) <= 120 else "[\n" + "".join(f"  {i},\n" for i in items) + "]"
    if isinstance(value, Shell):
        return quoted(value.replace(INSTANCE, "${instance}"))
    if expand:
        value = expanded(value)
    return quoted(MARKED.sub(r"${\1}", value).replace(INSTANCE, "${instance}"))


def expanded(text):
    """A text in which a $ of its own stays one."""
    parts, at = [], 0
    for m in MARKED.finditer(text):
        parts += [text[at : m.start()].replace("$", "$$"), "${" + m[1] + ("" if ":-" in m[1] or m[0][0] == MUST else ":-") + "}"]
        at = m.end()
    return "".join(parts) + text[at:].replace("$", "$$")


def quoted(text):
    """A TOML string that is easy to read."""
    odd = re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text)
    if "\n" in text and "'''" not in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text) and not text.endswith("'"):
        return "'''\n" + text + "'''"
    if re.search(r'["\\]', text) and "'" not in text and not odd:
        return f"'{text}'"
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", text) + '"'


def shown(text):
    """A text with its variables as they were written."""
    return MARKED.sub(r"${\1}", text).replace(INSTANCE, "%i")


# --- commands

SAFE = re.compile(rf"[A-Za-z0-9_@%+=:,./{INSTANCE}-]+")


def sh_word(word):
    """A word as a shell reads it."""
    if m := re.fullmatch(f"{SPLIT}(.*?){END}", word):
        return "$" + m[1]
    if SAFE.fullmatch(word):
        return word
    if not MARKED.search(word):
        return shlex.quote(word)
    out, at = "", 0
    for m in MARKED.finditer(word):
        out += re.sub(r'([\\"$`])', r"\\\1", word[at : m.start()]) + "${" + m[1] + ("?" if m[0][0] == MUST else "") + "}"
        at = m.end()
    return '"' + out + re.sub(r'([\\"$`])', r"\\\1", word[at:]) + '"'


def sh_line(words):
    return " ".join(sh_word(w) for w in words)


def command(words):
    """A command that needs no shell, unless a variable must be split: as one string where that is as clear, else as a list."""
    if any(SPLIT in w for w in words):
        return Shell("exec " + sh_line(words))
    plain = [MARKED.sub("X", w) for w in words]
    if all(SAFE.fullmatch(p) for p in plain) and "=" not in plain[0]:
        return " ".join(words)
    return list(words)


def script(steps):
    """A shell script of steps, each a line; the last one takes the place of the shell."""
    if len(steps) == 1:
        return Shell(steps[0])
    if len(steps) == 2 and len("".join(steps)) < 90 and not any(s.endswith("|| true") for s in steps):
        return Shell(" && ".join(steps))
    return Shell("set -e\n" + "\n".join(steps) + "\n")


def needs_shell(line):
    """Says whether a line means more to a shell than words."""
    bare_text = re.sub(r"'[^']*'|\"[^\"$`\\]*\"|\\.", "", line)
    return re.search(r"[|&;<>()$*?\[\]{}~#!`\n'\"]", bare_text) is not None


def simple_words(line):
    """The words of a shell line, or None if it means more to a shell than words."""
    if needs_shell(line):
        return None
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return words if words and "=" not in words[0] else None


def from_shell_line(line):
    """An exec from a line of a shell: words where they are enough."""
    words = simple_words(line)
    return command(words) if words else Shell(line)


def valid_name(text):
    """The nearest name that zinit allows."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip("-_.")[:64]
    return name or "unnamed"


SIGNALS = {s.name for s in signal.Signals}


def signal_name(text):
    name = text.strip().upper()
    if name.isdigit():
        return int(name)
    name = name if name.startswith("SIG") else "SIG" + name
    return name


def size(text, units):
    """Bytes from a number with a unit."""
    m = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    factor = units.get(m[2].upper()) if m else None
    return int(float(m[1]) * factor) if factor else None


BINARY = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


def read(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            return f.read()
    except OSError as e:
        raise Wrong(f"{path}: {e.strerror}") from None


def listdir(path):
    try:
        return sorted(n for n in os.listdir(path) if not n.startswith("."))
    except OSError as e:
        raise Wrong(f"{path}: {e.strerror}") from None


# --- systemd

UNIT_DIRS = ["etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"]
SUFFIX = re.compile(r"\.(service|socket|target|timer|path|mount|automount|swap|slice|scope|device)$")

# Targets that hold before any service starts, or that only order a boot or a shutdown: zinit does that by itself.
BOOT = set(
    "sysinit basic local-fs local-fs-pre remote-fs-pre swap sockets timers paths slices multi-user graphical default getty getty-pre shutdown umount final"
    " reboot poweroff halt exit kexec emergency rescue initrd sigpwr ctrl-alt-del system-update time-set first-boot-complete cryptsetup sleep"
    " suspend hibernate".split()
)
# Targets that systemd always has, and that others order themselves by. Here they are names that may exist.
PASSIVE = set("network network-online network-pre remote-fs nss-lookup nss-user-lookup time-sync rpcbind sound bluetooth printer smartcard".split())
# What starts a unit at boot.
STARTED_BY = BOOT - {"shutdown", "umount", "final", "reboot", "poweroff", "halt", "exit", "kexec", "emergency", "rescue", "sleep", "suspend", "hibernate"}

# Keys that need nothing: zinit is so, or they only serve systemd's own bookkeeping.
NEEDLESS = set(
    "Service.NotifyAccess Service.RemainAfterExit Service.IgnoreSIGPIPE Service.GuessMainPID Service.PIDFile Service.PassEnvironment Service.TTYReset"
    " Service.TTYVHangup Service.PermissionsStartOnly Unit.IgnoreOnIsolate Unit.IgnoreOnSnapshot Unit.SourcePath Install.Also Unit.DefaultDependencies"
    " Service.RuntimeDirectoryPreserve Service.BusName Socket.RemoveOnStop".split()
)

EXIT_NAMES = dict(
    SUCCESS=0, FAILURE=1, INVALIDARGUMENT=2, NOTIMPLEMENTED=3, NOPERMISSION=4, NOTINSTALLED=5, NOTCONFIGURED=6, NOTRUNNING=7, USAGE=64, DATAERR=65, NOINPUT=66,
    NOUSER=67, NOHOST=68, UNAVAILABLE=69, SOFTWARE=70, OSERR=71, OSFILE=72, CANTCREAT=73, IOERR=74, TEMPFAIL=75, PROTOCOL=76, NOPERM=77, CONFIG=78,
)  # fmt: skip
SPANS = {
    1e-3: "us usec", 1: "ms msec", 1e3: "s sec second seconds", 6e4: "m min minute minutes", 36e5: "h hr hour hours", 864e5: "d day days",
    6048e5: "w week weeks", 26298e5: "M month months", 315576e5: "y year years",
}  # fmt: skip
SPANS = {unit: ms for ms, units in SPANS.items() for unit in units.split()}


def span(text):
    """Milliseconds from a time span, systemd.time(7): seconds if there is no unit. None: infinity. A ValueError: neither."""
    text = text.strip()
    if text == "infinity":
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if not parts or "".join(re.findall(r"\S", text)) != "".join(n + u for n, u in parts):
        raise ValueError(text)
    return int(sum(float(n) * SPANS[u or "s"] for n, u in parts))


def is_yes(text):
    return text.strip().lower() in ("1", "yes", "y", "true", "t", "on")


def unescaped(text):
    """What systemd-escape --unescape makes of an instance."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), text.replace("-", "/"))


ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'", "s": " "}


def split_words(text):
    """The words of a line, with quotes and escapes as in systemd.syntax(7)."""
    words, word, quote, i = [], None, None, 0
    while i < len(text):
        c = text[i]
        if c == "\\" and i + 1 < len(text):
            e, word = text[i + 1], word or ""
            number = re.match(r"x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}", text[i + 1 :])
            if e in ESCAPES:
                word, i = word + ESCAPES[e], i + 2
            elif number:
                n = number[0]
                word, i = word + chr(int(n.lstrip("xuU"), 8 if n[0] in "01234567" else 16)), i + 1 + len(n)
            else:
                word, i = word + "\\" + e, i + 2
            continue
        if quote:
            if c == quote:
                quote = None
            else:
                word += c
        elif c in "\"'":
            quote, word = c, word or ""
        elif c.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + c
        i += 1
    return words + ([word] if word is not None else [])


class Step:
    """One command of a unit: its words, and what stands before it."""

    def __init__(self, words, prefix):
        self.words, self.prefix = words, prefix
        self.ignore = "-" in prefix  # a failure does not count
        self.root = "+" in prefix or "!" in prefix  # User= does not count

    def sh(self, last=False):
        line = sh_line(self.words)
        return "exec " + line if last else line + " || true" if self.ignore else line


class Source:
    """A unit of systemd as it was read: its file, its drop-ins, and the names that it has."""

    def __init__(self, path, root, dirs):
        self.file = os.path.basename(path)
        self.name, self.suffix = SUFFIX.sub("", self.file), SUFFIX.search(self.file)[1]
        self.path, self.root, self.dirs = path, root, dirs
        self.settings, self.used = {}, set()
        self.instances, self.wanted_by, self.required_by = [], [], []
        self.dropins = []
        self.out = None
        self.parse(read(path))
        for d in self.dropin_dirs():
            for f in sorted(glob.glob(glob.escape(d) + "/*.conf")):
                if os.path.basename(f) not in map(os.path.basename, self.dropins):
                    self.dropins.append(f)
        for f in sorted(self.dropins, key=os.path.basename):
            self.parse(read(f))

    def dropin_dirs(self):
        """Where drop-ins may be, the most important first: those of the instance, the template, the prefixes, all services."""
        names = [self.file]
        if "@" in self.name:
            names.append(self.name.split("@")[0] + "@." + self.suffix)
        parts = self.name.split("-")
        names += ["-".join(parts[:n]) + "-." + self.suffix for n in range(len(parts) - 1, 0, -1)]
        for name in names + [self.suffix]:
            yield from (os.path.join(d, name + ".d") for d in self.dirs)

    def parse(self, text):
        """Adds the settings of a text; an empty value takes back what was set before."""
        lines, section, joined = text.splitlines(), "", ""
        for line in lines:
            line = line.strip()
            if line.startswith(("#", ";")) or not line and not joined:
                continue
            if line.endswith("\\"):
                joined += line[:-1] + " "
                continue
            line, joined = joined + line, ""
            if m := re.fullmatch(r"\[(.*)\]", line):
                section = m[1]
                continue
            key, eq, value = line.partition("=")
            if not eq or not section:
                raise Wrong(f"{self.path}: this is no unit of systemd: {line}")
            at = section, key.strip()
            if value.strip():
                self.settings.setdefault(at, []).append(value.strip())
            else:
                # Of this one nothing is not the default.
                self.settings.pop(at, None) if key.strip() != "CapabilityBoundingSet" else self.settings.update({at: [""]})

    def all(self, key, section=None):
        """All values of a key, and marks it as known."""
        at = (section or self.suffix.capitalize(), key)
        self.used.add(at)
        return self.settings.get(at, [])

    def last(self, key, default="", section=None):
        values = self.all(key, section)
        return values[-1] if values else default

    def words(self, key, section=None):
        return [w for v in self.all(key, section) for w in v.split()]


class Systemd:
    """Reads units, and writes them when all are known."""

    def __init__(self):
        self.sources = {}  # by file name
        self.aliases = {}
        self.lost = []  # units that come to nothing, and why
        self.extra = []  # oneshots beside a service

    # --- reading

    def place(self, path):
        """The root of a path like ROOT/etc/systemd/system/x.service, and the directories that count together."""
        folder = os.path.dirname(os.path.abspath(path))
        for d in UNIT_DIRS:
            if folder.endswith("/" + d):
                root = folder[: -len(d)]
                return root, [os.path.join(root, u) for u in UNIT_DIRS]
        return None, [folder]

    def add(self, path):
        if "/" not in path and not os.path.lexists(path):
            path = next((p for d in UNIT_DIRS for p in self.found(os.path.join("/", d, path))), path)
        if os.path.isdir(path):
            for name in listdir(path):
                if SUFFIX.search(name) and not os.path.isdir(os.path.join(path, name)):
                    self.add_file(os.path.join(path, name))
            return
        self.add_file(path)

    def found(self, path):
        template = re.sub(r"@[^/]*\.", "@.", path)
        return [p for p in (path,) if os.path.lexists(p) or os.path.lexists(template)]

    def add_file(self, path):
        name = os.path.basename(path)
        root, dirs = self.place(path)
        real = os.path.realpath(path)
        if real == "/dev/null":
            warn(name, "masked, so there is no file for it")
            return
        instance = re.fullmatch(r"(.*@)(.+)(\.\w+)", name)
        if instance and (not os.path.lexists(path) or os.path.basename(real) == instance[1] + instance[3]):
            template = next((p for d in [os.path.dirname(path) or "."] + dirs if os.path.exists(p := os.path.join(d, instance[1] + instance[3]))), None)
            if template is None:
                raise Wrong(f"{path}: neither this unit nor its template exists")
            self.add_file(template)
            source = self.sources[os.path.basename(template)]
            if instance[2] not in source.instances:
                source.instances.append(instance[2])
            return
        if os.path.islink(path) and os.path.basename(real) != name and SUFFIX.search(real) and os.path.exists(real):
            self.add_file(real)
            self.aliases[name] = os.path.basename(real)
            return
        if name in self.sources:
            return
        if not os.path.exists(path):
            raise Wrong(f"{path}: there is no such file")
        source = self.sources[name] = Source(path, root, dirs)
        for alias in source.words("Alias", "Install"):
            self.aliases[alias] = name
        for d in dirs:
            for link in sorted(glob.glob(glob.escape(d) + "/*.wants/*") + glob.glob(glob.escape(d) + "/*.requires/*")):
                who, kind = os.path.basename(os.path.dirname(link)).rsplit(".", 1)
                linked = os.path.basename(link)
                if linked == name or re.sub(r"@.+\.", "@.", linked) == name:
                    (source.wanted_by if kind == "wants" else source.required_by).append(who)
                    if linked != name and (m := re.search(r"@(.+)\.", linked)) and m[1] not in source.instances:
                        source.instances.append(m[1])

    # --- names

    def find(self, ref):
        """The source that a reference means, and the instance of it; None if it is not among the inputs."""
        ref = self.aliases.get(ref, ref)
        if ref in self.sources:
            return self.sources[ref], None
        template = re.sub(r"@.+\.", "@.", ref)
        if template in self.sources:
            return self.sources[template], re.search(r"@(.*)\.", ref)[1]
        return None, None

    def name_of(self, ref):
        """What a unit is called here."""
        source, instance = self.find(ref)
        if source is None:
            return valid_name(SUFFIX.sub("", ref)) if "@" not in ref else SUFFIX.sub("", ref)
        if source.suffix == "target" and source.name + ".service" in self.sources:
            return valid_name(source.name + "-target")
        if "@" in source.name and instance is None and source.name.endswith("@"):
            return source.name
        if instance is not None and self.apart(source):
            return valid_name(source.name.rstrip("@") + "." + instance)
        return source.name + instance if instance is not None else source.name if "@" in source.name else valid_name(source.name)

    def names_of(self, ref):
        """As name_of, but a template means all of its instances."""
        source, instance = self.find(ref)
        if source and instance is None and source.name.endswith("@"):
            return [self.name_of(f"{source.name}{i}.{source.suffix}") for i in source.instances]
        return [self.name_of(ref)]

    def apart(self, source):
        """Says whether each instance needs a file of its own: %I is not the instance as it is written, and a template knows only that."""
        text = "\n".join(v for values in source.settings.values() for v in values)
        uses = re.search(r"%[If]", text.replace("%%", "")) is not None
        return any(not re.fullmatch(r"[A-Za-z0-9_.:-]+", i) or uses and unescaped(i) != i for i in source.instances)

    # --- writing

    def units(self):
        """All files, in the order of their names."""
        made = []
        for source in sorted(self.sources.values(), key=lambda s: s.file):
            source.used.clear()
            if source.suffix not in ("service", "socket", "target"):
                self.lost.append((source.file, self.nothing(source)))
                continue
            if source.name.endswith("@") and source.suffix != "service":
                self.lost.append((source.file, "only services have templates"))
                continue
            if source.suffix == "socket":
                made += filter(None, [Socket(self, source, None).unit])
                continue
            if not source.name.endswith("@"):
                made.append(self.make(source, None))
                continue
            default = source.last("DefaultInstance", section="Install")
            if default and not source.instances and source.all("WantedBy", "Install"):
                source.instances.append(default)
            if self.apart(source):
                made += [self.make(source, i) for i in source.instances]
                if not source.instances:
                    self.lost.append((source.file, "a template without instances: name some, as in foo@bar.service"))
            else:
                made.append(self.make(source, INSTANCE))
        for source in self.sources.values():
            self.before(source)
        return made

    def nothing(self, source):
        if source.suffix == "mount":
            get = lambda key: source.last(key, section="Mount")
            line = f"{get('What')} {get('Where')} {get('Type') or 'auto'} {get('Options') or 'defaults'} 0 0"
            return f"mounts stand in /etc/fstab: {line}"
        if source.suffix == "timer":
            return "there are no timers: use cron, or a service that sleeps"
        return f"there is nothing like a .{source.suffix}"

    def make(self, source, instance):
        made = (Service if source.suffix == "service" else Target)(self, source, instance)
        source.out = (source.out or []) + [made]
        return made.unit

    def before(self, source):
        """Before=x: the other one is after this one."""
        me = self.names_of(source.file)
        for made in source.out or []:
            for ref in source.words("Before", "Unit"):
                ref = made.specifiers(ref)
                other, _ = self.find(ref)
                stem = SUFFIX.sub("", ref)
                if other and other.out:
                    for o in other.out:
                        self.add_after(o.unit, me)
                elif ref.endswith(".target") and stem in PASSIVE:
                    # Between two of the inputs such a target is only an order.
                    late = [o for s in self.sources.values() for o in s.out or [] if ref in s.words("After", "Unit") and s is not source]
                    for o in late:
                        self.add_after(o.unit, me)
                    if not late:
                        made.unit.lose(f"Before={ref}", f'write after = ["{me[0] if me else source.name}"] where it matters')
                elif ref.endswith((".service", ".target")) and stem not in BOOT:
                    made.unit.lose(f"Before={ref}", f'write after = ["{me[0] if me else source.name}"] in that one')

    def add_after(self, unit, names):
        needed = unit.get("dependencies.requires", []) + unit.get("dependencies.binds", [])
        names = [n for n in names if n != unit.name and n not in needed]
        if names:
            unit.add("dependencies.after", *names)


class Translator:
    """What services, sockets and targets share."""

    def __init__(self, reader, source, instance):
        self.reader, self.source, self.instance = reader, source, instance
        self.full = source.file if instance is None else source.file.replace("@.", f"@{instance}.")
        self.stem = SUFFIX.sub("", self.full)
        origin = shown(self.full) + " of systemd" if instance != INSTANCE else source.file + " of systemd"
        if source.dropins:
            origin += " with " + ", ".join(os.path.basename(d) for d in sorted(source.dropins, key=os.path.basename))
        self.unit = Unit(self.unit_name(), self.kind, origin)
        self.translate()
        self.rest()

    def unit_name(self):
        if self.instance == INSTANCE:
            return self.source.name
        return self.reader.name_of(self.full)

    def specifiers(self, text, words=False):
        """A text with its specifiers replaced, systemd.unit(5)."""
        stem, instance = self.stem, self.instance or ""
        prefix = stem.split("@")[0]
        plain = unescaped(instance) if instance != INSTANCE else INSTANCE
        values = {
            "%": "%", "i": instance, "I": plain, "n": self.full, "N": stem, "p": prefix, "P": unescaped(prefix), "j": prefix.split("-")[-1],
            "J": unescaped(prefix.split("-")[-1]), "f": "/" + (plain or unescaped(prefix)).lstrip("/"), "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc",
            "T": "/tmp", "V": "/var/tmp", "h": "/root", "u": "root", "U": "0", "g": "root", "G": "0", "s": "/bin/sh", "y": self.source.path,
            "Y": os.path.dirname(self.source.path),
        }  # fmt: skip

        def one(m):
            if m[1] not in values:
                self.unit.lose(f"%{m[1]} in {text}")
                return m[0]
            return values[m[1]]

        return re.sub(r"%(.)", one, text, flags=re.S)

    def all(self, key, section=None):
        return [self.specifiers(v) for v in self.source.all(key, section)]

    def last(self, key, default="", section=None):
        values = self.all(key, section)
        return values[-1] if values else default

    def words(self, key, section=None):
        return [self.specifiers(w) for w in self.source.words(key, section)]

    def common(self):
        """Description and [Unit] as far as all kinds have it."""
        unit, source = self.unit, self.source
        if text := self.last("Description", section="Unit"):
            unit.set("description", text, "Description=")
        if docs := self.words("Documentation", "Unit"):
            unit.note("Documentation: " + " ".join(docs))
        for alias in self.words("Alias", "Install"):
            unit.lose(f"Alias={alias}", "a unit has one name")
        source.all("DefaultInstance", "Install")

    def dependencies(self):
        unit, reader = self.unit, self.reader
        before, after = self.words("Before", "Unit"), self.words("After", "Unit")
        for key, to in ("Requires", "requires"), ("BindsTo", "binds"), ("Requisite", "requires"), ("Wants", "wants"), ("Upholds", "wants"):
            for ref in self.words(key, "Unit"):
                if key in ("Requisite", "Upholds"):
                    unit.lose(f"{key}={ref}", f"as {'Requires' if key == 'Requisite' else 'Wants'}=")
                self.depend(key, ref, to, before)
        for ref in after:
            stem, kind = SUFFIX.sub("", ref), ref.rsplit(".", 1)[-1]
            if kind == "service" or kind == "target" and stem not in BOOT:
                names = [n for n in reader.names_of(ref) if n != unit.name]
                unit.add("dependencies.after", *(n for n in names if n not in unit.get("dependencies.requires", []) + unit.get("dependencies.binds", [])))
        for ref in self.words("Conflicts", "Unit"):
            if ref.endswith((".service", ".target")) and SUFFIX.sub("", ref) not in BOOT:
                unit.add("dependencies.conflicts", *reader.names_of(ref))
        for ref in self.words("PartOf", "Unit"):
            if not set(reader.names_of(ref)) & set(unit.get("dependencies.requires", []) + unit.get("dependencies.binds", [])):
                unit.lose(f"PartOf={ref}", "it is not stopped or restarted with that one")
        for path in self.words("RequiresMountsFor", "Unit"):
            unit.lose(f"RequiresMountsFor={path}", "if it is a mount point of its own, write mounts = [...] in [dependencies]")
        for to, names in self.wanted():
            names = [n for n in names if to == "requires" or n not in unit.get("dependencies.requires", [])]
            unit.add(f"dependencies.{to}", *names)

    def depend(self, key, ref, to, before):
        """One of what a unit requires, binds or wants."""
        unit, reader = self.unit, self.reader
        stem, kind = SUFFIX.sub("", ref), ref.rsplit(".", 1)[-1]
        other, _ = reader.find(ref)
        if kind == "target" and (stem in BOOT or stem in PASSIVE) and other is None or ref == "-.mount" or kind == "slice":
            return
        if kind == "socket":
            if other is None:
                unit.lose(f"{key}={ref}", f"give {ref} as an input too")
            return
        if kind == "mount":
            if to != "wants":
                unit.add("dependencies.mounts", "/" + unescaped(stem), source=f"{key}={ref}")
            return
        if kind not in ("service", "target"):
            unit.lose(f"{key}={ref}", f"there is nothing like a .{kind}")
            return
        names = [n for n in reader.names_of(ref) if n != unit.name]
        backwards = ref in before or other and self.source.file in other.words("After", "Unit")
        if to != "wants" and backwards:
            unit.lose(f"{key}={ref}", "only wanted: that one starts after this one")
            to = "wants"
        if names:
            unit.add(f"dependencies.{to}", *names, source=f"{key}={ref}")

    def rest(self):
        """All that nobody asked for is lost."""
        for (section, key), values in self.source.settings.items():
            if (section, key) not in self.source.used and f"{section}.{key}" not in NEEDLESS and not section.startswith("X-") and not key.startswith("X-"):
                for value in values:
                    self.unit.lose(f"{key}={value}")

    def enabled(self):
        """Says whether something starts the unit at boot, and adds it to what else wants it."""
        source, reader, started = self.source, self.reader, False
        for key, to in ("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "wants"):
            for ref in source.words(key, "Install"):
                other, _ = reader.find(ref)
                if SUFFIX.sub("", ref) in STARTED_BY and other is None or other and ref.endswith(".target"):
                    started = True
                elif other is None:
                    self.unit.lose(f"{key}={ref}", f'write {to} = ["{self.unit.name}"] in that one')
                else:
                    started = True
        started = started or any(w.rsplit(".", 1)[0] in STARTED_BY for w in source.wanted_by + source.required_by)
        me = {source.file, *(a for a, name in reader.aliases.items() if name == source.file)}
        for other in reader.sources.values():
            for key in "Requires", "Wants", "BindsTo", "Upholds":
                for ref in other.settings.get(("Unit", key), []):
                    started = started or any(r in me or reader.find(r)[0] is source for r in ref.split())
        return started

    def wanted(self):
        """Names of the inputs that say of themselves that this one wants or requires them."""
        me = {self.source.file, *(a for a, name in self.reader.aliases.items() if name == self.source.file)}
        for other in self.reader.sources.values():
            for key, to in ("WantedBy", "wants"), ("RequiredBy", "requires"):
                if me & {r for v in other.settings.get(("Install", key), []) for r in v.split()}:
                    yield to, self.reader.names_of(other.file)


class Target(Translator):
    kind = "target"

    def translate(self):
        self.common()
        self.dependencies()
        # A target is reached after what it wants, except for what says that it comes later.
        late = {n for s in self.reader.sources.values() if self.source.file in s.words("After", "Unit") for n in self.reader.names_of(s.file)}
        self.reader.add_after(self.unit, [n for n in self.unit.get("dependencies.wants", []) if n not in late])
        if not self.enabled():
            self.unit.set("status", "stop", "no [Install]", "nothing starts it at boot")


class Socket(Translator):
    kind = "xinet"

    def unit_name(self):
        # LISTEN_FDNAMES has the name of the proxy; there it has the name of the socket unit.
        name = self.source.last("FileDescriptorName") or self.source.file
        return valid_name(name)

    def translate(self):
        unit, source = self.unit, self.source
        self.common()
        if is_yes(self.last("Accept", "no")):
            unit.lose("Accept=yes", "a process for each connection is not possible")
            self.reader.lost.append((source.file, "Accept=yes: a process for each connection is not possible"))
            self.unit = None
            return
        listen = []
        for address in self.all("ListenStream"):
            if address.isdigit():
                address = ":" + address
            if address.startswith("@") or address.startswith("vsock:"):
                unit.lose(f"ListenStream={address}", "only TCP and paths")
            else:
                listen.append(address)
        if not listen:
            self.reader.lost.append((source.file, "it listens on nothing that a proxy can listen on: TCP and paths"))
            self.unit = None
            return
        unit.set("listen", listen, "ListenStream=")
        unit.set("service", self.reader.name_of(self.last("Service", source.name + ".service")), "Service=")
        unit.set("pass", True, "the sockets given to the service", "the service is started with the sockets, as systemd does")
        for ref in self.words("Conflicts", "Unit"):
            if SUFFIX.sub("", ref) not in BOOT:
                unit.lose(f"Conflicts={ref}", "a proxy has no dependencies")
        for key in "Before", "After", "Wants", "Requires":
            source.all(key, "Unit")
        for key in "WantedBy", "RequiredBy":
            source.all(key, "Install")
        source.all("FileDescriptorName")
        if (mode := self.last("SocketMode", "0666")).zfill(4) != "0666":
            unit.lose(f"SocketMode={mode}", "anyone may connect whom the directory lets in")

    def rest(self):
        if self.unit:
            super().rest()


class Service(Translator):
    kind = "service"

    def translate(self):
        self.type = self.last("Type", "simple" if self.source.all("ExecStart") else "oneshot")
        self.user, self.group = self.last("User"), self.last("Group")
        self.common()
        self.starts, self.pres = self.steps("ExecStart"), self.steps("ExecStartPre")
        self.root = any(s.root for s in self.starts) and bool(self.user or self.group)
        self.environment()
        self.identity()
        self.directories()
        self.execution()
        self.kind_of_start()
        self.ends()
        self.restarts()
        self.conditions()
        self.dependencies()
        self.output()
        self.limits()
        self.activation()
        self.reload()
        self.post()

    # --- commands

    def steps(self, key):
        found = []
        for line in self.source.all(key):
            for part in self.commands(split_words(line)):
                prefix = re.match(r"[-@:+!|]*", part[0])[0]
                words = [part[0][len(prefix) :]] + part[1:]
                if "@" in prefix:
                    self.unit.lose(f"{key}=@: argv[0] {' '.join(words[1:2])}", "a program gets its own name")
                    words = words[:1] + words[2:]
                words = [self.specifiers(w) for w in words]
                found.append(Step(words[:1] + [w if ":" in prefix else self.variable(w) for w in words[1:]], prefix))
        return found

    def commands(self, words):
        """A line may have several commands, with a ; between them."""
        part = []
        for w in words + [";"]:
            if w == ";":
                if part:
                    yield part
                part = []
            else:
                part.append(";" if w == "\\;" else w)

    def variable(self, word):
        """A word with its variables marked: $X is split into words, ${X} is not."""
        if m := re.fullmatch(r"\$([A-Za-z_][A-Za-z0-9_]*)", word):
            return SPLIT + m[1] + END
        return re.sub(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda m: VAR + m[1] + END if m[1] else "$", word)

    def before_start(self):
        """Lines of a shell that stand before the program."""
        lines = list(self.installs)
        outside = [s for s in self.pres if s.root and self.user and not self.root]
        if outside:
            pre = Unit(valid_name(self.unit.name + "-pre"), "service", f"ExecStartPre= of {shown(self.full)}")
            pre.set("exec", script([s.sh() for s in outside]) if len(outside) > 1 or outside[0].ignore else command(outside[0].words), "ExecStartPre=+")
            pre.set("oneshot", True, "ExecStartPre=+")
            for key in "env", "env_file":
                if value := self.unit.get("service." + key):
                    pre.set(key, value, key)
            self.unit.add("dependencies.requires", pre.name)
            self.unit.lose("ExecStartPre=+", f"{pre.name} runs as root once, before the first start only")
            self.reader.extra.append(pre)
        return lines + [s.sh() for s in self.pres if s not in outside]

    def execution(self):
        unit, lines = self.unit, self.before_start()
        starts = self.starts
        after_end = self.steps("ExecStop") if self.type == "oneshot" and not is_yes(self.last("RemainAfterExit", "no")) and self.source.all("ExecStop") else []
        self.stop_done = bool(after_end)
        if not starts and not lines:
            starts = [Step(["/bin/true"], "")]
            unit.note("It only does something when it is stopped.")
        if len(starts) == 1 and not lines and not after_end and not (starts[0].ignore and self.type in ("oneshot", "forking")):
            unit.set("exec", command(starts[0].words), "ExecStart=")
        else:
            for s in starts[:-1]:
                lines.append(s.sh())
            forks = self.type in ("oneshot", "forking")
            lines.append(starts[-1].sh(last=not after_end and not (starts[-1].ignore and forks)))
            lines += [s.sh() for s in after_end]
            unit.set("exec", script(lines), "ExecStart=")
        if starts and starts[-1].ignore and self.type not in ("oneshot", "forking") and self.last("Restart", "no") in ("no", "on-failure"):
            unit.lose("ExecStart=-", "a failure is shown as one")
        for s in starts:
            for name in re.findall(f"[{VAR}{SPLIT}](.*?){END}", " ".join(s.words)):
                self.directory_variable(name)

    def directory_variable(self, name):
        """RUNTIME_DIRECTORY and the like, where the unit itself uses them."""
        kind = name.removesuffix("_DIRECTORY").capitalize()
        if name.endswith("_DIRECTORY") and kind in self.made:
            self.unit.values["service"].setdefault("env", {}).setdefault(name, ":".join(self.made[kind]))

    def kind_of_start(self):
        unit, source = self.unit, self.source
        pid_file = self.last("PIDFile")
        if self.type == "oneshot":
            unit.set("oneshot", True, "Type=oneshot")
        elif self.type == "forking" and pid_file and unit.set("pid_file", pid_file if pid_file.startswith("/") else "/run/" + pid_file, f"PIDFile={pid_file}"):
            pass
        elif self.type == "forking":
            unit.lose("Type=forking" if pid_file else "Type=forking without PIDFile=", "the daemon lives on unwatched; run it in the foreground")
            unit.set("oneshot", True, "Type=forking")
            unit.set("lifecycle.kill_mode", "process", "Type=forking", "the daemon lives on when its parent has ended")
        elif self.type in ("notify", "notify-reload"):
            unit.set("health.type", "notify", f"Type={self.type}")
        elif self.type == "dbus":
            name = self.last("BusName")
            unit.add("dependencies.after", "dbus")
            unit.set("health.type", "exec", f"BusName={name}")
            unit.set(
                "health.target",
                f"dbus-send --system --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.GetNameOwner string:{name}",
                f"BusName={name}",
                "ready when the name has an owner",
            )
            unit.set("health.interval_ms", 0, f"BusName={name}")
        elif self.type not in ("simple", "exec"):
            unit.lose(f"Type={self.type}", "as simple")
        if self.type != "dbus":
            source.all("BusName")
        watchdog = self.time("WatchdogSec")
        if watchdog:
            if self.type in ("notify", "notify-reload"):
                unit.set("health.interval_ms", watchdog, f"WatchdogSec={self.last('WatchdogSec')}", "the watchdog")
            else:
                unit.lose(f"WatchdogSec={self.last('WatchdogSec')}", "only with Type=notify")
        timeout = self.time("TimeoutStartSec", self.time("TimeoutSec", "unset"))
        if timeout != "unset":
            if timeout or self.type != "oneshot":
                unit.set("lifecycle.start_timeout_ms", timeout or 0, "TimeoutStartSec=")
        elif self.type in ("notify", "notify-reload", "forking", "dbus"):
            unit.set("lifecycle.start_timeout_ms", 90000, "TimeoutStartSec=", "the default of systemd")

    def time(self, key, default=None, section=None):
        """A time span in milliseconds; None: infinity, which 0 means too."""
        text = self.last(key, section=section)
        if not text:
            return default
        try:
            return span(text) or None
        except (ValueError, KeyError):
            self.unit.lose(f"{key}={text}", "this is no time span")
            return default

    def ends(self):
        """How it is stopped, and what counts as a good end."""
        unit, source = self.unit, self.source
        timeout = self.time("TimeoutStopSec", self.time("TimeoutSec", "unset"))
        if timeout is None:
            unit.set("lifecycle.stop_timeout_ms", 3600000, "TimeoutStopSec=", "there: no limit; here the time of a shutdown counts too")
        elif timeout != "unset":
            unit.set("lifecycle.stop_timeout_ms", timeout, "TimeoutStopSec=")
        if text := self.last("KillSignal"):
            unit.set("lifecycle.stop_signal", signal_name(text), "KillSignal=")
        stops = [] if self.stop_done else self.steps("ExecStop")
        if len(stops) == 1:
            words = stops[0].words
            unit.set("lifecycle.stop_exec", command(words), "ExecStop=")
        elif stops:
            unit.set("lifecycle.stop_exec", script([s.sh() for s in stops]), "ExecStop=")
        mode = self.last("KillMode", "control-group")
        if unit.get("lifecycle.kill_mode"):
            pass  # a daemon that nobody watches
        elif mode in ("mixed", "process"):
            unit.set("lifecycle.kill_mode", mode, f"KillMode={mode}")
        elif mode != "control-group":
            unit.lose(f"KillMode={mode}", "as process: the main process gets the stop signal")
            unit.set("lifecycle.kill_mode", "process", f"KillMode={mode}")
        if is_yes(self.last("SendSIGHUP", "no")):
            unit.lose("SendSIGHUP=yes", 'stop_signal = "SIGHUP" may do')
        if not is_yes(self.last("SendSIGKILL", "yes")):
            unit.lose("SendSIGKILL=no", "what does not end in time is killed")
        codes, signals = self.statuses("SuccessExitStatus")
        restart = self.last("Restart", "no")
        clean = ["SIGHUP", "SIGINT", "SIGTERM", "SIGPIPE"] if restart in ("on-failure", "on-abnormal", "on-abort") and self.type != "oneshot" else []
        good = [0] + [c for c in codes if c] + clean + [s for s in signals if s not in clean]
        if len(good) > 1:
            comment = "in systemd these signals are a good end too" if clean else None
            names = "SuccessExitStatus=" + " ".join(self.words("SuccessExitStatus")) if codes or signals else "the end by SIGTERM and the like as a good one"
            unit.set("lifecycle.success_codes", good, names, comment)
        codes, signals = self.statuses("RestartPreventExitStatus")
        if codes or signals:
            unit.set("lifecycle.restart_prevent", codes + signals, "RestartPreventExitStatus=" + " ".join(self.words("RestartPreventExitStatus")))

    def statuses(self, key):
        codes, signals = [], []
        for word in self.words(key):
            if word.isdigit():
                codes.append(int(word))
            elif word in EXIT_NAMES:
                codes.append(EXIT_NAMES[word])
            elif signal_name(word) in SIGNALS:
                signals.append(signal_name(word))
            else:
                self.unit.lose(f"{key}={word}", "an unknown status")
        return codes, signals

    def restarts(self):
        unit = self.unit
        text = self.last("Restart", "no")
        policy = {"no": "never", "always": "always", "on-failure": "on-failure"}.get(text)
        if policy is None:
            policy = "always" if text == "on-success" else "on-failure"
            unit.lose(f"Restart={text}", f'as "{policy}"')
        unit.set("lifecycle.restart", policy, f"Restart={text}", "the default of systemd" if not self.source.all("Restart") and self.type != "oneshot" else None)
        if policy == "never":
            for key in "RestartSec", "RestartMaxDelaySec", "RestartSteps":
                self.source.all(key)
        elif self.source.all("RestartSec"):
            delay, longest = self.time("RestartSec") or 0, self.time("RestartMaxDelaySec")
            unit.set("lifecycle.restart_delay_ms", delay, "RestartSec=")
            unit.set("lifecycle.restart_delay_max_ms", longest or delay, "RestartSec=", None if longest else "it does not grow")
            self.source.all("RestartSteps")
        burst = self.last("StartLimitBurst", self.last("StartLimitBurst"), section="Unit")
        interval = self.time("StartLimitIntervalSec", self.time("StartLimitInterval", self.time("StartLimitInterval", "unset"), "Unit"), "Unit")
        if interval is None:
            return  # 0: no limit, as here
        if policy != "never" and (burst.isdigit() or interval != "unset"):
            unit.set("lifecycle.max_restarts", max(int(burst or 5) - 1, 1), "StartLimitBurst=")
            if interval != "unset":
                unit.set("lifecycle.stability_period_ms", interval, "StartLimitIntervalSec=")
        for action in "FailureAction", "SuccessAction":
            value = self.last(action, "none", section="Unit")
            if action == "FailureAction" and value in ("exit", "exit-force"):
                unit.set("critical", True, f"{action}={value}")
            elif value != "none":
                unit.lose(f"{action}={value}")

    # --- around the process

    def environment(self):
        unit, source = self.unit, self.source
        files = []
        for path in self.all("EnvironmentFile"):
            if re.search(r"[*?\[]", path):
                unit.lose(f"EnvironmentFile={path}", "files are named one by one")
            else:
                files.append(path)
        if files:
            unit.set("env_file", files[0] if len(files) == 1 else files, "EnvironmentFile=")
        env = {}
        for line in source.all("Environment"):
            for word in split_words(line):
                name, eq, value = word.partition("=")
                if eq:
                    env[name] = self.specifiers(value)
        if env and files:
            # There the files win over Environment=; here env wins, so that it must ask for what they say.
            env = {k: f"{VAR}{k}:-{v}{END}" if not re.search(r"[{}$]", v) else v for k, v in env.items()}
            comment = "what the files say comes first"
            for k, v in env.items():
                if VAR not in v:
                    unit.lose(f"Environment={k}={v}", "env wins over the files; there it is the other way round")
        else:
            comment = None
        if env:
            unit.set("env", env, "Environment=", comment)
        source.all("PassEnvironment")

    def identity(self):
        unit = self.unit
        if self.root:
            unit.note(f"It begins as root (ExecStart=!), although it has User={self.user}.")
            return
        for key, value in ("user", self.user), ("group", self.group):
            if value:
                unit.set(key, int(value) if value.isdigit() else value, f"{key.capitalize()}={value}")
        folder = self.last("WorkingDirectory")
        if folder == "~":
            try:
                folder = pwd.getpwnam(self.user or "root").pw_dir
            except KeyError:
                unit.lose("WorkingDirectory=~", f"the user {self.user} does not exist here")
                folder = ""
        if folder.startswith("-"):
            unit.lose(f"WorkingDirectory={folder}", "it must exist")
            folder = folder[1:]
        if folder:
            unit.set("dir", folder, "WorkingDirectory=")

    def directories(self):
        """RuntimeDirectory= and its kind: made before each start, for the user."""
        unit = self.unit
        self.installs, self.made, made = [], {}, []
        for kind, base in ("Runtime", "/run/"), ("State", "/var/lib/"), ("Cache", "/var/cache/"), ("Logs", "/var/log/"), ("Configuration", "/etc/"):
            names = [base + w.split(":")[0] for w in self.words(kind + "Directory")]
            mode = self.last(kind + "DirectoryMode", "0755").zfill(4)
            if not names:
                continue
            self.made[kind] = names
            owner = self.user if kind != "Configuration" else ""
            as_user = self.user if not self.root else ""
            plain = mode == "0755" and owner == as_user
            if not plain and not as_user:
                group = self.group or (f'"$(id -gn {owner})"' if owner else "")
                line = f"install -d{f' -o {owner} -g {group}' if owner else ''} -m {mode} "
                if self.installs and self.installs[-1].startswith(line):
                    self.installs[-1] += " " + sh_line(names)
                else:
                    self.installs.append(line + sh_line(names))
                continue
            made += names
            if mode != "0755":
                unit.lose(f"{kind}DirectoryMode={mode}", "new directories get 0755")
        self.tmpfiles(made)
        if made:
            unit.set("runtime_dirs", made, "RuntimeDirectory= " + " ".join(made))

    def tmpfiles(self, made):
        """Directories below /run that tmpfiles.d(5) makes at boot for a unit: the lines of a file with its name."""
        name = self.stem.split("@")[0] + ".conf"
        path = next((p for d in ("etc", "run", "usr/lib") if os.path.exists(p := os.path.join(self.source.root or "", d, "tmpfiles.d", name))), None)
        if not path:
            return
        for line in read(path).splitlines():
            words = split_words(self.specifiers(line)) + ["-"] * 5
            if words[0].rstrip("!") not in ("d", "D") or not words[1].startswith(("/run/", "/var/run/")):
                continue
            folder, mode, owner, group = words[1].replace("/var/run/", "/run/"), *words[2:5]
            mode, owner, group = [{"-": usual}.get(v, v) for v, usual in ((mode.zfill(4) if mode != "-" else "0755", "0755"), (owner, "root"), (group, "root"))]
            if owner == (self.user or "root") and mode == "0755" and not self.root:
                made.append(folder)
            elif not self.user or self.root:
                self.installs.append(f"install -d -o {owner} -g {group} -m {mode} {sh_word(folder)}")
            else:
                self.unit.lose(f"{path}: {line}", "it has no right to make this directory")

    def conditions(self):
        unit, source = self.unit, self.source
        for key in "ConditionPathExists", "ConditionEnvironment", "AssertPathExists", "AssertEnvironment":
            for text in self.all(key, "Unit"):
                if text.startswith("|"):
                    unit.lose(f"{key}={text}", "all conditions must hold")
                    continue
                if key.startswith("Assert"):
                    unit.lose(f"{key}={text}", "if it does not hold the service is skipped, and does not fail")
                unit.set("conditions." + ("exists" if "Path" in key else "env"), unit.get("conditions." + ("exists" if "Path" in key else "env"), []) + [text], f"{key}={text}")
        for key in "ConditionPathIsDirectory", "ConditionFileNotEmpty", "ConditionFileIsExecutable", "ConditionPathIsReadWrite":
            for text in self.all(key, "Unit"):
                if not text.startswith("|"):
                    unit.lose(f"{key}={text}", "only looked at whether it exists")
                    unit.set("conditions.exists", unit.get("conditions.exists", []) + [text], f"{key}={text}")
                else:
                    unit.lose(f"{key}={text}", "all conditions must hold")

    def output(self):
        unit = self.unit
        tty = self.last("StandardInput", "null")
        out = self.last("StandardOutput", "inherit")
        err = self.last("StandardError", "inherit")
        if tty.startswith("tty"):
            unit.set("tty", self.last("TTYPath", "/dev/console"), f"StandardInput={tty}")
        else:
            if self.last("TTYPath"):
                unit.lose(f"TTYPath={self.last('TTYPath')}")
            if tty != "null":
                unit.lose(f"StandardInput={tty}", "a service reads from /dev/null")
        if err == "inherit":
            err = out
        kind, _, path = out.partition(":")
        if err != out:
            unit.lose(f"StandardError={err}", "both streams go the same way")
        if kind in ("file", "append", "truncate"):
            unit.set("logging.file", path, f"StandardOutput={out}")
            unit.set("logging.max_size_bytes", 0, f"StandardOutput={out}", "not rotated, as there")
            if kind == "truncate":
                unit.lose(f"StandardOutput={out}", "the file is not emptied at the start")
        elif kind == "null":
            unit.set("logging.buffer_lines", 0, f"StandardOutput={out}", "nothing of its output is kept")
            unit.set("logging.console", False, f"StandardOutput={out}")
        elif out.endswith("+console"):
            unit.set("logging.console", True, f"StandardOutput={out}")
        elif kind == "tty" and tty.startswith("tty"):
            pass
        elif kind not in ("inherit", "journal", "syslog", "kmsg"):
            unit.lose(f"StandardOutput={out}")
        for key in "SyslogIdentifier", "UtmpIdentifier":
            name = self.last(key)
            if name and name not in (self.unit.name, self.stem):
                unit.lose(f"{key}={shown(name)}", f"lines of the log have the name {self.unit.name}" if key[0] == "S" else "")

    def limits(self):
        unit = self.unit
        for key, to in ("LimitNOFILE", "nofile"), ("LimitNPROC", "nproc"), ("LimitCORE", "core"), ("LimitAS", "as"), ("LimitMEMLOCK", "memlock"):
            text = self.last(key)
            if not text:
                continue
            soft, _, hard = text.partition(":")
            value = "unlimited" if soft == "infinity" else size(soft, BINARY)
            if value is None or hard and hard != soft:
                unit.lose(f"{key}={text}", "one value counts for both" if value is not None else "")
            if value is not None:
                unit.set(f"limits.{to}", value, f"{key}={text}")
        for key, to in ("Nice", "nice"), ("OOMScoreAdjust", "oom_score_adj"):
            if text := self.last(key):
                unit.set(f"limits.{to}", int(text), f"{key}={text}")
        if text := self.last("UMask"):
            unit.set("limits.umask", text.zfill(3), f"UMask={text}")
        if is_yes(self.last("NoNewPrivileges", "no")):
            unit.set("limits.no_new_privs", True, "NoNewPrivileges=yes")
        caps = [w.lower().removeprefix("cap_") for w in self.words("AmbientCapabilities")]
        if any(c.startswith("~") for c in caps):
            unit.lose("AmbientCapabilities=" + " ".join(self.words("AmbientCapabilities")), "they are named one by one")
        elif caps:
            unit.set("limits.caps", caps, "AmbientCapabilities=")
        if text := self.last("RootDirectory"):
            unit.set("limits.chroot", text, f"RootDirectory={text}")
        for key, to in ("MemoryMax", "memory_max_bytes"), ("MemoryLimit", "memory_max_bytes"), ("TasksMax", "pids_max"), ("CPUQuota", "cpu_max_percent"):
            text = self.last(key)
            if not text or text == "infinity":
                continue
            value = size(text.rstrip("%") if key == "CPUQuota" else text, BINARY)
            if value is None:
                unit.lose(f"{key}={text}")
            else:
                unit.set(f"limits.{to}", value, f"{key}={text}")

    # --- when it is started, and what happens then

    def activation(self):
        unit, source = self.unit, self.source
        trigger = next((s.file for s in self.reader.sources.values() if s.suffix in ("socket", "timer", "path") and self.triggers(s)), None)
        started = self.enabled()
        if self.instance == INSTANCE:
            if source.instances:
                unit.set("instances", source.instances, "the instances " + " ".join(source.instances))
            return
        if not started:
            unit.set("status", "stop", "no [Install]", f"started by {trigger}" if trigger else "nothing starts it at boot")

    def triggers(self, other):
        """Says whether a socket, timer or path starts this one."""
        key = "Service" if other.suffix == "socket" else "Unit"
        names = other.settings.get((other.suffix.capitalize(), key), [other.name + ".service"])
        return self.source.file in names

    def reload(self):
        """ExecReload= is what a person does here."""
        unit, lines, plain = self.unit, [], True
        for s in self.steps("ExecReload"):
            words = s.words
            kill = re.fullmatch(r"\S*/?kill (?:-s |--signal[= ]|-)(?:SIG)?([A-Z]+[0-9+]*|[0-9]+) \$\{?MAINPID\}?", " ".join(MARKED.sub(r"$\1", w) for w in words))
            if kill:
                lines.append(f"zinit kill {self.unit.name + ('INSTANCE' if self.instance == INSTANCE else '')} {kill[1]}")
            elif any("MAINPID" in w for w in words):
                plain = False
            else:
                lines.append(sh_line(words))
                plain = plain and not any(MARKED.search(w) for w in words)
        lines = [l for l in lines if l not in ("/bin/true", "/usr/bin/true")]
        if lines:
            unit.note("Reload: " + " && ".join(lines))
        if not plain:
            for text in self.source.all("ExecReload"):
                if not re.search(r"kill .*MAINPID", text):
                    unit.lose(f"ExecReload={text}", "a reload is done by hand, see above" if lines else "there is no reload of a service")

    def post(self):
        posts = self.steps("ExecStartPost")
        if not posts:
            return
        if self.instance == INSTANCE or any("MAINPID" in w for s in posts for w in s.words):
            for text in self.source.all("ExecStartPost"):
                self.unit.lose(f"ExecStartPost={text}", "write a oneshot that requires this one")
            return
        unit = Unit(valid_name(self.unit.name + "-post"), "service", f"ExecStartPost= of {self.full}")
        unit.set("exec", script([s.sh() for s in posts]) if len(posts) > 1 or posts[0].ignore else command(posts[0].words), "ExecStartPost=")
        unit.set("oneshot", True, "ExecStartPost=")
        for key in "env", "env_file", "user", "group", "dir", "status":
            if (value := self.unit.get("service." + key)) is not None and not (key in ("user", "group") and posts[0].root):
                unit.set(key, value, key)
        unit.set("dependencies.requires", [self.unit.name], "ExecStartPost=")
        unit.set("lifecycle.restart", "never", "Restart=")
        self.unit.lose("ExecStartPost=", f"{unit.name} runs once, after the first start only")
        self.reader.extra.append(unit)


# --- the lines on stderr

def warn(name, text):
    print(f"{name}: {text}", file=sys.stderr)


# --- supervisord

class Supervisord:
    """Reads the configuration of supervisord, with what it includes."""

    def __init__(self):
        self.files, self.lost = [], []

    def add(self, path):
        self.files.append(path)

    def read(self, path):
        def parser():
            p = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"), interpolation=None)
            p.optionxform = str.lower
            return p

        def load(file, into):
            try:
                into.read_string(read(file), file)
            except configparser.Error as e:
                raise Wrong(" ".join(str(e).split())) from None

        main = parser()
        load(path, main)
        here = os.path.dirname(os.path.abspath(path))
        sections = [(s, dict(main[s]), here) for s in main.sections() if s != "include"]
        for pattern in main.get("include", "files", fallback="").replace("%(here)s", here).split():
            for file in sorted(glob.glob(os.path.join(here, pattern))):
                more = parser()
                load(file, more)
                sections += [(s, dict(more[s]), os.path.dirname(os.path.abspath(file))) for s in more.sections()]
        if not any(s.split(":")[0] in ("supervisord", "program", "group", "fcgi-program", "eventlistener", "unix_http_server", "supervisorctl") for s, _, _ in sections):
            raise Wrong(f"{path}: this is no configuration of supervisord: it has no [program:x]")
        return sections

    def units(self):
        made = []
        for path in self.files:
            made += self.file_units(path)
        return made

    def file_units(self, path):
        sections = self.read(path)
        common = next((o for s, o, _ in sections if s == "supervisord"), {})
        groups, priority, programs = {}, {}, []
        for section, options, here in sections:
            kind, _, name = section.partition(":")
            if kind == "group":
                groups[name] = [n.strip() for n in options.get("programs", "").split(",") if n.strip()]
                for member in groups[name]:
                    priority[member] = options.get("priority", "999")
            elif kind in ("program", "fcgi-program"):
                programs.append((kind, name, options, here))
            elif kind == "eventlistener":
                self.lost.append((section, "a program that wants events reads them from `zinit --json monitor`"))
            elif kind == "inet_http_server":
                self.lost.append((section, "nothing listens on the network"))
            elif kind not in ("supervisord", "unix_http_server", "supervisorctl", "rpcinterface"):
                self.lost.append((section, ""))
        self.server(common, next((o for s, o, _ in sections if s == "unix_http_server"), {}))
        made, order = [], {}
        for kind, name, options, here in programs:
            units = Program(self, kind, name, dict(options), here, common, os.path.basename(path)).units
            own = int(options.get("priority", "999")) if options.get("priority", "999").lstrip("-").isdigit() else 999
            for u in units:
                if u.kind == "service":
                    order.setdefault((int(priority.get(name, own)), own), []).append(u)
            made += units
        self.after(order)
        members = {}
        for u in made:
            if u.kind == "service":
                members.setdefault(u.program, []).extend(u.all_names)
        for name, programs in groups.items():
            unit = Unit(valid_name(name) if valid_name(name) not in members else valid_name(name + "-group"), "target", f"[group:{name}] of {os.path.basename(path)}")
            unit.set("dependencies.requires", [n for p in programs for n in members.get(p, [])], "programs=")
            for p in programs:
                if p not in members:
                    unit.lose(f"programs={p}", "there is no such program")
            made.append(unit)
        return made

    def server(self, common, control):
        """What is said about supervisord itself are flags of the server."""
        flags = [f"--socket {shlex.quote(control['file'])}"] if control.get("file") else []
        if re.fullmatch("0?[0-7]{3}", mode := control.get("chmod", "0700")) and int(mode, 8) & 0o666 != 0o600:
            flags.append(f"--socket-mode {int(mode, 8) & 0o666:04o}")
        if group := control.get("chown", "").partition(":")[2]:
            flags.append(f"--socket-group {shlex.quote(group)}")
        level = common.get("loglevel", "info").lower()
        if level != "info":
            level = {"critical": "error", "trace": "debug", "blather": "debug"}.get(level, level)
            flags.append(f"--log-level {level}")
        user = common.get("user", "root")
        user = f", as the user {user}" if user not in ("root", "0") else ""
        if flags or user:
            self.lost.append(("supervisord", " ".join(["it is `zinit server", *flags]) + "`" + user))

    def after(self, order):
        """priority: each after those with the next lower one."""
        earlier = []
        for _, units in sorted(order.items(), key=lambda item: item[0]):
            for u in units:
                if earlier:
                    u.set("dependencies.after", earlier, "priority=", "by priority; unlike there it waits until they are ready")
            earlier = [n for u in units for n in u.all_names]


class Program:
    """One [program:x] or [fcgi-program:x]."""

    def __init__(self, reader, kind, name, options, here, common, origin):
        self.kind, self.name, self.options, self.here, self.common = kind, name, options, here, common
        self.origin = f"[{kind}:{name}] of {origin}"
        self.number, self.used = "", set()
        count, start = int(options.get("numprocs", "1")), int(options.get("numprocs_start", "0"))
        self.used |= {"numprocs", "numprocs_start", "process_name", "priority", *(k for k, v in options.items() if (k, v) == ("serverurl", "AUTO"))}
        texts = [v for k, v in options.items() if k != "process_name"]
        formats = {f for v in texts for f in re.findall(r"%\(process_num\)(0?\d*d)", v)} or set(re.findall(r"%\(process_num\)(0?\d*d)", options.get("process_name", "")))
        numbers = range(start, start + count)
        unit_name = valid_name(name)
        if count == 1:
            self.number = start
            self.units = self.make(unit_name, [unit_name])
        elif len(formats) <= 1:
            form = formats.pop() if formats else "d"
            instances = [f"%{form}" % n for n in numbers]
            self.number = INSTANCE
            self.units = self.make(unit_name + "@", [f"{unit_name}@{i}" for i in instances])
            self.units[0].set("instances", instances, "numprocs=")
        else:
            self.units = []
            for n in numbers:
                self.number = n
                self.units += self.make(f"{unit_name}-{n}", [f"{unit_name}-{n}"])

    def text(self, value, unit=None):
        """A value with its %(x)s replaced; %(ENV_X)s becomes a variable."""

        def one(m):
            name, form = m[1], m[2]
            if name.startswith("ENV_"):
                if unit:
                    unit.lose(f"%({name})s in {value}", "variables count in commands, env, dir and file only")
                    return f"%({name})s"
                return MUST + name[4:] + END
            if name == "process_num" and self.number == INSTANCE:
                return INSTANCE
            values = {
                "here": self.here, "program_name": self.name, "group_name": self.name, "process_num": self.number, "numprocs": int(self.options.get("numprocs", "1")),
                "host_node_name": os.uname().nodename,
            }  # fmt: skip
            if name not in values:
                return m[0]
            try:
                return f"%{form}" % values[name]
            except (TypeError, ValueError):
                return str(values[name])

        return re.sub(r"%\(([A-Za-z0-9_]+)\)([-0-9.]*[sdixf])", one, value).replace("%%", "%")

    def opt(self, key, default=""):
        self.used.add(key)
        return self.options.get(key, default).strip()

    def pairs(self, text, unit):
        """KEY=value,KEY="value" as supervisord reads it."""
        lexer = shlex.shlex(text)
        lexer.wordchars += "/.+-():%$@~^!{}[]&*|<>?"
        tokens, pairs, i = list(lexer), {}, 0
        while i < len(tokens):
            if i + 2 >= len(tokens) or tokens[i + 1] != "=":
                unit.lose(f"environment={text}", "it is not KEY=value,KEY=value")
                break
            value = tokens[i + 2]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            pairs[tokens[i]] = self.text(value)
            i += 4
        return pairs

    def make(self, unit_name, all_names):
        unit = Unit(unit_name, "service", self.origin)
        unit.program, unit.all_names = self.name, all_names
        line = self.text(self.opt("command"))
        try:
            words = shlex.split(line)
        except ValueError as e:
            raise Wrong(f"{self.origin}: command: {e}") from None
        if not words:
            raise Wrong(f"{self.origin}: it has no command")
        more = []
        if self.kind == "fcgi-program":
            more = self.socket(unit)
            unit.set("exec", Shell(f"exec {sh_line(words)} <&3"), "socket=", "the socket is its stdin, as FastCGI wants it")
        else:
            unit.set("exec", self.shell(words), "command=")
        if folder := self.opt("directory"):
            unit.set("dir", self.text(folder), "directory=")
        env = self.pairs(self.common.get("environment", ""), unit) | self.pairs(self.opt("environment"), unit)
        if env:
            unit.set("env", env, "environment=")
        if user := self.opt("user"):
            user = self.text(user, unit)
            unit.set("user", int(user) if user.isdigit() else user, "user=")
        if self.opt("autostart", "true").lower() in ("false", "0", "no", "off"):
            unit.set("status", "stop", "autostart=false")
        self.life(unit)
        self.log(unit)
        if umask := self.opt("umask") or self.common.get("umask", ""):
            unit.set("limits.umask", umask.zfill(3), f"umask={umask}")
        for key, limit, default in ("minfds", "nofile", 1024), ("minprocs", "nproc", 200):
            if (value := self.common.get(key, "")).isdigit() and int(value) != default:
                unit.set(f"limits.{limit}", int(value), f"{key}={value}")
        if self.number != INSTANCE and (name := self.text(self.options.get("process_name", self.name))) != self.name and len(all_names) == 1 == int(self.options.get("numprocs", "1")):
            unit.lose(f"process_name={name}", f"it is called {unit_name} here")
        for key, value in self.options.items():
            if key not in self.used:
                unit.lose(f"{key}={value}")
        return [unit] + more

    def shell(self, words):
        """sh -c '...' is what a string is anyway."""
        if len(words) == 3 and os.path.basename(words[0]) == "sh" and words[1] == "-c" and not MARKED.search(words[2]) and simple_words(words[2]) is None:
            return Shell(words[2])
        return command(words)

    def socket(self, unit):
        proxy = Unit(unit.name + ".socket", "xinet", self.origin)
        address = self.text(self.opt("socket"))
        proxy.set("listen", [re.sub(r"^tcp://", "", address) if address.startswith("tcp://") else re.sub(r"^unix://", "", address)], "socket=")
        proxy.set("service", unit.name, "socket=")
        proxy.set("pass", True, f"socket={address}", "the service gets the socket itself")
        for key in "socket_owner", "socket_mode", "socket_backlog":
            if value := self.opt(key):
                proxy.lose(f"{key}={value}")
        if unit.name.endswith("@"):
            unit.lose("numprocs=", "a proxy starts one service")
        return [proxy]

    def life(self, unit):
        restart = self.opt("autorestart", "unexpected").lower()
        if restart in ("true", "1", "yes", "on"):
            unit.set("lifecycle.restart", "always", "autorestart=true")
        elif restart != "unexpected":
            unit.set("lifecycle.restart", "never", "autorestart=false")
        codes = [int(c) for c in self.opt("exitcodes").split(",") if c.strip().isdigit()]
        if codes and codes != [0]:
            unit.set("lifecycle.success_codes", codes, "exitcodes=")
        again = unit.get("lifecycle.restart") != "never"
        ms = int(float(self.opt("startsecs", "1")) * 1000)
        if ms and "startsecs" in self.options:
            unit.set("lifecycle.ready_after_ms", ms, "startsecs=")
        if again:
            unit.set("lifecycle.stability_period_ms", ms, "startsecs=")
        self.retries(unit, again and ms > 0)
        if name := self.opt("stopsignal"):
            unit.set("lifecycle.stop_signal", signal_name(name), "stopsignal=")
        if seconds := self.opt("stopwaitsecs"):
            unit.set("lifecycle.stop_timeout_ms", int(float(seconds) * 1000), "stopwaitsecs=")
        group = self.opt("stopasgroup", "false").lower() in ("true", "1", "yes", "on")
        self.opt("killasgroup")
        if not group and not isinstance(unit.get("service.exec"), Shell):
            unit.set("lifecycle.kill_mode", "mixed", "stopasgroup=false", "only the main process gets the stop signal, as without stopasgroup")

    def retries(self, unit, again):
        """startretries: a start that fails is tried again so often. One that lasts startsecs is no such start."""
        text = self.opt("startretries")
        if not text or not again:
            return
        # 0 has no limit here.
        unit.set("lifecycle.max_restarts", max(int(text), 1), "startretries=")
        if int(text) == 0:
            unit.lose("startretries=0", "a start that fails is tried once more: 1 is the least here")

    def log(self, unit):
        out, err = self.text(self.opt("stdout_logfile", "AUTO")), self.text(self.opt("stderr_logfile", "AUTO"))
        same = self.opt("redirect_stderr", "false").lower() in ("true", "1", "yes", "on")
        console = {"/dev/stdout", "/dev/fd/1", "/dev/stderr", "/dev/fd/2", "/proc/self/fd/1", "/proc/1/fd/1"}
        sizes = {key: self.opt(key) for key in ("stdout_logfile_maxbytes", "stdout_logfile_backups", "stderr_logfile_maxbytes", "stderr_logfile_backups")}
        which = "stdout"
        none = [n for n, value in (("stdout", out), ("stderr", out if same else err)) if value.upper() == "NONE"]
        if len(none) == 2:
            unit.set("logging.buffer_lines", 0, "stdout_logfile=NONE")
            unit.set("logging.console", False, "stdout_logfile=NONE")
        elif none:
            unit.lose(f"{none[0]}_logfile=NONE", "both streams are kept")
        if out in ("AUTO", "NONE") and err not in ("AUTO", "NONE") and not same:
            out, which = err, "stderr"
        elif not same and err not in ("AUTO", "NONE", out) and not {out, err} <= console:
            unit.lose(f"stderr_logfile={shown(err)}", "both streams are in one file")
        if out in console:
            unit.set("logging.console", True, f"{which}_logfile={out}")
        elif out == "syslog":
            unit.lose(f"{which}_logfile=syslog", "`zinit logs` has it")
        elif out not in ("AUTO", "NONE"):
            unit.set("logging.file", out, f"{which}_logfile=")
            if text := sizes[f"{which}_logfile_maxbytes"]:
                unit.set("logging.max_size_bytes", size(text, BINARY) or 0, f"{which}_logfile_maxbytes=")
            if text := sizes[f"{which}_logfile_backups"]:
                unit.set("logging.keep", int(text), f"{which}_logfile_backups=")
        for key in "stdout_capture_maxbytes", "stderr_capture_maxbytes", "stdout_events_enabled", "stderr_events_enabled", "stdout_syslog", "stderr_syslog":
            if (value := self.opt(key)).lower() not in ("", "0", "false"):
                unit.lose(f"{key}={value}")


# --- directories with a run: runit, daemontools, s6, s6-rc

# Programs that put the environment of a container in: here it is inherited.
TRANSPARENT = {"with-contenv", "exec", "pgrphack"}


class Chain:
    """Takes the programs that only change a process and execute the next one (chpst and its relatives) from the beginning of a command."""

    def __init__(self, unit, folder):
        self.unit, self.folder = unit, folder
        self.env = {}

    def take(self, words):
        """The command without them. What is not known stays, and what stands behind it."""
        while words:
            name = os.path.basename(words[0])
            step = getattr(self, name.removeprefix("s6-").replace("-", "_").replace("export", "export_"), None) if name not in TRANSPARENT else None
            if name in TRANSPARENT:
                words = words[1:]
            elif name == "fdmove" and words[1:4] in (["-c", "2", "1"], ["2", "1"]):
                words = words[4 if words[1] == "-c" else 3 :]
            elif step and name.removeprefix("s6-") in ("chpst", "setuidgid", "envdir", "cd", "umask", "export", "nice", "env", "softlimit"):
                rest = step(words[1:])
                if rest is None:
                    return words
                words = rest
            else:
                break
        if self.env:
            self.unit.set("env", self.unit.get("service.env", {}) | self.env, "the environment")
        return words

    def user(self, text):
        text = text.removeprefix(":")
        user, *groups = text.split(":")
        self.unit.set("user", int(user) if user.isdigit() else user, f"user {user}")
        if groups:
            self.unit.set("group", int(groups[0]) if groups[0].isdigit() else groups[0], f"group {groups[0]}")
        for g in groups[1:]:
            self.unit.lose(f"group {g}", "there is one group")

    def setuidgid(self, words):
        if len(words) < 2 or words[0].startswith("-"):
            return None
        self.user(words[0])
        return words[1:]

    def cd(self, words):
        self.unit.set("dir", os.path.normpath(os.path.join(self.folder, words[0])), "cd")
        return words[1:]

    def umask(self, words):
        self.unit.set("limits.umask", words[0].zfill(3), f"umask {words[0]}")
        return words[1:]

    def export_(self, words):
        self.env[words[0]] = words[1]
        return words[2:]

    def nice(self, words):
        if words[0] == "-n":
            words = words[1:]
        elif not words[0].startswith("-"):
            self.unit.set("limits.nice", 10, "nice")
            return words
        value = re.sub(r"^-(n|-adjustment=)?(?=-?\d)", "", words[0]) if words[0].startswith("-n") or words[0].startswith("--") else words[0]
        if not re.fullmatch(r"[-+]?\d+", value):
            return None
        self.unit.set("limits.nice", int(value), f"nice {value}")
        return words[1:]

    def env(self, words):  # replaced by the dictionary in __init__
        raise AssertionError

    def envdir(self, words):
        """A directory with a file for each variable."""
        if words[0].startswith("-"):
            return None
        folder = os.path.join(self.folder, words[0])
        if not os.path.isdir(folder):
            self.unit.lose(f"envdir {words[0]}", "the directory is not there")
            return words[1:]
        for name in listdir(folder):
            self.env[name] = read(os.path.join(folder, name)).split("\n")[0].rstrip().replace("\0", "\n")
        self.unit.note(f"env is what {words[0]} had.")
        return words[1:]

    def softlimit(self, words):
        return self.limits(words, "softlimit")

    def limits(self, words, program, keys={"o": "nofile", "p": "nproc", "c": "core", "a": "as", "l": "memlock"}):
        while words and re.fullmatch(r"-[a-z]", words[0]):
            if words[0][1] not in keys:
                self.unit.lose(f"{program} {words[0]} {words[1]}")
            elif words[1].isdigit():
                self.unit.set("limits." + keys[words[0][1]], int(words[1]), f"{program} {words[0]} {words[1]}")
            words = words[2:]
        return words

    def chpst(self, words):
        """chpst(8) of runit."""
        keys = {"o": "nofile", "p": "nproc", "c": "core", "d": None, "m": "as", "f": None}
        while words and words[0].startswith("-") and words[0] != "--":
            flag = words[0][1:2]
            joined = words[0][2:]
            if flag in "vP012":
                if flag in "012":
                    self.unit.lose(f"chpst -{flag}", "a stream cannot be closed")
                words = (["-" + joined] if joined else []) + words[1:]
                continue
            value, words = (joined, words[1:]) if joined else (words[1], words[2:])
            if flag == "u":
                self.user(value)
            elif flag == "e":
                self.envdir([value])
            elif flag == "/":
                self.unit.set("limits.chroot", value, f"chpst -/ {value}")
            elif flag == "C":
                self.cd([value])
            elif flag == "n":
                self.unit.set("limits.nice", int(value), f"chpst -n {value}")
            elif keys.get(flag) and value.isdigit():
                self.unit.set("limits." + keys[flag], int(value), f"chpst -{flag} {value}")
            else:
                self.unit.lose(f"chpst -{flag} {value}")
        return words[1:] if words and words[0] == "--" else words


class Folder:
    """One directory with a run: what runit and s6 have in common."""

    def __init__(self, path, name, origin):
        self.path, self.name = os.path.abspath(path), name
        self.unit = Unit(valid_name(name), "service", origin)

    def has(self, name):
        return os.path.exists(os.path.join(self.path, name))

    def text(self, name):
        return read(os.path.join(self.path, name)).strip()

    def program(self, name="run", key="exec"):
        """Makes a command from the script of that name."""
        unit, path = self.unit, os.path.join(self.path, name)
        text = read(path)
        first, _, rest = text.partition("\n")
        value = None
        if re.match(r"#!\s*/(usr/)?bin/(env )?(sh|dash|ash)\b", first) or not first.startswith("#!"):
            value = self.shell(rest if first.startswith("#!") else text, "-e" in first.split())
        elif re.match(r"#!\s*\S*with-contenv (sh|/bin/sh)\b", first):
            value = self.shell(rest, "-e" in first.split())
        elif "execlineb" in first:
            value = self.execline(rest)
        if value is None:
            words = [path]
            unit.note(f"It still runs the script {name} of the old directory, with its interpreter: {first.removeprefix('#!').strip()}")
            value = command(words)
            if not unit.get("service.dir"):
                unit.set("dir", self.path, "the directory")
        unit.set(key, value, name)
        return value

    def shell(self, text, errexit):
        """A command from a shell script: words where they are enough, else the script itself. None: it must stay a file."""
        if re.search(r"\$[0-9@*#]|<<", text):
            return None
        chain, lines = Chain(self.unit, self.path), []
        body = re.sub(r"\\\n\s*", " ", text).split("\n")
        body = [l.rstrip() for l in body if l.strip() and not l.strip().startswith("#")]
        for line in body:
            plain = line.strip()
            words = simple_words(plain)
            last = line is body[-1]
            if re.fullmatch(r"exec (2>&1|1>&2)", plain) or plain in ("set -e", "set -eu") and len(body) < 4:
                continue  # both streams are logged
            if m := re.fullmatch(r"sv (?:start|check|up) (\S+?)(?: *>\S+)?(?: 2>&1)?(?: *\|\| *exit(?: \d+)?)?", plain):
                self.unit.add("dependencies.requires", valid_name(os.path.basename(m[1])))
                continue
            if not last and not lines and words:
                if words[0] == "cd" and len(words) == 2 or words[0] == "umask" and len(words) == 2 and words[1].isdigit():
                    getattr(chain, words[0])(words[1:])
                    continue
                if words[0] == "export" and len(words) == 2 and "=" in words[1]:
                    chain.env.update([words[1].split("=", 1)])
                    continue
                if words[0] == "ulimit" and len(words) == 3 and words[1] in ("-n", "-Sn", "-Hn") and words[2].isdigit():
                    self.unit.set("limits.nofile", int(words[2]), plain)
                    continue
            lines.append(line)
        if len(lines) == 1:
            line = re.sub(r"\s*2>&1$", "", lines[0].strip()).removeprefix("exec ").strip()
            if words := simple_words(line):
                words = chain.take(words)
                return self.found(words)
            chain.take([])
            self.unit.values.setdefault("service", {}).setdefault("dir", self.path)
            return Shell(line if re.search(r"[|;&]", line) else "exec " + line)
        chain.take([])
        if not lines or len(lines) > 30:
            return None
        self.unit.values.setdefault("service", {}).setdefault("dir", self.path)
        return Shell(("set -e\n" if errexit else "") + "\n".join(lines) + "\n")

    def execline(self, text):
        """A command from a script of execline, if it is a plain chain of programs."""
        lines = [l for l in text.split("\n") if not l.lstrip().startswith("#")]
        try:
            words = shlex.split("\n".join(lines), comments=True)
        except ValueError:
            return None
        if not words or any(w in ("{", "}") or "$" in w for w in words):
            return None
        words = Chain(self.unit, self.path).take(words)
        known = {"foreground", "background", "if", "ifelse", "importas", "define", "backtick", "redirfd", "fdmove", "pipeline", "multisubstitute", "s6-notifyoncheck", "s6-softlimit"}
        if not words or os.path.basename(words[0]) in known:
            return None
        return self.found(words)

    def found(self, words):
        """A command that was found in a script. Relative paths count from the directory."""
        if not words:
            return None
        if any(w.startswith(("./", "../")) or "/" in w and not w.startswith(("/", "-")) and self.has(w) for w in words):
            self.unit.values.setdefault("service", {}).setdefault("dir", self.path)
        return command(words)

    def mixed(self):
        """runit and s6 signal the main process only."""
        value = self.unit.get("service.exec")
        script = read(os.path.join(self.path, "run")) if value == os.path.join(self.path, "run") else value if isinstance(value, Shell) else "exec "
        if "execlineb" in script.split("\n")[0] or re.search(r"^exec ", script, re.M):
            self.unit.set("lifecycle.kill_mode", "mixed", "signals for the main process only", "only the main process gets the stop signal")

    def finish(self):
        if not self.has("finish"):
            return
        text = self.text("finish")
        if re.search(r"\bhalt\b|s6-svscanctl|container-results/exitcode", text):
            self.unit.set("critical", True, "finish", "its finish script ended the container")
        else:
            self.unit.lose("finish", "there is no script at the end")

    def logger(self, folder, what):
        """The log service of a service."""
        run = read(os.path.join(folder, "run")) if os.path.exists(os.path.join(folder, "run")) else ""
        m = re.search(r"(svlogd|multilog|s6-log|logutil-service)\b(.*)", re.sub(r"\\\n", " ", run))
        if not m:
            self.unit.lose(what, "its output is in `zinit logs`")
            return
        words = [w for w in m[2].split() if w != "--"]
        target = next((w for w in reversed(words) if w.startswith(("/", "./", "../")) or w == "main" or w == "."), None)
        if target is None:
            self.unit.lose(what, "its output is in `zinit logs`")
            return
        target = os.path.normpath(os.path.join(os.path.abspath(folder), target))
        self.unit.set("logging.file", os.path.join(target, "current"), what)
        rules = " ".join(words)
        config = os.path.join(target, "config")
        if m[1] == "svlogd" and os.path.exists(config):
            rules = " ".join(read(config).split())
        if n := re.search(r"(?:^| )s(\d+)\b", rules):
            self.unit.set("logging.max_size_bytes", int(n[1]), what)
        if n := re.search(r"(?:^| )n(\d+)\b", rules):
            self.unit.set("logging.keep", int(n[1]), what)
        if re.search(r"(?:^| )(-t+|T|t)(?: |$)", rules):
            self.unit.set("logging.format", "time", what)


class Runit:
    """Reads service directories of runit, daemontools and s6."""

    def __init__(self):
        self.folders, self.lost = [], []

    def add(self, path):
        if os.path.exists(os.path.join(path, "run")):
            self.folders.append(path)
        else:
            self.folders += [p for n in listdir(path) if os.path.exists(os.path.join(p := os.path.join(path, n), "run"))]

    def units(self):
        made = {u.name: u for u in map(self.unit, self.folders)}
        for u in made.values():
            for needed in u.get("dependencies.requires", []):
                if needed in made and u.get("service.status") != "stop" and made[needed].get("service.status") == "stop":
                    del made[needed].values["service"]["status"]
                    made[needed].note(f"It had a file `down`; {u.name} starts it.")
        return list(made.values())

    def unit(self, path):
        name = os.path.basename(os.path.abspath(path))
        f = Folder(path, name, f"the service directory {name}")
        unit = f.unit
        f.program()
        unit.set("lifecycle.restart", "always", "run")
        f.mixed()
        if f.has("check"):
            unit.set("health.type", "exec", "check")
            unit.set("health.target", os.path.join(f.path, "check"), "check")
            unit.set("health.interval_ms", 0, "check", "asked until it is ready, not later")
        if f.has("notification-fd"):
            unit.set("health.type", "fd", "notification-fd")
            unit.set("health.target", int(f.text("notification-fd")), "notification-fd")
        if f.has("down"):
            unit.set("status", "stop", "down")
        if f.has("log"):
            f.logger(os.path.join(f.path, "log"), "log/run")
        if f.has("down-signal"):
            unit.set("lifecycle.stop_signal", signal_name(f.text("down-signal")), "down-signal")
        if f.has("timeout-kill") and f.text("timeout-kill") != "0":
            unit.set("lifecycle.stop_timeout_ms", int(f.text("timeout-kill")), "timeout-kill")
        if f.has("control"):
            for script_name in listdir(os.path.join(f.path, "control")):
                if script_name == "t":
                    unit.set("lifecycle.stop_exec", os.path.join(f.path, "control", "t"), "control/t")
                else:
                    unit.lose(f"control/{script_name}")
        f.finish()
        return unit


class S6rc:
    """Reads source directories of s6-rc."""

    KNOWN = set(
        "type run up down finish data env dependencies dependencies.d contents contents.d notification-fd timeout-up timeout-down timeout-kill timeout-finish"
        " down-signal producer-for consumer-for pipeline-name log".split()
    )

    def __init__(self):
        self.folders, self.lost = {}, []

    def add(self, path):
        if os.path.exists(os.path.join(path, "type")):
            self.folders[os.path.basename(os.path.abspath(path))] = path
        else:
            for n in listdir(path):
                if os.path.exists(os.path.join(path, n, "type")):
                    self.folders[n] = os.path.join(path, n)

    def names(self, path, key):
        """A list that is a file or a directory of files."""
        if os.path.isdir(os.path.join(path, key + ".d")):
            return listdir(os.path.join(path, key + ".d"))
        file = os.path.join(path, key)
        return [w for l in read(file).splitlines() if (w := l.split("#")[0].strip())] if os.path.exists(file) else []

    def type(self, name):
        return read(os.path.join(self.folders[name], "type")).strip()

    def units(self):
        consumers, started = set(), self.started()
        for name, path in self.folders.items():
            for other in self.names(path, "producer-for"):
                consumers.add(other)
        made = []
        for name in sorted(self.folders):
            kind = self.type(name)
            if kind not in ("longrun", "oneshot", "bundle"):
                raise Wrong(f"{self.folders[name]}/type: {kind} is neither longrun, oneshot nor bundle")
            if name in consumers or name in ("user", "user2") and kind == "bundle":
                continue
            unit = getattr(self, kind)(name)
            if started is not None and name not in started:
                unit.set("status", "stop", "not in the bundle", f"not in the bundle {self.top}")
            for other in sorted(listdir(self.folders[name])):
                if other not in self.KNOWN:
                    unit.lose(other)
            made.append(unit)
        return made

    def started(self):
        """What the bundle of all that is started at boot contains, or None if there is no such bundle."""
        self.top = next((n for n in ("user", "default") if n in self.folders and self.type(n) == "bundle"), None)
        if self.top is None:
            return None
        seen, todo = set(), [self.top] + (["user2"] if "user2" in self.folders else [])
        while todo:
            name = todo.pop()
            if name in seen or name not in self.folders:
                continue
            seen.add(name)
            path = self.folders[name]
            todo += self.names(path, "contents") + self.names(path, "dependencies")
        return seen

    def folder(self, name, kind):
        f = Folder(self.folders[name], name, f"the {kind} {name} of s6-rc")
        # In s6-overlay all depend on `base`, which is there before any service.
        needs = [valid_name(n) for n in self.names(f.path, "dependencies") if n != "base" or "base" in self.folders]
        if needs:
            f.unit.add("dependencies.requires", *needs)
        if f.has("timeout-up") and f.text("timeout-up") != "0":
            f.unit.set("lifecycle.start_timeout_ms", int(f.text("timeout-up")), "timeout-up")
        if f.has("timeout-down") and f.text("timeout-down") != "0":
            f.unit.set("lifecycle.stop_timeout_ms", int(f.text("timeout-down")), "timeout-down")
        return f

    def longrun(self, name):
        f = self.folder(name, "longrun")
        unit = f.unit
        f.program()
        unit.set("lifecycle.restart", "always", "longrun")
        f.mixed()
        if f.has("notification-fd"):
            unit.set("health.type", "fd", "notification-fd")
            unit.set("health.target", int(f.text("notification-fd")), "notification-fd")
        if f.has("down-signal"):
            unit.set("lifecycle.stop_signal", signal_name(f.text("down-signal")), "down-signal")
        if f.has("timeout-kill") and f.text("timeout-kill") != "0":
            unit.set("lifecycle.stop_timeout_ms", int(f.text("timeout-kill")), "timeout-kill")
        for other in self.names(f.path, "producer-for"):
            if other in self.folders:
                f.logger(self.folders[other], f"producer-for {other}")
            else:
                unit.lose(f"producer-for {other}", "its output is in `zinit logs`")
        f.finish()
        return unit

    def oneshot(self, name):
        f = self.folder(name, "oneshot")
        unit = f.unit
        unit.set("oneshot", True, "oneshot")
        unit.set("lifecycle.restart", "never", "oneshot")
        for file, key in ("up", "exec"), ("down", "lifecycle.stop_exec"):
            text = self.names(f.path, file)
            if not text:
                continue
            line = "\n".join(text)
            value = f.execline(line) if file == "up" else Folder(f.path, name, "").execline(line)
            if value is None:
                value = command(["execlineb", "-P", "-c", line])
                unit.note(f"{file} still needs execlineb.")
            unit.set(key, value, file)
        if not unit.get("service.exec"):
            unit.set("exec", "/bin/true", "up")
        return unit

    def bundle(self, name):
        path = self.folders[name]
        unit = Unit(valid_name(name), "target", f"the bundle {name} of s6-rc")
        unit.set("dependencies.requires", [valid_name(n) for n in self.names(path, "contents")], "contents")
        return unit


# --- zinit 0.2

class Yaml:
    """Reads what service files need of YAML: scalars, lists and one level of tables, in blocks or in one line."""

    def __init__(self, path):
        self.path, self.lines = path, read(path).splitlines()

    def wrong(self, n, text):
        raise Wrong(f"{self.path}:{n + 1}: {text}")

    def scalar(self, text, n):
        text = text.strip()
        if text[:1] == '"':
            m = re.fullmatch(r'"((?:[^"\\]|\\.)*)"\s*(#.*)?', text)
            if not m:
                self.wrong(n, "the quote is never closed")
            names = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "e": "\x1b"}
            return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", lambda e: chr(int(e[1][1:], 16)) if len(e[1]) > 1 else names.get(e[1], e[1]), m[1])
        if text[:1] == "'":
            m = re.fullmatch(r"'((?:[^']|'')*)'\s*(#.*)?", text)
            if not m:
                self.wrong(n, "the quote is never closed")
            return m[1].replace("''", "'")
        text = re.sub(r"(^|\s)#.*", "", text).strip()
        if text[:1] in ("&", "*", "!", "@", "`", "%"):
            self.wrong(n, f"{text[0]} has a meaning in YAML that is not understood here")
        return text

    def value(self, text, n):
        """What stands behind a key in its line."""
        text = text.strip()
        flow = re.fullmatch(r"(\[.*\]|\{.*\})\s*(#.*)?", text)
        if not flow:
            if text[:1] in ("[", "{"):
                self.wrong(n, "a list or table in one line must end in it")
            return self.scalar(text, n)
        inner = flow[1][1:-1]
        items = [i for i in re.findall(r"""((?:[^,"']|"(?:[^"\\]|\\.)*"|'[^']*')+)""", inner) if i.strip()]
        if flow[1][0] == "[":
            return [self.scalar(i, n) for i in items]
        pairs = [i.partition(":") for i in items]
        return {self.scalar(k, n): self.scalar(v, n) for k, _, v in pairs}

    def load(self, first=0, last=None, indent=0):
        """The table whose keys stand at this indent."""
        found, n = {}, first
        last = len(self.lines) if last is None else last
        while n < last:
            line = self.lines[n]
            if not line.strip() or line.lstrip().startswith("#") or line.strip() in ("---", "..."):
                n += 1
                continue
            m = re.match(r"""( *)([A-Za-z0-9_.-]+|"[^"]*"|'[^']*') *:(?: +(.*)|)$""", line)
            if "\t" in line[: len(line) - len(line.lstrip())] or not m or len(m[1]) != indent:
                self.wrong(n, f"this is not understood: {line.strip()}")
            key, rest = self.scalar(m[2], n), (m[3] or "").strip()
            end = n + 1
            while end < last and (not self.lines[end].strip() or self.depth(end) > indent or self.depth(end) == indent and self.lines[end].lstrip().startswith("- ")):
                end += 1
            if re.match(r"[|>][+-]?$", rest):
                body = self.lines[n + 1 : end]
                cut = min((len(l) - len(l.lstrip()) for l in body if l.strip()), default=0)
                found[key] = ("\n" if rest[0] == "|" else " ").join(l[cut:] for l in body).strip() + ("\n" if rest == "|" else "")
            elif rest and not rest.startswith("#"):
                found[key] = self.value(rest, n)
                if any(l.strip() and not l.lstrip().startswith("#") for l in self.lines[n + 1 : end]):
                    self.wrong(n + 1, "a value that goes on in the next line is not understood")
            else:
                found[key] = self.block(n + 1, end)
            n = end
        return found

    def depth(self, n):
        return len(self.lines[n]) - len(self.lines[n].lstrip())

    def block(self, first, last):
        body = [n for n in range(first, last) if self.lines[n].strip() and not self.lines[n].lstrip().startswith("#")]
        if not body:
            return ""
        if self.lines[body[0]].lstrip().startswith("- "):
            if wrong := next((n for n in body if not self.lines[n].lstrip().startswith("- ")), None):
                self.wrong(wrong, "a list has one value in each line")
            return [self.scalar(self.lines[n].lstrip()[2:], n) for n in body]
        return self.load(first, last, self.depth(body[0]))


class Zinit:
    """Reads service files of the zinit in Rust."""

    def __init__(self):
        self.files, self.lost = [], []

    def add(self, path):
        self.files += [os.path.join(path, n) for n in listdir(path) if n.endswith((".yaml", ".yml"))] if os.path.isdir(path) else [path]

    def units(self):
        return [self.unit(p) for p in self.files]

    def unit(self, path):
        yaml = Yaml(path)
        table = yaml.load()
        unit = Unit(valid_name(os.path.splitext(os.path.basename(path))[0]), "service", os.path.basename(path))
        line = table.pop("exec", "")
        if not isinstance(line, str) or not line:
            raise Wrong(f"{path}: it has no exec, so it is no service file of zinit")
        env = table.pop("env", {}) or {}
        oneshot = is_yes(table.pop("oneshot", "no"))
        unit.set("exec", self.command(line, path), "exec")
        if folder := table.pop("dir", ""):
            unit.set("dir", folder, "dir")
        if env:
            unit.set("env", dict(env), "env")
        if oneshot:
            unit.set("oneshot", True, "oneshot")
        if after := table.pop("after", []):
            after = after if isinstance(after, list) else [after]
            unit.set("dependencies.requires", [valid_name(a) for a in after], "after", "its `after` waited until they ran")
        unit.set("lifecycle.restart", "never" if oneshot else "always", "oneshot")
        test = table.pop("test", "")
        if test and not oneshot:
            unit.set("lifecycle.start_timeout_ms", 0, "test", "it was tested as long as it took")
            unit.set("health.type", "exec", "test")
            unit.set("health.target", self.command(test, path), "test")
            unit.set("health.interval_ms", 0, "test", "not tested any more once it runs")
        elif test:
            unit.lose(f"test: {test}", "a oneshot is done when it has exited")
        stop = table.pop("signal", {})
        if isinstance(stop, dict):
            if name := stop.pop("stop", ""):
                unit.set("lifecycle.stop_signal", signal_name(name), "signal.stop")
            for key, value in stop.items():
                unit.lose(f"signal.{key}: {value}")
        if seconds := table.pop("shutdown_timeout", ""):
            if not seconds.isdigit():
                raise Wrong(f"{path}: shutdown_timeout: {seconds} is no number of seconds")
            unit.set("lifecycle.stop_timeout_ms", int(seconds) * 1000, "shutdown_timeout")
        log = table.pop("log", "ring")
        if log == "stdout":
            unit.set("logging.console", True, "log: stdout")
        elif log in ("none", "null"):
            unit.set("logging.buffer_lines", 0, "log: none")
            unit.set("logging.console", False, "log: none")
        elif log != "ring":
            unit.lose(f"log: {log}")
        for key, value in table.items():
            unit.lose(f"{key}: {value}")
        return unit

    def command(self, line, path):
        """It split its commands into words and had no shell, unless they began with one."""
        try:
            words = shlex.split(line)
        except ValueError as e:
            raise Wrong(f"{path}: {line}: {e}") from None
        if len(words) == 3 and os.path.basename(words[0]) == "sh" and words[1] == "-c":
            return from_shell_line(words[2])
        return command(words)


# --- main

def reader_of(path):
    """Which reader an input is for."""
    if os.path.isdir(path):
        names = listdir(path)
        if any(SUFFIX.search(n) for n in names):
            return Systemd
        if "type" in names or any(os.path.exists(os.path.join(path, n, "type")) for n in names):
            return S6rc
        if "run" in names or any(os.path.exists(os.path.join(path, n, "run")) for n in names):
            return Runit
        if any(n.endswith((".yaml", ".yml")) for n in names):
            return Zinit
        raise Wrong(f"{path}: this directory has neither units of systemd, nor directories with a type or run, nor .yaml files")
    if SUFFIX.search(path):
        return Systemd
    if not os.path.exists(path):
        raise Wrong(f"{path}: there is no such file or directory")
    if path.endswith((".yaml", ".yml")):
        return Zinit
    if path.endswith((".conf", ".ini")):
        return Supervisord
    raise Wrong(f"{path}: I do not know what this is; see --help for what is understood")


def usage(text):
    print(f"migrate.py: {text}\nusage: migrate.py [-o DIR] [--force] INPUT...; --help says more", file=sys.stderr)
    sys.exit(2)


def arguments(words):
    out, force, inputs = None, False, []
    words = list(words)
    while words:
        w = words.pop(0)
        if w in ("-h", "--help"):
            print(__doc__.strip())
            sys.exit(0)
        elif w == "-o":
            if not words:
                usage("-o needs a directory")
            out = words.pop(0)
        elif w == "--force":
            force = True
        elif w == "--":
            inputs, words = inputs + words, []
        elif w.startswith("-"):
            usage(f"there is no {w}")
        else:
            inputs.append(w)
    if not inputs:
        usage("no INPUT")
    return out, force, inputs


def translate(inputs):
    """All files that the inputs become, and what of them became none."""
    readers = {}
    for path in inputs:
        kind = reader_of(path)
        readers.setdefault(kind, kind()).add(path)
    units, lost = [], []
    for reader in readers.values():
        units += reader.units() + getattr(reader, "extra", [])
        lost += reader.lost
    names = {}
    for u in units:
        if u.name in names:
            raise Wrong(f"{u.name}: both {names[u.name]} and {u.origin} would be this file")
        names[u.name] = u.origin
    return sorted(units, key=lambda u: u.name), lost


def write(units, out, force):
    if out is None:
        for i, u in enumerate(units):
            print(("\n" if i else "") + f"# {u.name}.toml\n" + u.render(), end="")
        return
    paths = [os.path.join(out, u.name + ".toml") for u in units]
    if there := [p for p in paths if os.path.exists(p)]:
        if not force:
            raise Wrong(f"{', '.join(there)}: there already; --force overwrites")
    try:
        os.makedirs(out, exist_ok=True)
        for path, u in zip(paths, units):
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as f:
                f.write(u.render())
    except OSError as e:
        raise Wrong(f"{e.filename}: {e.strerror}") from None


def main():
    out, force, inputs = arguments(sys.argv[1:])
    try:
        units, lost = translate(inputs)
        write(units, out, force)
    except Wrong as e:
        print(f"migrate.py: {e}", file=sys.stderr)
        return 2
    for name, why in lost:
        warn(name, "no file for it" + (f": {why}" if why else ""))
    for u in units:
        for what, why in u.losses:
            warn(u.name, what + (f": {why}" if why else ""))
    return 1 if lost or any(u.losses for u in units) else 0


if __name__ == "__main__":
    sys.exit(main())

// config_names.go checks the small forms that values have: names, addresses, URLs, umasks, capabilities; it looks at nothing outside the text.

package main

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxNameBytes keeps NAME.toml, NAME.log.1 and the like well below what file systems allow.
const maxNameBytes = 64

func isNameByte(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// validName checks the name of a service, target or proxy.
func validName(s string) error {
	const rule = "a name has A-Z a-z 0-9 - _ . and begins with a letter or digit"
	if s == "" {
		return errors.New("the name is empty; " + rule)
	}
	if len(s) > maxNameBytes {
		return fmt.Errorf("the name %s is longer than %d bytes", quoted(s), maxNameBytes)
	}
	for i, r := range s {
		if !isNameByte(r) || i == 0 && strings.ContainsRune("-_.", r) {
			return fmt.Errorf("%s is not allowed as a name because of %s at character %d; %s", quoted(s), quoted(string(r)), 1+utf8.RuneCountInString(s[:i]), rule)
		}
	}
	return nil
}

func validUmask(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 || len(s) > 4 {
		return fmt.Errorf("a umask is octal, from \"000\" to \"777\", not %s", quoted(s))
	}
	return nil
}

func validEnvFile(s string) error {
	if s == "" || s == "-" {
		return fmt.Errorf("%s names no file", quoted(s))
	}
	return nil
}

func validRuntimeDir(s string) error {
	if !strings.HasPrefix(s, "/") || path.Clean(s) == "/" {
		return fmt.Errorf("%s is not the absolute path of a directory below /, as in \"/run/app\"", quoted(s))
	}
	return nil
}

func validAbsolute(s string) error {
	if !strings.HasPrefix(s, "/") {
		return fmt.Errorf("%s is not an absolute path; it begins with /", quoted(s))
	}
	return nil
}

// validOptional checks the path of something that there may be: absolute, or "" for none.
func validOptional(s string) error {
	if s == "" {
		return nil
	}
	return validAbsolute(s)
}

// validMount checks a path as the kernel lists its mount points: absolute, with nothing in it that means another path.
func validMount(s string) error {
	if err := validAbsolute(s); err != nil {
		return err
	}
	if clean := path.Clean(s); clean != s {
		return fmt.Errorf("the kernel calls %s %s; write it so", quoted(s), quoted(clean))
	}
	return nil
}

func validEnvCondition(s string) error {
	if name, _, _ := strings.Cut(strings.TrimPrefix(s, "!"), "="); name == "" {
		return fmt.Errorf("%s names no variable; write NAME, NAME=VALUE or !NAME", quoted(s))
	}
	return nil
}

func validExistsCondition(s string) error { return validAbsolute(strings.TrimPrefix(s, "!")) }

// capabilities are those of capabilities(7), Linux 6.x, by number.
const capabilities = `chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
	net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct
	sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap
	mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`

func validCap(s string) error {
	word := strings.TrimPrefix(strings.ToLower(s), "cap_")
	known := strings.Fields(capabilities)
	if slices.Contains(known, word) {
		return nil
	}
	if near := nearest(word, known); near != "" {
		return fmt.Errorf("unknown capability %s; did you mean %q?", quoted(s), near)
	}
	return fmt.Errorf("unknown capability %s; capabilities(7) lists them, as in \"net_bind_service\"", quoted(s))
}

// validAddress checks where a proxy listens or its service does: host:port, :port, tcp:host:port, /path or unix:/path.
func validAddress(s string) error {
	rest, unix := strings.CutPrefix(s, "unix:")
	if unix && !strings.HasPrefix(rest, "/") {
		return fmt.Errorf("%s: behind unix: comes an absolute path", quoted(s))
	}
	return validEndpoint(strings.TrimPrefix(rest, "tcp:"))
}

// validEndpoint checks what a tcp health check connects to: host:port, or the path of a socket, which may have as many bytes as
// sockaddr_un allows (unix(7): 108 with the closing NUL; 104 on macOS).
func validEndpoint(s string) error {
	if !strings.HasPrefix(s, "/") {
		return hostPort(s)
	}
	if len(s) > 103 {
		return fmt.Errorf("the path %s has %d bytes, and the name of a socket at most 103", quoted(s), len(s))
	}
	return nil
}

func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%s is no host:port", quoted(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%s has no port from 1 to 65535", quoted(s))
	}
	if strings.ContainsAny(host, " \t\r\n/@\"") {
		return fmt.Errorf("%s is no name of a host", quoted(host))
	}
	return nil
}

// splitURL takes http://host[:port][/path][?query] apart. address is ready to dial, host is for the Host header (RFC 9112, 3.2).
func splitURL(url string) (address, host, resource string, err error) {
	rest, ok := strings.CutPrefix(url, "http://")
	switch {
	case strings.HasPrefix(url, "https://"):
		return "", "", "", errors.New("https is not offered; ask the plain port, or use type \"exec\" with a program that can")
	case !ok:
		return "", "", "", errors.New("the URL does not begin with http://")
	case strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", "", "", errors.New("the URL has a space or control character; write %20 for a space")
	}
	rest, _, _ = strings.Cut(rest, "#")
	host, resource = rest, "/"
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, resource = rest[:i], "/"+strings.TrimPrefix(rest[i:], "/")
	}
	if address = host; strings.LastIndexByte(host, ':') <= strings.LastIndexByte(host, ']') {
		address += ":80"
	}
	if host == "" || host[0] == ':' || strings.HasPrefix(host, "[]") {
		return "", "", "", errors.New("the URL names no host")
	}
	return address, host, resource, hostPort(address)
}

// init_settings_test.go tries the settings of a machine: sysctl.

//go:build linux

package main

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

func TestSysctl(t *testing.T) {
	settings, complaints := parseSysctl(`# comment
; comment
kernel.sysrq = 0
-net.ipv4.tcp_x=1
net/ipv4/conf/eth0.100/rp_filter = 2
kernel.domainname = a b = c
-net.ipv4.conf.lo.rp_filter
nonsense
../../etc/passwd = x
`)
	want := []sysctlLine{
		{3, "kernel.sysrq", "0", false}, {4, "net.ipv4.tcp_x", "1", true},
		{5, "net/ipv4/conf/eth0.100/rp_filter", "2", false}, {6, "kernel.domainname", "a b = c", false},
	}
	if !slices.Equal(settings, want) {
		t.Errorf("got %+v\nwant %+v", settings, want)
	}
	if got := errors.Join(complaints...).Error(); got != "line 8: \"nonsense\" is not KEY = VALUE\nline 9: \"../../etc/passwd = x\" is not KEY = VALUE" {
		t.Errorf("complaints: %s", got)
	}
	for key, want := range map[string]string{
		"net.ipv4.ip_forward": "net/ipv4/ip_forward", "net/ipv4/conf/eth0.1/x": "net/ipv4/conf/eth0.1/x",
		"net.ipv4.conf.eth0/1.x": "net/ipv4/conf/eth0.1/x", "a": "a", "": "", "/a": "", "a..b": "",
	} {
		if got := sysctlPath(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

func FuzzSysctl(f *testing.F) {
	f.Add("a.b = c\n-x/../y = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		settings, _ := parseSysctl(text)
		for _, s := range settings {
			if p := sysctlPath(s.key); !filepath.IsLocal(p) {
				t.Fatalf("key %q leads to %q", s.key, p)
			}
		}
	})
}

func TestSysctlWritesWhatItsPatternsMean(t *testing.T) {
	b := treeOf(t, map[string]string{
		"/etc/sysctl.d/10-a.conf":             "net.ipv4.conf.*.rp_filter = 1\nkernel.no.such = 1\n-kernel.no.such = 1\n",
		"/etc/sysctl.conf":                    "kernel.panic = 7\nbad line\n",
		"/proc/sys/net/ipv4/conf/a/rp_filter": "0", "/proc/sys/net/ipv4/conf/b/rp_filter": "0", "/proc/sys/kernel/panic": "0",
	})
	steps := b.sysctlSteps()
	var errs []string
	for _, s := range steps {
		if err := s.do(); err != nil && !s.maybe {
			errs = append(errs, s.what+": "+err.Error())
		}
	}
	for _, name := range []string{"net/ipv4/conf/a/rp_filter", "net/ipv4/conf/b/rp_filter", "kernel/panic"} {
		want := "1"
		if name == "kernel/panic" {
			want = "7"
		}
		if got, _ := b.read("/proc/sys/" + name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := []string{
		"set kernel.no.such = 1 (/etc/sysctl.d/10-a.conf:2): this kernel has no such setting; does it come with a module?",
		"read all of /etc/sysctl.conf: line 2: \"bad line\" is not KEY = VALUE",
	}
	if !slices.Equal(errs, want) {
		t.Errorf("errors: %q", errs)
	}
}

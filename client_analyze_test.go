// client_analyze_test.go is the manual of analyze, and looks into the chart of a boot.

//go:build linux

package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const bootAnswer = `{"total_ms":1240,"chain":["db","web"],"services":[` +
	`{"name":"db","kind":"service","state":"running","blocked_ms":null,"starting_ms":2,"ready_ms":1003},` +
	`{"name":"late","kind":"service","state":"failed","blocked_ms":1,"starting_ms":5,"ready_ms":null},` +
	`{"name":"off","kind":"service","state":"inactive","blocked_ms":null,"starting_ms":null,"ready_ms":null},` +
	`{"name":"stuck","kind":"service","state":"blocked","blocked_ms":1,"starting_ms":null,"ready_ms":null},` +
	`{"name":"web","kind":"service","state":"running","blocked_ms":2,"starting_ms":1003,"ready_ms":1240}]}`

func TestAnalyze(t *testing.T) {
	s := fakeServe(t, map[string]string{"boot.analyze": bootAnswer})
	expect(t, "chain", s.via(t, "analyze").exits(t, exitDone).out, `
2 of 4 services ready after 1.24s
READY AT   TOOK  CRITICAL CHAIN
      1s     1s  db
   1.24s  237ms    web
`)
	expect(t, "blame", s.via(t, "analyze", "blame").exits(t, exitDone).out, `
 TOOK  NAME  NOW
   1s  db    running
237ms  web   running
`)
	expect(t, "json", s.via(t, "--json", "analyze", "plot").exits(t, exitDone).out, bootAnswer+"\n")
	s.via(t, "analyze", "plot").exits(t, exitUsage)
	s.via(t, "analyze", "plto").exits(t, exitUsage)
	file := filepath.Join(t.TempDir(), "boot.svg")
	s.via(t, "analyze", "plot", "-o", file).exits(t, exitDone)
	written, err := os.ReadFile(file)
	if piped := zinit(t, 0, "--socket", s.path, "analyze", "plot"); err != nil || piped.out != string(written) {
		t.Errorf("the file is not what is written to a pipe: %v", err)
	}
}

func TestBootChart(t *testing.T) {
	began, ready := int64(0), int64(90_000)
	b := &bootResult{TotalMS: ready, Chain: []string{"a"}, Services: []bootUnit{{Name: "a", State: running, StartingMS: &began, ReadyMS: &ready},
		{Name: "<&\"\x1b日本", State: failed, StartingMS: &began}, {Name: "off", State: inactive}}}
	svg := bootChart(b)
	var texts []string
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, svg)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
	want := "ready after 1m 30s|critical chain: a|0 s|10 s|20 s|30 s|40 s|50 s|60 s|70 s|80 s|90 s|a|1m 30s|<&\"^[日本|failed|" +
		"blocked|starting|starting, critical chain|ready|failed|not part of the boot: off"
	if got := strings.Join(texts, "|"); got != want {
		t.Errorf("texts of the chart:\n%s\nwant\n%s", got, want)
	}
	for range 3 { // round steps at every length
		bootChart(&bootResult{})
		b.TotalMS *= 7
	}
}

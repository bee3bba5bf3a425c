// wire_boot.go is the report of a boot: how long each unit took, and the critical chain.

package main

import (
	"fmt"
	"sort"
	"strings"
)

// bootUnit holds times in ms since the server started; null: it did not come to that.
type bootUnit struct {
	Name       string   `json:"name"`
	Kind       unitKind `json:"kind"`
	State      state    `json:"state"`
	BlockedMS  *int64   `json:"blocked_ms"`  // when it was first blocked
	StartingMS *int64   `json:"starting_ms"` // when it was started
	ReadyMS    *int64   `json:"ready_ms"`    // when it was ready
}

type bootResult struct {
	TotalMS  int64      `json:"total_ms"` // until the last unit was ready
	Services []bootUnit `json:"services"`
	Chain    []string   `json:"chain"` // the critical chain, first to last
}

// unit is the unit of that name, or nil.
func (r *bootResult) unit(name string) *bootUnit {
	for i := range r.Services {
		if r.Services[i].Name == name {
			return &r.Services[i]
		}
	}
	return nil
}

// took is how many ms a unit needed from its start until it was ready; -1 when it is not ready.
func (u *bootUnit) took() int64 {
	if u.ReadyMS == nil || u.StartingMS == nil {
		return -1
	}
	return *u.ReadyMS - *u.StartingMS
}

// order is when a unit was started, in ms since the server was; after all others when it still is not, -1 when it never was wanted.
func (u *bootUnit) order() int64 {
	switch {
	case u.StartingMS != nil:
		return *u.StartingMS
	case u.BlockedMS != nil:
		return 1 << 62
	}
	return -1
}

// slowest are the units by the time that they took, the slowest first.
func (r *bootResult) slowest() (list []*bootUnit) {
	for i := range r.Services {
		list = append(list, &r.Services[i])
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].took() > list[j].took() })
	return list
}

// text is the report for people: the slowest first, then the critical chain.
func (r *bootResult) text() string {
	var b strings.Builder
	for _, u := range r.slowest() {
		if t := u.took(); t >= 0 {
			fmt.Fprintf(&b, "%8d ms  %s\n", t, u.Name)
			continue
		}
		fmt.Fprintf(&b, "%8s     %s (%s)\n", "-", u.Name, u.State)
	}
	fmt.Fprintf(&b, "ready after %d ms: %s\n", r.TotalMS, strings.Join(r.Chain, " -> "))
	return b.String()
}

// drawingFormats are the languages of a drawing.
var drawingFormats = []string{"dot", "mermaid", "json"}

// config_cycles.go finds what is wrong with the places of services among each other, cycles above all; it is pure, and server and client use it.

package main

import (
	"fmt"
	"slices"
	"strings"
)

// misfit is an error in the dependencies of a unit: the name in its lists to remove, and the message.
type misfit struct{ name, text string }

// checkGraph returns for each unit what is wrong with its place among the others: a dependency on itself, a cycle over
// requires, binds and after (with its path), a name both required and conflicting. Units without complaint are not in the result.
func checkGraph(all map[string]*config) map[string]misfit {
	bad := map[string]misfit{}
	for name, c := range all {
		if m := ownMisfit(c); m.text != "" {
			bad[name] = m
		}
	}
	for _, group := range circles(all) {
		misfits(all, group, bad)
	}
	return bad
}

// ownMisfit checks the lists of one unit without looking at other units.
func ownMisfit(c *config) misfit {
	name, d := c.Service.Name, &c.Dependencies
	if slices.Contains(d.Conflicts, name) {
		return misfit{name, fmt.Sprintf("%s conflicts with itself; remove it from conflicts", name)}
	}
	if slices.Contains(d.Wants, name) {
		return misfit{name, fmt.Sprintf("dependency cycle: %s -> %s; take it out of wants", name, name)}
	}
	foes := map[string]bool{}
	for _, n := range d.Conflicts {
		foes[n] = true
	}
	for _, n := range d.needed() {
		if foes[n] {
			return misfit{n, fmt.Sprintf("%s both requires and conflicts with %s; remove one of the two", name, n)}
		}
	}
	return misfit{}
}

// shownWay is how many names of a cycle an error prints: its beginning and its end.
const shownWay = 16

// cycleText is the error for the members of a cycle.
func cycleText(way []string) string {
	way = append(slices.Clone(way), way[0])
	if left := len(way) - shownWay; left > 1 {
		way = slices.Concat(way[:shownWay/2], []string{fmt.Sprintf("(%d more)", left)}, way[len(way)-shownWay/2:])
	}
	return "dependency cycle: " + strings.Join(way, " -> ") + "; remove one of these from requires, binds or after"
}

// maxWays is the number of members of one strongly connected group for which a cycle is searched.
const maxWays = 100

// misfits adds an error for each member of a strongly connected group, with a shortest cycle that it is on.
func misfits(all map[string]*config, group []string, bad map[string]misfit) {
	members, in := map[string]bool{}, map[string]bool{}
	for _, n := range group {
		members[n] = true
	}
	inGroup := func(n string) *config {
		if members[n] {
			return all[n]
		}
		return nil
	}
	slices.Sort(group)
	for i, n := range group {
		if in[n] {
			continue
		}
		if i >= maxWays {
			list := waitsFor(all[n])
			next := list[slices.IndexFunc(list, func(m string) bool { return members[m] })]
			bad[n] = misfit{next, fmt.Sprintf("dependency cycle: %s is one of %d services that wait for each other; remove %s from requires, binds or after", n, len(group), next)}
			continue
		}
		way := wayBack(all[n], inGroup)
		text := cycleText(way)
		for i, m := range way {
			in[m], bad[m] = true, misfit{way[(i+1)%len(way)], text}
		}
	}
}

// wayBack returns a shortest dependency cycle through the unit with this configuration, or nil if there is none. It looks only at
// what can be reached from it. The cycle begins with its alphabetically first name, so that it is the same for all members.
func wayBack(c *config, of func(name string) *config) []string {
	self := c.Service.Name
	before := map[string]string{}
	queue := []*config{c}
	for i := 0; i < len(queue); i++ {
		n := queue[i].Service.Name
		for _, m := range waitsFor(queue[i]) {
			if m == self {
				way := []string{n}
				for n != self {
					n = before[n]
					way = append(way, n)
				}
				slices.Reverse(way)
				at := slices.Index(way, slices.Min(way))
				return slices.Concat(way[at:], way[:at])
			}
			if _, seen := before[m]; seen {
				continue
			}
			before[m] = n
			if next := of(m); next != nil {
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func waitsFor(c *config) []string {
	return slices.Concat(c.Dependencies.needed(), c.Dependencies.After)
}

// circles finds the groups of units that reach each other (Tarjan's strongly connected components), leaving out single units that do not name themselves.
func circles(all map[string]*config) (groups [][]string) {
	index, grouped := map[string]int{}, map[string]bool{}
	var stack []string
	var visit func(n string) (low int)
	visit = func(n string) int {
		first := len(stack)
		stack = append(stack, n)
		index[n] = len(index) + 1
		low := index[n]
		for _, m := range waitsFor(all[n]) {
			switch {
			case all[m] == nil || grouped[m]:
			case index[m] == 0:
				low = min(low, visit(m))
			default:
				low = min(low, index[m])
			}
		}
		if low < index[n] {
			return low
		}
		group := slices.Clone(stack[first:])
		stack = stack[:first]
		for _, m := range group {
			grouped[m] = true
		}
		if len(group) > 1 || slices.Contains(waitsFor(all[n]), n) {
			groups = append(groups, group)
		}
		return low
	}
	for _, root := range sortedKeys(all) {
		if index[root] == 0 {
			visit(root)
		}
	}
	return groups
}

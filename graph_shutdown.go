// graph_shutdown.go takes requests for all units at once: start_all, stop_all and delete_all.

package main

// all takes a bulk request. It touches units of class user only.
func (g *graph) all(ev event) {
	if g.closing != nil && ev.kind != eventStopAll {
		g.refuse(ev.to, refuse(kindShuttingDown, "the system is shutting down"))
		return
	}
	a := answer{Names: []string{}, Skipped: []string{}, Errs: []nameError{}}
	var kept map[string]string
	if ev.kind == eventDeleteAll {
		kept = g.keptBySystem()
	}
	for _, n := range g.names() {
		u := g.units[n]
		switch {
		case u.cfg.Service.Class == classSystem:
			a.Skipped = append(a.Skipped, n)
			continue
		case ev.kind == eventStartAll:
			g.wish(u, false)
		case ev.kind == eventStopAll:
			g.unwish(u)
		case ev.kind == eventDeleteAll:
			if why := kept[n]; why != "" {
				a.Errs = append(a.Errs, nameError{n, why})
				continue
			}
		}
		a.Names = append(a.Names, n)
	}
	if ev.kind == eventDeleteAll && len(a.Names) > 0 {
		g.deleteAll(ev.to, a)
		return
	}
	g.settleAll()
	g.answer(ev.to, a)
}

// keptBySystem says of each unit that system services require, however far, for whom it must stay.
func (g *graph) keptBySystem() map[string]string {
	kept := map[string]string{}
	queue := []string{}
	for _, n := range g.names() {
		if g.units[n].cfg.Service.Class == classSystem {
			queue = append(queue, n)
		}
	}
	for system := len(queue); len(queue) > 0; system-- {
		n := queue[0]
		queue = queue[1:]
		for _, m := range g.units[n].cfg.Dependencies.Requires {
			if u := g.units[m]; u == nil || kept[m] != "" || u.cfg.Service.Class == classSystem {
				continue
			}
			kept[m] = "required by " + n + ", which is a system service"
			if system <= 0 {
				kept[m] = "required by " + n + ", which a system service requires"
			}
			queue = append(queue, m)
		}
	}
	return kept
}

// deleteAll stops units and removes them; the answer comes when all are gone.
func (g *graph) deleteAll(to *ticket, a answer) {
	b := &bulkWait{to: to, left: len(a.Names), answer: a}
	for _, n := range a.Names {
		u := g.units[n]
		u.bulk = append(u.bulk, b)
		g.unwish(u)
		g.leaveFor(u, leaveDelete)
	}
}

// client_chart.go draws the boot as an SVG picture; it makes no call and writes no file.

package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// chart is the geometry of a boot chart, in pixels.
type chart struct {
	strings.Builder
	left int   // where the time axis begins
	end  int64 // ms at its right end
	rows []*bootUnit
}

const (
	chartTop   = 76 // the axis
	chartRow   = 24 // height of a row
	chartWidth = 800
	chartRoom  = 84 // for a text right of the axis
)

// The colours of the chart.
const (
	chartBlocked  = "#d8dce3"
	chartStarting = "#6f9ceb"
	chartCritical = "#e8590c"
	chartReady    = "#2b8a3e"
	chartFailed   = "#c92a2a"
	chartPale     = `fill="#868e96"`
)

// x is where a time is.
func (g *chart) x(ms int64) int { return g.left + int(chartWidth*ms/g.end) }

func (g *chart) add(format string, args ...any) { fmt.Fprintf(g, format+"\n", args...) }

var escapeXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (g *chart) text(x, y int, attributes, text string) {
	g.add(`<text x="%d" y="%d" %s>%s</text>`, x, y, attributes, escapeXML.Replace(visible(text)))
}

func (g *chart) rect(x, y, width int, colour string) {
	g.add(`<rect x="%d" y="%d" width="%d" height="12" rx="2" fill="%s"/>`, x, y-6, max(1, width), colour)
}

// line draws a vertical line.
func (g *chart) line(x, from, to int, attributes string) {
	g.add(`<path d="M%d %dV%d" %s/>`, x, from, to, attributes)
}

func (g *chart) bar(from, to int64, y int, colour string) {
	g.rect(g.x(from), y, g.x(to)-g.x(from), colour)
}

// bootChart draws the boot as SVG: a row per service in the order in which they started, its time blocked and starting, and when it was ready.
// The critical chain is marked, with a line from each service to the one that waited for it.
func bootChart(b *bootResult) string {
	g := &chart{left: 80, end: max(b.TotalMS, 10)}
	idle := ""
	for i := range b.Services {
		u := &b.Services[i]
		if u.order() < 0 {
			idle += ", " + u.Name
			continue
		}
		g.left = max(g.left, min(300, 24+columns(u.Name)*8))
		g.rows = append(g.rows, u)
		for _, t := range []*int64{u.BlockedMS, u.StartingMS, u.ReadyMS} {
			if t != nil {
				g.end = max(g.end, *t)
			}
		}
	}
	sort.SliceStable(g.rows, func(i, j int) bool { return g.rows[i].order() < g.rows[j].order() })
	bottom := chartTop + chartRow*len(g.rows) + 8
	g.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="12" fill="#212529">`,
		g.left+chartWidth+chartRoom, bottom+64)
	g.add(`<rect width="100%%" height="100%%" fill="#fff"/>`)
	g.text(16, 26, `font-size="16" font-weight="bold"`, "ready after "+span(millis(b.TotalMS)))
	g.text(16, 46, chartPale, cut("critical chain: "+strings.Join(b.Chain, " → "), 130))
	g.axis(bottom)
	for i := 1; i < len(b.Chain); i++ {
		if from := b.unit(b.Chain[i-1]); from != nil && from.ReadyMS != nil {
			g.line(g.x(*from.ReadyMS), g.y(b.Chain[i-1]), g.y(b.Chain[i]), `stroke-width="1.5" stroke-dasharray="3 2" stroke="`+chartCritical+`"`)
		}
	}
	for _, u := range g.rows {
		g.unit(u, g.y(u.Name), slices.Contains(b.Chain, u.Name))
	}
	g.legend(bottom + 24)
	if idle != "" {
		g.text(16, bottom+48, chartPale, cut("not part of the boot: "+idle[2:], 130))
	}
	g.add("</svg>")
	return g.String()
}

// y is the middle of the row of a service.
func (g *chart) y(name string) int {
	i := slices.IndexFunc(g.rows, func(u *bootUnit) bool { return u.Name == name })
	return chartTop + chartRow*i + chartRow/2 + 4
}

// axis draws the scale: at most ten lines, at round times.
func (g *chart) axis(bottom int) {
	step := int64(1)
	for i := 0; g.end/step > 10; i++ {
		step *= 2
		if i%3 == 1 {
			step = step / 4 * 5
		}
	}
	for t := int64(0); t <= g.end; t += step {
		label := span(millis(t))
		if g.end >= 1000 {
			label = fmt.Sprintf("%v s", float64(t)/1000)
		}
		g.line(g.x(t), chartTop, bottom, `stroke="#e9ecef"`)
		g.text(g.x(t), chartTop-6, `text-anchor="middle" `+chartPale, label)
	}
}

// unit draws the row of one service.
func (g *chart) unit(u *bootUnit, y int, critical bool) {
	colour, weight := chartStarting, ""
	if critical {
		colour, weight = chartCritical, ` font-weight="bold"`
	}
	g.text(g.left-10, y+4, `text-anchor="end"`+weight, cut(u.Name, 36))
	started, end, note := g.end, g.end, u.State.String()
	if u.StartingMS != nil {
		started = *u.StartingMS
	}
	if u.ReadyMS != nil {
		end, note = *u.ReadyMS, span(millis(max(0, u.took())))
	} else if u.State == failed {
		colour = chartFailed
	}
	if u.BlockedMS != nil {
		g.bar(*u.BlockedMS, started, y, chartBlocked)
	}
	if started < end {
		g.bar(started, end, y, colour)
	}
	if u.ReadyMS != nil {
		g.line(g.x(end), y-8, y+8, `stroke-width="3" stroke="`+chartReady+`"`)
	}
	g.text(g.x(end)+7, y+4, `fill="#495057"`, note)
}

// legend explains the colours.
func (g *chart) legend(y int) {
	x := g.left
	for _, l := range [][2]string{{chartBlocked, "blocked"}, {chartStarting, "starting"}, {chartCritical, "starting, critical chain"},
		{chartReady, "ready"}, {chartFailed, "failed"}} {
		g.rect(x, y-4, 12, l[0])
		g.text(x+18, y, chartPale, l[1])
		x += 46 + 7*len(l[1])
	}
}

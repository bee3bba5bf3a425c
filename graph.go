// graph.go is the whole truth about services as a pure function of events: no clock, no goroutine, no file, no log lives here.

package main

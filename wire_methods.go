// wire_methods.go says which methods of the socket change nothing: the client must know that without asking, and the server lets the group of readers call them.

package main

import (
	"slices"
	"strings"
)

// readMethods may be called by clients that may only read, and called again when their answer was lost.
const readMethods = `
	rpc.discover
	system.ping system.info system.metrics
	debug.state debug.process_tree
	boot.analyze
	events.subscribe events.unsubscribe
	service.get service.check service.list service.list_full service.status service.status_full service.stats service.children service.is_running
	service.why service.tree service.graph service.wait
	logs.get logs.tail logs.filter logs.follow
	xinet.get xinet.list xinet.status xinet.status_all
`

// readsOnly says whether a method changes nothing.
func readsOnly(method string) bool { return slices.Contains(strings.Fields(readMethods), method) }

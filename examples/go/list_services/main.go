// Program list_services lists all services, and what keeps those that wait.
// Usage: go run ./list_services
package main

import (
	"context"
	"fmt"
	"log"
	"strings"

	zinit "zinit/clients/go"
)

func main() {
	ctx := context.Background()
	c, err := zinit.Dial(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	services, err := c.ServiceListFull(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range services {
		blockers := ""
		if len(s.BlockedBy) > 0 {
			blockers = "waits for " + strings.Join(s.BlockedBy, ", ")
		}
		fmt.Printf("%-20s %-10s %8d  %s\n", s.Name, s.State, s.PID, blockers)
	}
}

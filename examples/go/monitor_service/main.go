// Program monitor_service watches a service, and says what it wrote last and what can be done whenever it fails. Ctrl-C ends it.
// Usage: go run ./monitor_service NAME
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	zinit "zinit/clients/go"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: monitor_service NAME")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := monitor(ctx, os.Args[1]); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func monitor(ctx context.Context, name string) error {
	c, err := zinit.Dial(ctx, "")
	if err != nil {
		return err
	}
	defer c.Close()
	events, err := c.Events(ctx, &zinit.EventsOptions{Services: []string{name}, Types: []zinit.ChangeType{zinit.ChangeTypeState}})
	if err != nil {
		return err
	}
	status, err := c.ServiceStatus(ctx, name)
	if err != nil {
		return err
	}
	fmt.Printf("%s is %s\n", name, status.State)
	for event, err := range events {
		if err != nil {
			return err
		}
		if event.Lost > 0 {
			fmt.Printf("(at least %d events lost)\n", event.Lost)
		}
		fmt.Printf("%s: %s -> %s\n", name, *event.From, *event.To)
		if *event.To != zinit.StateFailed {
			continue
		}
		lines, err := c.LogsGet(ctx, name, nil)
		if err != nil {
			return err
		}
		for _, line := range lines[max(0, len(lines)-5):] {
			fmt.Println("  | " + line)
		}
		why, err := c.ServiceWhy(ctx, name)
		if err != nil {
			return err
		}
		fmt.Println(why.Text)
	}
	return nil
}

// Program create_service makes a service and one that requires it, restarts the first with the second, and takes both away again.
// Usage: go run ./create_service [NAME]
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	zinit "zinit/clients/go"
)

func main() {
	name := "example"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	if err := create(context.Background(), name); err != nil {
		log.Fatal(err)
	}
}

func create(ctx context.Context, name string) error {
	c, err := zinit.Dial(ctx, "")
	if err != nil {
		return err
	}
	defer c.Close()
	lines, err := c.Follow(ctx, &zinit.FollowOptions{Services: []string{name}})
	if err != nil {
		return err
	}
	_, err = c.ServiceCreate(ctx, zinit.Config{
		"service":   {"name": name, "exec": `echo "hello from $ZINIT_SERVICE"; exec sleep 3600`, "description": "made by create_service"},
		"lifecycle": {"restart": "always"},
	}, nil) // with &zinit.ServiceCreateOptions{Persist: true} its file is written too
	if errors.Is(err, zinit.ErrAlreadyExists) {
		return fmt.Errorf("%w: name another", err)
	} else if err != nil {
		return err
	}
	status, err := c.ServiceWait(ctx, name, nil)
	if err != nil {
		return err
	}
	fmt.Printf("%s is %s\n", name, status.State)
	for line, err := range lines {
		if err != nil {
			return err
		}
		fmt.Println(line.Text)
		break
	}
	if err := restartWithFollower(ctx, c, name, name+"-follower"); err != nil {
		return err
	}
	return c.ServiceDelete(ctx, name, &zinit.ServiceDeleteOptions{Force: true})
}

func restartWithFollower(ctx context.Context, c *zinit.Client, name, follower string) error {
	_, err := c.ServiceCreate(ctx, zinit.Config{
		"service":      {"name": follower, "exec": []string{"sleep", "3600"}},
		"dependencies": {"requires": []string{name}},
	}, nil)
	if err != nil {
		return err
	}
	if _, err := c.ServiceRestart(ctx, name, &zinit.ServiceRestartOptions{Wait: true}); err != nil {
		return err
	}
	if _, err := c.ServiceWait(ctx, follower, nil); err != nil {
		return err
	}
	tree, err := c.ServiceTree(ctx, &zinit.ServiceTreeOptions{Name: follower})
	if err != nil {
		return err
	}
	fmt.Println(tree.Text)
	return c.ServiceDelete(ctx, follower, nil)
}

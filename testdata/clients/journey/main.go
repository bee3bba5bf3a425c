// Program journey is what a user of clients/go does with a server. usage: journey whole|faults|find NAME; "replace" is printed when the server is to be replaced.
package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"os"
	"slices"

	zinit "zinit/clients/go"
)

var ctx = context.Background()

func main() {
	log.SetFlags(log.Lshortfile)
	c, err := zinit.Dial(ctx, "")
	check(err)
	defer c.Close()
	switch os.Args[1] {
	case "faults":
		faults(c)
	case "find":
		fmt.Println(c.Path())
	default:
		whole(c, os.Args[2])
	}
	fmt.Println("done")
}

func check(err error) {
	if err != nil {
		_ = log.Output(2, err.Error())
		os.Exit(1)
	}
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func want(ok bool, about ...any) {
	if !ok {
		_ = log.Output(2, fmt.Sprint(about...))
		os.Exit(1)
	}
}

// stream is the notifications one by one.
func stream[T any](seq iter.Seq2[T, error], err error) (next func() T, stop func()) {
	check(err)
	pull, stop := iter.Pull2(seq)
	return func() T {
		v, err, ok := pull()
		want(ok, "it has ended")
		check(err)
		return v
	}, stop
}

func whole(c *zinit.Client, name string) {
	pid := must(c.SystemPing(ctx)).PID
	config := zinit.Config{"service": {"name": name, "exec": []string{"sh", "-c", "echo hello; echo oops >&2; exec sleep 600"}, "status": "stop"}}
	made := must(c.ServiceCreate(ctx, config, nil))
	want(made.Name == name && made.Path == nil, made)
	want(slices.Contains(must(c.ServiceList(ctx)), name))
	want(must(c.ServiceStatus(ctx, name)).State == zinit.StateInactive)
	want(must(c.ServiceGet(ctx, name))["service"]["status"] == "stop")

	event, endEvents := stream(c.Events(ctx, &zinit.EventsOptions{Services: []string{name}, Types: []zinit.ChangeType{zinit.ChangeTypeState}}))
	none := int64(0)
	line, endLines := stream(c.Follow(ctx, &zinit.FollowOptions{Services: []string{name}, Lines: &none}))
	must(c.ServiceStart(ctx, name, nil))
	want(must(c.ServiceWait(ctx, name, nil)).State == zinit.StateRunning)
	want(*event().To == zinit.StateStarting)
	want(*event().To == zinit.StateRunning)
	texts := []string{line().Text, line().Text}
	slices.Sort(texts)
	want(slices.Equal(texts, []string{"hello", "oops"}), texts)

	_, err := c.ServiceStatus(ctx, name+"x")
	var refused *zinit.Error
	want(errors.Is(err, zinit.ErrServiceNotFound) && errors.As(err, &refused) && slices.Contains(refused.Data.Names, name) && refused.Code == -32000, err)
	_, err = c.ServiceCreate(ctx, config, nil)
	want(errors.Is(err, zinit.ErrAlreadyExists) && !errors.Is(err, zinit.ErrServiceNotFound), err)
	_, err = c.ServiceWait(ctx, name, &zinit.ServiceWaitOptions{State: zinit.StateExited, TimeoutMS: 1})
	want(errors.Is(err, zinit.ErrTimeout), err)
	given, cancel := context.WithCancel(ctx)
	waiting := make(chan error)
	go func() {
		_, err := c.ServiceWait(given, name, &zinit.ServiceWaitOptions{State: zinit.StateExited})
		waiting <- err
	}()
	want(must(c.ServiceIsRunning(ctx, name))) // it does not wait for the other
	cancel()
	want(errors.Is(<-waiting, context.Canceled))
	go func() {
		_, err := c.ServiceWait(ctx, name, &zinit.ServiceWaitOptions{State: zinit.StateExited})
		waiting <- err
	}()
	must(c.ServiceStop(ctx, name, nil))
	check(<-waiting)
	must(c.ServiceStart(ctx, name, &zinit.ServiceStartOptions{Wait: true}))

	before := must(c.LogsTail(ctx, name, nil))
	read := make(chan bool)
	go func() {
		for event().Lost == 0 {
		}
		for n := line(); n.Seq <= before[len(before)-1].Seq || n.Text != "hello"; n = line() {
		}
		close(read)
	}()
	fmt.Println("replace")
	for must(c.SystemPing(ctx)).PID == pid {
		want(must(c.ServiceStatus(ctx, name)).State == zinit.StateRunning)
	}
	for done := false; !done; {
		must(c.ServiceRestart(ctx, name, &zinit.ServiceRestartOptions{Wait: true}))
		select {
		case <-read:
			done = true
		default:
		}
	}
	endEvents()
	check(c.XinetCreate(ctx, zinit.Proxy{Name: "front", Listen: []string{c.Path() + ".front"}, Service: name, Pass: true}))
	want(must(c.XinetStatus(ctx, "front")).Service == name)
	check(c.XinetDelete(ctx, "front"))
	check(c.ServiceDelete(ctx, name, nil))
	want(!slices.Contains(must(c.ServiceList(ctx)), name))
	endLines()
}

// faults is against the pretended server of clients_test.go, which breaks the first connection in the middle of service.list and of service.start.
func faults(c *zinit.Client) {
	left := 0
	c.OnLeftOut = func(_ string, entries int) { left = entries }
	want(slices.Equal(must(c.ServiceList(ctx)), []string{"x"}))
	_, err := c.ServiceStart(ctx, "x", nil)
	want(errors.Is(err, zinit.ErrServerGone), err)
	line, stop := stream(c.Follow(ctx, nil))
	defer stop()
	want(slices.Equal(must(c.ServiceList(ctx)), []string{"x"}))
	first := line()
	want(first.Seq == 6 && first.Lost == 5+2, first)
	want(len(must(c.LogsGet(ctx, "x", nil))) == 0 && left == 7, left)
}

// rpc_bench_test.go measures the control socket against a bare echo over the same kind of socket.

//go:build unix

package main

import (
	"bufio"
	"net"
	"path/filepath"
	"testing"
)

// BenchmarkStatusCall: service.status, one at a time on one connection, next to a server that only sends back what it gets.
func BenchmarkStatusCall(b *testing.B) {
	d := newTestDoor(b)
	d.dial(b).call("service.add", `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"}}}`)
	ask := []byte(`{"jsonrpc":"2.0","id":1,"method":"service.status","params":{"name":"web"}}` + "\n")
	echo := echoServer(b)
	run := func(b *testing.B, conn net.Conn) {
		in := bufio.NewReader(conn)
		for b.Loop() {
			conn.Write(ask)
			if _, err := in.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("status", func(b *testing.B) { run(b, d.dial(b)) })
	b.Run("echo", func(b *testing.B) {
		conn, err := net.Dial("unix", echo)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		run(b, conn)
	})
}

func echoServer(b *testing.B) (path string) {
	path = filepath.Join(b.TempDir(), "echo")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					conn.Write(buf[:n])
				}
			}()
		}
	}()
	return path
}

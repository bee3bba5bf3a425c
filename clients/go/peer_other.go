//go:build !linux

package zinit

import "net"

// refuseStranger has nothing to do: the only place without a name is in the home directory.
func refuseStranger(net.Conn, string) error { return nil }

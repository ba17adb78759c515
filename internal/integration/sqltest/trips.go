package sqltest

import (
	"context"
	"net"
	"sync/atomic"
)

// Trips counts the round trips of a database's connections: how often an answer
// came after something was said.
type Trips struct{ n atomic.Int64 }

// During is how many there were while do ran.
func (c *Trips) During(do func()) int64 {
	before := c.n.Load()
	do()
	return c.n.Load() - before
}

// Dial connects, and counts.
func (c *Trips) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &countedConn{Conn: conn, trips: c}, err
}

type countedConn struct {
	net.Conn
	trips *Trips
	said  atomic.Bool
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.said.Store(true)
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.said.Swap(false) {
		c.trips.n.Add(1)
	}
	return n, err
}

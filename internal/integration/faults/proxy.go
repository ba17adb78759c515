package faults

import (
	"net"
	"sync"
	"testing"
)

// Proxy listens on a loopback address, which it returns, and passes everything on
// to the server at addr over the Line, until the test ends. It knows no protocol:
// a command is what the client sends until the server says something, so each
// round trip is one. Requests for which ignore is true (nil: none) are not counted,
// such as those by which a driver looks after its connections.
func (l *Line) Proxy(t testing.TB, addr string, ignore func(request []byte) bool) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	p := &proxy{line: l, server: addr, ignore: ignore, open: map[*pair]bool{}}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := ln.Accept()
			if err != nil {
				return // the listener is closed
			}
			p.serve(c, &wg)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		l.disarm()
		p.close()
		wg.Wait()
	})
	return ln.Addr().String()
}

type proxy struct {
	line   *Line
	server string
	ignore func([]byte) bool
	mu     sync.Mutex
	open   map[*pair]bool
	closed bool
}

// pair is one connection of a client, and the one to the server behind it.
type pair struct {
	client, server *net.TCPConn
	cut            func()
	mu             sync.Mutex
	asked          bool // the client has said something since the server did
	deaf           bool // whatever the server says next is lost
}

func (p *proxy) serve(c net.Conn, wg *sync.WaitGroup) {
	s, err := net.Dial("tcp", p.server)
	if err != nil {
		c.Close()
		return
	}
	pr := &pair{client: c.(*net.TCPConn), server: s.(*net.TCPConn)}
	pr.cut = sync.OnceFunc(func() {
		for _, c := range []*net.TCPConn{pr.client, pr.server} {
			c.SetLinger(0)
			c.Close()
		}
		p.mu.Lock()
		delete(p.open, pr)
		p.mu.Unlock()
	})
	p.mu.Lock()
	p.open[pr] = true
	closed := p.closed
	p.mu.Unlock()
	if closed {
		pr.cut()
	}
	wg.Add(2)
	go func() {
		defer wg.Done()
		defer pr.cut()
		pass(pr.server, pr.client, func(b []byte) bool { return p.request(pr, b) })
	}()
	go func() {
		defer wg.Done()
		defer pr.cut()
		pass(pr.client, pr.server, pr.answer)
	}()
}

// request reports whether what the client said may pass.
func (p *proxy) request(pr *pair, b []byte) bool {
	pr.mu.Lock()
	more := pr.asked
	pr.asked = true
	pr.mu.Unlock()
	if more || p.ignore != nil && p.ignore(b) {
		return true
	}
	kind, broken := p.line.next()
	if broken && kind == LostRequest {
		return false
	}
	if broken {
		pr.mu.Lock()
		pr.deaf = true
		pr.mu.Unlock()
	}
	return true
}

// answer reports whether what the server said may pass.
func (pr *pair) answer([]byte) bool {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.asked = false
	return !pr.deaf
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	var open []*pair
	for pr := range p.open {
		open = append(open, pr)
	}
	p.mu.Unlock()
	for _, pr := range open {
		pr.cut()
	}
}

// pass copies from one to the other until either ends or may says no.
func pass(to, from *net.TCPConn, may func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !may(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

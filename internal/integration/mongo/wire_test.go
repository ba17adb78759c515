package mongo

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/servers"
)

// commands notes the commands that a client sends.
type commands struct {
	mu   sync.Mutex
	seen []*event.CommandStartedEvent
}

func (c *commands) monitor() *options.ClientOptions {
	return options.Client().SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		c.mu.Lock()
		defer c.mu.Unlock()
		copied := *e
		copied.Command = append(bson.Raw(nil), e.Command...)
		c.seen = append(c.seen, &copied)
	}})
}

// during returns those that do sends, and their names.
func (c *commands) during(do func()) (seen []*event.CommandStartedEvent, names []string) {
	c.mu.Lock()
	before := len(c.seen)
	c.mu.Unlock()
	do()
	c.mu.Lock()
	defer c.mu.Unlock()
	seen = c.seen[before:]
	for _, e := range seen {
		names = append(names, e.CommandName)
	}
	return seen, names
}

// interceptor stands between a driver and its server, and knows commands.
type interceptor struct {
	mu sync.Mutex
	// edit may change a command.
	edit func(name string, body bson.D) bson.D
	// twice tells commands that the server gets twice, of which the driver hears the
	// second answer: as if the first was lost, and the driver had sent it again.
	twice func(name string) bool
}

func (i *interceptor) set(edit func(string, bson.D) bson.D, twice func(string) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.edit, i.twice = edit, twice
}

// listen returns the address that the driver is to connect to.
func (i *interceptor) listen(t *testing.T) string {
	t.Helper()
	server := servers.MongoDB(t).Addr
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.Map
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			open.Store(c, true)
			wg.Go(func() {
				defer c.Close()
				s, err := net.Dial("tcp", server)
				if assert.NoError(t, err) {
					defer s.Close()
					i.serve(t, c, s)
				}
			})
		}
	})
	return ln.Addr().String()
}

func (i *interceptor) serve(t *testing.T, client, server net.Conn) {
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	for {
		request, err := readMessage(fromClient)
		if err != nil {
			return
		}
		name := ""
		if binary.LittleEndian.Uint32(request[12:]) == opMsg {
			request, name = i.intercept(t, request)
		}
		i.mu.Lock()
		times := 1
		if i.twice != nil && name != "" && i.twice(name) {
			times = 2
		}
		i.mu.Unlock()
		var answer []byte
		for range times {
			if _, err := server.Write(request); err != nil {
				return
			}
			if answer, err = readMessage(fromServer); err != nil {
				return
			}
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// A message is a header of 16 bytes, with its length first and its kind last, then,
// in this kind, 4 bytes of flags and sections: 0 and the command's document, or 1 and
// a sequence of documents. See https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const opMsg = 2013

func readMessage(r io.Reader) ([]byte, error) {
	header := make([]byte, 16)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	message := append(header, make([]byte, binary.LittleEndian.Uint32(header)-16)...)
	_, err := io.ReadFull(r, message[16:])
	return message, err
}

func (i *interceptor) intercept(t *testing.T, message []byte) ([]byte, string) {
	const body = 16 + 4 + 1 // the driver sends the command's document first
	if !assert.Zero(t, message[body-1], "the first section is the command") {
		return message, ""
	}
	end := body + int(binary.LittleEndian.Uint32(message[body:]))
	var command bson.D
	if !assert.NoError(t, bson.Unmarshal(message[body:end], &command)) {
		return message, ""
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	name := command[0].Key
	if i.edit == nil {
		return message, name
	}
	edited, err := bson.Marshal(i.edit(name, command))
	if !assert.NoError(t, err) {
		return message, name
	}
	out := append(append(append([]byte(nil), message[:body]...), edited...), message[end:]...)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out, name
}

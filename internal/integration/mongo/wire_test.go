package mongo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
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
	server string // the address

	// inReplicaSet lets the server say that it is the primary of a replica set, so that
	// the driver makes use of what such have, such as retryable writes.
	inReplicaSet bool

	mu sync.Mutex
	// edit may change a command.
	edit func(name string, body bson.D) bson.D
	// twice tells commands that the server gets twice, of which the driver hears the
	// second answer: as if the first was lost, and the driver had sent it again.
	twice func(name string) bool
	// answer may answer a command in place of the server.
	answer func(name string, body bson.D) bson.D
}

func (i *interceptor) set(edit func(string, bson.D) bson.D, twice func(string) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.edit, i.twice = edit, twice
}

// before runs do once, before the first command that is meant goes on.
func (i *interceptor) before(meant func(name string, body bson.D) bool, do func()) {
	var once sync.Once
	i.set(func(name string, body bson.D) bson.D {
		if meant(name, body) {
			once.Do(do)
		}
		return body
	}, nil)
}

// listen returns the address that the driver is to connect to.
func (i *interceptor) listen(t *testing.T) string {
	t.Helper()
	i.server = servers.MongoDB(t).Addr
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
				s, err := net.Dial("tcp", i.server)
				if assert.NoError(t, err) {
					defer s.Close()
					i.serve(t, c, s)
				}
			})
		}
	})
	return ln.Addr().String()
}

// serve passes on one connection's commands, and what is answered.
func (i *interceptor) serve(t *testing.T, client, server net.Conn) {
	fromClient, fromServer := bufio.NewReader(client), bufio.NewReader(server)
	for {
		request, err := readMessage(fromClient)
		if err != nil {
			return
		}
		times := 1
		command := documentOf(t, request)
		var answer []byte
		if name := command[0].Key; kind(request) == opMsg {
			i.mu.Lock()
			if i.answer != nil {
				if d := i.answer(name, command); d != nil {
					answer, times = replaced(t, request, d), 0
					copy(answer[8:12], request[4:8]) // what it is the answer to
				}
			}
			if i.edit != nil {
				request = replaced(t, request, i.edit(name, command))
			}
			if i.twice != nil && i.twice(name) {
				times = 2
			}
			i.mu.Unlock()
		}
		for range times {
			if _, err := server.Write(request); err != nil {
				return
			}
			if answer, err = readMessage(fromServer); err != nil {
				return
			}
		}
		if d := documentOf(t, answer); i.inReplicaSet && has(d, "maxWireVersion") && !has(d, "setName") {
			d = append(d, bson.E{Key: "setName", Value: "rs"}, bson.E{Key: "setVersion", Value: 1},
				bson.E{Key: "me", Value: i.server}, bson.E{Key: "hosts", Value: bson.A{i.server}})
			answer = replaced(t, answer, d)
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func has(d bson.D, field string) bool {
	return slices.ContainsFunc(d, func(e bson.E) bool { return e.Key == field })
}

// A message has a header of 16 bytes, with its length first and its kind last, and a
// document, after which there may be others in a sequence.
// See https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
const (
	opMsg   = 2013
	opReply = 1    // to
	opQuery = 2004 // of a new connection
)

func kind(message []byte) uint32 { return binary.LittleEndian.Uint32(message[12:]) }

func readMessage(r io.Reader) ([]byte, error) {
	header := make([]byte, 16)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	message := append(header, make([]byte, binary.LittleEndian.Uint32(header)-16)...)
	_, err := io.ReadFull(r, message[16:])
	return message, err
}

// extent is where the first document of a message is.
func extent(message []byte) (from, to int) {
	switch kind(message) {
	case opMsg:
		from = 16 + 4 + 1 // flags, and 0 for a document; the driver sends it before sequences
	case opReply:
		from = 16 + 4 + 8 + 4 + 4 // flags, a cursor and two numbers
	case opQuery:
		from = 16 + 4 + bytes.IndexByte(message[20:], 0) + 1 + 4 + 4 // flags, a name and two numbers
	}
	return from, from + int(binary.LittleEndian.Uint32(message[from:]))
}

func documentOf(t *testing.T, message []byte) (d bson.D) {
	from, to := extent(message)
	assert.NoError(t, bson.Unmarshal(message[from:to], &d))
	return d
}

// replaced is a message with another first document.
func replaced(t *testing.T, message []byte, d bson.D) []byte {
	raw, err := bson.Marshal(d)
	assert.NoError(t, err)
	from, to := extent(message)
	out := slices.Concat(message[:from], raw, message[to:])
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out
}

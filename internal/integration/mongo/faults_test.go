package mongo

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
)

// exchanged is a store that can be another one.
type exchanged struct{ store.Store }

// A connection that breaks, or a caller that stands still, at any command of any
// operation; of a server alone, and of one in a replica set, where the driver by itself
// sends a write again whose answer was lost. Each operation has a database of its own,
// since FerretDB is slow on full ones.
func TestFaults(t *testing.T) {
	for name, inReplicaSet := range map[string]bool{"alone": false, "in a replica set": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait for the driver most of the time
			server := servers.MongoDB(t)
			i := &interceptor{inReplicaSet: inReplicaSet}
			addr := i.listen(t)
			client := connect(t, server.URI(server.Addr))
			direct := new(exchanged)
			faults.Run(t, faults.Target{
				Direct: direct,
				Open: func(t *testing.T, line *faults.Line) store.Store {
					database := server.NewDatabase(t)
					direct.Store = newStore(t, client.Database(database))
					uri := server.URI(line.Proxy(t, addr, housekeeping))
					return newStore(t, connect(t, uri).Database(database))
				},
			})
		})
	}
}

// housekeeping tells the requests by which a driver looks after its connections.
func housekeeping(request []byte) bool {
	for _, command := range []string{"hello", "isMaster", "ismaster", "ping", "endSessions"} {
		// Its name is the first in the request's document, soon after the header.
		if bytes.Contains(request[:min(len(request), 80)], []byte(command+"\x00")) {
			return true
		}
	}
	return false
}

func TestKilled(t *testing.T) {
	server := servers.MongoDB(t)
	uri := server.URI(server.Addr)
	client := connect(t, uri)
	kills := int(faults.Number(t, "TORTURE_KILLS", 3))
	const most = 2 // on one database, since FerretDB is slow on full ones
	for from := 0; from < kills; from += most {
		t.Run(sample.Name("from", from), func(t *testing.T) {
			t.Setenv("TORTURE_KILLS", strconv.Itoa(min(most, kills-from)))
			database := server.NewDatabase(t)
			faults.Kill(t, newStore(t, client.Database(database)), uri, database)
		})
	}
}

package mongo

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// An entry of the ledger that has a successor is in no list and keeps no payload, so
// that a list costs what is in it. If that could not be seen to, as when a process is
// killed before, lists skip it.
func TestEntriesThatHaveASuccessor(t *testing.T) {
	ctx := context.Background()
	const n = 12
	for name, tidy := range map[string]bool{"taken away": true, "left behind": false} {
		t.Run(name, func(t *testing.T) {
			db, line, sent := intercepted(t)
			s := newStore(t, db)
			if !tidy {
				line.set(func(name string, body bson.D) bson.D {
					if name == "update" { // another command instead
						return bson.D{{Key: "ping", Value: 1}, {Key: "$db", Value: "admin"}}
					}
					return body
				}, nil)
			}
			id := func(i int) string { return name[:1] + string(rune('a'+i)) }
			var failed []string // newest first
			for i := n - 1; i >= 0; i-- {
				e := *sample.Paid(id(i)).Event
				require.NoError(t, s.RecordFailure(ctx, e, "timeout", false))
				require.NoError(t, s.RecordFailure(ctx, e, "timeout", false))
				if i%4 != 0 {
					require.NoError(t, s.RecordHandled(ctx, e.ID, []string{"mail"}, true, sample.T0))
				} else {
					failed = append(failed, e.ID)
				}
			}
			for limit := 1; limit <= 4; limit++ {
				var list []store.Event
				_, reads := sent.during(func() {
					list = adaptertest.All(t, limit, func(p store.Page) ([]store.Event, string, error) {
						return s.Events(ctx, store.EventFilter{State: store.EventFailed}, p)
					})
				})
				var got []string
				for _, e := range list {
					assert.Equal(t, 2, e.Attempts)
					assert.Equal(t, sample.Paid(e.ID[len("evt_"):]).Event.Payload, e.Payload)
					got = append(got, e.ID)
				}
				assert.Equal(t, failed, got, "pages of %d", limit)
				if tidy {
					assert.LessOrEqual(t, len(reads), 2*(len(failed)/limit+1), "pages of %d", limit)
				}
			}
			if tidy {
				listed, kept := 0, 0
				for _, d := range documents(t, db) {
					if d["eventPlace"] != nil {
						listed++
					}
					for _, f := range d["event"].(bson.D) {
						if f.Key == "payload" {
							kept++
						}
					}
				}
				assert.Equal(t, []int{n, n}, []int{listed, kept}, "one of each event's entries")
			}
			all, _, err := s.Events(ctx, store.EventFilter{}, store.Page{})
			require.NoError(t, err)
			assert.Len(t, all, n)
		})
	}
}

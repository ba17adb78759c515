package mongo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
)

// Every filter is one that an index serves, and the order comes from it too, by
// MongoDB's rules: https://www.mongodb.com/docs/manual/tutorial/equality-sort-range-guideline/
// The filters are the ones that the calls send, so that a new one is looked at too. A
// real server is asked as well what it does; FerretDB uses no index but that of _id.
func TestEveryReadUsesAnIndex(t *testing.T) {
	var sent commands
	db := newDatabase(t, sent.monitor())
	s := newStore(t, db)
	seen, _ := sent.during(func() { adaptertest.EveryCall(t, s, sample.T0) })
	indexes := specifications(t)
	reads, kinds := 0, map[string]bool{}
	for _, e := range seen {
		if e.CommandName != "find" && e.CommandName != "update" {
			continue
		}
		reads++
		filter, order := filterOf(t, e)
		kind := shape(filter, order)
		if kinds[kind] {
			continue
		}
		kinds[kind] = true
		assert.NoError(t, served(filter, order, indexes), kind)
		if e.CommandName == "find" {
			explained(t, db, e.Command)
		}
	}
	t.Logf("%d reads of %d kinds", reads, len(kinds))
	assert.Greater(t, len(kinds), 25)

	// Each index is there for one of them, and the rules notice that it is missing.
	for i, spec := range indexes {
		without, needed := slices.Delete(slices.Clone(indexes), i, i+1), false
		for _, e := range seen {
			if e.CommandName == "find" {
				filter, order := filterOf(t, e)
				needed = needed || served(filter, order, without) != nil
			}
		}
		assert.True(t, needed, spec.Name)
	}
}

func filterOf(t *testing.T, e *event.CommandStartedEvent) (filter, order bson.D) {
	t.Helper()
	at := []string{"filter"}
	if e.CommandName == "update" {
		at = []string{"updates", "0", "q"}
	}
	require.NoError(t, bson.Unmarshal(e.Command.Lookup(at...).Document(), &filter))
	if sort, err := e.Command.LookupErr("sort"); err == nil {
		require.NoError(t, bson.Unmarshal(sort.Document(), &order))
	}
	return filter, order
}

// shape is a filter and an order without the values.
func shape(filter, order bson.D) string {
	var parts []string
	for _, f := range filter {
		part := f.Key
		switch v := f.Value.(type) {
		case bson.D:
			part += "(" + shape(v, nil) + ")"
		case bson.A:
			for _, branch := range v {
				if d, ok := branch.(bson.D); ok {
					part += "(" + shape(d, nil) + ")"
				}
			}
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	for _, o := range order {
		parts = append(parts, fmt.Sprint("by ", o.Key, o.Value))
	}
	return strings.Join(parts, " ")
}

// served says why no index serves a filter with an order, if none does: its fields
// that must be equal to something come first in the key, then the order, forwards or
// backwards, and a range only of what is next in the key.
func served(filter, order bson.D, indexes []mongo.IndexSpecification) error {
	if len(filter) == 1 && filter[0].Key == "$or" && len(order) == 0 {
		for _, branch := range filter[0].Value.(bson.A) {
			if err := served(branch.(bson.D), nil, indexes); err != nil {
				return err
			}
		}
		return nil
	}
	equal, ranged := map[string]bool{}, map[string]bool{}
	for _, f := range filter {
		value, isDoc := f.Value.(bson.D)
		switch {
		case f.Key == "$or": // looked at after the index
		case !isDoc:
			equal[f.Key] = true
		case value[0].Key == "$in" && len(order) == 0:
			equal[f.Key] = true
		default:
			ranged[f.Key] = true
		}
	}
	if equal["_id"] && len(filter) == 1 {
		return nil
	}
	for _, index := range indexes {
		var key bson.D
		if err := bson.Unmarshal(index.KeysDocument, &key); err != nil {
			return err
		}
		prefix := 0
		for prefix < len(key) && equal[key[prefix].Key] {
			prefix++
		}
		if prefix < len(equal) || len(equal)+len(ranged) == 0 {
			continue
		}
		rest := key[prefix:]
		ok := len(ranged) == 0 || len(ranged) == 1 && len(rest) > 0 && ranged[rest[0].Key]
		forwards, backwards, i := true, true, 0
		for _, o := range order {
			if equal[o.Key] {
				continue
			}
			if i == len(rest) || rest[i].Key != o.Key {
				ok = false
				break
			}
			same := fmt.Sprint(rest[i].Value) == fmt.Sprint(o.Value)
			forwards, backwards = forwards && same, backwards && !same
			i++
		}
		if ok && (forwards || backwards) {
			return nil
		}
	}
	return fmt.Errorf("no index for %s", shape(filter, order))
}

// explained asks the server whether it looks at all documents, or sorts them.
func explained(t *testing.T, db *mongo.Database, find bson.Raw) {
	t.Helper()
	var command bson.D
	require.NoError(t, bson.Unmarshal(find, &command))
	command = slices.DeleteFunc(command, func(e bson.E) bool {
		return e.Key == "lsid" || e.Key == "$db" || e.Key == "$clusterTime" || e.Key == "$readPreference" || e.Key == "readConcern"
	})
	var plan bson.Raw
	err := db.RunCommand(context.Background(), bson.D{{Key: "explain", Value: command}, {Key: "verbosity", Value: "queryPlanner"}}).Decode(&plan)
	require.NoError(t, err)
	if servers.MongoDB(t).Ferret {
		return // it scans
	}
	text := plan.Lookup("queryPlanner", "winningPlan").String()
	assert.NotContains(t, text, `"COLLSCAN"`, command)
	assert.NotContains(t, text, `"SORT"`, command)
}

package soak

import (
	"context"
	"database/sql"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/mongostore"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// stock is the ids of all that a database holds. They are read past the library, which lists bookings and payments by
// their owner alone: one under a name that nobody has would be seen by no other comparison.
type stock struct{ bookings, intents, events map[string]bool }

func newStock() stock {
	return stock{map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

// compare: all that is there has a customer, a payment or an event of Stripe's as its cause.
func (found stock) compare(explained stock, t *tally) {
	for what, ids := range map[string][2]map[string]bool{
		"booking":         {found.bookings, explained.bookings},
		"payment of":      {found.intents, explained.intents},
		"ledger's row of": {found.events, explained.events},
	} {
		for id := range ids[0] {
			if !ids[1][id] {
				t.twice("nothing explains the %s %s", what, id)
			}
		}
		for id := range ids[1] {
			if !ids[0][id] {
				t.lost("the %s %s is not in the database any more", what, id)
			}
		}
	}
}

func sqlStock(driver, dsn string) (stock, error) {
	found := newStock()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return found, err
	}
	defer db.Close()
	for column, ids := range map[string]map[string]bool{
		"id FROM " + sqlstore.DefaultPrefix + "bookings":                found.bookings,
		"payment_intent_id FROM " + sqlstore.DefaultPrefix + "payments": found.intents,
		"id FROM " + sqlstore.DefaultPrefix + "events":                  found.events,
	} {
		rows, err := db.Query("SELECT " + column)
		if err != nil {
			return found, err
		}
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return found, err
			}
			ids[id] = true
		}
		if err := rows.Err(); err != nil {
			return found, err
		}
	}
	return found, nil
}

func mongoStock(place string) (stock, error) {
	found, ctx := newStock(), context.Background()
	uri, database, _ := strings.Cut(place, " ")
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return found, err
	}
	defer client.Disconnect(ctx)
	rows, err := client.Database(database).Collection(mongostore.DefaultPrefix+"journal").Find(ctx, bson.D{})
	if err != nil {
		return found, err
	}
	var docs []struct {
		Booking  *struct{ ID string }
		Payments []struct {
			Intent string `bson:"paymentIntentId"`
		}
		Event *struct{ ID string }
	}
	if err := rows.All(ctx, &docs); err != nil {
		return found, err
	}
	for _, d := range docs {
		if d.Booking != nil {
			found.bookings[d.Booking.ID] = true
		}
		for _, p := range d.Payments {
			found.intents[p.Intent] = true
		}
		if d.Event != nil {
			found.events[d.Event.ID] = true
		}
	}
	return found, nil
}

// watched is a store in memory that knows what was written.
type watched struct {
	store.Store
	mu      sync.Mutex
	written stock
}

func watch(s store.Store) *watched { return &watched{Store: s, written: newStock()} }

func (w *watched) stock() (stock, error) { return w.written, nil }

func (w *watched) Apply(ctx context.Context, c store.Change) (store.Result, error) {
	res, err := w.Store.Apply(ctx, c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil && res.Applied {
		if c.Booking != nil {
			w.written.bookings[c.Booking.ID] = true
		}
		for _, p := range c.Payments {
			w.written.intents[p.PaymentIntentID] = true
		}
		if c.Event != nil {
			w.written.events[c.Event.ID] = true
		}
	}
	return res, err
}

func (w *watched) RecordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	err := w.Store.RecordFailure(ctx, e, reason, dead)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.written.events[e.ID] = true
	}
	return err
}

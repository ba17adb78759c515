// Package sample has records, in Changes, for the tests of all adapters.
package sample

import (
	"fmt"
	"time"

	"github.com/carevia/stripebooking/store"
)

// T0 is when everything happens.
var T0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Paid is the Change of a paid event: a new booking with its payment, ledger row
// and history line. Everything is named after id.
func Paid(id string) store.Change {
	b := &store.Booking{
		ID: "bk_" + id, UserID: "user_1", ServiceID: "svc", ServiceName: "Home cleaning",
		Option: store.OptionFull, Total: 5000, Paid: 5000, Currency: "usd", State: store.StateConfirmed,
		PaymentIntentID: "pi_" + id, SessionID: "cs_" + id,
		Details:   map[string]string{"note": "<ring twice> & wait", "$where": "a.b"}, // no operator of MongoDB's
		CreatedAt: T0, UpdatedAt: T0,
	}
	return store.Change{
		Key:      "evt_" + id,
		Booking:  b,
		Payments: []store.Payment{Payment(*b, b.PaymentIntentID)},
		Event: &store.Event{
			ID: "evt_" + id, Type: "checkout.session.completed", ObjectID: b.SessionID, State: store.EventDone,
			ReceivedAt: T0, UpdatedAt: T0, BookingID: b.ID, Payload: []byte(`{"id":"evt_` + id + `"}`),
		},
		History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook", ID: "evt_" + id}, At: T0},
	}
}

// Payment is one of a booking, named after its intent.
func Payment(b store.Booking, intent string) store.Payment {
	return store.Payment{
		ID: "pay_" + intent, BookingID: b.ID, UserID: b.UserID, PaymentIntentID: intent, SessionID: b.SessionID,
		Amount: 5000, Subtotal: 5000, Currency: "usd", Status: store.StatusSucceeded, CapturedAt: T0,
		PaymentMethod: "card", Purpose: store.PurposeFull, CreatedAt: T0, UpdatedAt: T0,
	}
}

// Held is the Change of a new booking that waits for its payment.
func Held(id string, claims ...store.SeatClaim) store.Change {
	c := Paid(id)
	c.Key, c.Event, c.Payments = "hold_"+id, nil, nil
	c.Booking.State, c.History.To = store.StateHeld, store.StateHeld
	c.Booking.Paid, c.Booking.PaymentIntentID = 0, ""
	c.Booking.Claims, c.Claim = claims, claims
	return c
}

// Next is a Change of key that takes a stored booking one version on.
func Next(key string, b store.Booking) store.Change {
	b = b.Clone()
	return store.Change{Key: key, Booking: &b, History: &store.History{
		From: b.State, To: b.State, Cause: store.Cause{By: "operator", ID: "test"}, At: T0,
	}}
}

// Seats is a claim.
func Seats(slot string, capacity, count int) store.SeatClaim {
	return store.SeatClaim{Slot: slot, Capacity: capacity, Count: count}
}

// Seated is Paid with a claim on a slot that has one seat.
func Seated(id string) store.Change {
	c := Paid(id)
	c.Claim = []store.SeatClaim{Seats("mon", 1, 1)}
	return c
}

// Several is Paid with two payments and, in each of the slots, two of three seats.
func Several(id string, slots ...string) store.Change {
	c := Paid(id)
	c.Payments = append(c.Payments, Payment(*c.Booking, "pi_"+id+"_2"))
	c.Payments[1].CreatedAt = T0.Add(1)
	for _, slot := range slots {
		c.Claim = append(c.Claim, Seats(slot, 3, 2))
	}
	return c
}

// Losers are Changes that lose against Paid("a"), at different depths.
func Losers() map[store.Conflict]store.Change {
	version := Paid("x")
	version.Booking.ID, version.Payments[0].BookingID = "bk_a", "bk_a"
	return map[store.Conflict]store.Change{store.ConflictVersion: version, store.ConflictIntent: WithIntent("y", "a")}
}

// WithIntent is Paid of id with the intent of another.
func WithIntent(id, intentOf string) store.Change {
	c := Paid(id)
	c.Payments[0].PaymentIntentID, c.Booking.PaymentIntentID = "pi_"+intentOf, "pi_"+intentOf
	return c
}

// Name is one of many names.
func Name(prefix string, n int) string { return fmt.Sprintf("%s%03d", prefix, n) }

package mongo

import (
	"fmt"
	"time"

	"github.com/carevia/stripebooking/store"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// paid is the Change of a paid event: a new booking with its payment, ledger row
// and history line. Everything is named after id.
func paid(id string) store.Change {
	b := &store.Booking{
		ID: "bk_" + id, UserID: "user_1", ServiceID: "svc", ServiceName: "Home cleaning",
		Option: store.OptionFull, Total: 5000, Paid: 5000, Currency: "usd", State: store.StateConfirmed,
		PaymentIntentID: "pi_" + id, SessionID: "cs_" + id,
		Details:   map[string]string{"note": "<ring twice> & wait", "$where": "a.b"},
		CreatedAt: t0, UpdatedAt: t0,
	}
	return store.Change{
		Key:      "evt_" + id,
		Booking:  b,
		Payments: []store.Payment{payment(*b, "pi_"+id)},
		Event: &store.Event{
			ID: "evt_" + id, Type: "checkout.session.completed", ObjectID: b.SessionID, State: store.EventApplied,
			ReceivedAt: t0, UpdatedAt: t0, BookingID: b.ID, Payload: []byte(`{"id":"evt_` + id + `"}`),
		},
		History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook", ID: "evt_" + id}, At: t0},
	}
}

func payment(b store.Booking, intent string) store.Payment {
	return store.Payment{
		ID: "pay_" + intent, BookingID: b.ID, UserID: b.UserID, PaymentIntentID: intent, SessionID: b.SessionID,
		Amount: 5000, Subtotal: 5000, Currency: "usd", Status: store.StatusSucceeded, CapturedAt: t0,
		PaymentMethod: "card", Purpose: store.PurposeFull, CreatedAt: t0, UpdatedAt: t0,
	}
}

// held is the Change of a new booking that waits for its payment.
func held(id string, claims ...store.SeatClaim) store.Change {
	c := paid(id)
	c.Key, c.Event, c.Payments = "hold_"+id, nil, nil
	c.Booking.State, c.History.To = store.StateHeld, store.StateHeld
	c.Booking.Paid, c.Booking.PaymentIntentID = 0, ""
	c.Booking.Claims, c.Claim = claims, claims
	return c
}

// next is a Change of key that takes a stored booking one version on.
func next(key string, b store.Booking) store.Change {
	b = b.Clone()
	return store.Change{Key: key, Booking: &b, History: &store.History{
		From: b.State, To: b.State, Cause: store.Cause{By: "operator", ID: "test"}, At: t0,
	}}
}

func seats(slot string, capacity, count int) store.SeatClaim {
	return store.SeatClaim{Slot: slot, Capacity: capacity, Count: count}
}

func name(prefix string, n int) string { return fmt.Sprintf("%s%03d", prefix, n) }

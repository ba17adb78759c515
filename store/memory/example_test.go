package memory_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
)

// Two deliveries of one event make one booking; another event that wants the same
// booking is told what is there.
func Example() {
	ctx := context.Background()
	var s memory.Store // ready for use

	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	change := func(key string) store.Change {
		return store.Change{
			Key: key,
			Booking: &store.Booking{
				ID: "bk_1", UserID: "ada", ServiceName: "Massage", Option: store.OptionFull,
				Total: 4500, Paid: 4500, Currency: "eur", State: store.StateConfirmed,
				PaymentIntentID: "pi_1", CreatedAt: now, UpdatedAt: now,
			},
			Payments: []store.Payment{{
				ID: "pay_1", BookingID: "bk_1", UserID: "ada", PaymentIntentID: "pi_1",
				Amount: 4500, Subtotal: 4500, Currency: "eur", Status: store.StatusSucceeded,
				CapturedAt: now, PaymentMethod: "card", Purpose: store.PurposeFull, CreatedAt: now, UpdatedAt: now,
			}},
			History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook", ID: key}, At: now},
		}
	}

	for _, key := range []string{"evt_1", "evt_1", "evt_2"} {
		r, err := s.Apply(ctx, change(key))
		switch {
		case errors.Is(err, store.ErrConflict):
			fmt.Println(key, "conflict over the", r.Conflict, "with", r.Booking.ID, "at version", r.Booking.Version)
		case err != nil:
			fmt.Println(key, err)
		default:
			fmt.Println(key, "applied:", r.Applied, "version:", r.Booking.Version)
		}
	}
	bookings, _, _ := s.BookingsByUser(ctx, "ada", store.Page{})
	payments, _, _ := s.PaymentsByUser(ctx, "ada", store.Page{})
	fmt.Println(len(bookings), "booking,", len(payments), "payment")
	// Output:
	// evt_1 applied: true version: 1
	// evt_1 applied: false version: 1
	// evt_2 conflict over the version with bk_1 at version 1
	// 1 booking, 1 payment
}

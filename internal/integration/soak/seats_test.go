package soak

import (
	"context"
	"errors"
	"fmt"

	"github.com/carevia/stripebooking/store"
)

// compareSeats: who was told that too few seats of a slot are left was told so because of others who had them. And what
// no booking has is free: somebody who takes the rest gets all of it, and no more.
func (l *leg) compareSeats(ctx context.Context, slot string, wanters []*customer, taken int) error {
	for _, c := range wanters {
		others := 0
		for _, o := range wanters {
			if o != c && o.booking != "" {
				others += o.seats[0].Count
			}
		}
		if free := capacity - others; c.soldOut.Load() && c.seats[0].Count <= free {
			l.tally.lost("%s: was refused %d seats of %s, and %d were never taken", c, c.seats[0].Count, slot, free)
		}
	}
	for n := taken + 1; n <= capacity+1; n++ {
		b := store.Booking{ID: fmt.Sprintf("rest/%s/%d", slot, n), UserID: "rest", Option: store.OptionFull, Currency: "usd",
			State: store.StateHeld, CreatedAt: l.clock.Now(), UpdatedAt: l.clock.Now()}
		_, err := l.store.Apply(ctx, store.Change{Key: b.ID, Booking: &b, Claim: []store.SeatClaim{{Slot: slot, Capacity: capacity, Count: 1}},
			History: &store.History{To: b.State, Cause: store.Cause{By: "operator"}, At: l.clock.Now()}})
		switch conflict := errors.Is(err, store.ErrConflict); {
		case err != nil && !conflict:
			return err
		case conflict && n <= capacity:
			l.tally.wrong("slot %s: %d of %d seats are taken, and no other can be had", slot, n-1, capacity)
		case !conflict:
			l.known.bookings[b.ID] = true
			if n > capacity {
				l.tally.wrong("slot %s has a seat more than %d", slot, capacity)
			}
		}
	}
	return nil
}

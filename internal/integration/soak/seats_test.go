package soak

import (
	"context"
	"errors"
	"fmt"

	"github.com/carevia/stripebooking/store"
)

// compareSeats: no two bookings have the same seat. Who was told that too few are left was told so because of others who
// had them. And what no booking has is free.
func (l *leg) compareSeats(ctx context.Context, customers []*customer) error {
	wanters := map[string][]*customer{} // of a slot
	taken := map[string]int{}           // of its seats
	owners := map[store.Seat]string{}
	for _, c := range customers {
		for _, claim := range c.seats {
			wanters[claim.Slot] = append(wanters[claim.Slot], c)
		}
		for _, b := range c.bookings {
			for _, seat := range b.Seats {
				if seat.Number < 1 || seat.Number > capacity || owners[seat] != "" {
					l.tally.wrong("booking %s has seat %d of %s, which has %d; %q has it too", b.ID, seat.Number, seat.Slot, capacity, owners[seat])
				}
				owners[seat] = b.ID
				taken[seat.Slot]++
			}
		}
	}
	var errs []error
	for slot, who := range wanters {
		l.compareRefused(slot, who)
		errs = append(errs, l.takeRest(ctx, slot, taken[slot]))
	}
	return errors.Join(errs...)
}

func (l *leg) compareRefused(slot string, wanters []*customer) {
	all := 0
	for _, c := range wanters {
		if len(c.bookings) > 0 {
			all += c.seats[0].Count
		}
	}
	for _, c := range wanters {
		free, wants := capacity-all, c.seats[0].Count
		if len(c.bookings) > 0 {
			free += wants // others' count
		}
		if c.soldOut.Load() && wants <= free {
			l.tally.lost("%s: was refused %d seats of %s, and %d were never taken", c, wants, slot, free)
		}
	}
}

// takeRest takes a slot's seats one by one: all that are left can be had, and no more.
func (l *leg) takeRest(ctx context.Context, slot string, taken int) error {
	now := l.clock.Now()
	for n := taken + 1; n <= capacity+1; n++ {
		b := store.Booking{ID: fmt.Sprintf("rest/%s/%d", slot, n), UserID: "rest", Option: store.OptionFull, Currency: "usd",
			State: store.StateHeld, CreatedAt: now, UpdatedAt: now}
		_, err := l.store.Apply(ctx, store.Change{Key: b.ID, Booking: &b, Claim: []store.SeatClaim{{Slot: slot, Capacity: capacity, Count: 1}},
			History: &store.History{To: b.State, Cause: store.Cause{By: "operator"}, At: now}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err == nil {
			l.known.bookings[b.ID] = true
		}
		if (err == nil) != (n <= capacity) {
			l.tally.wrong("slot %s: %d of %d seats are taken, and one more: %v", slot, n-1, capacity, err)
		}
	}
	return nil
}

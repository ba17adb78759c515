package soak

import (
	"context"
	"errors"
	"reflect"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/store"
)

// compareLookups: the customer's bookings and payments, as they are listed, are the same whatever they are asked for by.
func (c *customer) compareLookups(ctx context.Context) error {
	var errs []error
	for _, b := range c.bookings {
		errs = append(errs,
			lookUp(c, "booking "+b.ID, b, func() (store.Booking, error) { return c.store.Booking(ctx, b.ID) }))
		if b.SessionID != "" { // a hold without one
			errs = append(errs, lookUp(c, "session "+b.SessionID, b, func() (store.Booking, error) { return c.store.BookingBySession(ctx, b.SessionID) }))
		}
		var listed []store.Payment
		for _, p := range c.payments {
			if p.BookingID == b.ID {
				listed = append(listed, p)
			}
		}
		payments, err := adaptertest.Pages(store.MaxLimit, func(p store.Page) ([]store.Payment, string, error) { return c.store.PaymentsByBooking(ctx, b.ID, p) })
		if !reflect.DeepEqual(payments, listed) {
			c.tally.wrong("%s: the payments of booking %s are %+v, and by the user %+v", c, b.ID, payments, listed)
		}
		errs = append(errs, err)
	}
	for _, p := range c.payments {
		errs = append(errs, lookUp(c, "intent "+p.PaymentIntentID, p, func() (store.Payment, error) { return c.store.Payment(ctx, p.PaymentIntentID) }))
	}
	return errors.Join(errs...)
}

func lookUp[R any](c *customer, what string, listed R, find func() (R, error)) error {
	found, err := find()
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if wrong := differences(found, listed); wrong != nil {
		c.tally.wrong("%s: asked for by %s: %q", c, what, wrong)
	}
	return nil
}

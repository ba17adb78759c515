package mongo

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/store"
)

// What each operation sends, as the package's doc says.
func TestCommands(t *testing.T) {
	ctx := context.Background()
	var sent commands
	db := newDatabase(t, sent.monitor())
	s := newStore(t, db)
	require.ErrorIs(t, s.RecordHandled(ctx, "none", nil, false, sample.T0), store.ErrNotFound) // looks at the indexes, once

	var res store.Result
	must := func(what, want string, do func() error) {
		t.Helper()
		before := documents(t, db)
		_, names := sent.during(func() { require.NoError(t, do(), what) })
		assert.Equal(t, want, strings.Join(names, " "), what)
		if !strings.Contains(what, "write") && !strings.HasSuffix(want, "insert") && !strings.Contains(want, "update") {
			assert.Equal(t, before, documents(t, db), "%s: writes nothing", what)
		}
	}
	apply := func(c store.Change) func() error {
		return func() (err error) {
			res, err = s.Apply(ctx, c)
			return err
		}
	}
	paid := sample.Paid("a")
	paid.Event.State = store.EventApplied
	must("a new booking", "insert", apply(paid))
	must("again", "insert find", apply(paid))
	assert.False(t, res.Applied)
	must("an event that changes nothing", "insert", apply(store.Change{Key: "evt_x", Event: sample.Paid("x").Event}))
	must("again", "insert find", apply(store.Change{Key: "evt_x", Event: sample.Paid("x").Event}))

	must("a hold without seats", "insert", apply(sample.Held("b")))
	confirm := sample.Next("evt_b", *res.Booking)
	confirm.Payments, confirm.Event = sample.Paid("b").Payments, sample.Paid("b").Event
	must("its payment", "find insert", apply(confirm))
	must("again", "find", apply(confirm))
	assert.False(t, res.Applied)

	must("a hold with seats", "find insert", apply(sample.Held("c", sample.Seats("mon", 3, 2))))
	give := sample.Next("free_c", *res.Booking)
	give.Release = res.Booking.Seats
	must("its seats are given up", "find find insert", apply(give))
	direct := sample.Paid("d")
	direct.Claim = []store.SeatClaim{sample.Seats("mon", 3, 1)}
	must("a payment with seats at once", "find find insert", apply(direct))
	must("again", "find", apply(direct))
	must("a hold without a free seat", "find find find", func() error {
		_, err := s.Apply(ctx, sample.Held("f", sample.Seats("mon", 1, 1)))
		require.ErrorIs(t, err, store.ErrConflict)
		return nil
	})

	must("a failure", "find insert", func() error { return s.RecordFailure(ctx, *sample.Paid("e").Event, "timeout", false) })
	must("another", "find insert update", func() error { return s.RecordFailure(ctx, *sample.Paid("e").Event, "timeout", false) })
	must("a handler", "find insert update", func() error { return s.RecordHandled(ctx, "evt_a", []string{"mail"}, true, sample.T0) })
	must("an event that failed before", "insert find find insert update", apply(sample.Paid("e")))

	read := func(err error) error { return err }
	must("a booking", "find", func() error { _, err := s.Booking(ctx, "bk_a"); return read(err) })
	must("a booking by its session", "find find", func() error { _, err := s.BookingBySession(ctx, "cs_a"); return read(err) })
	must("a payment", "find find", func() error { _, err := s.Payment(ctx, "pi_a"); return read(err) })
	must("an event", "find", func() error { _, err := s.Event(ctx, "evt_a"); return read(err) })
	must("a history", "find", func() error { _, err := s.History(ctx, "bk_a"); return read(err) })
	must("bookings", "find find", func() error { _, _, err := s.BookingsByUser(ctx, "user_1", store.Page{Limit: 2}); return read(err) })
	must("payments", "find find", func() error { _, _, err := s.PaymentsByUser(ctx, "user_1", store.Page{Limit: 2}); return read(err) })
	must("payments of a booking", "find", func() error { _, _, err := s.PaymentsByBooking(ctx, "bk_a", store.Page{}); return read(err) })
	must("events", "find find", func() error {
		_, _, err := s.Events(ctx, store.EventFilter{State: store.EventDone}, store.Page{})
		return read(err)
	})
}

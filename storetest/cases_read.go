package storetest

import (
	"errors"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// readCases are about G5 and G7: what reads find, and what they say when there
// is nothing.
func readCases() []testCase {
	return []testCase{
		{
			name:   "read-own-writes",
			reason: "what was applied is read at once: the page after the payment must not show the time before it",
			run:    readOwnWrites,
		},
		{
			name:   "read-nothing",
			reason: "a missing record is ErrNotFound and an empty list is no error",
			run:    readNothing,
		},
		{
			name:   "booking-by-session",
			reason: "the success page finds the booking by its session, also by an older one that was paid",
			run:    bookingBySession,
		},
		{
			name:   "history-complete",
			reason: "the history has one line for each version, newest first, each with what caused it",
			run:    historyComplete,
		},
		{
			name:   "errors-kinds",
			reason: "callers tell errors apart with errors.Is and read Result.Conflict only where there is one",
			run:    errorKinds,
		},
	}
}

func readOwnWrites(e *env) {
	read := *e.apply(paid("k-0", "b-1", "pi-0")).Booking
	for i := 1; i <= 8; i++ {
		c := step(name("k", i), read, func(b *store.Booking) {
			b.SessionID = name("cs", i)
			b.UserID = name("user", i%2)
		})
		c.Payments = []store.Payment{aPayment(*c.Booking, name("pi", i))}
		c.Event = anEvent(name("evt", i))
		read = *e.apply(c).Booking
		v := e.look(c)
		equal(e, &read, v.Booking)
		equal(e, &read, v.BySession)
		equal(e, []store.Booking{read}, v.ByUser)
		equal(e, c.Payments, v.Payments)
		length(e, v.OfBooking, i+1)
		length(e, v.History, i+1)
		require.NotNil(e, v.Event)
		length(e, v.Events, 2*i-1)

		require.NoError(e, e.RecordHandled(e.ctx, c.Event.ID, []string{"mail"}, true, at(i)))
		equal(e, []string{"mail"}, e.event(c.Event.ID).Handlers)
		failed := *anEvent(name("evt-failed", i))
		failed.ReceivedAt = at(-i)
		require.NoError(e, e.RecordFailure(e.ctx, failed, "x", false))
		rows, _, err := e.Events(e.ctx, store.EventFilter{State: store.EventFailed}, store.Page{})
		require.NoError(e, err)
		length(e, rows, i)
	}
}

func readNothing(e *env) {
	full := func() { // an empty database, and one with other records
		for _, id := range []string{"none", "b", "b-1 ", "pi-1x", "%"} {
			_, err := e.Booking(e.ctx, id)
			require.ErrorIs(e, err, store.ErrNotFound, "Booking")
			_, err = e.BookingBySession(e.ctx, id)
			require.ErrorIs(e, err, store.ErrNotFound, "BookingBySession")
			_, err = e.Payment(e.ctx, id)
			require.ErrorIs(e, err, store.ErrNotFound, "Payment")
			_, err = e.Event(e.ctx, id)
			require.ErrorIs(e, err, store.ErrNotFound, "Event")
			err = e.RecordHandled(e.ctx, id, []string{"mail"}, true, at(0))
			require.ErrorIs(e, err, store.ErrNotFound, "RecordHandled")
			_, err = e.Event(e.ctx, id)
			require.ErrorIs(e, err, store.ErrNotFound, "RecordHandled makes no event")

			empty(e, e.history(id))
			bs, next, err := e.BookingsByUser(e.ctx, id, store.Page{})
			require.NoError(e, err)
			empty(e, bs)
			empty(e, next)
			ps, next, err := e.PaymentsByUser(e.ctx, id, store.Page{})
			require.NoError(e, err)
			empty(e, ps)
			empty(e, next)
			ps, next, err = e.PaymentsByBooking(e.ctx, id, store.Page{})
			require.NoError(e, err)
			empty(e, ps)
			empty(e, next)
			es, next, err := e.Events(e.ctx, store.EventFilter{Type: id}, store.Page{})
			require.NoError(e, err)
			empty(e, es)
			empty(e, next)
		}
	}
	full()
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	e.apply(c)
	full()
}

func bookingBySession(e *env) {
	find := func(session string) string {
		b := maybe(e, func() (store.Booking, error) { return e.BookingBySession(e.ctx, session) })
		if b == nil {
			return ""
		}
		equal(e, e.booking(b.ID), *b, "the whole booking")
		return b.ID
	}
	held := aBooking("b-1")
	held.State, held.SessionID = store.StateHeld, "cs-1"
	read := *e.apply(aChange("k-1", held)).Booking
	equal(e, "b-1", find("cs-1"), "by its session, without a payment")

	// A new session takes its place, and nobody paid the old one.
	read = *e.apply(step("k-2", read, func(b *store.Booking) { b.SessionID = "cs-2" })).Booking
	equal(e, "b-1", find("cs-2"))
	equal(e, "", find("cs-1"), "a session that was replaced unpaid is nobody's")

	// It is paid, and a third session is for the balance.
	c := step("k-3", read, func(b *store.Booking) { b.State, b.SessionID = store.StateConfirmed, "cs-3" })
	p := aPayment(*c.Booking, "pi-2")
	p.SessionID = "cs-2"
	c.Payments = []store.Payment{p}
	read = *e.apply(c).Booking
	equal(e, "b-1", find("cs-3"))
	equal(e, "b-1", find("cs-2"), "through the payment")
	p.SessionID = "cs-2b"
	c = step("k-3b", read, nil)
	c.Payments = []store.Payment{p}
	read = *e.apply(c).Booking
	equal(e, "b-1", find("cs-2b"))
	equal(e, "", find("cs-2"), "a session that the payment has no more")
	p.SessionID = "cs-2"
	c = step("k-3c", read, nil)
	c.Payments = []store.Payment{p}
	e.apply(c)
	equal(e, "b-1", find("cs-2"))

	// A booking's own session comes before another's payment.
	other := aBooking("b-2")
	other.SessionID = "cs-2"
	e.apply(aChange("k-4", other))
	equal(e, "b-2", find("cs-2"), "a booking's current session goes before a payment's")
	equal(e, "", find("cs-none"))
	equal(e, "", find("CS-2"))
}

func historyComplete(e *env) {
	var want []store.History
	states := []store.State{store.StateHeld, store.StateExpired, store.StateConfirmed, store.StateCancelled, store.StateConflicted, store.StateRefunded}
	var read store.Booking
	for i, state := range states {
		b := aBooking("b-1")
		if i > 0 {
			b = read.Clone()
		}
		b.State = state
		// Times that say nothing of the order: the version does.
		line := store.History{To: state, Reason: name("reason", i), Cause: store.Cause{By: "webhook", ID: name("evt", i)}, At: at(100 - i%3)}
		if i > 0 {
			line.From = states[i-1]
		}
		if i == 3 {
			line.Cause = store.Cause{By: "operator"} // an id is not required
		}
		c := store.Change{Key: name("k", i), Booking: &b, History: &line}
		read = *e.apply(c).Booking
		kept := line
		kept.BookingID, kept.Version = "b-1", int64(i+1)
		want = append([]store.History{kept}, want...)
		e.apply(aChange(name("k-other", i), aBooking(name("b-other", i))))
	}
	equal(e, want, e.history("b-1"))
	length(e, e.history("b-other-000"), 1)
}

func errorKinds(e *env) {
	all := []error{store.ErrNotFound, store.ErrConflict, store.ErrMismatch, store.ErrInvalid}
	only := func(what string, err, want error, transient bool) {
		e.Helper()
		require.Error(e, err, what)
		for _, kind := range all {
			if errors.Is(kind, want) {
				require.ErrorIs(e, err, kind, what)
			} else {
				require.NotErrorIs(e, err, kind, what)
			}
		}
		equal(e, transient, store.IsTransient(err), "%s: IsTransient", what)
	}
	c := paid("evt-1", "b-1", "pi-1")
	c.Fingerprint = "one"
	e.apply(c)

	_, err := e.Booking(e.ctx, "none")
	only("Booking", err, store.ErrNotFound, false)
	r, err := e.Apply(e.ctx, paid("evt-2", "b-1", "pi-2"))
	only("version", err, store.ErrConflict, true)
	equal(e, store.ConflictVersion, r.Conflict)
	r, err = e.Apply(e.ctx, paid("evt-2", "b-2", "pi-1"))
	only("intent", err, store.ErrConflict, true)
	equal(e, store.ConflictIntent, r.Conflict)
	c.Fingerprint = "two"
	r, err = e.Apply(e.ctx, c)
	only("fingerprint", err, store.ErrMismatch, false)
	empty(e, r.Conflict, "a mismatch is not a conflict")
	c.History = nil
	r, err = e.Apply(e.ctx, c)
	only("invalid", err, store.ErrInvalid, false)
	empty(e, r.Conflict)
	_, _, err = e.Events(e.ctx, store.EventFilter{}, store.Page{Limit: -1})
	only("limit", err, store.ErrInvalid, false)
	only("event", e.RecordHandled(e.ctx, "none", nil, true, at(0)), store.ErrNotFound, false)
}

package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// at is the suite's clock: n seconds after its start.
func at(n int) time.Time {
	return time.Date(2026, time.March, 29, 1, 30, 0, 123e6, time.UTC).Add(time.Duration(n) * time.Second)
}

const someUser = "user-1"

// aBooking is a new, confirmed booking without a payment.
func aBooking(id string) store.Booking {
	return store.Booking{
		ID: id, UserID: someUser, ServiceID: "svc-1", ServiceName: "Massage", Option: store.OptionFull,
		Total: 10_000, Currency: "eur", State: store.StateConfirmed,
		CreatedAt: at(0), UpdatedAt: at(0),
	}
}

// aPayment is one that paid for b in full.
func aPayment(b store.Booking, intent string) store.Payment {
	return store.Payment{
		ID: "pay-" + intent, BookingID: b.ID, UserID: b.UserID, PaymentIntentID: intent,
		Amount: 10_000, Subtotal: 10_000, Currency: "eur", Status: store.StatusSucceeded,
		CapturedAt: b.UpdatedAt, PaymentMethod: "card", Purpose: store.PurposeFull,
		CreatedAt: b.UpdatedAt, UpdatedAt: b.UpdatedAt,
	}
}

// anEvent is a ledger row as a Change brings it.
func anEvent(id string) *store.Event {
	return &store.Event{
		ID: id, Type: "checkout.session.completed", Created: at(-5), ReceivedAt: at(0), UpdatedAt: at(0),
		State: store.EventDone, Payload: []byte(`{"id":"` + id + `"}`),
	}
}

// aChange stores b, as read, with these payments.
func aChange(key string, b store.Booking, payments ...store.Payment) store.Change {
	return store.Change{
		Key: key, Booking: &b, Payments: payments,
		History: &store.History{To: b.State, Cause: store.Cause{By: "webhook", ID: key}, At: b.UpdatedAt},
	}
}

// paid is the Change that makes a booking with one payment.
func paid(key, bookingID, intent string) store.Change {
	b := aBooking(bookingID)
	b.PaymentIntentID, b.Paid = intent, b.Total
	return aChange(key, b, aPayment(b, intent))
}

// claiming is the Change that makes a booking with seats.
func claiming(key, bookingID string, claims ...store.SeatClaim) store.Change {
	b := aBooking(bookingID)
	b.Claims = claims
	c := aChange(key, b)
	c.Claim = claims
	return c
}

// step is the Change that follows on a booking as it was read; edit may be nil.
func step(key string, read store.Booking, edit func(b *store.Booking)) store.Change {
	b := read.Clone()
	b.UpdatedAt = read.UpdatedAt.Add(time.Second)
	if edit != nil {
		edit(&b)
	}
	c := aChange(key, b)
	c.History.From = read.State
	return c
}

// apply applies a Change that must be applied.
func (e *env) apply(c store.Change) store.Result {
	e.Helper()
	r, err := e.Apply(e.ctx, c)
	require.NoError(e, err, "the Change with key %q", c.Key)
	require.True(e, r.Applied, "the Change with key %q is new and must be applied", c.Key)
	empty(e, r.Conflict)
	if c.Booking != nil {
		require.NotNil(e, r.Booking, "the Result of a Change of a booking has the booking")
	}
	if c.Event != nil {
		require.NotNil(e, r.Event, "the Result of a Change with an event has the ledger row")
	}
	return r
}

// replayed applies a Change whose key was applied before.
func (e *env) replayed(c store.Change) store.Result {
	e.Helper()
	r, err := e.Apply(e.ctx, c)
	require.NoError(e, err, "the Change with key %q, which was applied before", c.Key)
	require.False(e, r.Applied, "the key %q was applied before", c.Key)
	empty(e, r.Conflict)
	return r
}

// conflict applies a Change that must lose.
func (e *env) conflict(over store.Conflict, c store.Change) store.Result {
	e.Helper()
	r, err := e.Apply(e.ctx, c)
	require.ErrorIs(e, err, store.ErrConflict, "the Change with key %q must lose over the %s (applied: %t)", c.Key, over, r.Applied)
	require.False(e, r.Applied, "the Change with key %q lost, so it is not applied", c.Key)
	equal(e, over, r.Conflict, "what the Change with key %q lost over", c.Key)
	return r
}

// bookingID is that of the Result's booking, empty if it has none.
func bookingID(r store.Result) string {
	if r.Booking == nil {
		return ""
	}
	return r.Booking.ID
}

// booking reads a booking that must be there.
func (e *env) booking(id string) store.Booking {
	e.Helper()
	b, err := e.Booking(e.ctx, id)
	require.NoError(e, err)
	return b
}

func (e *env) payment(intent string) store.Payment {
	e.Helper()
	p, err := e.Payment(e.ctx, intent)
	require.NoError(e, err)
	return p
}

func (e *env) event(id string) store.Event {
	e.Helper()
	row, err := e.Event(e.ctx, id)
	require.NoError(e, err)
	return row
}

func (e *env) history(bookingID string) []store.History {
	e.Helper()
	lines, err := e.History(e.ctx, bookingID)
	require.NoError(e, err)
	return lines
}

// view is all that readers can see of what a Change names.
type view struct {
	Booking   *store.Booking
	BySession *store.Booking
	ByUser    []store.Booking
	History   []store.History
	Payments  []store.Payment // one by one, those that are there
	OfBooking []store.Payment
	OfUser    []store.Payment
	Event     *store.Event
	Events    []store.Event
}

func (e *env) look(c store.Change) view {
	e.Helper()
	var v view
	everything := store.Page{Limit: store.MaxLimit}
	var err error
	if b := c.Booking; b != nil {
		v.Booking = maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, b.ID) })
		if b.SessionID != "" {
			v.BySession = maybe(e, func() (store.Booking, error) { return e.BookingBySession(e.ctx, b.SessionID) })
		}
		v.ByUser, _, err = e.BookingsByUser(e.ctx, b.UserID, everything)
		require.NoError(e, err)
		v.History = e.history(b.ID)
		v.OfBooking, _, err = e.PaymentsByBooking(e.ctx, b.ID, everything)
		require.NoError(e, err)
		v.OfUser, _, err = e.PaymentsByUser(e.ctx, b.UserID, everything)
		require.NoError(e, err)
	}
	for _, p := range c.Payments {
		if found := maybe(e, func() (store.Payment, error) { return e.Payment(e.ctx, p.PaymentIntentID) }); found != nil {
			v.Payments = append(v.Payments, *found)
		}
	}
	if c.Event != nil {
		v.Event = maybe(e, func() (store.Event, error) { return e.Event(e.ctx, c.Event.ID) })
	}
	v.Events, _, err = e.Events(e.ctx, store.EventFilter{}, everything)
	require.NoError(e, err)
	return v
}

// maybe reads a record that may be missing.
func maybe[T any](e *env, read func() (T, error)) *T {
	e.Helper()
	found, err := read()
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	require.NoError(e, err)
	return &found
}

// claimable asserts that exactly n of the slot's seats are free, by taking them.
func (e *env) claimable(slot string, capacity, n int) {
	e.Helper()
	if n < capacity {
		_, err := e.Apply(e.ctx, claiming("probe-over-"+slot, "probe-over-"+slot, store.SeatClaim{Slot: slot, Capacity: capacity, Count: n + 1}))
		require.ErrorIs(e, err, store.ErrConflict, "only %d seats of %s are free", n, slot)
	}
	if n > 0 {
		_, err := e.Apply(e.ctx, claiming("probe-"+slot, "probe-"+slot, store.SeatClaim{Slot: slot, Capacity: capacity, Count: n}))
		require.NoError(e, err, "%d seats of %s are free", n, slot)
	}
}

// sorted is seats in one order, for the adapter may return them in any.
func sorted(seats []store.Seat) []store.Seat {
	seats = slices.Clone(seats)
	slices.SortFunc(seats, func(a, b store.Seat) int {
		return cmp.Or(cmp.Compare(a.Slot, b.Slot), cmp.Compare(a.Number, b.Number))
	})
	return seats
}

// equalBooking compares two bookings, their seats in any order.
func equalBooking(e *env, want, got store.Booking, msg ...any) {
	e.Helper()
	want.Seats, got.Seats = sorted(want.Seats), sorted(got.Seats)
	equal(e, want, got, msg...)
}

// outcome is what one caller of a race got.
type outcome struct {
	result store.Result
	err    error
}

// callers is how many take part in a race.
const callers = 32

// race lets callers call try at the same moment and returns what each got.
func race(n int, try func(i int) (store.Result, error)) []outcome {
	got := make([]outcome, n)
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Add(1)
		go func() {
			defer done.Done()
			<-start
			got[i].err = guard(func() (err error) {
				got[i].result, err = try(i)
				return err
			})
		}()
	}
	runtime.Gosched()
	close(start)
	done.Wait()
	return got
}

// guard makes an error of a panic, which in a goroutine would end all cases.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// winners returns which callers of a race applied their Change, and fails if a
// loser got anything else than ErrConflict.
func (e *env) winners(got []outcome) []int {
	e.Helper()
	var won []int
	var wrong []string
	for i, o := range got {
		switch {
		case o.err == nil && o.result.Applied:
			won = append(won, i)
		case o.err == nil:
			wrong = append(wrong, fmt.Sprintf("caller %d, with a key of its own, got a replay", i))
		case !errors.Is(o.err, store.ErrConflict):
			wrong = append(wrong, fmt.Sprintf("caller %d got: %v", i, o.err))
		case o.result.Applied:
			wrong = append(wrong, fmt.Sprintf("caller %d got ErrConflict and Applied", i))
		}
	}
	if len(wrong) > 0 {
		require.Fail(e, "the loser of a race gets ErrConflict and nothing rawer",
			"%d of %d callers got something else; %s", len(wrong), len(got), wrong[0])
	}
	return won
}

// replays returns which of the callers, who all came with one key, made the
// Change: exactly one. The others must have got a replay.
func (e *env) replays(got []outcome) (winner int) {
	e.Helper()
	var won []int
	for i, o := range got {
		require.NoError(e, o.err, "caller %d: the same key is a replay and never a conflict", i)
		if o.result.Applied {
			won = append(won, i)
		}
	}
	length(e, won, 1, "callers that were told that they made the Change")
	return won[0]
}

func name(prefix string, n int) string { return fmt.Sprintf("%s-%03d", prefix, n) }

package storetest

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// recordCases are about what records hold.
func recordCases() []testCase {
	return []testCase{
		{
			name:   "record-every-field",
			reason: "every field of every record comes back as it was stored, by every way to read it",
			run:    recordEveryField,
		},
		{
			name:   "record-minimal",
			reason: "fields that are not set come back not set: no empty map for none, no time for no time",
			run:    recordMinimal,
		},
		{
			name:   "record-values",
			reason: "amounts keep all 64 bits, texts any character and length, payloads any byte",
			run:    recordValues,
		},
		{
			name:   "record-longest",
			reason: "ids, states and other words may have 255 bytes, and those that are not known yet are kept as they are",
			run:    recordLongest,
		},
		{
			name:   "record-times",
			reason: "times come back in UTC and to the millisecond, in whatever zone and precision they were given",
			run:    recordTimes,
		},
		{
			name:   "record-not-shared",
			reason: "what a caller does to its Change or Result afterwards is not what is stored",
			run:    recordNotShared,
		},
		{
			name:   "arguments-untouched",
			reason: "a store leaves the caller's arguments as they are, or the same Change again is another",
			run:    argumentsUntouched,
		},
	}
}

// fullChange is a Change with a value in every field of every record, but for
// those that a first version cannot have.
func fullChange(version int) store.Change {
	n := func(s string) string { return fmt.Sprintf("%s-%d", s, version) }
	m := int64(version) * 1000
	b := store.Booking{
		ID: "b-full", UserID: "user-full", ServiceID: n("svc"), ServiceName: n("Massage"), Option: store.OptionHalf,
		Total: m + 1, Paid: m + 2, Due: m + 3, Currency: "jpy",
		State: store.StateConflicted, Reason: n("amount_mismatch"),
		PaymentIntentID: n("pi-full"), SessionID: n("cs"),
		Details:   map[string]string{"note": n("window"), "empty": ""},
		Claims:    []store.SeatClaim{{Slot: "room", Capacity: 9, Count: 1}, {Slot: "pool", Capacity: 8, Count: 2}},
		HoldUntil: at(3600), Livemode: true, Account: n("acct"),
		CreatedAt: at(1), UpdatedAt: at(10 * version),
	}
	p := store.Payment{
		ID: n("pay-full"), BookingID: b.ID, UserID: b.UserID, PaymentIntentID: b.PaymentIntentID, SessionID: b.SessionID,
		Amount: m + 4, Subtotal: m + 5, Tax: m + 6, Shipping: m + 7, Discount: m + 8, Currency: "kwd",
		Status: store.StatusDisputed, CapturedAt: at(11), FailureCode: n("card_declined"), PaymentMethod: n("ideal"),
		Purpose:  store.PurposeBalance,
		Refunds:  []store.Refund{{ID: "re-1", Amount: m + 9, Status: "pending"}, {ID: "re-2", Amount: m + 10, Status: "succeeded"}},
		Refunded: m + 11, Dispute: n("needs_response"),
		Metadata: map[string]string{"sessionId": b.SessionID, "none": ""},
		Livemode: true, Account: n("acct"), CreatedAt: at(12 + version), UpdatedAt: at(13 + version),
	}
	event := store.Event{
		ID: n("evt"), Type: n("checkout.session.completed"), ObjectID: b.SessionID, Account: n("acct"), Livemode: true,
		APIVersion: "2024-06-20", Created: at(14), ReceivedAt: at(15 + version),
		State: store.EventApplied, Reason: n("reason"), Handlers: []string{"*", "mail"},
		BookingID: b.ID, Payload: []byte(n("{}")), UpdatedAt: at(16),
	}
	return store.Change{
		Key: n("key"), Fingerprint: n("hash"), Booking: &b, Payments: []store.Payment{p}, Event: &event,
		History: &store.History{From: store.StateHeld, To: b.State, Reason: b.Reason, Cause: store.Cause{By: "webhook", ID: n("evt")}, At: at(17)},
	}
}

func recordEveryField(e *env) {
	first := fullChange(1)
	first.Claim = first.Booking.Claims
	read := e.apply(first).Booking
	length(e, read.Seats, 3)

	c := fullChange(2)
	c.Booking.Version, c.Booking.Seats = read.Version, read.Seats
	c.Booking.CreatedAt = at(99)
	r := e.apply(c)
	want := c.Next()
	want.CreatedAt = first.Booking.CreatedAt
	want.Seats = read.Seats
	event := store.MergeEvent(nil, *c.Event)
	line := *c.History
	line.BookingID, line.Version = want.ID, 2

	// The fixtures must fill every field, also one that is added tomorrow.
	filled(e, "Booking", reflect.ValueOf(want))
	filled(e, "Payment", reflect.ValueOf(c.Payments[0]))
	filled(e, "Event", reflect.ValueOf(event))
	filled(e, "History", reflect.ValueOf(line))

	v := e.look(c)
	length(e, v.ByUser, 1)
	length(e, v.Events, 2)
	length(e, v.History, 2)
	for what, got := range map[string]*store.Booking{"Result": r.Booking, "Booking": v.Booking, "BookingBySession": v.BySession, "BookingsByUser": &v.ByUser[0]} {
		require.NotNil(e, got, what)
		equalBooking(e, want, *got, what)
	}
	both := []store.Payment{first.Payments[0], c.Payments[0]}
	equal(e, both, r.Payments, "Result")
	equal(e, both[1:], v.Payments, "Payment")
	require.ElementsMatch(e, both, v.OfBooking, "PaymentsByBooking")
	require.ElementsMatch(e, both, v.OfUser, "PaymentsByUser")
	equal(e, &event, r.Event, "Result")
	equal(e, &event, v.Event, "Event")
	equal(e, event, v.Events[0], "Events")
	equal(e, line, v.History[0], "History")
}

// filled fails if a field of v, or of what it holds, has its zero value.
func filled(e *env, path string, v reflect.Value) {
	e.Helper()
	if _, ok := v.Interface().(time.Time); !ok {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				filled(e, path+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		case reflect.Slice:
			require.NotZero(e, v.Len(), "the suite's fixture has no %s", path)
			if v.Index(0).Kind() == reflect.Struct {
				filled(e, path+"[0]", v.Index(0))
			}
			return
		}
	}
	require.False(e, v.IsZero(), "the suite's fixture has no %s", path)
}

func recordMinimal(e *env) {
	b := store.Booking{
		ID: "b-1", UserID: "u", Option: store.OptionFull, Currency: "eur", State: store.StateHeld,
		Details: map[string]string{}, Claims: []store.SeatClaim{}, Seats: []store.Seat{},
		CreatedAt: at(0), UpdatedAt: at(0),
	}
	p := store.Payment{
		ID: "p", BookingID: "b-1", UserID: "u", PaymentIntentID: "pi", Currency: "eur",
		Status: store.StatusProcessing, Purpose: store.PurposeFull,
		Refunds: []store.Refund{}, Metadata: map[string]string{}, CreatedAt: at(0), UpdatedAt: at(0),
	}
	event := store.Event{ID: "evt", Type: "t", State: store.EventDone, Handlers: []string{}, Payload: []byte{}, ReceivedAt: at(0), UpdatedAt: at(0)}
	c := aChange("k", b, p)
	c.History.Cause = store.Cause{By: "operator"}
	c.History.At = time.Time{}
	c.Claim, c.Release, c.Event = []store.SeatClaim{}, []store.Seat{}, &event
	r := e.apply(c)

	want := c.Next()
	v := e.look(c)
	equal(e, &want, r.Booking)
	equal(e, &want, v.Booking)
	length(e, v.Payments, 1)
	require.NotNil(e, v.Event)
	empty(e, v.Booking.Details)
	empty(e, v.Booking.Claims)
	empty(e, v.Booking.Seats)
	require.True(e, v.Booking.HoldUntil.IsZero(), "no hold end")
	equal(e, []store.Payment{p.Clone()}, r.Payments)
	equal(e, []store.Payment{p.Clone()}, v.Payments)
	require.True(e, v.Payments[0].CapturedAt.IsZero(), "not captured")
	row := store.MergeEvent(nil, event)
	equal(e, &row, r.Event)
	equal(e, &row, v.Event)
	require.True(e, v.Event.Created.IsZero())
	empty(e, v.Event.Handlers)
	equal(e, []store.History{{BookingID: "b-1", Version: 1, To: store.StateHeld, Cause: store.Cause{By: "operator"}}}, v.History)
}

func recordValues(e *env) {
	text := "যোগব্যায়াম ✓ 😀 “quotes” O'Neil \\ %s $1 ? \t\r\n <b>&amp; " + strings.Repeat("long ", 200)
	for i, amount := range []int64{1<<53 + 1, math.MaxInt64, math.MinInt64, -1, 0} {
		b := aBooking(name("b", i))
		b.Total, b.Paid, b.Due = amount, amount, amount
		b.ServiceName, b.Reason = text, text
		b.Details = map[string]string{"note": text, "কী": "মান", "a.b$c": "", "A.b$c": "x", " ": " "}
		for j := range 20 {
			b.Details[name("key", j)] = strings.Repeat("é", 250)
		}
		p := aPayment(b, name("pi", i))
		p.Amount, p.Subtotal, p.Tax, p.Shipping, p.Discount, p.Refunded = amount, amount, amount, amount, amount, amount
		// Oldest first, which is not the order of their ids.
		p.Refunds = []store.Refund{{ID: "re-z", Amount: amount, Status: text}, {ID: "re-a", Amount: amount}, {ID: "re-M", Amount: 1}}
		p.Metadata = b.Details
		c := aChange(name("k", i), b, p)
		c.History.Reason = text
		c.Event = anEvent(name("evt", i))
		c.Event.Reason = text
		c.Event.Payload = make([]byte, 1<<20) // as much as the webhook takes
		for j := range c.Event.Payload {
			c.Event.Payload[j] = byte(j) // not UTF-8, and with NUL
		}
		e.apply(c)
		v := e.look(c)
		next, row := c.Next(), store.MergeEvent(nil, *c.Event)
		equal(e, &next, v.Booking)
		equal(e, c.Payments, v.Payments)
		equal(e, &row, v.Event)
		length(e, v.History, 1)
		equal(e, text, v.History[0].Reason)
	}
	require.NoError(e, e.RecordFailure(e.ctx, *anEvent("evt-failed"), text, true))
	equal(e, text, e.event("evt-failed").Reason)
}

func recordTimes(e *env) {
	zone := time.FixedZone("UTC+6", 6*3600)
	given := func(n int) time.Time {
		return at(n).Add(456*time.Microsecond + 789*time.Nanosecond).In(zone)
	}
	c := paid("evt-1", "b-1", "pi-1")
	c.Booking.HoldUntil, c.Booking.CreatedAt, c.Booking.UpdatedAt = given(1), given(2), given(3)
	p := &c.Payments[0]
	p.CapturedAt, p.CreatedAt, p.UpdatedAt = given(4), given(5), given(6)
	c.History.At = given(7)
	c.Event = anEvent("evt-1")
	c.Event.Created, c.Event.ReceivedAt, c.Event.UpdatedAt = given(8), given(9), given(10)
	r := e.apply(c)
	v := e.look(c)
	length(e, v.ByUser, 1)
	length(e, v.Events, 1)
	length(e, v.History, 1)
	length(e, r.Payments, 1)
	length(e, v.OfUser, 1)
	for _, b := range []*store.Booking{r.Booking, v.Booking, v.BySession, &v.ByUser[0]} {
		if b != nil {
			equal(e, []time.Time{at(1), at(2), at(3)}, []time.Time{b.HoldUntil, b.CreatedAt, b.UpdatedAt})
		}
	}
	for _, p := range []store.Payment{r.Payments[0], v.Payments[0], v.OfUser[0]} {
		equal(e, []time.Time{at(4), at(5), at(6)}, []time.Time{p.CapturedAt, p.CreatedAt, p.UpdatedAt})
	}
	equal(e, at(7), v.History[0].At)
	for _, row := range []*store.Event{r.Event, v.Event, &v.Events[0]} {
		equal(e, []time.Time{at(8), at(9), at(10)}, []time.Time{row.Created, row.ReceivedAt, row.UpdatedAt})
	}
	require.NoError(e, e.RecordHandled(e.ctx, "evt-1", []string{"mail"}, true, given(11)))
	equal(e, at(11), e.event("evt-1").UpdatedAt)

	// The same instant, read on the night that clocks change, and long ago and hence.
	for i, when := range []time.Time{
		at(0), at(3600), time.Date(1999, 12, 31, 23, 59, 59, 999e6, time.UTC), time.Date(2199, 1, 1, 0, 0, 0, 1e6, time.UTC),
		time.UnixMilli(0).UTC(), time.UnixMilli(-1).UTC(),
	} {
		b := aBooking(name("b-when", i))
		b.CreatedAt, b.HoldUntil = when.In(zone), when
		e.apply(aChange(name("k-when", i), b))
		got := e.booking(b.ID)
		equal(e, when, got.CreatedAt)
		equal(e, when, got.HoldUntil)
	}
}

func recordNotShared(e *env) {
	first := fullChange(1)
	first.Claim = first.Booking.Claims
	read := *e.apply(first).Booking
	make2 := func() store.Change {
		c := fullChange(2)
		c.Booking.Version, c.Booking.Seats = read.Version, append([]store.Seat(nil), read.Seats...)
		return c
	}
	c := make2()
	r := e.apply(c)
	// By way of text, which shares nothing either.
	stored := func() (v view) {
		e.Helper()
		text, err := json.Marshal(e.look(make2()))
		require.NoError(e, err)
		require.NoError(e, json.Unmarshal(text, &v))
		return v
	}
	want := stored()
	same := func(what string) {
		e.Helper()
		equal(e, want, stored(), "the store changed with %s", what)
	}

	spoilBooking := func(b *store.Booking) {
		b.State, b.Details["note"], b.Claims[0].Slot, b.Seats[0].Slot = "spoilt", "spoilt", "spoilt", "spoilt"
	}
	spoilPayment := func(p *store.Payment) {
		p.Amount, p.Refunds[0].Amount, p.Metadata["none"] = -1, -1, "spoilt"
	}
	spoilEvent := func(row *store.Event) {
		row.State, row.Handlers[0], row.Payload[0] = "spoilt", "spoilt", 'x'
	}
	spoilBooking(c.Booking)
	spoilPayment(&c.Payments[0])
	spoilEvent(c.Event)
	c.History.Reason = "spoilt"
	same("the caller's Change")
	spoil := func(r store.Result) {
		equal(e, "b-full", bookingID(r))
		length(e, r.Booking.Seats, 3)
		length(e, r.Payments, 2)
		spoilBooking(r.Booking)
		spoilPayment(&r.Payments[1])
		if r.Event != nil {
			spoilEvent(r.Event)
		}
	}
	spoil(r)
	same("the Result of a Change that applied")
	spoil(e.replayed(make2()))
	same("the Result of a replay")
	lost := make2()
	lost.Key = "key-lost"
	spoil(e.conflict(store.ConflictVersion, lost))
	same("the Result of a conflict")
	v := e.look(make2())
	spoilBooking(v.Booking)
	same("what Booking returned")
	spoilBooking(v.BySession)
	same("what BookingBySession returned")
	spoilBooking(&v.ByUser[0])
	same("what BookingsByUser returned")
	spoilPayment(&v.Payments[0])
	same("what Payment returned")
	spoilPayment(&v.OfBooking[0])
	same("what PaymentsByBooking returned")
	spoilPayment(&v.OfUser[0])
	same("what PaymentsByUser returned")
	spoilEvent(v.Event)
	same("what Event returned")
	spoilEvent(&v.Events[0])
	same("what Events returned")
	v.History[0].Reason = "spoilt"
	same("what History returned")

	handlers := []string{"sms"}
	failure := *fullChange(3).Event
	require.NoError(e, e.RecordFailure(e.ctx, failure, "x", false))
	require.NoError(e, e.RecordHandled(e.ctx, failure.ID, handlers, false, at(1)))
	failure.Payload[0], handlers[0] = 'x', "spoilt"
	row := e.event(failure.ID)
	require.EqualValues(e, '{', row.Payload[0], "the store changed with the event of RecordFailure")
	equal(e, []string{"sms"}, row.Handlers, "the store changed with the handlers of RecordHandled")
}

// recordLongest fills every string of every record, also one that is added
// tomorrow, with as many bytes as Validate lets pass.
func recordLongest(e *env) {
	words := 0
	word := func() string {
		words++
		return fmt.Sprintf("%03d", words) + strings.Repeat("é", (store.MaxID-3)/2)
	}
	fill := func(record any) {
		v := reflect.ValueOf(record).Elem()
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.String {
				v.Field(i).SetString(word())
			}
		}
	}
	b, p := aBooking(""), aPayment(aBooking(""), "")
	c := store.Change{Key: word(), Fingerprint: word(), Booking: &b, Event: anEvent(""), History: &store.History{At: at(0)}}
	for _, record := range []any{&b, &p, c.Event, c.History, &c.History.Cause} {
		fill(record)
	}
	p.BookingID, p.UserID, p.PaymentIntentID = b.ID, b.UserID, b.PaymentIntentID
	p.Refunds = []store.Refund{{ID: word(), Status: word()}}
	p.Metadata = map[string]string{word(): word()}
	b.Details = map[string]string{word(): word()}
	b.Claims = []store.SeatClaim{{Slot: word(), Capacity: 1, Count: 1}}
	c.Event.State, c.Event.BookingID, c.Event.Handlers = store.EventApplied, b.ID, []string{word()}
	c.History.To = b.State
	c.Payments, c.Claim = []store.Payment{p}, b.Claims
	r := e.apply(c)

	want := c.Next()
	want.Seats = []store.Seat{{Slot: b.Claims[0].Slot, Number: 1}}
	row := store.MergeEvent(nil, *c.Event)
	line := *c.History
	line.BookingID, line.Version = b.ID, 1
	equal(e, view{
		Booking: &want, BySession: &want, ByUser: []store.Booking{want}, History: []store.History{line},
		Payments: c.Payments, OfBooking: c.Payments, OfUser: c.Payments, Event: &row, Events: []store.Event{row},
	}, e.look(c))
	equal(e, store.Result{Applied: true, Booking: &want, Payments: c.Payments, Event: &row}, r)
	rows, _, err := e.Events(e.ctx, store.EventFilter{Type: row.Type}, store.Page{})
	require.NoError(e, err)
	equal(e, []store.Event{row}, rows)
	require.NoError(e, e.RecordFailure(e.ctx, *c.Event, word(), false))
	e.replayed(c)
}

func argumentsUntouched(e *env) {
	make1 := func() store.Change {
		c := fullChange(1)
		c.Claim = append([]store.SeatClaim(nil), c.Booking.Claims...)
		c.Payments = append([]store.Payment{aPayment(*c.Booking, "pi-0")}, c.Payments...)
		c.Event.Handlers = []string{"mail", "*"} // not sorted
		return c
	}
	c := make1()
	read := *e.apply(c).Booking
	equal(e, make1(), c, "the Change that was applied")
	e.replayed(c)
	equal(e, make1(), c, "the Change that was a replay")
	make2 := func() store.Change {
		c := step("key-2", read, func(b *store.Booking) { slices.Reverse(b.Seats) })
		c.Release = append([]store.Seat(nil), c.Booking.Seats[:2]...)
		return c
	}
	c = make2()
	e.apply(c)
	equal(e, make2(), c, "the Change that was applied to a stored booking")
	c.Key = "key-3"
	e.conflict(store.ConflictVersion, c)
	c.Key = "key-2"
	equal(e, make2(), c, "the Change that lost")

	row, handlers := make1().Event, []string{"sms", "mail", "calendar"}
	require.NoError(e, e.RecordFailure(e.ctx, *row, "x", false))
	equal(e, make1().Event, row, "the event of RecordFailure")
	require.NoError(e, e.RecordHandled(e.ctx, row.ID, handlers, false, at(1)))
	equal(e, []string{"sms", "mail", "calendar"}, handlers, "the handlers of RecordHandled")
}

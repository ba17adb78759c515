package storetest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// idCases are about ids, which are compared byte for byte.
func idCases() []testCase {
	long := strings.Repeat("0123456789abcdef", 16)[:store.MaxID-1]
	return []testCase{
		{
			name:   "ids-case",
			reason: "ids that differ only in case are different ids: Stripe's do",
			run: func(e *env) {
				apart(e, "1", "pi_3AbCdE", "pi_3abcde")
				apart(e, "2", "straße-É", "straße-é")
			},
		},
		{
			name:   "ids-spaces",
			reason: "ids that differ only in a leading or trailing space are different ids; a padding collation says they are not",
			run: func(e *env) {
				apart(e, "1", "id", "id ")
				apart(e, "2", "other ", "other  ")
				apart(e, "3", "third", " third")
				apart(e, "4", "fourth", "fourth\t")
			},
		},
		{
			name:   "ids-accents",
			reason: "ids that differ only in accents, or in how these are written in Unicode, are different ids",
			run: func(e *env) {
				apart(e, "1", "cafe", "café")
				apart(e, "2", "jose\u0301", "jos\u00e9") // NFD and NFC
				apart(e, "3", "grosse", "große")
				apart(e, "4", "যোগ", "যোগ\u200d")
			},
		},
		{
			name:   "ids-255-bytes",
			reason: "an id may have 255 bytes, and all of them count",
			run: func(e *env) {
				apart(e, "1", long+"x", long+"y")
				apart(e, "2", "z"+long[1:], "z"+long[1:]+"x")
				apart(e, "3", strings.Repeat("é", 127)+"x", strings.Repeat("é", 127)+"y")
			},
		},
		{
			name:   "ids-special",
			reason: "no byte of an id has a meaning: quotes, wildcards, separators, digits, control bytes",
			run: func(e *env) {
				apart(e, "1", `O'Neil"; --`, `O'Neil"; -- `)
				apart(e, "2", "a_c", "abc")
				apart(e, "3", "a%", "a%c")
				apart(e, "4", `back\slash`, `back\\slash`)
				apart(e, "5", "a/1", "a/1/2")
				apart(e, "6", "007", "7")
				apart(e, "7", "1e3", "1000")
				apart(e, "8", "line\nbreak", "line\r\nbreak")
				apart(e, "9", "$1 ? :x", "$1 ? :y")
			},
		},
		{
			name:   "ids-prefix",
			reason: "an id that begins with another is no part of it, whatever follows: keys that are put together keep their parts apart",
			run:    idsPrefix,
		},
	}
}

func idsPrefix(e *env) {
	for i, separator := range []string{"", "/", ":", "#", "|", ".", "\x1f"} {
		id := name("id", i)
		apart(e, name("prefix", i), id+separator+"1", id)
	}
	// Nor do an id and the number after it run together.
	e.apply(claiming("k-room", "b-room", store.SeatClaim{Slot: "room", Capacity: 11, Count: 11}))
	e.apply(claiming("k-room1", "b-room1", store.SeatClaim{Slot: "room1", Capacity: 1, Count: 1}))
	read := *e.apply(aChange("k-1", aBooking("b"))).Booking
	for version := 2; version <= 11; version++ {
		read = *e.apply(step(name("k", version), read, nil)).Booking
	}
	e.apply(aChange("k-b1", aBooking("b1")))
	length(e, e.history("b"), 11)
	length(e, e.history("b1"), 1)
}

// apart uses a and then b as every kind of id, and expects that they never meet.
// n tells the pairs of one database apart.
func apart(e *env, n, a, b string) {
	e.Helper()
	require.NotEqual(e, a, b)
	ids := []string{a, b}

	change := func(i int) store.Change {
		id := ids[i]
		c := paid(id, id, id)
		c.Booking.UserID, c.Booking.SessionID, c.Booking.ServiceID = id, id, id
		p := &c.Payments[0]
		p.ID, p.UserID, p.SessionID = id, id, id
		c.Event = anEvent(id)
		c.Event.BookingID, c.Event.ObjectID = id, id
		c.Claim = []store.SeatClaim{{Slot: id, Capacity: 1, Count: 1}}
		return c
	}
	found := func(id string) []string {
		var got []string
		note := func(what, id string, err error) {
			if isNotFound(err) {
				return
			}
			require.NoError(e, err, what)
			got = append(got, what+" "+id)
		}
		bk, err := e.Booking(e.ctx, id)
		note("booking", bk.ID, err)
		bk, err = e.BookingBySession(e.ctx, id)
		note("booking by session", bk.ID, err)
		p, err := e.Payment(e.ctx, id)
		note("payment", p.PaymentIntentID, err)
		row, err := e.Event(e.ctx, id)
		note("event", row.ID, err)
		for _, line := range e.history(id) {
			note("history", line.BookingID, nil)
		}
		bs, _, err := e.BookingsByUser(e.ctx, id, store.Page{})
		require.NoError(e, err)
		for _, bk := range bs {
			note("booking by user", bk.ID, nil)
		}
		ps, _, err := e.PaymentsByBooking(e.ctx, id, store.Page{})
		require.NoError(e, err)
		for _, p := range ps {
			note("payment by booking", p.PaymentIntentID, nil)
		}
		ps, _, err = e.PaymentsByUser(e.ctx, id, store.Page{})
		require.NoError(e, err)
		for _, p := range ps {
			note("payment by user", p.PaymentIntentID, nil)
		}
		return got
	}
	all := func(id string) []string {
		return []string{
			"booking " + id, "booking by session " + id, "payment " + id, "event " + id,
			"history " + id, "booking by user " + id, "payment by booking " + id, "payment by user " + id,
		}
	}

	first := e.apply(change(0))
	equal(e, change(0).Payments, first.Payments)
	equal(e, []store.Seat{{Slot: a, Number: 1}}, first.Booking.Seats)
	equal(e, all(a), found(a), "what is stored under an id is found under it, byte for byte")
	empty(e, found(b), "%q is stored, %q is not", a, b)

	second := e.apply(change(1)) // b's seat, intent, key and booking are free
	equal(e, change(1).Payments, second.Payments)
	equal(e, all(a), found(a))
	equal(e, all(b), found(b))
	for i, id := range ids {
		equal(e, id, bookingID(e.replayed(change(i))))
		equal(e, id, e.event(id).BookingID)
	}
	require.NoError(e, e.RecordHandled(e.ctx, a, []string{b, a}, false, at(1)))
	require.ElementsMatch(e, ids, e.event(a).Handlers)
	empty(e, e.event(b).Handlers)

	// Filters and fingerprints.
	typed := *anEvent("typed-" + n)
	typed.Type = a
	require.NoError(e, e.RecordFailure(e.ctx, typed, "", false))
	rows, _, err := e.Events(e.ctx, store.EventFilter{Type: b}, store.Page{})
	require.NoError(e, err)
	empty(e, rows)
	rows, _, err = e.Events(e.ctx, store.EventFilter{Type: a}, store.Page{})
	require.NoError(e, err)
	length(e, rows, 1)
	e.apply(store.Change{Key: "fingerprint-" + n, Fingerprint: a})
	_, err = e.Apply(e.ctx, store.Change{Key: "fingerprint-" + n, Fingerprint: b})
	require.ErrorIs(e, err, store.ErrMismatch)
}

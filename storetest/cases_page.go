package storetest

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// pageCases are about lists.
func pageCases() []testCase {
	return []testCase{
		{
			name:   "list-order",
			reason: "lists are newest first by creation time, to the millisecond, then by id; whole or in pages of any size",
			run:    listOrder,
		},
		{
			name:   "list-stable",
			reason: "rows that are added while somebody pages neither repeat nor hide another, as they do with OFFSET",
			run:    listStable,
		},
		{
			name:   "list-shrinking",
			reason: "rows that leave a filtered list while somebody works through it, as in a replay of failed events, hide no other",
			run:    listShrinking,
		},
		{
			name:   "list-limits",
			reason: "no limit means 50, 500 is the most, and more or less than that is refused and not bent",
			run:    listLimits,
		},
		{
			name:   "list-bad-cursor",
			reason: "a cursor that no store made is ErrInvalid, not the first page again",
			run:    listBadCursor,
		},
		{
			name:   "list-own",
			reason: "a list has the rows of its user or booking, and no other's",
			run:    listOwn,
		},
		{
			name:   "list-whole",
			reason: "the rows of a list are whole, the second as the first: each has its own seats, refunds and handlers",
			run:    listWhole,
		},
	}
}

// listing is one list of the contract, with rows that are identified by a short
// name.
type listing struct {
	name   string
	insert func(e *env, id string, created time.Time)
	page   func(e *env, p store.Page) (ids []string, next string, err error)
}

func listings() []listing {
	return []listing{
		{
			name: "BookingsByUser",
			insert: func(e *env, id string, created time.Time) {
				b := aBooking(id)
				b.UserID, b.CreatedAt = "lister", created
				e.apply(aChange("k-"+id, b))
			},
			page: func(e *env, p store.Page) ([]string, string, error) {
				rows, next, err := e.BookingsByUser(e.ctx, "lister", p)
				return idsOf(rows, func(b store.Booking) string { return b.ID }), next, err
			},
		},
		{
			name: "PaymentsByUser",
			insert: func(e *env, id string, created time.Time) {
				c := paid("k-pay-"+id, "b-pay-"+id, "pi-"+reversed(id))
				p := &c.Payments[0]
				p.ID, p.UserID, p.CreatedAt = id, "payer", created
				e.apply(c)
			},
			page: func(e *env, p store.Page) ([]string, string, error) {
				rows, next, err := e.PaymentsByUser(e.ctx, "payer", p)
				return idsOf(rows, func(p store.Payment) string { return p.ID }), next, err
			},
		},
		{
			name: "PaymentsByBooking",
			insert: func(e *env, id string, created time.Time) {
				var c store.Change
				if b := maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, "b-many") }); b == nil {
					c = aChange("k-many-"+id, aBooking("b-many"))
				} else {
					c = step("k-many-"+id, *b, nil)
				}
				p := aPayment(*c.Booking, "pi-many-"+reversed(id))
				p.ID, p.CreatedAt = id, created
				c.Payments = []store.Payment{p}
				e.apply(c)
			},
			page: func(e *env, p store.Page) ([]string, string, error) {
				rows, next, err := e.PaymentsByBooking(e.ctx, "b-many", p)
				return idsOf(rows, func(p store.Payment) string { return p.ID }), next, err
			},
		},
		{
			name: "Events",
			insert: func(e *env, id string, created time.Time) {
				row := *anEvent(id)
				row.ReceivedAt, row.Type = created, "listed"
				require.NoError(e, e.RecordFailure(e.ctx, row, "x", false))
			},
			page: func(e *env, p store.Page) ([]string, string, error) {
				rows, next, err := e.Events(e.ctx, store.EventFilter{Type: "listed", State: store.EventFailed, From: at(-1000), To: at(1000)}, p)
				return idsOf(rows, func(e store.Event) string { return e.ID }), next, err
			},
		},
	}
}

func idsOf[T any](rows []T, id func(T) string) []string {
	ids := []string{}
	for _, row := range rows {
		ids = append(ids, id(row))
	}
	return ids
}

// reversed makes an order that is not the ids'.
func reversed(s string) string {
	b := []rune(s)
	slices.Reverse(b)
	return string(b)
}

// all reads a list in pages of this size, and checks each page's size.
func (l listing) all(e *env, limit int) []string {
	e.Helper()
	got := []string{}
	p := store.Page{Limit: limit}
	for {
		ids, next, err := l.page(e, p)
		require.NoError(e, err, l.name)
		got = append(got, ids...)
		if next == "" {
			require.LessOrEqual(e, len(ids), limit, l.name)
			require.False(e, len(ids) == 0 && p.After != "", "%s: the last page came with a cursor", l.name)
			return got
		}
		length(e, ids, limit, "%s: a page that is not the last is full", l.name)
		require.NotEqual(e, p.After, next, "%s: the cursor stands still", l.name)
		p.After = next
	}
}

func listOrder(e *env) {
	ms := time.Millisecond
	rows := []struct {
		id string
		at time.Time
	}{
		{"m", at(3)},
		{"a", at(1)},
		{"c", at(2).Add(900 * time.Microsecond)}, // the same millisecond as
		{"b", at(2).Add(100 * time.Microsecond)}, // this,
		{"d", at(2)},                             // and this
		{"B", at(2)},                             // before b in bytes,
		{"C", at(2)},                             // and this too
		{"z", at(0)},
		{"n", at(2).Add(ms)},
		{"o", at(2).Add(-ms)},
		{"y", at(5).In(time.FixedZone("UTC+6", 6*3600))}, // a zone is no time
		{"x", at(5)},
		{"é", at(5)}, // after y in bytes
	}
	want := []string{"é", "y", "x", "m", "n", "d", "c", "b", "C", "B", "o", "a", "z"}
	for _, l := range listings() {
		for _, row := range rows {
			l.insert(e, row.id, row.at)
		}
		for _, limit := range []int{500, 13, 12, 5, 1} {
			equal(e, want, l.all(e, limit), "%s in pages of %d", l.name, limit)
		}
	}
}

func listStable(e *env) {
	for _, l := range listings() {
		for i := range 8 {
			l.insert(e, name("row", i), at(i/3)) // with ties
		}
		want := []string{"row-007", "row-006", "row-005", "row-004", "row-003", "row-002", "row-001", "row-000"}

		var got []string
		p := store.Page{Limit: 3}
		for n := 0; ; n++ {
			ids, next, err := l.page(e, p)
			require.NoError(e, err, l.name)
			got = append(got, ids...)
			if next == "" {
				break
			}
			require.Less(e, n, 8, "%s: the pages do not end", l.name)
			p.After = next
			// Rows that belong before the place where the reader is: newer
			// ones, and one with the time and nearly the id of the last.
			l.insert(e, name("new", n), at(100+n))
			l.insert(e, ids[len(ids)-1]+"+", at((7-len(got)+1)/3))
		}
		equal(e, want, got, "%s: each row once, though others came between", l.name)
		length(e, l.all(e, 4), 12, l.name)

		// A row that belongs after the place is on the next page.
		first, next, err := l.page(e, store.Page{Limit: 1})
		require.NoError(e, err)
		equal(e, []string{"new-001"}, first, l.name)
		l.insert(e, "late", at(99))
		second, _, err := l.page(e, store.Page{Limit: 2, After: next})
		require.NoError(e, err)
		equal(e, []string{"new-000", "late"}, second, l.name)
	}
}

func listShrinking(e *env) {
	for i := range 10 {
		row := *anEvent(name("evt", i))
		row.ReceivedAt = at(i / 2)
		require.NoError(e, e.RecordFailure(e.ctx, row, "x", i%5 == 0))
	}
	var got []string
	p := store.Page{Limit: 2}
	for {
		rows, next, err := e.Events(e.ctx, store.EventFilter{State: store.EventFailed}, p)
		require.NoError(e, err)
		for _, row := range rows {
			got = append(got, row.ID)
			require.NoError(e, e.RecordHandled(e.ctx, row.ID, nil, true, at(20)))
		}
		if next == "" {
			break
		}
		p.After = next
	}
	equal(e, []string{"evt-009", "evt-008", "evt-007", "evt-006", "evt-004", "evt-003", "evt-002", "evt-001"}, got)
	rows, _, err := e.Events(e.ctx, store.EventFilter{State: store.EventDone}, store.Page{})
	require.NoError(e, err)
	length(e, rows, 8)
}

func listLimits(e *env) {
	ls := listings()
	for _, l := range ls {
		for _, limit := range []int{-1, store.MaxLimit + 1} {
			_, _, err := l.page(e, store.Page{Limit: limit})
			require.ErrorIs(e, err, store.ErrInvalid, "%s: limit %d", l.name, limit)
		}
		for i := range 4 {
			l.insert(e, name("row", i), at(i))
		}
		ids, next, err := l.page(e, store.Page{Limit: 4})
		require.NoError(e, err, l.name)
		length(e, ids, 4, l.name)
		empty(e, next, "%s: a full page that is the last has no cursor", l.name)
		ids, next, err = l.page(e, store.Page{Limit: store.MaxLimit})
		require.NoError(e, err, l.name)
		length(e, ids, 4, l.name)
		empty(e, next, l.name)
	}
	events := ls[len(ls)-1]
	for i := 4; i <= store.DefaultLimit; i++ {
		events.insert(e, name("row", i), at(i))
	}
	ids, next, err := events.page(e, store.Page{})
	require.NoError(e, err)
	length(e, ids, store.DefaultLimit)
	ids, next, err = events.page(e, store.Page{After: next})
	require.NoError(e, err)
	equal(e, []string{"row-000"}, ids)
	empty(e, next)
}

func listBadCursor(e *env) {
	encode := base64.RawURLEncoding.EncodeToString
	for _, l := range listings() {
		l.insert(e, "row-1", at(1))
		for _, bad := range []string{
			"2", "not a cursor", "%", "'; --", encode([]byte("x/y")), encode([]byte("123")), encode([]byte("/row-1")),
			encode([]byte("123/")), encode([]byte("123/" + strings.Repeat("x", store.MaxID+1))), encode([]byte("123/\xff")),
		} {
			ids, _, err := l.page(e, store.Page{After: bad})
			require.ErrorIs(e, err, store.ErrInvalid, "%s after %q", l.name, bad)
			empty(e, ids, l.name)
		}
		// A place where no row is, or is any more, is a place.
		ids, _, err := l.page(e, store.Page{After: store.Cursor{At: at(5), ID: "gone"}.String()})
		require.NoError(e, err, l.name)
		equal(e, []string{"row-1"}, ids, l.name)
		ids, _, err = l.page(e, store.Page{After: store.Cursor{At: at(-5), ID: "gone"}.String()})
		require.NoError(e, err, l.name)
		empty(e, ids, l.name)
	}
}

func listOwn(e *env) {
	users := []string{"ada", "bob", "ada ", "Ada"}
	for i := range 8 {
		c := paid(name("evt", i), name("b", i), name("pi", i))
		c.Booking.UserID, c.Payments[0].UserID = users[i%4], users[i%4]
		e.apply(c)
	}
	for i, user := range users {
		bs, _, err := e.BookingsByUser(e.ctx, user, store.Page{})
		require.NoError(e, err)
		equal(e, []string{name("b", i+4), name("b", i)}, idsOf(bs, func(b store.Booking) string { return b.ID }), "bookings of %q", user)
		ps, next, err := e.PaymentsByUser(e.ctx, user, store.Page{Limit: 1})
		require.NoError(e, err)
		equal(e, []string{name("pi", i+4)}, idsOf(ps, func(p store.Payment) string { return p.PaymentIntentID }), "payments of %q", user)
		ps, next, err = e.PaymentsByUser(e.ctx, user, store.Page{Limit: 1, After: next})
		require.NoError(e, err)
		equal(e, []string{name("pi", i)}, idsOf(ps, func(p store.Payment) string { return p.PaymentIntentID }))
		empty(e, next)
		ps, _, err = e.PaymentsByBooking(e.ctx, name("b", i), store.Page{})
		require.NoError(e, err)
		equal(e, []string{name("pi", i)}, idsOf(ps, func(p store.Payment) string { return p.PaymentIntentID }))
	}

	// A booking that is handed over is in the new user's list only.
	e.apply(step("k-over", e.booking("b-000"), func(b *store.Booking) { b.UserID = "bob" }))
	bs, _, err := e.BookingsByUser(e.ctx, "ada", store.Page{})
	require.NoError(e, err)
	length(e, bs, 1)
	bs, _, err = e.BookingsByUser(e.ctx, "bob", store.Page{})
	require.NoError(e, err)
	length(e, bs, 3)
}

func listWhole(e *env) {
	const n = 4
	read := *e.apply(aChange("k-0", aBooking("b-0"))).Booking
	for i := range n {
		hang := map[string]string{name("key", i): name("value", i)}
		refunds := []store.Refund{{ID: name("re", i), Amount: int64(i + 1), Status: "succeeded"}}
		c := paid(name("evt", i), name("b", i), name("pi", i))
		c.Booking.UserID, c.Booking.Details = "lister", hang
		c.Booking.Claims = []store.SeatClaim{{Slot: name("room", i), Capacity: n, Count: i + 1}}
		c.Claim = c.Booking.Claims
		c.Payments[0].UserID, c.Payments[0].Metadata, c.Payments[0].Refunds = "payer", hang, refunds
		c.Event = anEvent(c.Key)
		c.Event.Handlers = []string{name("handler", i)}
		e.apply(c)

		c = step(name("k-many", i), read, nil) // one booking with all these payments
		p := aPayment(*c.Booking, name("pi-many", i))
		p.Metadata, p.Refunds = hang, refunds
		c.Payments = []store.Payment{p}
		read = *e.apply(c).Booking
	}
	for _, limit := range []int{n, 2} {
		rows := 0
		for p := (store.Page{Limit: limit}); ; {
			bs, next, err := e.BookingsByUser(e.ctx, "lister", p)
			require.NoError(e, err)
			for _, b := range bs {
				equalBooking(e, e.booking(b.ID), b, "BookingsByUser, limit %d: booking %s", limit, b.ID)
				length(e, b.Seats, b.Claims[0].Count, "BookingsByUser, limit %d: the seats of booking %s", limit, b.ID)
			}
			if rows += len(bs); next == "" {
				break
			}
			p.After = next
		}
		equal(e, n, rows)
		p := store.Page{Limit: limit}
		of, _, err := e.PaymentsByBooking(e.ctx, "b-0", p)
		require.NoError(e, err)
		by, _, err := e.PaymentsByUser(e.ctx, "payer", p)
		require.NoError(e, err)
		length(e, append(of, by...), 2*limit)
		for _, p := range append(of, by...) {
			equal(e, e.payment(p.PaymentIntentID), p, "payments, limit %d: payment %s", limit, p.PaymentIntentID)
			length(e, p.Refunds, 1)
		}
		events, _, err := e.Events(e.ctx, store.EventFilter{}, p)
		require.NoError(e, err)
		for _, row := range events {
			equal(e, e.event(row.ID), row, "Events, limit %d: event %s", limit, row.ID)
			length(e, row.Handlers, 1)
		}
	}
}

package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carevia/stripebooking/store"
)

// query runs a statement and calls row for each of its rows; it has read all of
// them, or failed, when it returns.
func query(ctx context.Context, c conn, statement string, args []any, row func(scan func(...any) error) error) error {
	rows, err := c.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// queryRow fills the fields from the one row of a statement, or says
// ErrNotFound.
func queryRow(ctx context.Context, c conn, statement string, args []any, fields ...any) error {
	found := false
	err := query(ctx, c, statement, args, func(scan func(...any) error) error {
		found = true
		return scan(fields...)
	})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return err
}

// records is the rows of a statement as records.
func records[T any](ctx context.Context, c conn, statement string, args []any, cols func(*T) columns) ([]T, error) {
	var list []T
	err := query(ctx, c, statement, args, func(scan func(...any) error) error {
		var rec T
		err := scan(cols(&rec).args()...)
		list = append(list, rec)
		return err
	})
	return list, err
}

// record is the one row of a statement, or ErrNotFound.
func record[T any](ctx context.Context, c conn, statement string, args []any, cols func(*T) columns) (T, error) {
	var rec T
	err := queryRow(ctx, c, statement, args, cols(&rec).args()...)
	return rec, err
}

// page is the part of a list that p asks for, of a statement that ends in
// pageOf, and the cursor of the next.
func page[T any](ctx context.Context, c conn, statement string, args []any, p store.Page,
	cols func(*T) columns, at func(T) store.Cursor,
) ([]T, string, error) {
	limit, after, err := p.Parse()
	if err != nil {
		return nil, "", err
	}
	ms, id := int64(math.MaxInt64), ""
	if after != nil {
		ms, id = after.At.UnixMilli(), after.ID
	}
	list, err := records(ctx, c, statement, append(args, ms, ms, id, limit+1), cols)
	if err != nil {
		return nil, "", err
	}
	if len(list) <= limit {
		return list, "", nil
	}
	list = list[:limit]
	return list, at(list[limit-1]).String(), nil
}

// reader is the half of a store that reads. Every method is one statement, or
// is right whatever happens between two.
type reader struct {
	*schema
	conn conn
	mu   *sync.Mutex // of a joined store
}

func (r reader) lock() (unlock func()) {
	if r.mu == nil {
		return func() {}
	}
	r.mu.Lock()
	return r.mu.Unlock
}

// Booking returns one booking, or ErrNotFound.
func (r reader) Booking(ctx context.Context, id string) (b store.Booking, err error) {
	defer annotate(ctx, "booking", &err)
	defer r.lock()()
	return record(ctx, r.conn, r.booking, []any{id}, bookingColumns)
}

// BookingBySession returns the booking of a checkout session, or ErrNotFound.
func (r reader) BookingBySession(ctx context.Context, sessionID string) (b store.Booking, err error) {
	defer annotate(ctx, "booking by session", &err)
	defer r.lock()()
	if sessionID == "" { // what a booking without a session holds
		return store.Booking{}, store.ErrNotFound
	}
	b, err = record(ctx, r.conn, r.bookingOfSession, []any{sessionID}, bookingColumns)
	if errors.Is(err, store.ErrNotFound) {
		b, err = record(ctx, r.conn, r.bookingOfPayment, []any{sessionID}, bookingColumns)
	}
	return b, err
}

// BookingsByUser lists a user's bookings, newest first.
func (r reader) BookingsByUser(ctx context.Context, userID string, p store.Page) (list []store.Booking, next string, err error) {
	defer annotate(ctx, "bookings by user", &err)
	defer r.lock()()
	return page(ctx, r.conn, r.bookingsByUser, []any{userID}, p, bookingColumns,
		func(b store.Booking) store.Cursor { return store.Cursor{At: b.CreatedAt, ID: b.ID} })
}

// History returns the history of a booking, newest version first.
func (r reader) History(ctx context.Context, bookingID string) (list []store.History, err error) {
	defer annotate(ctx, "history", &err)
	defer r.lock()()
	return records(ctx, r.conn, r.history, []any{bookingID}, historyColumns)
}

// Payment returns the payment of a payment intent, or ErrNotFound.
func (r reader) Payment(ctx context.Context, paymentIntentID string) (p store.Payment, err error) {
	defer annotate(ctx, "payment", &err)
	defer r.lock()()
	return record(ctx, r.conn, r.payment, []any{paymentIntentID}, paymentColumns)
}

// PaymentsByBooking lists a booking's payments, newest first.
func (r reader) PaymentsByBooking(ctx context.Context, bookingID string, p store.Page) (list []store.Payment, next string, err error) {
	defer annotate(ctx, "payments by booking", &err)
	defer r.lock()()
	return page(ctx, r.conn, r.paymentsByBooking, []any{bookingID}, p, paymentColumns, paymentCursor)
}

// PaymentsByUser lists a user's payments, newest first.
func (r reader) PaymentsByUser(ctx context.Context, userID string, p store.Page) (list []store.Payment, next string, err error) {
	defer annotate(ctx, "payments by user", &err)
	defer r.lock()()
	return page(ctx, r.conn, r.paymentsByUser, []any{userID}, p, paymentColumns, paymentCursor)
}

func paymentCursor(p store.Payment) store.Cursor {
	return store.Cursor{At: p.CreatedAt, ID: p.ID}
}

// Event returns one ledger row, or ErrNotFound.
func (r reader) Event(ctx context.Context, id string) (e store.Event, err error) {
	defer annotate(ctx, "event", &err)
	defer r.lock()()
	return r.event(ctx, r.schema.event, id)
}

// Events lists ledger rows, newest first.
func (r reader) Events(ctx context.Context, f store.EventFilter, p store.Page) (list []store.Event, next string, err error) {
	defer annotate(ctx, "events", &err)
	defer r.lock()()
	statement, args := r.eventsWhere(f)
	list, next, err = page(ctx, r.conn, statement, args, p, eventRow,
		func(e store.Event) store.Cursor { return store.Cursor{At: e.ReceivedAt, ID: e.ID} })
	for i := range list {
		tidyHandlers(&list[i])
	}
	return list, next, err
}

func (r reader) event(ctx context.Context, statement, id string) (store.Event, error) {
	e, err := record(ctx, r.conn, statement, []any{id}, eventRow)
	tidyHandlers(&e)
	return e, err
}

// eventRow is an event's columns with its handlers, as they are selected.
func eventRow(e *store.Event) columns {
	return append(eventColumns(e), column{"handlers", asJSON(&e.Handlers)})
}

// tidyHandlers sorts by byte, as no collation of a database's is sure to, and
// makes none nil.
func tidyHandlers(e *store.Event) {
	slices.Sort(e.Handlers)
	if len(e.Handlers) == 0 {
		e.Handlers = nil
	}
}

// result is what is stored of a booking and an event; an empty id or no such
// row gives nil. The booking and its payments come from one statement, so that
// they fit together whatever others write meanwhile.
func (r reader) result(ctx context.Context, bookingID, eventID string) (store.Result, error) {
	var res store.Result
	if bookingID != "" {
		err := query(ctx, r.conn, r.bookingPayments, []any{bookingID}, func(scan func(...any) error) error {
			var b store.Booking
			var p store.Payment
			err := scan(append(bookingColumns(&b), paymentColumns(&p)...).args()...)
			res.Booking = &b
			if p.PaymentIntentID != "" {
				res.Payments = append(res.Payments, p)
			}
			return err
		})
		if err != nil {
			return store.Result{}, err
		}
		oldestFirst(res.Payments)
	}
	if eventID != "" {
		e, err := r.event(ctx, r.schema.event, eventID)
		switch {
		case err == nil:
			res.Event = &e
		case !errors.Is(err, store.ErrNotFound):
			return store.Result{}, err
		}
	}
	return res, nil
}

// oldestFirst sorts the few payments of one booking, whose rows a database may have
// to copy for it.
func oldestFirst(list []store.Payment) {
	slices.SortFunc(list, func(p, q store.Payment) int {
		return cmp.Or(p.CreatedAt.Compare(q.CreatedAt), strings.Compare(p.ID, q.ID))
	})
}

// explain turns a lost Change into what its caller is told.
func (r reader) explain(ctx context.Context, c store.Change, lost *lostError) (store.Result, error) {
	_, eventID := ids(c)
	if lost.conflict != "" {
		res, err := r.result(ctx, lost.bookingID, eventID)
		if err != nil {
			return store.Result{}, err
		}
		res.Conflict = lost.conflict
		return res, fmt.Errorf("%w over the %s", store.ErrConflict, lost.conflict)
	}
	var fingerprint, bookingID string
	err := queryRow(ctx, r.conn, r.change, []any{c.Key}, text(&fingerprint), text(&bookingID))
	if errors.Is(err, store.ErrNotFound) {
		err = errors.New("the key is taken, but by no row") // by one of another index, which is not ours
	}
	if err != nil {
		return store.Result{}, err
	}
	if fingerprint != "" && c.Fingerprint != "" && fingerprint != c.Fingerprint {
		return store.Result{}, store.ErrMismatch
	}
	return r.result(ctx, bookingID, eventID)
}

func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

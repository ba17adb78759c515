package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carevia/stripebooking/store"
)

// lostError says that a Change lost, before it is told what is stored. The
// transaction, or the part of it since the savepoint, has to be undone.
type lostError struct {
	conflict  store.Conflict // empty: the key had been applied before
	bookingID string         // the booking that is in the way
}

func (e *lostError) Error() string { return "lost: " + string(e.conflict) }

// writer makes a Change within a transaction. Any error of its methods means
// that the caller undoes what was written.
type writer struct {
	*schema
	conn conn
}

// exec runs a statement and returns how many rows it wrote.
func (w writer) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	res, err := w.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	if w.dialect.written != nil {
		return w.dialect.written(res)
	}
	return res.RowsAffected()
}

// apply writes a valid Change in the order in which its keys decide: the key,
// the version, the payment intents, the seats.
func (w writer) apply(ctx context.Context, c store.Change, inTx func(context.Context, store.Change) error) (store.Result, error) {
	bookingID, eventID := ids(c)
	n, err := w.exec(ctx, w.insertChange, c.Key, c.Fingerprint, bookingID)
	if err != nil {
		return store.Result{}, err
	}
	if n == 0 {
		return store.Result{}, &lostError{}
	}
	if c.Booking != nil {
		if err := w.applyBooking(ctx, c); err != nil {
			return store.Result{}, err
		}
	}
	known := isNew(c) // nothing was there that what is written had to be merged with
	if c.Event != nil {
		merge := func(old *store.Event) store.Event { return store.MergeEvent(old, *c.Event) }
		inserted, err := w.mergeEvent(ctx, eventID, merge)
		if err != nil {
			return store.Result{}, err
		}
		known = known && inserted
	}
	if known {
		return newResult(c), inTx(ctx, c)
	}
	res, err := reader{schema: w.schema, conn: w.conn}.result(ctx, bookingID, eventID)
	if err != nil {
		return store.Result{}, err
	}
	res.Applied = true
	return res, inTx(ctx, c)
}

func (w writer) applyBooking(ctx context.Context, c store.Change) error {
	next := c.Next()
	stale := &lostError{conflict: store.ConflictVersion, bookingID: next.ID}

	line := historyOf(c)
	if n, err := w.exec(ctx, w.insertHistory, historyColumns(&line).args()...); err != nil {
		return err
	} else if n == 0 {
		return stale
	}

	// A version that was never reached is free to win, so the row must be at
	// the one before. The seats that are claimed follow at the end.
	b := bookingColumns(&next)
	var stored []store.Seat
	var n int64
	var err error
	if next.Version == 1 {
		n, err = w.exec(ctx, w.insertBooking, b.args()...)
	} else {
		err = queryRow(ctx, w.conn, w.seatsOf, []any{next.ID, c.Booking.Version}, asJSON(&stored))
		if errors.Is(err, store.ErrNotFound) {
			return stale
		} else if err != nil {
			return err
		}
		n, err = w.exec(ctx, w.updateBooking, b.without("id", "created_at").args(next.ID, c.Booking.Version)...)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return stale
	}

	for _, p := range c.Payments {
		if err := w.applyPayment(ctx, p.Clone()); err != nil {
			return err
		}
	}
	if err := c.CheckSeats(stored); err != nil {
		return err
	}
	for _, s := range c.Release {
		if n, err := w.exec(ctx, w.deleteSeat, s.Slot, s.Number, next.ID); err != nil {
			return err
		} else if n == 0 {
			return fmt.Errorf("seat %d is the booking's, but not in the table of seats", s.Number)
		}
	}
	if len(c.Claim) == 0 {
		return nil
	}
	for _, claim := range c.Claim {
		seats, err := w.claim(ctx, next.ID, claim)
		if err != nil {
			return err
		}
		next.Seats = append(next.Seats, seats...)
	}
	_, err = w.exec(ctx, w.setSeats, asJSON(&next.Seats), next.ID)
	return err
}

// applyPayment writes a payment, or replaces the stored one of its intent.
func (w writer) applyPayment(ctx context.Context, p store.Payment) error {
	cols := paymentColumns(&p)
	n, err := w.exec(ctx, w.insertPayment, cols.args()...)
	if err != nil || n == 1 {
		return err
	}
	var owner string
	if err := queryRow(ctx, w.conn, w.paymentOwner, []any{p.PaymentIntentID}, text(&owner)); err != nil {
		return err
	}
	if owner != p.BookingID {
		return &lostError{conflict: store.ConflictIntent, bookingID: owner}
	}
	args := cols.without("payment_intent_id", "booking_id", "created_at").args(p.PaymentIntentID, p.BookingID)
	_, err = w.exec(ctx, w.updatePayment, args...)
	return err
}

// claim takes the lowest free seats. Each is won or lost by its key. The list of the
// taken ones saves inserts that fail; it may be old, so before too few are free those
// on it are tried as well.
func (w writer) claim(ctx context.Context, bookingID string, c store.SeatClaim) ([]store.Seat, error) {
	taken := map[int]bool{}
	err := query(ctx, w.conn, w.takenSeats, []any{c.Slot, c.Capacity}, func(scan func(...any) error) error {
		var number int
		err := scan(count{&number})
		taken[number] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	var got []store.Seat
	for _, listed := range []bool{false, true} {
		for number := 1; number <= c.Capacity && len(got) < c.Count; number++ {
			if taken[number] != listed {
				continue
			}
			n, err := w.exec(ctx, w.insertSeat, c.Slot, number, bookingID)
			if err != nil {
				return nil, err
			}
			if n == 1 {
				got = append(got, store.Seat{Slot: c.Slot, Number: number})
			}
		}
	}
	if len(got) < c.Count {
		return nil, &lostError{conflict: store.ConflictSeats, bookingID: bookingID}
	}
	return got, nil
}

// mergeEvent writes a ledger row as merge makes it of what is stored, and reports
// whether there was none.
func (w writer) mergeEvent(ctx context.Context, id string, merge func(old *store.Event) store.Event) (inserted bool, err error) {
	e := merge(nil)
	n, err := w.exec(ctx, w.insertEvent, eventColumns(&e).args()...)
	if err != nil {
		return false, err
	}
	if n == 0 {
		old, err := reader{schema: w.schema, conn: w.conn}.event(ctx, w.eventForUpdate, id)
		if err != nil {
			return false, err
		}
		e = merge(&old)
		if _, err := w.exec(ctx, w.updateEvent, eventColumns(&e).without("id").args(id)...); err != nil {
			return false, err
		}
	}
	return n != 0, w.addHandlers(ctx, id, e.Handlers)
}

func (w writer) addHandlers(ctx context.Context, eventID string, handlers []string) error {
	for _, h := range handlers {
		if _, err := w.exec(ctx, w.insertHandler, eventID, h); err != nil {
			return err
		}
	}
	return nil
}

func (w writer) recordFailure(ctx context.Context, e store.Event, reason string, dead bool) error {
	merge := func(old *store.Event) store.Event { return store.MergeFailure(old, e, reason, dead) }
	if err := merge(nil).Validate(); err != nil {
		return err
	}
	_, err := w.mergeEvent(ctx, e.ID, merge)
	return err
}

func (w writer) recordHandled(ctx context.Context, eventID string, handlers []string, done bool, at time.Time) error {
	for _, h := range handlers {
		if err := store.CheckID("handler", h); err != nil {
			return err
		}
	}
	at = store.Time(at)
	var err error
	if done {
		_, err = w.exec(ctx, w.finishEvent, millis{&at}, string(store.EventDone), eventID)
	} else {
		_, err = w.exec(ctx, w.touchEvent, millis{&at}, eventID)
	}
	if err != nil {
		return err
	}
	// Asked, not counted: some databases don't count a row that stays the same.
	if _, err := (reader{schema: w.schema, conn: w.conn}).event(ctx, w.event, eventID); err != nil {
		return err
	}
	return w.addHandlers(ctx, eventID, handlers)
}

// ids are those of a Change's booking and event, empty without.
func ids(c store.Change) (bookingID, eventID string) {
	if c.Booking != nil {
		bookingID = c.Booking.ID
	}
	if c.Event != nil {
		eventID = c.Event.ID
	}
	return bookingID, eventID
}

// historyOf is the history line as it is stored.
func historyOf(c store.Change) store.History {
	line := *c.History
	line.BookingID, line.Version, line.At = c.Booking.ID, c.Booking.Version+1, store.Time(line.At)
	return line
}

// maxNewRows bounds the rows of one statement, which may have 65,535 arguments on
// all servers.
const maxNewRows = 100

// row is one that is to be inserted.
type row struct {
	table string
	columns
}

// isNew reports whether a Change is for a new booking without claims.
func isNew(c store.Change) bool {
	return c.Booking != nil && c.Booking.Version == 0 && len(c.Claim) == 0
}

// newRows are the rows of a Change for a new booking without claims, in the order
// in which writer.apply inserts them.
func newRows(s *schema, c store.Change) []row {
	bookingID, _ := ids(c)
	next, line := c.Next(), historyOf(c)
	rows := []row{
		{s.prefix + "changes", columns{
			{"change_key", text(&c.Key)}, {"fingerprint", text(&c.Fingerprint)}, {"booking_id", text(&bookingID)},
		}},
		{s.prefix + "history", historyColumns(&line)},
		{s.prefix + "bookings", bookingColumns(&next)},
	}
	for _, p := range c.Payments {
		p = p.Clone()
		rows = append(rows, row{s.prefix + "payments", paymentColumns(&p)})
	}
	if c.Event == nil {
		return rows
	}
	event := store.MergeEvent(nil, *c.Event)
	rows = append(rows, row{s.prefix + "events", eventColumns(&event)})
	for i := range event.Handlers {
		rows = append(rows, row{s.prefix + "event_handlers", columns{{"event_id", text(&event.ID)}, {"handler", text(&event.Handlers[i])}}})
	}
	return rows
}

// newResult is what a Change for a new booking without claims, payments or an
// event known before leaves behind.
func newResult(c store.Change) store.Result {
	b := c.Next()
	res := store.Result{Applied: true, Booking: &b}
	for _, p := range c.Payments {
		res.Payments = append(res.Payments, p.Clone())
	}
	oldestFirst(res.Payments)
	if c.Event != nil {
		e := store.MergeEvent(nil, *c.Event)
		res.Event = &e
	}
	return res
}

package sqlstore

import (
	"context"
	"database/sql"
	"strings"

	"github.com/carevia/stripebooking/store"
)

// Dialect is what sqlstore must know of one kind of database. The dialects are
// variables of this package, such as [SQLite]; they are never changed.
//
// A new one adds two things and edits nothing: a file with its variable, and
// its folder of migrations. Every table's keys must compare byte for byte.
type Dialect struct {
	// name is the folder of its migrations, and what errors call it.
	name string

	// tableOptions end the CREATE of the table of migrations; those of the others
	// are in the migrations.
	tableOptions string

	// rebind turns the "?" of a statement into the database's placeholders;
	// nil keeps them. No statement has a "?" of another meaning.
	rebind func(statement string) string

	// unlessExists completes an INSERT so that it does nothing, and reports no
	// affected row, when the key (its columns, separated by commas) is taken,
	// once a transaction that holds the key has ended. A clash with any other
	// key must be an error. Whoever runs such an insert looks at the count and
	// gives the whole transaction up if it is the loser: a statement that goes
	// on without its first row would commit half a Change.
	unlessExists func(insert, key string) string

	// written is how many rows a statement wrote, none if it is one of unlessExists
	// whose key was taken; nil: the count says so.
	written func(sql.Result) (int64, error)

	// forUpdate is added to the SELECT of a row that is about to be changed.
	forUpdate string

	// current is added to what is read in order to write within a transaction of
	// the caller's, where a plain SELECT may be blind to the row that has just won;
	// empty: the database then fails such a transaction.
	current string

	// jsonArray is the aggregate that makes a JSON array of a column, as text,
	// with one %s for the column.
	jsonArray string

	// oneWriter says that the database has room for one writer at a time, and
	// lets the others wait without an order.
	oneWriter bool

	// txOptions begin a write transaction. Statements are to see what others
	// have committed before each: READ COMMITTED where there is a choice.
	txOptions *sql.TxOptions

	// again tells a failure of a whole transaction that vanishes when it is run
	// again at once: a serialization failure, a deadlock's victim.
	again func(err error) bool

	// readOnly tells the error of a server that takes no writes any more, while its
	// connections stay open: another has taken its place. nil: there is none such.
	readOnly func(err error) bool

	// notYet tells a failure to connect that passes by itself, soon; nil: none
	// does. Migrate connects again then.
	notYet func(err error) bool

	// check looks at a connection's settings and says what must be changed
	// before it may be trusted with a Change; nil when nothing can be wrong.
	check func(ctx context.Context, c conn, prefix string) error

	// isOver reports whether a transaction ended without its owner's doing, in a
	// database where what follows would then be committed all the same; nil: elsewhere
	// it fails.
	isOver func(ctx context.Context, tx conn) bool

	// lockSchema makes the caller the only one that migrates: an immediate
	// transaction, an advisory lock or GET_LOCK, on a connection that is
	// pinned for it. end gives the lock back, and keeps what was done if the
	// migrations are part of a transaction and keep is true.
	lockSchema func(ctx context.Context, c *sql.Conn, prefix string) (end func(ctx context.Context, keep bool) error, err error)

	// applyNew applies a Change for a new booking without claims in one
	// statement, where the database can; nil: it can't. ok is false when
	// nothing was written because a key is taken; which, and what is to be
	// said of it, the transaction finds out that is then run instead. A lostError
	// says that it was the Change's own key: a replay. errNoApplyNew says that this
	// server can't.
	applyNew func(ctx context.Context, db *sql.DB, s *schema, ch store.Change) (ok bool, err error)
}

// String is the dialect's name, such as "sqlite".
func (d *Dialect) String() string { return d.name }

// conn is what statements run on: a *sql.DB, *sql.Tx or *sql.Conn.
type conn interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// schema is a dialect's statements for the tables with one prefix.
type schema struct {
	dialect *Dialect
	prefix  string

	insertChange  string
	insertHistory string
	insertBooking string
	updateBooking string
	setSeats      string
	insertPayment string
	updatePayment string
	insertSeat    string
	deleteSeat    string
	insertEvent   string
	updateEvent   string
	touchEvent    string
	finishEvent   string
	insertHandler string

	change            string
	seatsOf           string
	booking           string
	bookingPayments   string
	bookingOfSession  string
	bookingOfPayment  string
	bookingsByUser    string
	history           string
	payment           string
	paymentOwner      string
	paymentsByBooking string
	paymentsByUser    string
	takenSeats        string
	event             string
	eventForUpdate    string
	events            string // eventsWhere completes it

	createMigrations string
	lastMigration    string
	insertMigration  string
}

// A list goes on at a place: at or before a time, and before the id if it is
// that very time. One that starts does so after the end of time.
const pageOf = " AND %[1]s <= ? AND (%[1]s < ? OR %[2]s < ?) ORDER BY %[1]s DESC, %[2]s DESC LIMIT ?"

func newSchema(d *Dialect, prefix string) *schema { return newLockingSchema(d, prefix, "") }

// newLockingSchema is the schema whose reads that a write depends on end in lock.
func newLockingSchema(d *Dialect, prefix, lock string) *schema {
	var (
		b = bookingColumns(new(store.Booking))
		p = paymentColumns(new(store.Payment))
		h = historyColumns(new(store.History))
		e = eventColumns(new(store.Event))
	)
	sql := func(parts ...string) string {
		q := strings.ReplaceAll(strings.Join(parts, ""), "{prefix}", prefix)
		if d.rebind != nil {
			q = d.rebind(q)
		}
		return q
	}
	page := func(at, id string) string {
		return strings.NewReplacer("%[1]s", at, "%[2]s", id).Replace(pageOf)
	}
	selectBooking := "SELECT " + b.list("b") + " FROM {prefix}bookings b"
	selectPayment := "SELECT " + p.list("p") + " FROM {prefix}payments p"
	selectEvent := "SELECT " + e.list("e") + ", (SELECT " + strings.ReplaceAll(d.jsonArray, "%s", "h.handler") +
		" FROM {prefix}event_handlers h WHERE h.event_id = e.id" + lock + ") FROM {prefix}events e"
	return &schema{
		dialect: d,
		prefix:  prefix,

		insertChange:  sql(d.unlessExists("INSERT INTO {prefix}changes (change_key, fingerprint, booking_id) VALUES (?, ?, ?)", "change_key")),
		insertHistory: sql(d.unlessExists(h.insert("{prefix}history"), "booking_id, version")),
		insertBooking: sql(d.unlessExists(b.insert("{prefix}bookings"), "id")),
		updateBooking: sql(b.without("id", "created_at").update("{prefix}bookings"), " WHERE id = ? AND version = ?"),
		setSeats:      sql("UPDATE {prefix}bookings SET seats = ? WHERE id = ?"),
		insertPayment: sql(d.unlessExists(p.insert("{prefix}payments"), "payment_intent_id")),
		updatePayment: sql(p.without("payment_intent_id", "booking_id", "created_at").update("{prefix}payments"),
			" WHERE payment_intent_id = ? AND booking_id = ?"),
		insertSeat: sql(d.unlessExists("INSERT INTO {prefix}seats (slot, seat_number, booking_id) VALUES (?, ?, ?)", "slot, seat_number")),
		deleteSeat: sql("DELETE FROM {prefix}seats WHERE slot = ? AND seat_number = ? AND booking_id = ?"),

		insertEvent:   sql(d.unlessExists(e.insert("{prefix}events"), "id")),
		updateEvent:   sql(e.without("id").update("{prefix}events"), " WHERE id = ?"),
		touchEvent:    sql("UPDATE {prefix}events SET updated_at = ? WHERE id = ?"),
		finishEvent:   sql("UPDATE {prefix}events SET updated_at = ?, reason = CASE WHEN state IN ('failed', 'dead') THEN '' ELSE reason END, state = ? WHERE id = ?"),
		insertHandler: sql(d.unlessExists("INSERT INTO {prefix}event_handlers (event_id, handler) VALUES (?, ?)", "event_id, handler")),

		change:  sql("SELECT c.fingerprint, c.booking_id FROM {prefix}changes c WHERE c.change_key = ?", lock),
		seatsOf: sql("SELECT b.seats FROM {prefix}bookings b WHERE b.id = ? AND b.version = ?", lock),
		booking: sql(selectBooking, " WHERE b.id = ?"),
		bookingPayments: sql("SELECT ", b.list("b"), ", ", p.list("p"),
			" FROM {prefix}bookings b LEFT JOIN {prefix}payments p ON p.booking_id = b.id WHERE b.id = ?", lock),
		bookingOfSession: sql(selectBooking, " WHERE b.session_id = ? ORDER BY b.created_at DESC, b.id DESC LIMIT 1"),
		bookingOfPayment: sql("SELECT ", b.list("b"), " FROM {prefix}payments p JOIN {prefix}bookings b ON b.id = p.booking_id",
			" WHERE p.session_id = ? ORDER BY p.created_at DESC, p.id DESC LIMIT 1"),
		bookingsByUser:    sql(selectBooking, " WHERE b.user_id = ?", page("b.created_at", "b.id")),
		history:           sql("SELECT ", h.list("h"), " FROM {prefix}history h WHERE h.booking_id = ? ORDER BY h.version DESC"),
		payment:           sql(selectPayment, " WHERE p.payment_intent_id = ?"),
		paymentOwner:      sql("SELECT p.booking_id FROM {prefix}payments p WHERE p.payment_intent_id = ?", lock),
		paymentsByBooking: sql(selectPayment, " WHERE p.booking_id = ?", page("p.created_at", "p.id")),
		paymentsByUser:    sql(selectPayment, " WHERE p.user_id = ?", page("p.created_at", "p.id")),
		takenSeats:        sql("SELECT s.seat_number FROM {prefix}seats s WHERE s.slot = ? AND s.seat_number <= ?"),
		event:             sql(selectEvent, " WHERE e.id = ?", lock),
		eventForUpdate:    sql(selectEvent, " WHERE e.id = ?", d.forUpdate),
		events:            strings.ReplaceAll(selectEvent, "{prefix}", prefix),

		createMigrations: sql("CREATE TABLE IF NOT EXISTS {prefix}migrations (version INTEGER NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL)", d.tableOptions),
		lastMigration:    sql("SELECT COALESCE(MAX(version), 0) FROM {prefix}migrations"),
		insertMigration:  sql("INSERT INTO {prefix}migrations (version, name) VALUES (?, ?)"),
	}
}

// eventsWhere is the statement that lists the events of a filter, and its
// arguments before those of the page.
func (s *schema) eventsWhere(f store.EventFilter) (string, []any) {
	var where []string
	var args []any
	add := func(term string, arg any) {
		where, args = append(where, term), append(args, arg)
	}
	if f.State != "" {
		add("e.state = ?", string(f.State))
	}
	if f.Type != "" {
		add("e.type = ?", f.Type)
	}
	// A stored time has whole milliseconds: it is at or after From exactly if
	// it is at or after the next whole one.
	if !f.From.IsZero() {
		add("e.received_at >= ?", ceilMillis(f.From))
	}
	if !f.To.IsZero() {
		add("e.received_at < ?", ceilMillis(f.To))
	}
	if len(where) == 0 {
		where = append(where, "1 = 1")
	}
	q := s.events + " WHERE " + strings.Join(where, " AND ") +
		strings.NewReplacer("%[1]s", "e.received_at", "%[2]s", "e.id").Replace(pageOf)
	if s.dialect.rebind != nil {
		q = s.dialect.rebind(q)
	}
	return q, args
}

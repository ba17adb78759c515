// Package sqlstore keeps the records of package store in an SQL database,
// through database/sql. It imports no driver: the caller opens the database with
// one of its choice and hands over the *sql.DB.
//
// # SQLite
//
// With modernc.org/sqlite (pure Go) or github.com/mattn/go-sqlite3;
// this data source name is right for both, the drivers are called "sqlite" and
// "sqlite3":
//
//	db, err := sql.Open("sqlite",
//		"file:bookings.db?_busy_timeout=5000&_journal_mode=WAL&_synchronous=FULL&_txlock=immediate")
//	...
//	st, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
//	...
//	err = st.Migrate(ctx)
//
// Before modernc's version 1.55 the same is written
// _pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate.
// The store looks at the settings before its first write, and refuses to write
// with an error that names what to add:
//
//   - _busy_timeout: how long, in milliseconds, a writer waits for another
//     process. Writers of one Store wait in a line of their own before that,
//     until their ctx ends.
//   - _journal_mode=WAL: readers never wait for a writer, nor it for them. It
//     needs a file on a local disk; each connection to ":memory:" would be
//     another database.
//   - _synchronous=FULL: what was committed outlives a power cut.
//   - _txlock=immediate is for the caller's own transactions; see Join. What
//     this package does is right without it.
//
// SQLite 3.37 or newer is needed.
//
// # PostgreSQL
//
// With github.com/jackc/pgx/v5/stdlib or github.com/lib/pq; the drivers are called
// "pgx" and "postgres":
//
//	db, err := sql.Open("pgx", "postgres://app:secret@localhost:5432/shop")
//	...
//	st, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.Postgres})
//	...
//	err = st.Migrate(ctx)
//
// PostgreSQL 14 or newer is needed; the tests were run on 15. The store looks at
// the settings before its first write, and refuses to write unless
//
//   - the database's encoding is UTF8. Its collation does not matter: ids and keys
//     have their own, "C".
//   - synchronous_commit is not off: what was committed outlives a crash.
//
// Bound the pool with db.SetMaxOpenConns to what the server's max_connections
// leaves for this process, and keep idle connections (db.SetMaxIdleConns): a new
// one costs the server more than a booking.
//
// Confirming a new booking is one statement. It is one round trip with pgx, and
// with lib/pq where the data source name has binary_parameters=yes; without, lib/pq
// asks for the arguments' types first.
//
// A pooler that gives every transaction another connection, such as PgBouncer with
// pool_mode=transaction, is welcome: the store keeps no state of a session. The
// driver must not either. Add to the data source name
//
//   - for pgx default_query_exec_mode=exec (or cache_describe, or simple_protocol).
//     Its default prepares statements by name, which PgBouncer knows how to follow
//     from version 1.21 on, with max_prepared_statements set; that was not tried.
//   - for lib/pq binary_parameters=yes. This one matters: without it, lib/pq
//     sends a statement and its arguments in two steps, between which the pooler may
//     change the connection, and the arguments meet another caller's statement.
//
// What the store writes by itself is READ COMMITTED, whatever
// default_transaction_isolation says, but for the one statement of a new booking and
// reads, which are right under any. A deadlock or a serialization failure is tried
// again, five times in all, as long as ctx lasts.
//
// Tables are made and found by the search_path; behind a pooler set it for the role
// or the database, not for the session.
//
// # Schema
//
// [Store.Migrate] brings the tables up to date, from any number of processes at
// once. Those who have a migration tool take the same steps from [Migrations].
// The names of the tables start with Config.TablePrefix, "stripebooking_" unless
// set: bookings, payments, events, event_handlers, history, seats, changes, and
// migrations. They are there to be read by anybody, for reports and dashboards;
// write to them only through this package. Times are milliseconds since 1970
// UTC, amounts are in Stripe's minor unit.
//
// # Join
//
// The caller's own tables can be written in the same transaction as a Change,
// in two ways. With InTx, the store's transaction runs the caller's code for
// each Change that applies, whoever asked for it: webhook, confirm or
// reconciler.
//
//	sqlstore.Config{DB: db, Dialect: sqlstore.SQLite,
//		InTx: func(ctx context.Context, tx *sql.Tx, c store.Change) error {
//			if c.Booking == nil || c.Booking.State != store.StateConfirmed || c.History.From == store.StateConfirmed {
//				return nil // not the Change that confirms a booking
//			}
//			_, err := tx.ExecContext(ctx, "INSERT INTO outbox (booking_id) VALUES (?)", c.Booking.ID)
//			return err
//		}}
//
// Whatever else InTx does to the records goes through With(tx): a call of the store
// itself has another connection, which would wait for the rows of this Change.
//
// A booking takes several Changes: it is held, gets its session, is paid, and later
// news may add to it. Booking.State and History.From tell which one it is.
//
// With [Store.With], the library works within a transaction of the caller's; the
// services take such a store in methods called With of their own.
//
//	tx, err := db.BeginTx(ctx, nil) // on SQLite immediate: _txlock in the data source name
//	...
//	defer tx.Rollback()
//	res, err := st.With(tx).Apply(ctx, change)
//	if err != nil {
//		return err // store.ErrConflict: nothing of the Change is in tx
//	}
//	if res.Applied { // and not before, by another delivery
//		_, err = tx.ExecContext(ctx, "INSERT INTO outbox (booking_id) VALUES (?)", change.Booking.ID)
//		...
//	}
//	return tx.Commit() // only now is it final
//
// On PostgreSQL the transaction may have any isolation level. From REPEATABLE READ
// on it can't see what was committed since it began, so a Change that meets such a
// row is neither a replay nor a conflict, but the driver's error with SQLSTATE 40001:
// run the whole transaction again, as such transactions need anyway. A ctx that ends
// while the server works ends the connection as well, and with it the transaction.
//
// # How it works
//
// A Change is one transaction. Its rows are inserted in the order in which a
// conflict is judged: the key (table changes), the version (history), the
// payment intents (payments), the seats (seats). Each insert names its unique
// key and does nothing when that is taken, which the store reads off the count
// of rows; it then gives up the whole transaction, and reads what the winner
// left. So a race is decided by a unique key alone, and no error of the database
// about one ever comes out.
//
// On PostgreSQL a new booking without claims, and without InTx, is one statement, in
// which only the insert of the key may do nothing and all others select from what it
// returns. A clash on any other key undoes the statement; the transaction described
// above is then run to find out what to say.
//
// A failed call returns the driver's error, wrapped. Worth a second try at once
// are only failures of the transaction as a whole, such as a serialization
// failure or a deadlock elsewhere; those the store tries itself, five times in
// all. SQLITE_BUSY after the busy timeout comes back to the caller, and
// store.IsTransient is true for it.
package sqlstore

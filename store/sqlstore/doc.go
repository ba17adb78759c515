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
// again, up to twenty times, for five seconds and as long as ctx lasts.
//
// A standby that takes over may lack what was committed last, unless it is one of
// synchronous_standby_names: Stripe has its 200 by then, and will not send those events
// again. After such a failover send them once more, from a little before it: "stripe
// events resend", or by Stripe's dashboard.
//
// Tables are made and found by the search_path; behind a pooler set it for the role
// or the database, not for the session.
//
// # MariaDB and MySQL
//
// With github.com/go-sql-driver/mysql; the driver is called "mysql":
//
//	db, err := sql.Open("mysql", "app:secret@tcp(localhost:3306)/shop?interpolateParams=true")
//	...
//	st, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.MySQL})
//	...
//	err = st.Migrate(ctx)
//
// MariaDB 10.6, or MySQL 8.0.17, or newer is needed. The tests were run on MariaDB
// 10.11. Nothing was run on MySQL: what is said of it here is from its manual, and its
// statements are those that were run on MariaDB, but for a new booking's.
//
// The store looks at the settings before its first write, and refuses to write unless
//
//   - character_set_client, _connection and _results are utf8mb4, as the driver has
//     them unless told otherwise: in another, two programs would mean different ids by
//     the same text. The collations of connection, database and server do not matter:
//     the tables have their own, which compares bytes and does not pad.
//   - sql_mode has STRICT_TRANS_TABLES or STRICT_ALL_TABLES: nothing is cut.
//   - autocommit is ON, completion_type NO_CHAIN and unique_checks ON.
//   - innodb_flush_log_at_trx_commit is 1, and with a binary log sync_binlog too: what
//     was committed outlives a crash.
//   - binlog_format is not STATEMENT, where there is a binary log: InnoDB refuses to
//     write in READ COMMITTED then.
//   - group_concat_max_len is 65536 or more, on MariaDB, which cuts lists at it.
//   - the tables are InnoDB's.
//
// The driver's own parameters don't matter, clientFoundRows and parseTime included,
// and multiStatements is not needed. Only readTimeout and writeTimeout end a command on
// a connection that has gone silent, for the driver does not watch ctx while it commits:
// the call returns with ctx, its connection stays in use until then. With
// interpolateParams=true a statement takes one round trip instead of two.
//
// Confirming a new booking is one statement on MariaDB, a block that is a transaction:
// one round trip with interpolateParams=true, and two without. MySQL has no such
// statement; there, and wherever InTx is set, it is a transaction of eight round trips,
// or thirteen, and InTx adds two that make sure of its transaction.
//
// What the store writes by itself is READ COMMITTED, whatever transaction_isolation
// says. A deadlock, or a lock that was not to be had within innodb_lock_wait_timeout,
// is tried again, up to twenty times, for five seconds and as long as ctx lasts.
//
// When ctx ends, the driver closes the connection, but the server goes on with the
// statement that it has, and waits for a lock as long as innodb_lock_wait_timeout says:
// set that to a few seconds. A new booking may still come out of it; the same Change
// again finds out.
//
// A failover is survived: a connection whose server takes no writes any more (error
// 1290, 1792 or 1836) is closed, and the settings of the next one are looked at again;
// for transactions of your own add rejectReadOnly=true, by which the driver does so.
// But a replica that takes over may lack what was committed last, unless replication is
// semi-synchronous or a group's: Stripe has its 200 by then, and will not send those
// events again. After such a failover send them once more, from a little before it:
// "stripe events resend", or by Stripe's dashboard.
//
// Reads must reach the server that was written to. A proxy that sends them to a
// replica shows the page after the payment the time before it.
//
// # Schema
//
// [Store.Migrate] brings the tables up to date, from any number of processes at
// once. Those who have a migration tool take the same steps from [Migrations].
// On MariaDB and MySQL every statement of a migration is final by itself: one that was
// cut short is completed by the next Migrate.
//
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
// On MariaDB and MySQL the transaction may have any isolation level as well. What a
// Change depends on is read with a lock, so that it is what others have committed until
// then, also in the snapshot of a REPEATABLE READ, which is the default; Booking and the
// other reads are of the snapshot. Where innodb_snapshot_isolation is ON, as it is by
// default on MariaDB 11.8, the server ends a REPEATABLE READ transaction that meets a
// newer row (error 1020), as it ends any at a deadlock (error 1213). The driver does not
// follow: further statements are committed one by one, and Tx.Commit succeeds. The joined
// store says that the transaction is over, and refuses to write from then on; roll back,
// and run the whole of it again. InTx must not run a statement that commits, as CREATE
// TABLE does there.
//
// # How it works
//
// A Change is one transaction. Its rows are inserted in the order in which a
// conflict is judged: the key (table changes), the version (history), the
// payment intents (payments), the seats (seats). Each insert names its unique
// key and does nothing when that is taken, which the store reads off the
// driver's result; it then gives up the whole transaction, and reads what the winner
// left. So a race is decided by a unique key alone, and no error of the database
// about one ever comes out.
//
// On PostgreSQL a new booking without claims, and without InTx, is one statement, in
// which only the insert of the key may do nothing and all others select from what it
// returns. A clash on any other key undoes the statement; the transaction described
// above is then run to find out what to say.
//
// On MariaDB it is one as well: a block whose inserts are plain ones, and whose handler
// rolls back on any error. Elsewhere, "INSERT ... ON DUPLICATE KEY UPDATE" changes
// nothing, and fails on another unique index than the key.
//
// A failed call returns the driver's error, wrapped. Worth a second try at once
// are only failures of the transaction as a whole, such as a serialization
// failure or a deadlock elsewhere; those the store tries itself, as said above.
// SQLITE_BUSY after the busy timeout comes back to the caller, and
// store.IsTransient is true for it.
package sqlstore

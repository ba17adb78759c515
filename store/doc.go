// Package store is the contract between this library and a database: the
// records that are kept, the one unit of work that is written (a [Change]), and
// what an adapter must guarantee about it. It imports only the standard library;
// everything that an adapter's author needs is on this page, and
// storetest.Run checks all of it.
//
// # Records
//
// A [Booking] is what a customer gets. A [Payment] is what Stripe took, or tried
// to take, for it: one for each payment intent, any number for each booking. An
// [Event] is the ledger's row for one event that Stripe delivered. A [History]
// line says what moved a booking from one version to the next. A [Seat] belongs
// to at most one booking.
//
// Money is an int64 in Stripe's minor unit of the currency. Times are UTC and
// kept to the millisecond; see [Time]. Ids, keys, slots and names are valid
// UTF-8 of 1 to 255 bytes without NUL and are compared byte for byte: case,
// accents and trailing spaces count, so a column that holds one needs a binary
// collation.
//
// # The guarantees
//
// G1, atomic: all of a Change is visible or none of it, to every reader, also
// when the process dies or the connection drops at any point.
//
// G2, once: a Key names a successful outcome. When it is applied again nothing
// is written, Result.Applied is false and Result holds what is stored now.
// [ErrMismatch] is returned only when the stored fingerprint and the new one are
// both set and differ. Nothing else is compared: two deliveries of one event
// differ in their raw JSON and in the times at which they came.
//
// G3, one winner: of any number of concurrent Changes that want the same key,
// version of a booking, new payment intent or last free seat, exactly one
// applies. The others get the replayed result or [ErrConflict]: never a part of
// a write, never a raw error of the database such as a duplicate key or a
// serialization failure. A claim of seats conflicts only when too few are free.
// ErrConflict is final for that call: no command of it may take effect later.
//
// G4, one payment intent belongs to one payment of one booking, for ever, across
// keys and kinds of events. Bookings without a payment (free ones) need no
// intent, and any number of them exist side by side.
//
// G5, reads see what the same process applied, at once. Lists are newest first,
// by creation time and then id, both descending, in keyset pages: a row that is
// added while somebody pages neither repeats nor hides another.
//
// G6, context: a call whose ctx is cancelled or past its deadline stops soon and
// returns an error that wraps ctx.Err(). The outcome is all or nothing; the same
// Change again finds out which.
//
// G7, errors are [ErrNotFound], [ErrConflict], [ErrMismatch], [ErrInvalid] or the
// driver's own, all wrapped so that errors.Is and errors.As work.
// [IsTransient] tells those for which trying again later can help.
//
// G8, join: where the database has transactions, the caller's own tables can be
// written in the same one. How is the adapter's to say; see sqlstore and mongostore.
//
// G9, cost: a Change for a booking that does not exist yet (Version 0) needs no
// read before it. A replay writes no row. Every read is served by an index.
//
// G10, schema: an adapter that needs a schema brings numbered migrations that
// may be run again, and from many processes at once.
//
// # Writing an adapter
//
// Let every race be decided by a unique key of the database, never by a lock of
// the process, a lease, or a read followed by a write. Five keys are enough: the
// Change's Key; the pair of booking id and version (the history line); the
// payment intent; the pair of slot and seat number; the event id. Start Apply
// with [Change.Validate], hold the Change against the stored seats with
// [Change.CheckSeats], give back the booking as [Change.Next] has it plus the seats
// that were claimed, and merge ledger rows with [MergeEvent] and
// [MergeFailure], so that all adapters agree on the rules.
//
// When several things are wrong with a Change, the first of these decides: the
// key (replay or ErrMismatch), the version, the payment intents, the seats.
//
// docs/adapters.md leads through it, with a worked example in examples/boltstore.
package store

// Package mongostore keeps the records of package store in MongoDB, standalone, in a
// replica set or behind mongos, without a transaction. The caller connects the
// client and hands over a *mongo.Database.
//
//	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://localhost:27017"))
//	...
//	st, err := mongostore.New(mongostore.Config{Database: client.Database("shop")})
//	...
//	err = st.Migrate(ctx)
//
// MongoDB 4.2 or newer is needed, as by the driver. The tests run on FerretDB 1.24, and
// with TEST_MONGODB_URI on any server; what they can't see there is listed at the end.
//
// Writes are acknowledged by a majority of servers, on disk; reads are from the
// primary, and of what a majority has. The store asks for that itself, whatever the
// client's settings are. Leave retryWrites on, as it is by default, and give the ctx
// of a call a deadline: while no majority can be reached, calls wait. Just after another
// server has become the primary, a read may miss the newest writes for a moment; one with
// a session in its ctx (which are causally consistent unless told otherwise) does not miss
// those of the session. No Change is refused for what such a read misses.
//
// # How it works
//
// There is one collection, the journal, with the prefix "stripebooking_journal". Its
// documents are only ever inserted, and the insert of a Change's document is the commit:
// the document is the Change, with its key as _id, and holds all of the booking and its
// payments as they are after it, the history line and the ledger's entry.
//
// Every race is decided by a unique index. Documents form chains of numbers without a
// gap, and whoever wants to add to one takes the next number, which can be had once:
//
//   - bookingId and version: a booking is what its highest version says.
//   - eventId and entry: so is a ledger row, by its highest entry. A failed attempt
//     and a handler that has succeeded are documents that have an entry and no booking.
//   - claim and round: a claim is a payment intent, which has one holder for ever, or a
//     slot, whose highest round says which of its seats are taken.
//
// A Change is planned from the highest numbers that were read, and inserted. When a
// number is taken the server refuses the document with a duplicate key, and the journal
// is read to find out why: the key is there, so it is a replay, or was this very
// insert, which the driver had sent twice (each has a random tx); or another Change
// won, which is a conflict if it took the version, the intent or the last seats, and
// else a reason to plan again. A rival that is not yet on a majority of servers is
// waited for. Since nothing is ever taken back and no unique field ever changes, an
// insert that comes late is refused as well.
//
// What was read decides for good only where it says no for what is not there: that no
// seat has been given up, that a booking has not come to the version that it was read
// at. A server that has been replaced as the primary, and does not know it yet, would
// say that as well. So these reads have linearizable concern: the server has to prove to a
// majority, after it has read, that it is the primary, and fails or waits if it can't. (MongoDB
// promises this for filters that name one document. These find several, but documents
// of the journal stay as they are in all that they are found by, so that a read that
// comes after an insert finds it.) A server that is in no replica set refuses the concern,
// and needs none. A transaction can't have it: there a conflict is what the transaction
// sees, and a replaced primary can't commit what is written after it.
//
// A document has room for one claim. A Change that needs several, such as seats in two
// slots, is several documents in one insert command: the parts, one for each further
// claim, and the Change last. Parts count when the Change is there. One whose Change does
// not come, since its process or its server died in between, is voided by whoever is in
// need of its claim: a document with the tx of the missing Change, which is unique, so that
// exactly one of the two gets in, and the next number is free to take.
//
// # Lists
//
// A document has a place in a list where a booking or payment is new, or has got another
// user. A list is read by its places, and then what is there now by its chains, so
// that a place which is out of date is skipped. Places of the ledger are taken away when
// the entry has a successor, with the payload that the successor repeats: this is the
// only update there is, and nothing depends on it. A process that is killed before it
// leaves one place more for lists to skip.
//
// A place in the list of a state is found by the index, so that the rare failed event
// is found without a look at the others.
//
// # Cost
//
// In commands, each of which is one round trip:
//
//	a new booking, with or without a payment        1  insert
//	the next version, such as a hold that is paid   2  find, insert
//	seats, for each slot that they are in          +1  find
//	a payment and seats in a new booking at once    3  find, find, insert
//	a replay of a new booking                       2  insert, find
//	a replay of a later version                     1  find
//	a hold when no seat is free (*)                 3  find, find, find
//	a new booking whose event has failed before     5  insert, find, find, insert, update
//	a failure                                       2  find, insert
//	an entry of an event that has one already      +1  update
//	a booking, an event, a history                  1  find
//	all other reads, each page of a list            2  find, find
//
// (*) The last two with linearizable concern; alone, a server refuses the first of these,
// and there are 4.
//
// A version holds the whole booking with its payments, some two kilobytes, and its
// event. A page of bookings or payments reads all versions of those that are on it.
//
// # Indexes and views
//
// [Store.Migrate] makes the indexes, from any number of processes at once, and on
// MongoDB two views, with the prefix "stripebooking_bookings" and
// "stripebooking_payments", of what is stored now. They are for people, and read the
// whole journal. Maps of the user's, such as details, are arrays of pairs of key and
// value; times are dates; amounts are in Stripe's minor unit. Write to the journal only
// through this package, let nothing expire there, and don't shard it: the unique
// indexes could not be kept.
//
// Before its first write a Store looks at the unique indexes, and does not write when
// one is missing or is not what it must be.
//
// # Join
//
// Where MongoDB has transactions, the caller's own collections can be written in the
// same one: give every call a ctx with the caller's session.
//
//	session, err := client.StartSession()
//	...
//	defer session.EndSession(ctx)
//	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
//		res, err := st.Apply(ctx, change)
//		if err != nil || !res.Applied { // store.ErrConflict: nothing of the Change is in
//			return nil, err
//		}
//		return outbox.InsertOne(ctx, bson.M{"booking": change.Booking.ID})
//	}, options.Transaction().SetReadConcern(readconcern.Majority()).SetWriteConcern(writeconcern.Majority()))
//
// The concerns are those of the transaction, so ask for these. A duplicate key ends a
// transaction, so here a Change is looked up before it is inserted, for one or two more
// commands, and a replay or a conflict that can be seen leaves the transaction as it
// was. One with a rival that it can't see yet ends it: the error is the driver's, which
// WithTransaction takes as a reason to run the whole again. Places in the ledger's
// lists are left for lists to skip.
//
// # What the tests can't see
//
// FerretDB, on which the tests run unless TEST_MONGODB_URI names another server, decides
// every race by the unique indexes as MongoDB does. It has nothing of what is
// relied on here besides:
//
//   - write and read concern: that what a majority has acknowledged outlives the loss of
//     a primary, and is all that is read, and that linearizable reads miss nothing. The
//     tests see that they are asked for, hide a rival's document as a read of the majority
//     would, and hide what a replaced primary misses from all but linearizable reads.
//   - retryable writes. The tests let FerretDB pass for one of a replica set, so that the
//     driver sends again what had no answer; FerretDB then takes it for a rival's.
//   - sessions and transactions. The tests see which commands are sent in one.
//   - indexes for anything but _id, and sparse ones. The tests hold each filter against
//     the keys of the indexes by MongoDB's rules; a real server is asked to explain it.
//   - views.
//
// No index is over an array, so that multikey indexes are not relied on.
package mongostore

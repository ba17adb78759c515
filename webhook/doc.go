// Package webhook is the http.Handler that Stripe delivers events to. It checks
// the signature, settles what the library knows about, runs your own handlers,
// keeps a ledger of every event, and answers so that Stripe repeats exactly what
// is worth repeating.
//
//	h, err := webhook.New(webhook.Config{
//		Secrets:  []string{os.Getenv("STRIPE_WEBHOOK_SECRET")},
//		Store:    st,
//		Payments: payments,
//		Mode:     payment.Live,
//	})
//	mux.Handle("/api/payment/webhook", h)
//
// Mount it where nothing reads or rewrites the body: the signature is over the
// bytes as they were sent. Give the http.Server a ReadTimeout, since a context
// can't stop a client that sends slowly.
//
// # What Stripe says, and what we answer
//
//	delivery                                       answer         stored
//	--------                                       ------         ------
//	not POST                                       405            nothing
//	body over the limit (default 1 MiB)            413            nothing
//	no or bad signature                            400            nothing
//	too old, or in the future, beyond tolerance    400            nothing
//	signed, but not an event                       400            nothing
//	processed, now or before (a duplicate)         200            done
//	type without a handler                         200            ignored: no_handler
//	not made by this library or its site           200            ignored: not_ours
//	other livemode                                 200            ignored: other_livemode
//	other account                                  200            ignored: other_account
//	paid, but not as agreed                        200            done; payment recorded, booking conflicted
//	permanent failure: ours, but broken metadata   200 (or 400)   dead, with the reason
//	database or Stripe away, handler failed,       503,           failed, with the reason,
//	race not settled in time, panic, deadline      Retry-After    if the database answers
//
// A dead event is tried again when it is delivered once more, or replayed.
//
// The body is {"success":bool,"message":"…"}, and never says what went wrong
// inside; that is in the ledger and in the log. Stripe repeats everything that is
// not 2xx, a 400 too, for up to three days: so what no repetition can mend is
// answered 200, unless [Config].PermanentStatus says 400. See
// https://docs.stripe.com/webhooks#retries
//
// When Stripe hangs up, the event is processed to its end all the same. Only
// [Config].Deadline ends it; all that is called inherits it. Two seconds more are
// allowed to note in the ledger what became of it.
//
// # Built-in types
//
// With Payments, these settle by themselves, in any order and any number of
// times; subscribe the endpoint to all of them:
//
//	checkout.session.completed                 settles when paid; otherwise waits
//	checkout.session.async_payment_succeeded   a delayed payment has arrived
//	checkout.session.async_payment_failed      a delayed payment will not arrive
//	checkout.session.expired                   the hold ends, seats are free again
//	payment_intent.succeeded                   settles by itself, also when it comes first
//	payment_intent.payment_failed              the failed attempt with Stripe's code; no booking
//
// # Handlers of your own
//
// [Handler.Handle] adds one for a type, [Handler.HandleAll] one for all types. A
// handler runs after the built-in's work is stored, with the booking and payment
// in its [Event]; for an event that is ignored it does not run. It also runs when
// there is no booking, or one that is not confirmed, as while a delayed payment is on its
// way or when another amount was paid: look at Event.Booking and its State
// first. Types that are not built in have no owner that could be read: a handler for
// one gets all of them, without a booking.
//
// A handler is run at least once for an event, and may run twice at the same time.
// Besides, Stripe may report one thing by two events: as two types, or as one type
// twice. And one type may bring two pieces of news about one object, such as two
// refunds. So let the key of what a handler does be what it does: the booking's id with
// "confirmed" for a mail that says so, the refund's id for what is paid back; Event.ID
// only where a second time does no harm. When it fails or panics, the event is answered 503 and Stripe's next delivery runs those handlers
// that have not succeeded yet, and only those.
//
// # The ledger
//
// Every verified event has a row: applied (stored, handlers are still to run),
// done, ignored, failed (another attempt is expected) or dead (failed for good).
// [Handler.Events] lists them by state, type and time, [Handler.Event] shows one,
// [Handler.Replay] and [Handler.ReplayAll] process stored events again: after a
// bug is mended, or to have a new codec or handler look at old events. A paid
// event of another livemode or account logs an error, since it tells of a wrong
// configuration; once that is right, a replay settles it.
//
// [Handler.ProcessEvent] takes events that were verified by other means, such as
// those that a reconciler finds in Stripe's list of events.
//
// # What is logged
//
// One Info line for each verified event (type, id, outcome, booking,
// milliseconds), an Error with the reason for each that is dead or failed and
// for a panic, with its stack, and a Warn for each delivery that is refused.
// Secrets, payloads and customer data are never logged and never part of an error
// of this package. What your handlers' errors say is yours to keep clean.
package webhook

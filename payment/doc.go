// Package payment speaks to Stripe: it makes checkout sessions, and takes what
// Stripe says about them and makes it so.
//
//	payments, err := payment.New(payment.Config{
//		Store:      store,                        // any adapter of package store
//		SecretKey:  os.Getenv("STRIPE_SECRET_KEY"),
//		Mode:       payment.Test,
//		SuccessURL: "https://example.com/payment/success",
//		CancelURL:  "https://example.com/",
//	})
//
// # One way in
//
// [Service.Settle] is the only function that turns a payment into a booking. It
// takes [booking.Facts], what Stripe says about a session, plans one
// [store.Change] with package booking, and applies it. The webhook, [Service.Confirm],
// a reconciler and a replay all end there. They may run at the same time, in any
// order, any number of times, in any number of processes: a unique key in the
// database decides every race, and who loses plans again from what won. A payment
// that Stripe took is always recorded, also when it can't be honoured: then the
// booking is conflicted, with the reason.
//
// # A payment's way
//
// [Service.Checkout] holds a booking with its seats and makes the session that it
// is paid with. Stripe's pay page takes the money. Stripe's webhook brings the
// news to package webhook, which asks [DecodeEvent] and [Service.FactsOf] what the
// event says and calls Settle. Meanwhile the customer is back at the success URL,
// where the page asks [Service.VerifyHandler] until the booking is there.
//
// Sites that make their sessions themselves leave Checkout out and add
// booking.Plain to [Config.Codecs]: then the session's metadata is what was agreed,
// and there is no hold.
//
// # What Stripe is asked
//
// Sessions only, through stripe-go with a client of this package's own: create,
// retrieve (with the intent and its latest charge), list, expire. Every call has
// [Config.Timeout] and the deadline of its ctx, and is repeated at most once. A
// session's event is never asked about; an intent's only when neither its metadata
// nor the store tells enough. No exported name mentions a type of stripe-go's.
//
// Stripe's JSON is read in one place, whether it comes in an event or as an
// answer, and read narrowly: API versions from 2020-08-27 on are understood. Where
// a session of Adaptive Pricing says what was agreed in the currency of the
// integration, that is what counts.
//
// # Errors
//
// They are named in this package, in booking (ErrNotOurs, ErrMetadata) and in
// store, wrapped with the operation's name. No text has a secret, a payload, a
// metadata value or a customer's data; Stripe's refusals appear with Stripe's code
// and parameter only.
//
// # Not here yet
//
// Refunds, disputes, a checkout for the balance of a half payment (Settle
// understands its payment), a reconciler, and the end of holds that have no session,
// such as after a crash before it was made, or when the one before was let go and
// the next could not be made: their seats are kept until the attempt is repeated.
package payment

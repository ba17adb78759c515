// Package webhooktest helps to test a service that takes Stripe's events: it
// builds events that look like Stripe's, signs them as Stripe does, and hands them
// to an http.Handler without a network. It needs nothing but the standard library,
// so it serves any handler, this library's or one of your own.
//
// # A test in five lines
//
//	func TestPaid(t *testing.T) {
//		service := newService("whsec_test") // your http.Handler, and the secret that it expects
//		w := webhooktest.Deliver(service, webhooktest.SessionCompleted(webhooktest.Session{Amount: 5000}), "whsec_test")
//		if w.Code != http.StatusOK || !service.paid("cs_test_1") {
//			t.Fatal(w.Code, w.Body)
//		}
//	}
//
// The secret is any text, the same on both sides. [Deliver] returns the answer, so
// whatever the handler does before it answers has been done.
//
// # With package webhook
//
// A webhook.Handler with payments looks for its own metadata. Of the types that it
// settles, an event without is answered 200 and ignored, and handlers that you
// registered do not run for it; those for other types always do. With booking.Plain
// among payment.Config.Codecs, this is enough for a confirmed booking, if amountToPay
// is what was paid:
//
//	paid := webhooktest.Session{Amount: 5000, Metadata: map[string]string{"userId": "u1", "amountToPay": "50.00"}}
//	w := webhooktest.Deliver(handler, webhooktest.SessionCompleted(paid), secret)
//
// A session that ended unpaid, or whose delayed payment failed, then leaves no booking:
// only the ledger's row tells of it. Where Checkout has stored a hold, that expires;
// the metadata of such a session is what booking.Marked encodes of a booking.Order.
//
// The event of an intent that is paid, except with Marked's metadata, makes the handler ask Stripe for
// the session, as the two may come in any order. So that a test does not reach for the
// network, set payment.Config.APIBase: to package payment/stripetest, which is there for
// tests of all that happens from the checkout on, or to where nobody listens, such as
// http://127.0.0.1:1. The intent's own metadata must do then; without any, and when it
// disagrees with the amount, the answer is 503, to try again later.
//
// # Events
//
// There is a builder for each type that the library handles: [SessionCompleted],
// [SessionAsyncPaymentSucceeded], [SessionAsyncPaymentFailed], [SessionExpired],
// [IntentSucceeded] and [IntentFailed]. [Event] is for every other type: give it
// the object that the event is about. What a [Session] or an [Intent] leaves out has
// a default that fits the rest; what is set is told as it is, even where Stripe would
// not. A session without an amount is one that costs nothing.
//
// The same arguments give the same bytes: times are fixed, and an event's id follows
// from what it says. So the same event delivered twice is a duplicate, as Stripe sends
// them; one with another amount, or first unpaid and then paid, is another event; and
// so is the same with an EventID of its own, which Stripe sends now and then as well.
// Two paid sessions need two IDs and two Intents. SessionCompleted and IntentSucceeded report one payment when the session's
// Intent is the intent's ID, as by default.
//
// The shapes are those of API version 2023-10-16. With an APIVersion before
// 2022-11-15 a payment intent has a list of charges instead of its latest one.
//
// # Trouble
//
//	Deliver(h, event, "new", "old")                       signed with both, as while a secret is rolled
//	Deliver(h, event, "another")                          by somebody else
//	Deliver(h, event)                                     with v0 alone, which proves nothing
//	DeliverAt(h, event, secret, now.Add(-time.Hour))      long ago: played back
//	DeliverAt(h, event, secret, now.Add(time.Hour))       in the future
//	Shuffle(seed, one, two, one)                          out of order, the same way for the same seed
//
// The first must be taken and the next three refused; so is the future by this library,
// though not by stripe-go. Events in any order must lead to the same. [DeliverAt] is also for a handler whose clock the test sets. For
// anything else, [SignedRequest] makes the request, and [Sign] the header alone, to
// be changed before they are used.
package webhooktest

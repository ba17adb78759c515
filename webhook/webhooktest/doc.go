// Package webhooktest helps to test a service that takes Stripe's events: it
// builds events that look like Stripe's, signs them as Stripe does, and hands them
// to an http.Handler without a network. It needs nothing but the standard library,
// so it serves any handler, this library's or one of your own.
//
// # A test in five lines
//
//	func TestPaid(t *testing.T) {
//		service := newService("whsec_test") // your http.Handler, and the secret that it expects
//		event := webhooktest.SessionCompleted(webhooktest.Session{Amount: 5000})
//		w := webhooktest.Deliver(service, event, "whsec_test")
//		if w.Code != http.StatusOK || !service.paid("cs_test_1") {
//			t.Fatal(w.Body)
//		}
//	}
//
// The secret is any text, the same on both sides. [Deliver] returns the answer, so
// whatever the handler does before it answers has been done.
//
// # With package webhook
//
// A webhook.Handler with payments looks for its own metadata: an event without is
// answered 200 and ignored, and handlers that you registered for its type do not
// run. With booking.Plain among payment.Config.Codecs, this is enough for a
// confirmed booking, if amountToPay is what was paid:
//
//	paid := webhooktest.Session{Amount: 5000, Metadata: map[string]string{"userId": "u1", "amountToPay": "50.00"}}
//	w := webhooktest.Deliver(handler, webhooktest.SessionCompleted(paid), secret)
//
// The event of an intent can make the handler ask Stripe. For a test of that, or of
// all that there is from the checkout on, let package payment/stripetest be Stripe.
//
// # Events
//
// There is a builder for each type that the library handles: [SessionCompleted],
// [SessionAsyncPaymentSucceeded], [SessionAsyncPaymentFailed], [SessionExpired],
// [IntentSucceeded] and [IntentFailed]. [Event] is for every other type: give it
// the object that the event is about. What a [Session] or an [Intent] leaves out has
// a default that fits the rest.
//
// The same arguments give the same bytes: ids are derived and times are fixed. So
// the same event delivered twice is a duplicate, as Stripe sends them; two paid
// sessions need two IDs and two Intents; and another EventID is another event about
// the same. SessionCompleted and IntentSucceeded report one payment when the session's
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
// The first must be taken and the next four refused; and events in any order must
// lead to the same. [DeliverAt] is also for a handler whose clock the test sets. For
// anything else, [SignedRequest] makes the request, and [Sign] the header alone, to
// be changed before they are used.
package webhooktest

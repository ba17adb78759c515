// Package webhooktest helps to test a service that takes Stripe's events: it
// builds events that look like Stripe's, signs them, and delivers them to an
// http.Handler without a network. It needs nothing but the standard library, so
// it serves any handler.
//
//	event := webhooktest.SessionCompleted(webhooktest.Session{Amount: 5000, Metadata: meta})
//	w := webhooktest.Deliver(handler, event, secret)
//	if w.Code != http.StatusOK {
//		t.Fatal(w.Body)
//	}
//
// # Events
//
// There is a builder for each type that the library handles: [SessionCompleted],
// [SessionAsyncPaymentSucceeded], [SessionAsyncPaymentFailed], [SessionExpired],
// [IntentSucceeded] and [IntentFailed]; [Event] makes all others. The same
// arguments give the same bytes: ids are derived and times are fixed. So calling a
// builder twice is a duplicate, a session's and an intent's event with the same
// Intent and ID report one payment, and another EventID is another event.
//
// A builder knows the shapes of API versions before and after 2022-11-15, when a
// payment intent's list of charges became its latest charge.
//
// # Signatures
//
// [Sign] makes a header with any secret at any time, so that wrong, old and
// future ones are made with it too; [SignedRequest] takes several secrets, as
// while one is rolled. [Deliver] signs now; [DeliverAt] at the time that an
// injected clock shows. [Shuffle] brings events out of order, the same way for
// the same seed.
package webhooktest

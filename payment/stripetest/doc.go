// Package stripetest is a stand-in for the part of Stripe that a booking service needs: checkout sessions, payment
// intents, refunds, disputes, events, a pay page, and signed webhook deliveries. It is for tests and demos, as net/http/httptest is: no
// account, no network, no money. It keeps everything in memory and listens on this machine only.
//
// # Starting
//
//	srv := stripetest.NewServer(stripetest.Config{})
//	defer srv.Close()
//
// The service under test gets srv.URL as the address of the API, srv.SecretKey and srv.WebhookSecret. The client is the
// real one; for stripe-go it is
//
//	stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: stripe.String(srv.URL)})
//
// New gives the same as an http.Handler, for a server of one's own.
//
// The example called Booking wires it to package payment and package webhook, with a clock: checkout, payment, webhook, verified.
//
// # Running alone
//
// For services in other languages, and to try things by hand, there is a command, which has a documentation of its own:
//
//	$ go run github.com/carevia/stripebooking/payment/stripetest/cmd/stripetest -webhook http://127.0.0.1:8080/webhook
//
// That is within a module that requires this one. Elsewhere append @latest, or a version; it must have been published. In
// CI, "go build" it first and stop that process: "go run" starts another, which outlives it. GET /healthz needs no key,
// and is 200 as soon as there is somebody to talk to.
//
// With curl, a session is made, paid by its customer, and its event delivered:
//
//	$ until curl -sf http://127.0.0.1:12111/healthz; do sleep 0.1; done
//	$ curl http://127.0.0.1:12111/v1/checkout/sessions -u sk_test_stripetest: -d mode=payment \
//	    -d success_url=http://127.0.0.1:8080/success -d 'line_items[0][quantity]=1' \
//	    -d 'line_items[0][price_data][currency]=eur' -d 'line_items[0][price_data][unit_amount]=4500' \
//	    -d 'line_items[0][price_data][product_data][name]=Elder care' -d 'metadata[userId]=ada'
//	$ curl http://127.0.0.1:12111/pay/cs_test_… -d action=pay
//
// With Stripe's own command-line tool, in another terminal, with the service on port 8080 and
// STRIPE_WEBHOOK_SECRET=whsec_stripetest:
//
//	$ alias st='stripe --api-key sk_test_stripetest --api-base http://127.0.0.1:12111'
//	$ st trigger checkout.session.completed --add 'checkout_session:metadata[userId]=ada'
//	$ st payment_intents list --limit 1
//	$ st refunds create --payment-intent pi_… --amount 1000
//	$ st events list --type 'checkout.session.*'
//	$ st events resend evt_…
//
// With -chaos much goes wrong, as the section on chaos says.
//
// The tool forwards no events by "stripe listen", since that speaks to Stripe alone: -webhook is for that.
//
// # What it answers
//
//	POST /v1/checkout/sessions                 mode payment; line items with price or price_data; metadata on the session and its intent
//	GET  /v1/checkout/sessions                 payment_intent, status, customer, created[…], limit, starting_after, ending_before
//	GET  /v1/checkout/sessions/{id}            expand[]: payment_intent, payment_intent.latest_charge, line_items
//	GET  /v1/checkout/sessions/{id}/line_items
//	POST /v1/checkout/sessions/{id}/expire     only while it is open
//	GET  /v1/payment_pages/{id}                what the pay page asks; not documented by Stripe, but its tool uses it
//	POST /v1/payment_pages/{id}/confirm        payment_method, expected_amount
//	POST /v1/payment_intents                   confirm=true or not; captured at once
//	GET  /v1/payment_intents                   customer
//	GET  /v1/payment_intents/{id}              expand[]: latest_charge, payment_method
//	POST /v1/payment_intents/{id}/confirm      not those of sessions, neither cancel
//	POST /v1/payment_intents/{id}/cancel
//	POST /v1/payment_methods                   card or sepa_debit, of Stripe's test numbers and tokens
//	GET  /v1/payment_methods/{id}
//	GET  /v1/charges                           payment_intent, customer, transfer_group
//	GET  /v1/charges/{id}                      expand[]: refunds, dispute, payment_intent
//	POST /v1/refunds                           of a charge or an intent, whole or in part
//	GET  /v1/refunds                           charge, payment_intent
//	GET  /v1/refunds/{id}                      expand[]: charge, payment_intent
//	POST /v1/refunds/{id}                      metadata
//	GET  /v1/disputes                          charge, payment_intent
//	GET  /v1/disputes/{id}                     expand[]: charge, payment_intent
//	POST /v1/disputes/{id}                     evidence without files, submit, metadata
//	POST /v1/disputes/{id}/close
//	POST /v1/products
//	GET  /v1/products                          active
//	GET  /v1/products/{id}
//	POST /v1/prices                            of one payment, not recurring; product or product_data
//	GET  /v1/prices                            active, currency, product, type
//	GET  /v1/prices/{id}                       expand[]: product
//	GET  /v1/events                            type, types[], created[…], delivery_success
//	GET  /v1/events/{id}
//	POST /v1/events/{id}/retry                 the tool's "events resend": to webhook_endpoint, or to all that want it
//	GET  /v1/webhook_endpoints                 those of AddEndpoint
//	GET  /v1/webhook_endpoints/{id}
//	GET  /healthz                              200, without a key
//	GET  /pay/{id}                             the page that a session's url leads to
//	POST /pay/{id}                             its form, action=pay, bank, decline, cancel, bank-paid or bank-failed; see below
//
// Lists are paged and take created[…] alike.
//
// Answers have the shape of API version 2023-10-16, whatever version is asked for. Requests are checked as Stripe checks
// them, with its error bodies: required and unknown parameters, currencies and their steps, minimum and maximum amounts,
// metadata's limits, URLs, expires_at between 30 minutes and 24 hours ahead, wrong states. What Stripe knows and the
// stand-in does not (mode subscription, discounts, tax, shipping, capturing later, 3D Secure) is refused with the code
// stripetest_unsupported, never ignored, and a path it does not know with 404. Customers' ids are taken as they are.
// Connected accounts are not there.
//
// Idempotency keys work as documented (https://docs.stripe.com/api/idempotent_requests): the same key and parameters
// get the stored status and body, a stored 500 too, with the header Idempotent-Replayed; other parameters or another
// endpoint get 400; while the first request is under way, 409. A key is forgotten after 24 hours, and is
// not used up by a request that fails its checks, is not authorized or meets a rate limit. The order matters: keys are
// compared first, so a replay is not checked again.
//
// # Playing the customer
//
// Pay, Decline, PayDelayed with SettleDelayed, and Expire do what the buttons of the pay page and the bank do, and
// return the session as it then is. As on Stripe, a session has no payment intent before the first attempt, and all
// its attempts share one. CreateSession makes a session without a request, for sites that make their own; it can
// also have a tax, a shipping cost or a discount, so that amount_total differs from amount_subtotal. Emit makes any
// event.
//
// The pay page does the same, by its buttons or without a browser: action=pay (with a session of delayed methods alone
// what bank does), bank (PayDelayed) and cancel are answered with 303 back to the site; a cancel with 200 where the
// session has no cancel_url; a voucher with 200, since its customer stays at Stripe; decline with 402. A later
// bank-paid or bank-failed is SettleDelayed. What can't be done gets 400, an unknown session 404, an expired one 410.
//
//	$ curl http://127.0.0.1:12111/pay/cs_test_… -d action=bank
//	$ curl http://127.0.0.1:12111/pay/cs_test_… -d action=bank-paid
//
// Through the API, Stripe's test cards (https://docs.stripe.com/testing) do what they do there: pm_card_visa and the other
// brands pay, pm_card_chargeDeclined… are declined, pm_card_createDispute, …DisputeProductNotReceived and …DisputeInquiry
// open a dispute after the payment, pm_card_pendingRefund and pm_card_refundFail make refunds change later; by token
// (tok_visa) and number as well. The test accounts for SEPA debits of Austria and Germany answer at once or, the delayed
// ones, after three minutes of Config.Now. Refunds to bank accounts take days of it. What follows by itself comes after
// the request's answer, so that a delayed payment is seen as processing, and before the next request.
//
// # Deliveries
//
// AddEndpoint registers a URL. From then on every event is sent there in the background, at once, and again on any answer
// but 2xx, with the pauses of Config.RetryDelays. Wait returns when nothing is under way any more, and Deliveries tells
// each attempt. Deliveries of one event differ in pending_webhooks, as on Stripe.
//
// A test that must decide the order itself calls Hold first, and then Deliver for one event (again and again if it
// likes, from as many goroutines as it likes) and DeliverAll for what waits.
//
// # Time
//
// With a Clock, days pass in no time and nothing is left to chance:
//
//	clock := stripetest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
//	srv := stripetest.NewServer(stripetest.Config{Clock: clock})
//	… // the service gets clock.Now too: it checks how old signatures are
//	clock.Advance(3 * 24 * time.Hour)
//
// First attempts leave at once, and Wait is enough for them; what is put off, retries and the delays of a Chaos, needs
// Advance. It delivers what becomes due, in the order in which it does: a failed delivery is tried again after five, ten,
// twenty, … minutes until three days are over, as on Stripe in live mode (which publishes the three days and the
// exponential back-off, and no single pauses; https://docs.stripe.com/webhooks#automatic-retries). For a sandbox's
// three retries in a few hours, set Config.RetryDelays. On the way sessions expire, idempotency keys are forgotten
// after 24 hours, and the API lists events for 30 days; GET /v1/events?delivery_success=false has those that some
// endpoint has not taken.
//
// Two things look like errors of the service and are the clock's. A service that was not given clock.Now makes sessions
// whose expires_at Stripe refuses ("Stripe refused the request"). And Verify of package payment asks Stripe again two
// seconds of its Config.Now after an answer that was "not paid yet": advance the clock between two of them.
//
// Without a Clock, retries and delays take real time; all else follows Config.Now, at which the stand-in looks
// whenever it is used. Tick makes it look. How long an endpoint may take is real time always.
//
// # Faults
//
// Fail makes the next requests of a route go wrong: an error of the server with or without the work done, a rate
// limit, a broken connection, a wait until the test goes on. Count and Requests tell what reached the stand-in:
//
//	srv.Fail("POST /v1/checkout/sessions", stripetest.Fault{Cut: true, Done: true})
//	…
//	srv.Count("POST /v1/checkout/sessions") // 2, if the client tried again
//	len(srv.Sessions())                     // 1, if it used its idempotency key
//
// # Chaos
//
// Config.Chaos and SetChaos make all that go wrong by itself, and the network as well: duplicates, twins (two
// events about the same, with two ids, so that a handler's own work must not rest on the event's id), delays, another
// order, attempts that get lost, bodies that arrive in halves, answers that don't arrive. Each has its rate, and BadDay
// has some of everything:
//
//	srv := stripetest.NewServer(stripetest.Config{Clock: clock, Chaos: stripetest.BadDay()})
//	…
//	t.Errorf("seed %d: %d bookings instead of %d", srv.Seed, got, want)
//
// What gets lost are attempts to deliver, never events: the retries arrive. So when the service is done and the clock
// is four days on, everything must be as on a good day.
//
// A Config.Seed reproduces the run. The same calls in the same order meet the same faults; and so that a test with many
// customers at the same time is reproducible too, no decision depends on an order that the scheduler makes. It depends
// on the seed, and for an event on its id, the endpoint (by the order in which they were added), the copy and the
// attempt; for a request on its route, what it is about (the id in its path, client_reference_id, payment_intent or
// charge), and how many such came before. So give sessions a client_reference_id (Checkout of package payment does: the
// booking's id), and let no two customers share one. Still left to the scheduler is who comes first of those who are at
// the same session at the same time, and who among requests that are about nothing, such as lists.
//
// # Ids
//
// They have Stripe's shapes. Every stand-in makes new ones, so that a database that outlives it never sees an id twice.
// With a Config.Seed they are the same for the same calls: the id of a session depends on its client_reference_id, and
// those of all that belongs to a session on the session's; without one on what was made before.
package stripetest

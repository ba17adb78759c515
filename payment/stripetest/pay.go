package stripetest

import (
	"errors"
	"fmt"
	"time"
)

// Errors of the methods that play the customer; test for them with errors.Is.
var (
	ErrNoSession   = errors.New("stripetest: no such session")
	ErrNotOpen     = errors.New("stripetest: the session is not open")
	ErrOnlyDelayed = errors.New("stripetest: none of the session's payment methods pays at once: use PayDelayed and SettleDelayed")
	ErrNoCard      = errors.New("stripetest: the session takes no card that could be declined; for delayed methods use PayDelayed and SettleDelayed")
	ErrNoDelayed   = errors.New("stripetest: the session has no delayed payment method")
	ErrNotWaiting  = errors.New("stripetest: the session waits for no delayed payment")
)

func wrap(what string, err error) error { return fmt.Errorf("stripetest: %s: %w", what, err) }

// Pay is the customer paying by card, or by another method of the session that pays at once: the session becomes
// complete and paid. Events: payment_intent.created with the first attempt, charge.succeeded, payment_intent.succeeded,
// checkout.session.completed; only the last when there is nothing to pay. ErrOnlyDelayed: what pays later is never paid
// when the session completes (https://docs.stripe.com/payments/payment-methods#payment-notification).
func (s *Stripe) Pay(sessionID string) (Session, error) { return s.act(sessionID, s.pay) }

// Decline is a card that is declined: the session stays open, the payment intent remembers the error and is used
// again by the next attempt. The code is the bank's, such as insufficient_funds; empty means generic_decline.
// Events: payment_intent.created with the first attempt, charge.failed, payment_intent.payment_failed.
// https://docs.stripe.com/declines/codes. ErrNoCard when the session takes none.
func (s *Stripe) Decline(sessionID, code string) (Session, error) {
	return s.act(sessionID, func(ss *session) error { return s.decline(ss, code) })
}

// PayDelayed is the customer paying by a method that tells days later whether it paid: the session becomes complete
// and stays unpaid until SettleDelayed. Events: payment_intent.created with the first attempt, charge.pending and
// payment_intent.processing, checkout.session.completed. With a voucher (boleto, konbini, multibanco, oxxo) or a bank
// transfer (customer_balance) there is no charge yet, and instead of the two payment_intent.requires_action, with what
// the customer must do as its next_action.
func (s *Stripe) PayDelayed(sessionID string) (Session, error) {
	return s.act(sessionID, s.payDelayed)
}

// SettleDelayed is the bank's news about a delayed payment. Events: charge.succeeded, payment_intent.succeeded and
// checkout.session.async_payment_succeeded, or charge.failed, payment_intent.payment_failed and
// checkout.session.async_payment_failed. A voucher that fails has expired, which none does by itself here; it had no
// charge, so charge.failed is missing. A bank transfer does not fail: one that never comes is waited for.
func (s *Stripe) SettleDelayed(sessionID string, ok bool) (Session, error) {
	return s.act(sessionID, func(ss *session) error { return s.settleDelayed(ss, ok) })
}

// Expire ends an open session before its time. Event: checkout.session.expired.
func (s *Stripe) Expire(sessionID string) (Session, error) {
	return s.act(sessionID, func(ss *session) error {
		if ss.status != "open" {
			return ErrNotOpen
		}
		s.expire(ss, cause{})
		return nil
	})
}

func (s *Stripe) act(id string, do func(*session) error) (Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	defer s.pump()
	ss := s.sessions.byID[id]
	if ss == nil {
		return Session{}, ErrNoSession
	}
	err := do(ss)
	return ss.export(), err
}

// customerMethod is what the customer pays with whom the exported methods play.
func (ss *session) customerMethod(kind string) *method {
	email := ss.email
	if email == "" {
		email = "customer@example.com"
	}
	return newMethod(kind, &payer{email: email, name: "Test Customer", address: address{country: "US", postalCode: "12345"}})
}

func (s *Stripe) pay(ss *session) error {
	kind := ss.promptMethod()
	switch {
	case ss.status != "open":
		return ErrNotOpen
	case kind == "" && ss.total > 0:
		return ErrOnlyDelayed
	}
	m := ss.customerMethod(kind)
	if ss.total > 0 {
		s.succeed(s.attempt(s.intentOf(ss, cause{}), m), cause{})
	}
	s.complete(ss, m, cause{})
	return nil
}

func (s *Stripe) decline(ss *session, code string) error {
	switch {
	case ss.status != "open":
		return ErrNotOpen
	case ss.total == 0:
		return errors.New("stripetest: nothing is to be paid, so nothing can be declined")
	case !ss.takesCards():
		return ErrNoCard
	}
	s.fail(s.attempt(s.intentOf(ss, cause{}), ss.customerMethod("card")), declined(code), cause{})
	return nil
}

func (s *Stripe) payDelayed(ss *session) error {
	kind := ss.delayedMethod()
	switch {
	case ss.status != "open":
		return ErrNotOpen
	case kind == "" || ss.total == 0:
		return ErrNoDelayed
	}
	if err := s.submit(ss, ss.customerMethod(kind), cause{}); err != nil {
		return err
	}
	return nil
}

func (s *Stripe) settleDelayed(ss *session, ok bool) error {
	switch {
	case !ss.waits():
		return ErrNotWaiting
	case !ok && ss.intent.method.kind == transfer:
		return errors.New("stripetest: Stripe never says that a bank transfer failed: one that does not come is waited for")
	}
	s.settle(ss.intent, ok)
	return nil
}

// waits reports whether a delayed payment is on its way.
func (ss *session) waits() bool {
	return ss.intent != nil && (ss.intent.status == "processing" || ss.intent.status == "requires_action")
}

// submit is the pay page with a payment method filled in. When that is declined the session stays open.
func (s *Stripe) submit(ss *session, m *method, c cause) *apiError {
	if ss.total > 0 {
		if err := s.confirm(s.intentOf(ss, c), m, c); err != nil {
			return err
		}
	}
	s.complete(ss, m, c)
	return nil
}

func (s *Stripe) complete(ss *session, m *method, c cause) {
	ss.status = "complete"
	if ss.intent != nil && ss.intent.status == "succeeded" {
		ss.paymentStatus = "paid"
	}
	ss.payer = &payer{}
	if m.payer != nil {
		*ss.payer = *m.payer
	}
	if ss.payer.email == "" {
		ss.payer.email = ss.email
	}
	s.emit("checkout.session.completed", ss.json(nil), c)
}

// intentOf is a session's payment intent, which the first attempt makes.
func (s *Stripe) intentOf(ss *session, c cause) *intent {
	if ss.intent == nil {
		defer s.named(ss.id)()
		ss.intent = &intent{
			session: ss, terms: ss.intentTerms, amount: ss.total, currency: ss.currency, methods: ss.methods, status: "requires_payment_method",
		}
		s.keepIntent(ss.intent, c)
	}
	return ss.intent
}

func (s *Stripe) keepIntent(pi *intent, c cause) {
	pi.head = head{s.id("pi_3", 23), s.now()}
	pi.secret = pi.id + "_secret_" + s.id("", 25)
	s.intents.add(pi)
	s.emit("payment_intent.created", pi.json(nil), c)
}

func (s *Stripe) cancelIntent(pi *intent, reason string, c cause) {
	pi.status, pi.canceledAt, pi.reason = "canceled", s.now(), reason
	s.emit("payment_intent.canceled", pi.json(nil), c)
}

// attempt makes the charge of an attempt to pay; whoever calls it decides how that ends.
func (s *Stripe) attempt(pi *intent, m *method) *charge {
	defer s.named(pi.id)()
	s.keepMethod(m)
	pi.charge = &charge{head: head{s.id("ch_3", 23), s.now()}, intent: pi, method: m}
	s.charges.add(pi.charge)
	return pi.charge
}

// confirm tries to pay. A card pays at once or is declined, a delayed method is pending; followUp may have more.
func (s *Stripe) confirm(pi *intent, m *method, c cause) *apiError {
	if pushed(m.kind) {
		s.await(pi, m, c)
		return nil
	}
	ch := s.attempt(pi, m)
	switch {
	case m.card != nil && m.card.decline != "":
		e := declined(m.card.decline)
		s.fail(ch, e, c)
		return e
	case delayed(m.kind):
		ch.status = "pending"
		pi.status, pi.method, pi.lastError = "processing", m, nil
		s.emit("charge.pending", ch.json(nil), c)
		s.emit("payment_intent.processing", pi.json(nil), c)
	default:
		s.succeed(ch, c)
	}
	return nil
}

// await tells the customer where to bring the money.
func (s *Stripe) await(pi *intent, m *method, c cause) {
	defer s.named(pi.id)()
	s.keepMethod(m)
	pi.status, pi.method, pi.lastError, pi.waitsSince = "requires_action", m, nil, s.now()
	s.emit("payment_intent.requires_action", pi.json(nil), c)
}

// followUp is what a test card or test account does after the payment: a dispute, the bank's answer.
func (s *Stripe) followUp(pi *intent) {
	c := pi.charge
	if pi.status == "requires_action" {
		return
	}
	m := c.method
	switch {
	case m.card != nil && m.card.dispute != "":
		s.openDispute(c, m.card.dispute, m.card.inquiry)
	case m.bank != nil:
		s.at(s.now()+int64(m.bank.after/time.Second), func() {
			if c.status == "pending" {
				s.settle(pi, !m.bank.fails)
			}
		})
		s.wake()
	}
}

// settle is the bank's answer to a pending charge, or the money of a customer who was to send it.
func (s *Stripe) settle(pi *intent, ok bool) {
	pushed := pi.status == "requires_action"
	if ok && pushed {
		s.attempt(pi, pi.method)
	}
	switch {
	case ok:
		s.succeed(pi.charge, cause{})
	case pushed:
		s.failIntent(pi, pi.method, unpaid("expired", "The customer did not pay in time."), cause{})
	default:
		s.fail(pi.charge, unpaid("failed", "The customer's bank could not make the payment."), cause{})
	}
	switch ss := pi.session; {
	case ss == nil:
	case ok:
		ss.paymentStatus = "paid"
		s.emit("checkout.session.async_payment_succeeded", ss.json(nil), cause{})
	default:
		s.emit("checkout.session.async_payment_failed", ss.json(nil), cause{})
	}
}

// unpaid is why a delayed payment was not made.
func unpaid(how, message string) *apiError {
	code := "payment_intent_payment_attempt_" + how
	return &apiError{Type: "invalid_request_error", Code: code, DocURL: docURL(code), Message: message}
}

func (s *Stripe) succeed(ch *charge, c cause) {
	ch.status, ch.failure = "succeeded", nil
	pi := ch.intent
	pi.status, pi.method, pi.lastError = "succeeded", ch.method, nil
	s.emit("charge.succeeded", ch.json(nil), c)
	s.emit("payment_intent.succeeded", pi.json(nil), c)
}

func (s *Stripe) fail(ch *charge, e *apiError, c cause) {
	e.Charge = ch.id
	ch.status, ch.failure = "failed", e
	s.emit("charge.failed", ch.json(nil), c)
	s.failIntent(ch.intent, ch.method, e, c)
}

func (s *Stripe) failIntent(pi *intent, m *method, e *apiError, c cause) {
	e.Method = m.json(nil)
	pi.status, pi.method, pi.lastError = "requires_payment_method", nil, e
	s.emit("payment_intent.payment_failed", pi.json(nil), c)
}

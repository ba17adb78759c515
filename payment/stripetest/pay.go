package stripetest

import (
	"errors"
	"fmt"
)

// Errors of the methods that play the customer; test for them with errors.Is.
var (
	ErrNoSession  = errors.New("stripetest: no such session")
	ErrNotOpen    = errors.New("stripetest: the session is not open")
	ErrNoDelayed  = errors.New("stripetest: the session has no delayed payment method")
	ErrNotWaiting = errors.New("stripetest: the session waits for no delayed payment")
)

func wrap(what string, err error) error { return fmt.Errorf("stripetest: %s: %w", what, err) }

// Pay is the customer paying by card: the session becomes complete and paid. Events: payment_intent.created with the
// first attempt, charge.succeeded, payment_intent.succeeded, checkout.session.completed; only the last when there is
// nothing to pay.
func (s *Stripe) Pay(sessionID string) (Session, error) { return s.act(sessionID, s.pay) }

// Decline is a card that is declined: the session stays open, the payment intent remembers the error and is used
// again by the next attempt. The code is the bank's, such as insufficient_funds; empty means generic_decline.
// Events: payment_intent.created with the first attempt, charge.failed, payment_intent.payment_failed.
// https://docs.stripe.com/declines/codes
func (s *Stripe) Decline(sessionID, code string) (Session, error) {
	return s.act(sessionID, func(ss *session) error { return s.decline(ss, code) })
}

// PayDelayed is the customer paying by a method that tells days later whether it paid: the session becomes complete
// and stays unpaid until SettleDelayed. Events: payment_intent.created with the first attempt, charge.pending,
// payment_intent.processing, checkout.session.completed.
func (s *Stripe) PayDelayed(sessionID string) (Session, error) {
	return s.act(sessionID, s.payDelayed)
}

// SettleDelayed is the bank's news about a delayed payment. Events: charge.succeeded, payment_intent.succeeded and
// checkout.session.async_payment_succeeded, or charge.failed, payment_intent.payment_failed and
// checkout.session.async_payment_failed.
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
	s.expireDue()
	defer s.pump()
	ss := s.byID[id]
	if ss == nil {
		return Session{}, ErrNoSession
	}
	err := do(ss)
	return ss.export(), err
}

// attempt makes the charge of a new attempt to pay, and the intent when it is the first.
func (s *Stripe) attempt(ss *session, kind string) *charge {
	defer s.named(ss.id)()
	email := ss.email
	if email == "" {
		email = "customer@example.com"
	}
	p := &payer{email: email, name: "Test Customer", country: "US", postalCode: "12345"}
	if ss.intent == nil {
		pi := &intent{id: s.id("pi_3", 23), created: s.now(), session: ss, status: "requires_payment_method", methods: ss.methods}
		pi.secret = pi.id + "_secret_" + s.id("", 25)
		ss.intent = pi
		s.intents[pi.id] = pi
		s.emit("payment_intent.created", pi.json(nil), cause{})
	}
	c := &charge{id: s.id("ch_3", 23), method: s.id("pm_1", 23), kind: kind, created: s.now(), intent: ss.intent, payer: p}
	ss.intent.charge = c
	return c
}

func (s *Stripe) pay(ss *session) error {
	if ss.status != "open" {
		return ErrNotOpen
	}
	if ss.total == 0 {
		ss.status = "complete"
		ss.payer = &payer{email: "customer@example.com", name: "Test Customer", country: "US"}
		s.emit("checkout.session.completed", ss.json(nil), cause{})
		return nil
	}
	kind := "card"
	if !contains(ss.methods, kind) {
		kind = ss.methods[0]
	}
	c := s.attempt(ss, kind)
	s.succeed(c)
	ss.status, ss.paymentStatus, ss.payer = "complete", "paid", c.payer
	s.emit("checkout.session.completed", ss.json(nil), cause{})
	return nil
}

func (s *Stripe) succeed(c *charge) {
	c.status, c.failure = "succeeded", nil
	pi := c.intent
	pi.status, pi.method, pi.lastError = "succeeded", c.method, nil
	s.emit("charge.succeeded", c.json(), cause{})
	s.emit("payment_intent.succeeded", pi.json(nil), cause{})
}

func (s *Stripe) fail(c *charge, e *paymentError) {
	e.Charge, e.Method = c.id, c.paymentMethod()
	c.status, c.failure = "failed", e
	pi := c.intent
	pi.status, pi.method, pi.lastError = "requires_payment_method", "", e
	s.emit("charge.failed", c.json(), cause{})
	s.emit("payment_intent.payment_failed", pi.json(nil), cause{})
}

func (s *Stripe) decline(ss *session, code string) error {
	if ss.status != "open" {
		return ErrNotOpen
	}
	if ss.total == 0 {
		return errors.New("stripetest: nothing is to be paid, so nothing can be declined")
	}
	e := &paymentError{Type: "card_error", Code: "card_declined", DeclineCode: code, Message: "Your card was declined."}
	switch code {
	case "":
		e.DeclineCode = "generic_decline"
	case "insufficient_funds":
		e.Message = "Your card has insufficient funds."
	case "expired_card":
		e.Code, e.Message = code, "Your card has expired."
	case "incorrect_cvc":
		e.Code, e.Message = code, "Your card's security code is incorrect."
	case "processing_error":
		e.Code, e.Message = code, "An error occurred while processing your card. Try again in a little bit."
	}
	e.DocURL = docURL(e.Code)
	s.fail(s.attempt(ss, "card"), e)
	return nil
}

func (s *Stripe) payDelayed(ss *session) error {
	method := ss.delayedMethod()
	switch {
	case ss.status != "open":
		return ErrNotOpen
	case method == "" || ss.total == 0:
		return ErrNoDelayed
	}
	c := s.attempt(ss, method)
	c.status = "pending"
	pi := ss.intent
	pi.status, pi.method, pi.lastError = "processing", c.method, nil
	s.emit("charge.pending", c.json(), cause{})
	s.emit("payment_intent.processing", pi.json(nil), cause{})
	ss.status, ss.payer = "complete", c.payer
	s.emit("checkout.session.completed", ss.json(nil), cause{})
	return nil
}

func (s *Stripe) settleDelayed(ss *session, ok bool) error {
	if ss.intent == nil || ss.intent.status != "processing" {
		return ErrNotWaiting
	}
	if ok {
		s.succeed(ss.intent.charge)
		ss.paymentStatus = "paid"
		s.emit("checkout.session.async_payment_succeeded", ss.json(nil), cause{})
		return nil
	}
	s.fail(ss.intent.charge, &paymentError{
		Type: "invalid_request_error", Code: "payment_intent_payment_attempt_failed", DocURL: docURL("payment_intent_payment_attempt_failed"),
		Message: "The customer's bank could not make the payment.",
	})
	s.emit("checkout.session.async_payment_failed", ss.json(nil), cause{})
	return nil
}

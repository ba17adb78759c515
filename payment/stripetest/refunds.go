package stripetest

import "time"

// Refunds. https://docs.stripe.com/api/refunds

type refund struct {
	head
	charge   *charge
	amount   int64
	reason   string
	status   string // requires_action, pending, succeeded, failed
	failure  string // why it failed
	metadata map[string]string
}

var refunds = kind[*refund]{
	name: "refund", param: "refund", path: "/v1/refunds", expand: []string{"charge", "payment_intent"},
	filters: []string{"charge", "payment_intent"},
	shelf:   func(s *Stripe) *shelf[*refund] { return &s.refunds },
}

func (r *refund) field(name string) string {
	if name == "charge" {
		return r.charge.id
	}
	return r.charge.intent.id
}

func (r *refund) json(e expansion) map[string]any {
	m := map[string]any{
		"id": r.id, "object": "refund", "amount": r.amount, "balance_transaction": transaction(r.id), "charge": r.charge.id, "created": r.created,
		"currency": r.charge.intent.currency, "metadata": r.metadata, "payment_intent": r.charge.intent.id, "reason": null(r.reason),
		"receipt_number": nil, "source_transfer_reversal": nil, "status": r.status, "transfer_reversal": nil,
	}
	if r.charge.method.kind == "card" {
		m["destination_details"] = map[string]any{"card": map[string]any{"type": "refund"}, "type": "card"}
	}
	if r.status == "requires_action" {
		m["next_action"] = map[string]any{"type": "display_details", "display_details": map[string]any{
			"email_sent": map[string]any{"email_sent_at": r.created, "email_sent_to": r.charge.method.payer.email},
			"expires_at": r.created + 45*24*60*60,
		}}
	}
	if r.status == "failed" {
		m["failure_balance_transaction"], m["failure_reason"] = transaction(r.id)+"f", r.failure
	}
	if e.has("charge") {
		m["charge"] = r.charge.json(nil)
	}
	if e.has("payment_intent") {
		m["payment_intent"] = r.charge.intent.json(nil)
	}
	return m
}

func (s *Stripe) apiCreateRefund(p params, _ string) (work, *apiError) {
	err := p.check([]string{"charge", "payment_intent", "amount", "reason", "metadata.*", "expand.#"},
		[]string{"currency", "customer", "instructions_email", "origin", "refund_application_fee", "reverse_transfer"})
	if err != nil {
		return nil, err
	}
	e, err := p.expansion(refunds.expand, "")
	if err != nil {
		return nil, err
	}
	if err := p.oneOf("reason", "duplicate", "fraudulent", "requested_by_customer"); err != nil {
		return nil, err
	}
	r := &refund{reason: p["reason"], status: "succeeded"}
	if r.metadata, err = p.metadata("metadata"); err != nil {
		return nil, err
	}
	_, byCharge := p["charge"]
	_, byIntent := p["payment_intent"]
	amount, partly, err := p.integer("amount")
	switch {
	case err != nil:
		return nil, err
	case partly && amount < 1:
		return nil, invalid("parameter_invalid_integer", "amount", "Invalid positive integer")
	case byCharge && byIntent:
		return nil, exclusive("payment_intent", "charge")
	case !byCharge && !byIntent:
		return nil, invalid("parameter_missing", "", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	return func(c cause) (any, *apiError) {
		if r.charge, err = s.refundable(p); err != nil {
			return nil, err
		}
		currency, rest := r.charge.intent.currency, r.charge.intent.amount-r.charge.refunded()
		r.amount = rest
		if partly {
			r.amount = amount
		}
		switch {
		case rest == 0:
			return nil, invalid("charge_already_refunded", "", "Charge %s has already been refunded.", r.charge.id)
		case r.amount > rest:
			return nil, invalid("", "amount", "Refund amount (%s) is greater than unrefunded amount on charge (%s)", format(r.amount, currency), format(rest, currency))
		case r.amount%step(currency) != 0:
			return nil, offStep("amount", currency)
		}
		s.refund(r, c)
		shown := r.json(e)
		s.followRefund(r)
		return shown, nil
	}, nil
}

// refundable is the charge that a refund is about.
func (s *Stripe) refundable(p params) (ch *charge, err *apiError) {
	param := "charge"
	if id, ok := p[param]; ok {
		ch, err = charges.find(s, param, id)
	} else {
		param = "payment_intent"
		var pi *intent
		if pi, err = intents.find(s, param, p[param]); err == nil {
			ch = pi.charge
		}
	}
	switch {
	case err != nil:
		return nil, err
	case ch != nil && (ch.method.kind == "boleto" || ch.method.kind == "oxxo"):
		// https://docs.stripe.com/payments/boleto/accept-a-payment#refunds https://docs.stripe.com/payments/oxxo#refunds
		return nil, invalid("", param, "Payments by %s can't be refunded.", ch.method.kind)
	case ch == nil || ch.status != "succeeded":
		return nil, invalid("", param, "%s does not have a successful charge to refund.", p[param])
	case ch.dispute != nil && !ch.dispute.inquiry:
		return nil, invalid("charge_disputed", param, "Charge %s has been charged back; cannot issue a refund.", ch.id)
	}
	return ch, nil
}

// refund gives money back. The charge counts a refund that is still under way.
func (s *Stripe) refund(r *refund, c cause) {
	m := r.charge.method
	switch {
	case m.kind == "konbini" || m.kind == transfer: // the customer is asked for a bank account
		r.status = "requires_action"
	case delayed(m.kind) || m.card != nil && m.card.refund == "succeeded":
		r.status = "pending"
	}
	before := r.charge.json(nil)
	defer s.named(r.charge.id)()
	r.head = head{s.id("re_3", 23), s.now()}
	s.refunds.add(r)
	r.charge.refunds = append(r.charge.refunds, r)
	s.emit("refund.created", r.json(nil), c)
	s.emitChange("charge.refunded", before, r.charge.json(nil), c)
}

// followRefund brings the bank's news about a refund: of a test card that has some at once, of a bank after days.
func (s *Stripe) followRefund(r *refund) {
	card := r.charge.method.card
	if card == nil || card.refund == "" {
		s.refundLater(r)
		return
	}
	before := r.json(nil)
	r.status = card.refund
	if r.status == "failed" {
		r.failure = "expired_or_canceled_card"
	}
	s.refundUpdated(r, before, cause{})
	if r.status == "failed" {
		s.emit("refund.failed", r.json(nil), cause{})
	}
}

// refundPause is how long a refund to a bank account stays in each state: debits "require at least 3 business days to
// process". The customer who must tell an account first (konbini, bank transfers) takes as long here.
//
//	https://docs.stripe.com/payments/ach-direct-debit#refunds
//	https://docs.stripe.com/payments/sepa-debit#refunds
//	https://docs.stripe.com/payments/multibanco#refunds
//	https://docs.stripe.com/payments/konbini/accept-a-payment#refunds
//	https://docs.stripe.com/payments/customer-balance/refunding
const refundPause = 72 * time.Hour

func (s *Stripe) refundLater(r *refund) {
	next, ok := map[string]string{"requires_action": "pending", "pending": "succeeded"}[r.status]
	if !ok {
		return
	}
	s.at(s.now()+int64(refundPause/time.Second), func() {
		before := r.json(nil)
		r.status = next
		s.refundUpdated(r, before, cause{})
		s.refundLater(r)
	})
}

// refundUpdated tells of a change by both the types that Stripe has for it.
func (s *Stripe) refundUpdated(r *refund, before map[string]any, c cause) {
	s.emitChange("refund.updated", before, r.json(nil), c)
	s.emitChange("charge.refund.updated", before, r.json(nil), c)
}

func (s *Stripe) apiUpdateRefund(p params, id string) (work, *apiError) {
	get, e, err := refunds.target(s, p, id, []string{"metadata.*"}, nil)
	if err != nil {
		return nil, err
	}
	return func(c cause) (any, *apiError) {
		r, err := get()
		if err != nil {
			return nil, err
		}
		before := r.json(nil)
		if r.metadata, err = p.merged("metadata", r.metadata); err != nil {
			return nil, err
		}
		s.refundUpdated(r, before, c)
		return r.json(e), nil
	}, nil
}

package stripetest

import (
	"slices"
	"time"
)

// Disputes, and inquiries, which are disputes that took no money yet. https://docs.stripe.com/api/disputes

type dispute struct {
	head
	charge    *charge
	reason    string
	inquiry   bool
	status    string // needs_response, under_review, won, lost; with warning_ before, and warning_closed, for inquiries
	evidence  map[string]string
	submitted int64
	metadata  map[string]string
}

var disputes = kind[*dispute]{
	name: "dispute", param: "dispute", path: "/v1/disputes", expand: []string{"charge", "payment_intent"},
	filters: []string{"charge", "payment_intent"},
	shelf:   func(s *Stripe) *shelf[*dispute] { return &s.disputes },
}

func (d *dispute) field(name string) string {
	if name == "charge" {
		return d.charge.id
	}
	return d.charge.intent.id
}

// evidenceFields are what a dispute can be answered with; the files among them are not taken.
var (
	evidenceFields = []string{
		"access_activity_log", "billing_address", "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_email_address", "customer_name",
		"customer_purchase_ip", "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "refund_policy_disclosure",
		"refund_refusal_explanation", "service_date", "shipping_address", "shipping_carrier", "shipping_date", "shipping_tracking_number", "uncategorized_text",
	}
	evidenceFiles = []string{
		"cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation", "receipt", "refund_policy",
		"service_documentation", "shipping_documentation", "uncategorized_file",
	}
)

// A dispute's times and what it costs, as for a card in the United States.
const (
	disputeTime = 20 * 24 * time.Hour // to answer
	disputeFee  = 1500
)

func (d *dispute) json(e expansion) map[string]any {
	evidence := map[string]any{}
	for _, name := range slices.Concat(evidenceFields, evidenceFiles) {
		evidence[name] = null(d.evidence[name])
	}
	caseType, code := "chargeback", map[string]string{"fraudulent": "10.4", "product_not_received": "13.1"}[d.reason]
	moved := []any{}
	if d.inquiry {
		caseType, code = "inquiry", "10"
	} else {
		moved = append(moved, d.transaction("w", "Chargeback withdrawal", -d.charge.intent.amount, disputeFee))
	}
	if d.status == "won" {
		moved = append(moved, d.transaction("r", "Chargeback reversal", d.charge.intent.amount, 0))
	}
	m := map[string]any{
		"id": d.id, "object": "dispute", "amount": d.charge.intent.amount, "balance_transaction": nil, "balance_transactions": moved, "charge": d.charge.id, "created": d.created,
		"currency": d.charge.intent.currency, "evidence": evidence,
		"evidence_details": map[string]any{
			"due_by": d.created + int64(disputeTime/time.Second), "has_evidence": len(d.evidence) > 0, "past_due": false, "submission_count": d.submitted,
		},
		"is_charge_refundable": d.inquiry, "livemode": false, "metadata": d.metadata, "payment_intent": d.charge.intent.id,
		"payment_method_details": map[string]any{"card": map[string]any{"brand": d.charge.method.card.brand, "case_type": caseType, "network_reason_code": code}, "type": "card"},
		"reason":                 d.reason, "status": d.status,
	}
	if e.has("charge") {
		m["charge"] = d.charge.json(nil)
	}
	if e.has("payment_intent") {
		m["payment_intent"] = d.charge.intent.json(nil)
	}
	return m
}

func (d *dispute) transaction(suffix, what string, amount, fee int64) map[string]any {
	details := []any{}
	if fee > 0 {
		details = append(details, map[string]any{"amount": fee, "application": nil, "currency": d.charge.intent.currency, "description": "Dispute fee", "type": "stripe_fee"})
	}
	return map[string]any{
		"id": transaction(d.id) + suffix, "object": "balance_transaction", "amount": amount, "available_on": d.created, "created": d.created,
		"currency": d.charge.intent.currency, "description": what + " for " + d.charge.id, "exchange_rate": nil, "fee": fee, "fee_details": details,
		"net": amount - fee, "reporting_category": "dispute", "source": d.id, "status": "pending", "type": "adjustment",
	}
}

// state is the dispute's status of a name, which is another for inquiries.
func (d *dispute) state(name string) string {
	if d.inquiry {
		return "warning_" + name
	}
	return name
}

func (d *dispute) open() bool { return d.status == d.state("needs_response") }

// openDispute is the customer, or the bank, who says no after the payment.
func (s *Stripe) openDispute(c *charge, reason string, inquiry bool) {
	defer s.named(c.id)()
	d := &dispute{head: head{s.id("dp_1", 23), s.now()}, charge: c, reason: reason, inquiry: inquiry, metadata: map[string]string{}}
	d.status = d.state("needs_response")
	c.dispute = d
	s.disputes.add(d)
	s.emit("charge.dispute.created", d.json(nil), cause{})
	if !inquiry {
		s.emit("charge.dispute.funds_withdrawn", d.json(nil), cause{})
	}
}

func (s *Stripe) closeDispute(d *dispute, status string, c cause) {
	before := d.json(nil)
	d.status = status
	s.emitChange("charge.dispute.closed", before, d.json(nil), c)
	if status == "won" {
		s.emit("charge.dispute.funds_reinstated", d.json(nil), c)
	}
}

// apiUpdateDispute answers a dispute. As on Stripe, the text winning_evidence wins and losing_evidence loses.
// https://docs.stripe.com/testing#evidence
func (s *Stripe) apiUpdateDispute(p params, id string) (work, *apiError) {
	known := []string{"submit", "metadata.*"}
	for _, name := range evidenceFields {
		known = append(known, "evidence."+name)
	}
	get, e, err := disputes.target(s, p, id, known, []string{"evidence"})
	if err != nil {
		return nil, err
	}
	answered := p.hasAny("evidence")
	submit, err := p.booleanOr("submit", answered)
	return func(c cause) (any, *apiError) {
		d, err := get()
		if err != nil {
			return nil, err
		}
		if (answered || submit) && !d.open() {
			return nil, invalid("", "", "This dispute is already closed or under review.")
		}
		before := d.json(nil)
		if d.metadata, err = p.merged("metadata", d.metadata); err != nil {
			return nil, err
		}
		evidence := map[string]string{}
		for _, name := range evidenceFields {
			if v, ok := p["evidence["+name+"]"]; ok {
				evidence[name] = v
			} else if v, ok := d.evidence[name]; ok {
				evidence[name] = v
			}
		}
		d.evidence = evidence
		if submit {
			d.status = d.state("under_review")
			d.submitted++
		}
		s.emitChange("charge.dispute.updated", before, d.json(nil), c)
		shown := d.json(e)
		switch text := d.evidence["uncategorized_text"]; {
		case submit && d.inquiry && text == "winning_evidence":
			s.closeDispute(d, "warning_closed", cause{})
		case submit && text == "winning_evidence":
			s.closeDispute(d, "won", cause{})
		case submit && text == "losing_evidence" && !d.inquiry:
			s.closeDispute(d, "lost", cause{})
		}
		return shown, nil
	}, err
}

// apiCloseDispute gives in.
func (s *Stripe) apiCloseDispute(p params, id string) (work, *apiError) {
	get, e, err := disputes.target(s, p, id, nil, nil)
	return func(c cause) (any, *apiError) {
		d, err := get()
		switch {
		case err != nil:
			return nil, err
		case !d.open():
			return nil, invalid("", "", "This dispute is already closed or under review.")
		case d.inquiry:
			s.closeDispute(d, "warning_closed", c)
		default:
			s.closeDispute(d, "lost", c)
		}
		return d.json(e), nil
	}, err
}

package stripetest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// The objects as they are kept, and as Stripe writes them in JSON at APIVersion.

type item struct {
	id, price, product, name, description string
	unit, quantity                        int64
	metadata                              map[string]string
}

type session struct {
	id                 string
	created, expiresAt int64
	status             string // open, complete, expired
	paymentStatus      string // unpaid, paid, no_payment_required
	intent             *intent
	items              []item
	currency           string
	subtotal, total    int64
	tax, shipping      int64
	discount           int64
	metadata           map[string]string
	clientReference    string
	customer, email    string
	payer              *payer // filled in on the pay page
	successURL         string
	cancelURL          string
	url                string
	methods            []string
	dynamicMethods     bool // Stripe chose the methods
	customerCreation   string
	locale, submitType string
	billingAddress     string
	promotionCodes     *bool
	phoneNumbers       bool

	// for the payment intent, when there is one
	intentMetadata          map[string]string
	description, receipt    string
	descriptor, suffix      string
	setupFutureUsage, group string
}

type payer struct{ email, name, country, postalCode string }

type intent struct {
	id, secret string
	created    int64
	session    *session
	status     string // requires_payment_method, processing, succeeded, canceled
	methods    []string
	method     string // id of the payment method
	charge     *charge
	lastError  *paymentError
	canceledAt int64
	reason     string // of the cancellation
}

type charge struct {
	id, method, kind string // kind: card, us_bank_account, …
	created          int64
	intent           *intent
	status           string // succeeded, pending, failed
	failure          *paymentError
	payer            *payer
}

type paymentError struct {
	Charge      string         `json:"charge,omitempty"`
	Code        string         `json:"code"`
	DeclineCode string         `json:"decline_code,omitempty"`
	DocURL      string         `json:"doc_url"`
	Message     string         `json:"message"`
	Method      map[string]any `json:"payment_method"`
	Type        string         `json:"type"`
}

// null is written for the empty string.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullTime(t int64) any {
	if t == 0 {
		return nil
	}
	return t
}

// expansion is the set of expand[] paths below an object.
type expansion []string

func (e expansion) has(field string) bool {
	for _, path := range e {
		if path == field || strings.HasPrefix(path, field+".") {
			return true
		}
	}
	return false
}

func (e expansion) below(field string) expansion {
	var out expansion
	for _, path := range e {
		if rest, ok := strings.CutPrefix(path, field+"."); ok {
			out = append(out, rest)
		}
	}
	return out
}

func (ss *session) json(e expansion) map[string]any {
	m := map[string]any{
		"id":                          ss.id,
		"object":                      "checkout.session",
		"after_expiration":            nil,
		"allow_promotion_codes":       ss.promotionCodes,
		"amount_subtotal":             ss.subtotal,
		"amount_total":                ss.total,
		"automatic_tax":               map[string]any{"enabled": false, "liability": nil, "status": nil},
		"billing_address_collection":  null(ss.billingAddress),
		"cancel_url":                  null(ss.cancelURL),
		"client_reference_id":         null(ss.clientReference),
		"client_secret":               nil,
		"consent":                     nil,
		"consent_collection":          nil,
		"created":                     ss.created,
		"currency":                    ss.currency,
		"currency_conversion":         nil,
		"custom_fields":               []any{},
		"custom_text":                 map[string]any{"after_submit": nil, "shipping_address": nil, "submit": nil, "terms_of_service_acceptance": nil},
		"customer":                    null(ss.customer),
		"customer_creation":           null(ss.customerCreation),
		"customer_details":            nil,
		"customer_email":              null(ss.email),
		"expires_at":                  ss.expiresAt,
		"invoice":                     nil,
		"invoice_creation":            map[string]any{"enabled": false, "invoice_data": map[string]any{"account_tax_ids": nil, "custom_fields": nil, "description": nil, "footer": nil, "issuer": nil, "metadata": map[string]string{}, "rendering_options": nil}},
		"livemode":                    false,
		"locale":                      null(ss.locale),
		"metadata":                    ss.metadata,
		"mode":                        "payment",
		"payment_intent":              nil,
		"payment_link":                nil,
		"payment_method_collection":   "if_required",
		"payment_method_options":      map[string]any{"card": map[string]any{"request_three_d_secure": "automatic"}},
		"payment_method_types":        ss.methods,
		"payment_status":              ss.paymentStatus,
		"phone_number_collection":     map[string]any{"enabled": ss.phoneNumbers},
		"recovered_from":              nil,
		"setup_intent":                nil,
		"shipping_address_collection": nil,
		"shipping_cost":               nil,
		"shipping_details":            nil,
		"shipping_options":            []any{},
		"status":                      ss.status,
		"submit_type":                 null(ss.submitType),
		"subscription":                nil,
		"success_url":                 ss.successURL,
		"total_details":               map[string]any{"amount_discount": ss.discount, "amount_shipping": ss.shipping, "amount_tax": ss.tax},
		"ui_mode":                     "hosted",
		"url":                         nil,
	}
	m["payment_method_configuration_details"] = nil
	if ss.dynamicMethods {
		m["payment_method_configuration_details"] = map[string]any{"id": "pmc_stripetest", "parent": nil}
	}
	if ss.status == "open" {
		m["url"] = ss.url
	}
	if p := ss.payer; p != nil {
		m["customer_details"] = map[string]any{
			"address": map[string]any{"city": nil, "country": p.country, "line1": nil, "line2": nil, "postal_code": null(p.postalCode), "state": nil},
			"email":   p.email, "name": p.name, "phone": nil, "tax_exempt": "none", "tax_ids": []any{},
		}
	} else if ss.email != "" {
		m["customer_details"] = map[string]any{"address": nil, "email": ss.email, "name": nil, "phone": nil, "tax_exempt": "none", "tax_ids": nil}
	}
	if ss.intent != nil {
		m["payment_intent"] = ss.intent.id
		if e.has("payment_intent") {
			m["payment_intent"] = ss.intent.json(e.below("payment_intent"))
		}
	}
	if e.has("line_items") {
		data := []any{}
		for _, it := range ss.items {
			data = append(data, it.json(ss))
		}
		m["line_items"] = map[string]any{"object": "list", "data": data, "has_more": false, "url": "/v1/checkout/sessions/" + ss.id + "/line_items"}
	}
	return m
}

func (it item) json(ss *session) map[string]any {
	amount := it.unit * it.quantity
	return map[string]any{
		"id": it.id, "object": "item", "amount_discount": 0, "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount,
		"currency": ss.currency, "description": it.name, "quantity": it.quantity,
		"price": map[string]any{
			"id": it.price, "object": "price", "active": false, "billing_scheme": "per_unit", "created": ss.created, "currency": ss.currency,
			"custom_unit_amount": nil, "livemode": false, "lookup_key": nil, "metadata": map[string]string{}, "nickname": nil, "product": it.product,
			"recurring": nil, "tax_behavior": "unspecified", "tiers_mode": nil, "transform_quantity": nil, "type": "one_time",
			"unit_amount": it.unit, "unit_amount_decimal": strconv.FormatInt(it.unit, 10),
		},
	}
}

func (pi *intent) json(e expansion) map[string]any {
	ss := pi.session
	received := int64(0)
	if pi.status == "succeeded" {
		received = ss.total
	}
	options := map[string]any{}
	for _, kind := range pi.methods {
		options[kind] = map[string]any{}
		if kind == "card" {
			options[kind] = map[string]any{"installments": nil, "mandate_options": nil, "network": nil, "request_three_d_secure": "automatic"}
		}
	}
	m := map[string]any{
		"id":                                   pi.id,
		"object":                               "payment_intent",
		"amount":                               ss.total,
		"amount_capturable":                    0,
		"amount_details":                       map[string]any{"tip": map[string]any{}},
		"amount_received":                      received,
		"application":                          nil,
		"application_fee_amount":               nil,
		"automatic_payment_methods":            nil,
		"canceled_at":                          nullTime(pi.canceledAt),
		"cancellation_reason":                  null(pi.reason),
		"capture_method":                       "automatic",
		"client_secret":                        pi.secret,
		"confirmation_method":                  "automatic",
		"created":                              pi.created,
		"currency":                             ss.currency,
		"customer":                             null(ss.customer),
		"description":                          null(ss.description),
		"invoice":                              nil,
		"last_payment_error":                   nil,
		"latest_charge":                        nil,
		"livemode":                             false,
		"metadata":                             ss.intentMetadata,
		"next_action":                          nil,
		"on_behalf_of":                         nil,
		"payment_method":                       null(pi.method),
		"payment_method_configuration_details": nil,
		"payment_method_options":               options,
		"payment_method_types":                 pi.methods,
		"processing":                           nil,
		"receipt_email":                        null(ss.receipt),
		"review":                               nil,
		"setup_future_usage":                   null(ss.setupFutureUsage),
		"shipping":                             nil,
		"source":                               nil,
		"statement_descriptor":                 null(ss.descriptor),
		"statement_descriptor_suffix":          null(ss.suffix),
		"status":                               pi.status,
		"transfer_data":                        nil,
		"transfer_group":                       null(ss.group),
	}
	if pi.lastError != nil {
		m["last_payment_error"] = pi.lastError
	}
	if pi.charge != nil {
		m["latest_charge"] = pi.charge.id
		if e.has("latest_charge") {
			m["latest_charge"] = pi.charge.json()
		}
	}
	return m
}

func (c *charge) json() map[string]any {
	ss := c.intent.session
	captured, paid := int64(0), false
	outcome := map[string]any{"network_status": "approved_by_network", "reason": nil, "risk_level": "normal", "risk_score": 20, "seller_message": "Payment complete.", "type": "authorized"}
	if c.status == "succeeded" {
		captured, paid = ss.total, true
	}
	m := map[string]any{
		"id": c.id, "object": "charge", "amount": ss.total, "amount_captured": captured, "amount_refunded": 0, "application": nil,
		"application_fee": nil, "application_fee_amount": nil, "balance_transaction": nil, "billing_details": c.payer.billing(),
		"calculated_statement_descriptor": "STRIPETEST", "captured": c.status != "failed", "created": c.created, "currency": ss.currency,
		"customer": null(ss.customer), "description": null(ss.description), "destination": nil, "dispute": nil, "disputed": false,
		"failure_balance_transaction": nil, "failure_code": nil, "failure_message": nil, "fraud_details": map[string]any{},
		"invoice": nil, "livemode": false, "metadata": ss.intentMetadata, "on_behalf_of": nil, "order": nil, "outcome": outcome,
		"paid": paid, "payment_intent": c.intent.id, "payment_method": c.method, "payment_method_details": c.details(),
		"receipt_email": null(ss.receipt), "receipt_number": nil, "receipt_url": nil, "refunded": false, "review": nil,
		"shipping": nil, "source": nil, "source_transfer": nil, "statement_descriptor": null(ss.descriptor),
		"statement_descriptor_suffix": null(ss.suffix), "status": c.status, "transfer_data": nil, "transfer_group": null(ss.group),
	}
	switch {
	case c.failure != nil:
		m["failure_code"], m["failure_message"] = c.failure.Code, c.failure.Message
		reason := c.failure.DeclineCode
		if reason == "" {
			reason = c.failure.Code
		}
		m["outcome"] = map[string]any{"network_status": "declined_by_network", "reason": reason, "risk_level": "normal", "risk_score": 20, "seller_message": "The bank did not return any further details with this decline.", "type": "issuer_declined"}
	case c.status == "succeeded":
		m["balance_transaction"] = "txn_" + strings.TrimPrefix(c.id, "ch_")
	}
	return m
}

func (p *payer) billing() map[string]any {
	if p == nil {
		p = &payer{}
	}
	return map[string]any{
		"address": map[string]any{"city": nil, "country": null(p.country), "line1": nil, "line2": nil, "postal_code": null(p.postalCode), "state": nil},
		"email":   null(p.email), "name": null(p.name), "phone": nil,
	}
}

func (c *charge) details() map[string]any {
	d := map[string]any{"type": c.kind}
	switch c.kind {
	case "card":
		d["card"] = map[string]any{
			"amount_authorized": c.intent.session.total, "brand": "visa", "checks": map[string]any{"address_line1_check": nil, "address_postal_code_check": "pass", "cvc_check": "pass"},
			"country": "US", "exp_month": 12, "exp_year": 2034, "extended_authorization": map[string]any{"status": "disabled"}, "fingerprint": "stripetest",
			"funding": "credit", "installments": nil, "last4": "4242", "mandate": nil, "network": "visa", "three_d_secure": nil, "wallet": nil,
		}
	default:
		d[c.kind] = map[string]any{"bank_name": "STRIPETEST BANK", "last4": "6789"}
	}
	return d
}

// method is the payment method as last_payment_error shows it.
func (c *charge) paymentMethod() map[string]any {
	m := map[string]any{
		"id": c.method, "object": "payment_method", "billing_details": c.payer.billing(), "created": c.created, "customer": nil,
		"livemode": false, "metadata": map[string]string{}, "type": c.kind,
	}
	if c.kind == "card" {
		m["card"] = map[string]any{
			"brand": "visa", "checks": map[string]any{"address_line1_check": nil, "address_postal_code_check": "pass", "cvc_check": "pass"}, "country": "US",
			"exp_month": 12, "exp_year": 2034, "fingerprint": "stripetest", "funding": "credit", "generated_from": nil, "last4": "4242",
			"networks": map[string]any{"available": []string{"visa"}, "preferred": nil}, "three_d_secure_usage": map[string]any{"supported": true}, "wallet": nil,
		}
	} else {
		m[c.kind] = map[string]any{"bank_name": "STRIPETEST BANK", "last4": "6789"}
	}
	return m
}

// encode writes JSON as Stripe does: two spaces, and <, >, & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic("stripetest: " + err.Error()) // our own maps of plain values
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

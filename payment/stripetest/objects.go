package stripetest

import (
	"bytes"
	"encoding/json"
	"strings"
)

// The session, the payment intent and the charge as they are kept, and as Stripe writes them in JSON at APIVersion.

type item struct {
	head
	price    *price
	quantity int64
}

type session struct {
	head
	expiresAt        int64
	status           string // open, complete, expired
	paymentStatus    string // unpaid, paid, no_payment_required
	intent           *intent
	items            []*item
	currency         string
	subtotal, total  int64
	tax, shipping    int64
	discount         int64
	metadata         map[string]string
	clientReference  string
	customer, email  string
	payer            *payer // filled in on the pay page
	successURL       string
	cancelURL        string
	url              string
	methods          []string
	dynamicMethods   bool // Stripe chose the methods
	customerCreation string
	locale           string
	submitType       string
	billingAddress   string
	promotionCodes   *bool
	phoneNumbers     bool
	intentTerms      terms // for the payment intent, when there is one
}

// terms are what a payment intent is made with, by a session or a request of its own.
type terms struct {
	metadata                map[string]string
	customer                string
	description, receipt    string
	descriptor, suffix      string
	setupFutureUsage, group string
	shipping                *shipping
}

type address struct{ city, country, line1, line2, postalCode, state string }

type payer struct {
	email, name, phone string
	address            address
}

type shipping struct {
	name, phone, carrier, tracking string
	address                        address
}

type intent struct {
	head
	terms
	secret         string
	session        *session // nil: made by a request of its own
	amount         int64
	currency       string
	status         string // requires_payment_method, requires_confirmation, requires_action, processing, succeeded, canceled
	methods        []string
	dynamicMethods bool
	method         *method
	charge         *charge // the latest
	waitsSince     int64   // when it came to require action
	lastError      *apiError
	canceledAt     int64
	reason         string // of the cancellation
}

type charge struct {
	head
	intent  *intent
	method  *method
	status  string // succeeded, pending, failed
	failure *apiError
	refunds []*refund
	dispute *dispute
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

func (a address) json() map[string]any {
	return map[string]any{
		"city": null(a.city), "country": null(a.country), "line1": null(a.line1), "line2": null(a.line2), "postal_code": null(a.postalCode), "state": null(a.state),
	}
}

func (sh *shipping) json() any {
	if sh == nil {
		return nil
	}
	return map[string]any{
		"address": sh.address.json(), "carrier": null(sh.carrier), "name": sh.name, "phone": null(sh.phone), "tracking_number": null(sh.tracking),
	}
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
			"address": p.address.json(), "email": null(p.email), "name": null(p.name), "phone": null(p.phone), "tax_exempt": "none", "tax_ids": []any{},
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
			data = append(data, it.json(nil))
		}
		m["line_items"] = map[string]any{"object": "list", "data": data, "has_more": false, "url": "/v1/checkout/sessions/" + ss.id + "/line_items"}
	}
	return m
}

func (it *item) json(e expansion) map[string]any {
	amount := it.price.unit * it.quantity
	return map[string]any{
		"id": it.id, "object": "item", "amount_discount": 0, "amount_subtotal": amount, "amount_tax": 0, "amount_total": amount,
		"currency": it.price.currency, "description": it.price.product.name, "quantity": it.quantity, "price": it.price.json(e.below("price")),
	}
}

func (pi *intent) json(e expansion) map[string]any {
	received := int64(0)
	if pi.status == "succeeded" {
		received = pi.amount
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
		"amount":                               pi.amount,
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
		"currency":                             pi.currency,
		"customer":                             null(pi.customer),
		"description":                          null(pi.description),
		"invoice":                              nil,
		"last_payment_error":                   nil,
		"latest_charge":                        nil,
		"livemode":                             false,
		"metadata":                             pi.metadata,
		"next_action":                          nil,
		"on_behalf_of":                         nil,
		"payment_method":                       nil,
		"payment_method_configuration_details": nil,
		"payment_method_options":               options,
		"payment_method_types":                 pi.methods,
		"processing":                           nil,
		"receipt_email":                        null(pi.receipt),
		"review":                               nil,
		"setup_future_usage":                   null(pi.setupFutureUsage),
		"shipping":                             pi.shipping.json(),
		"source":                               nil,
		"statement_descriptor":                 null(pi.descriptor),
		"statement_descriptor_suffix":          null(pi.suffix),
		"status":                               pi.status,
		"transfer_data":                        nil,
		"transfer_group":                       null(pi.group),
	}
	if pi.lastError != nil {
		m["last_payment_error"] = pi.lastError
	}
	if pi.status == "requires_action" {
		m["next_action"] = pi.nextAction()
	}
	if pi.dynamicMethods {
		m["automatic_payment_methods"] = map[string]any{"allow_redirects": "always", "enabled": true}
	}
	if pi.method != nil {
		m["payment_method"] = pi.method.id
		if e.has("payment_method") {
			m["payment_method"] = pi.method.json(nil)
		}
	}
	if pi.charge != nil {
		m["latest_charge"] = pi.charge.id
		if e.has("latest_charge") {
			m["latest_charge"] = pi.charge.json(nil)
		}
	}
	return m
}

// nextAction is how the customer is to bring the money. The page that shows a voucher is the session's own.
func (pi *intent) nextAction() map[string]any {
	const number = "12345678901234"
	days, page := 3, any(nil) // Stripe's defaults, told on the pages that pushed names
	if pi.session != nil {
		page = pi.session.url
	}
	voucher := map[string]any{"hosted_voucher_url": page}
	expires := "expires_at"
	switch pi.method.kind {
	case transfer:
		return map[string]any{"type": "display_bank_transfer_instructions", "display_bank_transfer_instructions": map[string]any{
			"amount_remaining": pi.amount, "currency": pi.currency, "financial_addresses": []any{}, "hosted_instructions_url": page,
			"reference": number, "type": transferType(pi.currency),
		}}
	case "boleto":
		voucher["number"], voucher["pdf"] = number, nil
	case "konbini":
		store := map[string]any{"confirmation_number": "11111111110", "payment_code": number}
		voucher["stores"] = map[string]any{"familymart": store, "lawson": store, "ministop": store, "seicomart": store}
	case "multibanco":
		days, voucher["entity"], voucher["reference"] = 7, "12345", "123456789"
	case "oxxo":
		expires, voucher["number"] = "expires_after", number
	}
	voucher[expires] = pi.waitsSince + int64(days)*24*60*60
	kind := pi.method.kind + "_display_details"
	return map[string]any{"type": kind, kind: voucher}
}

// transferType is the kind of bank transfer for a currency.
func transferType(currency string) string {
	switch currency {
	case "gbp", "jpy", "mxn":
		return map[string]string{"gbp": "gb", "jpy": "jp", "mxn": "mx"}[currency] + "_bank_transfer"
	case "usd":
		return "us_bank_transfer"
	}
	return "eu_bank_transfer"
}

func (c *charge) json(e expansion) map[string]any {
	pi := c.intent
	captured, paid := int64(0), c.status == "succeeded"
	if paid {
		captured = pi.amount
	}
	m := map[string]any{
		"id": c.id, "object": "charge", "amount": pi.amount, "amount_captured": captured, "amount_refunded": c.refunded(), "application": nil,
		"application_fee": nil, "application_fee_amount": nil, "balance_transaction": nil, "billing_details": c.method.payer.json(),
		"calculated_statement_descriptor": "STRIPETEST", "captured": c.status != "failed", "created": c.created, "currency": pi.currency,
		"customer": null(pi.customer), "description": null(pi.description), "destination": nil, "dispute": nil, "disputed": c.dispute != nil,
		"failure_balance_transaction": nil, "failure_code": nil, "failure_message": nil, "fraud_details": map[string]any{},
		"invoice": nil, "livemode": false, "metadata": pi.metadata, "on_behalf_of": nil, "order": nil,
		"outcome": map[string]any{"network_status": "approved_by_network", "reason": nil, "risk_level": "normal", "risk_score": 20, "seller_message": "Payment complete.", "type": "authorized"},
		"paid":    paid, "payment_intent": pi.id, "payment_method": c.method.id, "payment_method_details": c.details(),
		"receipt_email": null(pi.receipt), "receipt_number": nil, "receipt_url": nil, "refunded": paid && c.refunded() == pi.amount, "review": nil,
		"shipping": pi.shipping.json(), "source": nil, "source_transfer": nil, "statement_descriptor": null(pi.descriptor),
		"statement_descriptor_suffix": null(pi.suffix), "status": c.status, "transfer_data": nil, "transfer_group": null(pi.group),
	}
	switch {
	case c.failure != nil:
		m["failure_code"], m["failure_message"] = c.failure.Code, c.failure.Message
		reason := c.failure.DeclineCode
		if reason == "" {
			reason = c.failure.Code
		}
		m["outcome"] = map[string]any{"network_status": "declined_by_network", "reason": reason, "risk_level": "normal", "risk_score": 20, "seller_message": "The bank did not return any further details with this decline.", "type": "issuer_declined"}
	case paid:
		m["balance_transaction"] = transaction(c.id)
	}
	if e.has("payment_intent") {
		m["payment_intent"] = pi.json(nil)
	}
	if c.dispute != nil {
		m["dispute"] = c.dispute.id
		if e.has("dispute") {
			m["dispute"] = c.dispute.json(nil)
		}
	}
	if e.has("refunds") {
		data := []any{}
		for i := len(c.refunds) - 1; i >= 0; i-- {
			data = append(data, c.refunds[i].json(nil))
		}
		m["refunds"] = map[string]any{"object": "list", "data": data, "has_more": false, "url": "/v1/charges/" + c.id + "/refunds"}
	}
	return m
}

// refunded is what has been or is being given back.
func (c *charge) refunded() (sum int64) {
	for _, r := range c.refunds {
		if r.status != "failed" {
			sum += r.amount
		}
	}
	return sum
}

// transaction is the balance transaction of a charge, a refund or a dispute; only its id exists.
func transaction(id string) string {
	_, rest, _ := strings.Cut(id, "_")
	return "txn_" + rest
}

func (p *payer) json() map[string]any {
	if p == nil {
		p = &payer{}
	}
	return map[string]any{"address": p.address.json(), "email": null(p.email), "name": null(p.name), "phone": null(p.phone)}
}

// details are the payment method as the charge shows it.
func (c *charge) details() map[string]any {
	m := c.method.account()
	if c.method.kind == "card" {
		delete(m, "generated_from")
		delete(m, "networks")
		delete(m, "three_d_secure_usage")
		for name, v := range map[string]any{
			"amount_authorized": c.intent.amount, "extended_authorization": map[string]any{"status": "disabled"},
			"installments": nil, "mandate": nil, "network": c.method.card.brand, "three_d_secure": nil,
		} {
			m[name] = v
		}
	}
	return map[string]any{"type": c.method.kind, c.method.kind: m}
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

package stripetest

import (
	"net/mail"
	"slices"
	"sort"
	"strconv"
	"time"
)

// sessionTemplate is what Stripe replaces in a success URL by the session's id.
const sessionTemplate = "{CHECKOUT_SESSION_ID}"

var sessions = kind[*session]{
	name: "checkout.session", param: "session", path: "/v1/checkout/sessions",
	expand: []string{
		"payment_intent", "line_items", "payment_intent.latest_charge", "customer", "subscription", "invoice", "setup_intent", "payment_intent.payment_method",
	},
	filters: []string{"status", "customer"}, foreign: []string{"payment_link", "subscription"},
	more: []string{"payment_intent", "customer_details.email"}, narrow: narrowSessions,
	shelf: func(s *Stripe) *shelf[*session] { return &s.sessions },
}

func (ss *session) field(name string) string {
	if name == "status" {
		return ss.status
	}
	return ss.customer
}

func narrowSessions(s *Stripe, p params) (func(ss *session) bool, *apiError) {
	if err := p.oneOf("status", "open", "complete", "expired"); err != nil {
		return nil, err
	}
	id, byIntent := p["payment_intent"]
	want, byEmail := p["customer_details[email]"]
	if byIntent {
		if _, err := intents.find(s, "payment_intent", id); err != nil {
			return nil, err
		}
	}
	return func(ss *session) bool {
		email := ss.email
		if ss.payer != nil {
			email = ss.payer.email
		}
		return (!byIntent || ss.intent != nil && ss.intent.id == id) && (!byEmail || email == want)
	}, nil
}

func (s *Stripe) apiCreateSession(p params, _ string) (work, *apiError) {
	ss, expand, err := s.newSession(p)
	return func(cause) (any, *apiError) {
		s.add(ss)
		return ss.json(expand), nil
	}, err
}

func (s *Stripe) apiExpireSession(p params, id string) (work, *apiError) {
	get, e, err := sessions.target(s, p, id, nil, nil)
	return func(c cause) (any, *apiError) {
		ss, err := get()
		switch {
		case err != nil:
			return nil, err
		case ss.status != "open":
			return nil, invalid("", "", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `%s`.", ss.status)
		}
		s.expire(ss, c)
		return ss.json(e), nil
	}, err
}

func (s *Stripe) apiListItems(p params, id string) (work, *apiError) {
	if err := p.check(pageParams, nil); err != nil {
		return nil, err
	}
	e, err := p.expansion([]string{"price.product"}, "data.")
	if err != nil {
		return nil, err
	}
	pg, err := p.page()
	return func(cause) (any, *apiError) {
		ss, err := sessions.find(s, sessions.param, id)
		if err != nil {
			return nil, err
		}
		return showPage(sessions.path+"/"+id+"/line_items", "item", ss.items, pg, e)
	}, err
}

// createParams are the parameters of a new session that the stand-in reads.
var createParams = slices.Concat([]string{
	"mode", "success_url", "cancel_url", "client_reference_id", "customer", "customer_email", "customer_creation", "currency", "expires_at",
	"locale", "submit_type", "ui_mode", "billing_address_collection", "allow_promotion_codes", "phone_number_collection.enabled",
	"automatic_tax.enabled", "expand.#", "metadata.*", "payment_method_types.#", "line_items.#.quantity", "line_items.#.price",
	"line_items.#.price_data.product_data.description", "line_items.#.price_data.product_data.images.#",
}, within("line_items.#.price_data", priceParams), within("payment_intent_data", termParams))

// within are parameters inside another.
func within(param string, names []string) (out []string) {
	for _, name := range names {
		out = append(out, param+"."+name)
	}
	return out
}

// foreignParams are known to Stripe, but not to the stand-in.
var foreignParams = []string{
	"after_expiration", "automatic_tax", "consent_collection", "custom_fields", "custom_text", "customer_update", "discounts",
	"invoice_creation", "line_items", "payment_intent_data", "payment_method_collection", "payment_method_configuration",
	"payment_method_options", "redirect_on_completion", "return_url", "setup_intent_data", "shipping_address_collection",
	"shipping_options", "subscription_data", "tax_id_collection",
}

func (p params) expansion(allowed []string, prefix string) (expansion, *apiError) {
	var out expansion
	for _, path := range p.list("expand") {
		ok := false
		for _, a := range allowed {
			if path == prefix+a {
				ok = true
				out = append(out, a)
			}
		}
		if !ok {
			return nil, invalid("", "expand", "This property cannot be expanded (%s).", path)
		}
	}
	return out, nil
}

// newSession checks the parameters of POST /v1/checkout/sessions. It makes no ids, so nothing has happened when it fails.
func (s *Stripe) newSession(p params) (*session, expansion, *apiError) {
	if err := p.check(createParams, foreignParams); err != nil {
		return nil, nil, err
	}
	ss := &session{
		head: head{created: s.now()}, status: "open", paymentStatus: "unpaid",
		successURL: p["success_url"], cancelURL: p["cancel_url"], clientReference: p["client_reference_id"], customer: p["customer"],
		email: p["customer_email"], locale: p["locale"], submitType: p["submit_type"], billingAddress: p["billing_address_collection"],
		customerCreation: p["customer_creation"],
	}
	if ss.customerCreation == "" && ss.customer == "" {
		ss.customerCreation = "if_required"
	}
	expand, err := p.expansion(sessions.expand, "")
	if err != nil {
		return nil, nil, err
	}

	switch mode, ok := p["mode"]; {
	case !ok:
		return nil, nil, missingParam("mode")
	case mode == "setup" || mode == "subscription":
		return nil, nil, unsupported("mode", "The stand-in knows mode payment only.")
	case mode != "payment":
		return nil, nil, invalid("", "mode", "Invalid mode: must be one of payment, setup, or subscription")
	}
	if _, ok := p["success_url"]; !ok {
		return nil, nil, missingParam("success_url")
	}
	if ss.customer != "" && ss.email != "" {
		return nil, nil, exclusive("customer_email", "customer")
	}
	if v := p["automatic_tax[enabled]"]; v == "true" {
		return nil, nil, unsupported("automatic_tax[enabled]", "The stand-in works out no tax.")
	}
	for _, err := range []*apiError{
		p.url("success_url"), p.url("cancel_url"), p.atMost("client_reference_id", 200), p.atMost("customer_email", 800), p.email("customer_email"),
		p.oneOf("ui_mode", "hosted"), p.oneOf("submit_type", "auto", "book", "donate", "pay"), p.oneOf("billing_address_collection", "auto", "required"),
		p.oneOf("customer_creation", "always", "if_required"),
	} {
		if err != nil {
			return nil, nil, err
		}
	}
	if _, ok := p["allow_promotion_codes"]; ok {
		v, err := p.boolean("allow_promotion_codes")
		if err != nil {
			return nil, nil, err
		}
		ss.promotionCodes = &v
	}
	if ss.phoneNumbers, err = p.boolean("phone_number_collection[enabled]"); err != nil {
		return nil, nil, err
	}
	if ss.metadata, err = p.metadata("metadata"); err != nil {
		return nil, nil, err
	}
	if ss.intentTerms, err = p.readTerms(inside("payment_intent_data")); err != nil {
		return nil, nil, err
	}
	ss.intentTerms.customer = ss.customer
	if err := s.readItems(ss, p); err != nil {
		return nil, nil, err
	}
	if c, ok := p["currency"]; ok && c != ss.currency {
		return nil, nil, invalid("", "currency", "The currency does not match the currency of the line items.")
	}
	if ss.methods, ss.dynamicMethods, err = p.methods(ss.currency); err != nil {
		return nil, nil, err
	}
	if ss.total == 0 {
		ss.paymentStatus = "no_payment_required"
	} else if ss.total < minimum(ss.currency) {
		return nil, nil, invalid("amount_too_small", "", "The Checkout Session's total amount due must add up to at least %s", format(minimum(ss.currency), ss.currency))
	} else if ss.total > maximum(ss.currency) {
		return nil, nil, invalid("amount_too_large", "", "The Checkout Session's total amount due must be no more than %s", format(maximum(ss.currency), ss.currency))
	}

	at, given, err := p.integer("expires_at")
	switch {
	case err != nil:
		return nil, nil, err
	case !given:
		ss.expiresAt = ss.created + int64(24*time.Hour/time.Second)
	case at < ss.created+int64(30*time.Minute/time.Second):
		return nil, nil, invalid("", "expires_at", "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.")
	case at > ss.created+int64(24*time.Hour/time.Second):
		return nil, nil, invalid("", "expires_at", "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.")
	default:
		ss.expiresAt = at
	}
	return ss, expand, nil
}

func (p params) email(name string) *apiError {
	if v, ok := p[name]; ok {
		if a, err := mail.ParseAddress(v); err != nil || a.Address != v {
			return invalid("email_invalid", name, "Invalid email address: %s", v)
		}
	}
	return nil
}

func (s *Stripe) readItems(ss *session, p params) *apiError {
	indexes := map[int]bool{}
	for name := range p {
		if segs := segments(name); len(segs) > 1 && segs[0] == "line_items" {
			n, _ := strconv.Atoi(segs[1])
			indexes[n] = true
		}
	}
	if len(indexes) == 0 {
		return missingParam("line_items")
	}
	if len(indexes) > 100 {
		return invalid("", "line_items", "You may only specify up to 100 line items.")
	}
	order := make([]int, 0, len(indexes))
	for n := range indexes {
		order = append(order, n)
	}
	sort.Ints(order)
	for _, n := range order {
		at := "line_items[" + strconv.Itoa(n) + "]"
		it := &item{head: head{created: ss.created}}
		var err *apiError
		if it.price, err = s.itemPrice(p, at); err != nil {
			return err
		}
		if ss.currency == "" {
			ss.currency = it.price.currency
		}
		if ss.currency != it.price.currency {
			return invalid("", at, "All line items must have the same currency.")
		}
		var given bool
		if it.quantity, given, err = p.integer(at + "[quantity]"); err != nil {
			return err
		}
		switch {
		case !given:
			return missingParam(at + "[quantity]")
		case it.quantity < 1:
			return invalid("parameter_invalid_integer", at+"[quantity]", "This value must be greater than or equal to 1.")
		case it.quantity > 999_999:
			return invalid("parameter_invalid_integer", at+"[quantity]", "This value must be less than or equal to 999999.")
		}
		ss.items = append(ss.items, it)
		// 10^12 × 10^6 fits; the sum is bounded as it grows.
		if ss.subtotal += it.price.unit * it.quantity; ss.subtotal > maximum(ss.currency) {
			return invalid("amount_too_large", "", "The Checkout Session's total amount due must be no more than %s", format(maximum(ss.currency), ss.currency))
		}
	}
	ss.total = ss.subtotal
	return nil
}

// itemPrice is the price of a line item: one that exists, or one of this session alone.
func (s *Stripe) itemPrice(p params, at string) (*price, *apiError) {
	data := at + "[price_data]"
	id, ok := p[at+"[price]"]
	if !ok {
		pr, err := s.readPrice(p, inside(data))
		if err != nil {
			return nil, err
		}
		pr.active = false
		if pr.product.id == "" {
			pr.product.active = false
		}
		return pr, nil
	}
	if p.hasAny(data) {
		return nil, exclusive(data, at+"[price]")
	}
	pr, err := prices.find(s, at+"[price]", id)
	if err == nil && !pr.active {
		err = invalid("", at+"[price]", "The price specified is inactive. This field only accepts active prices.")
	}
	return pr, err
}

// inside gives a parameter its name within another.
func inside(param string) func(name string) string {
	return func(name string) string { return param + "[" + name + "]" }
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// knownMethods are payment methods that a session may name.
var knownMethods = []string{
	"card", "acss_debit", "affirm", "afterpay_clearpay", "alipay", "au_becs_debit", "bacs_debit", "bancontact", "blik", "boleto", "cashapp", "customer_balance", "eps", "fpx",
	"giropay", "grabpay", "ideal", "klarna", "konbini", "link", "multibanco", "oxxo", "p24", "paynow", "paypal", "pix", "promptpay", "revolut_pay", "sepa_debit", "sofort", "swish", "us_bank_account", "wechat_pay", "zip",
}

// methods are the payment methods that a request names, or those that Stripe would choose.
func (p params) methods(currency string) (methods []string, dynamic bool, err *apiError) {
	methods = p.list("payment_method_types")
	if len(methods) == 0 {
		methods = []string{"card"}
		if later := laterMethod(currency); later != "" {
			methods = append(methods, later)
		}
		return methods, true, nil
	}
	for i, m := range methods {
		name := "payment_method_types[" + strconv.Itoa(i) + "]"
		if !slices.Contains(knownMethods, m) {
			return nil, false, invalid("", name, "Invalid %s: must be one of %v", name, knownMethods)
		}
		if slices.Contains(methods[:i], m) {
			return nil, false, invalid("", "payment_method_types", "You cannot name a payment method twice.")
		}
		if only := currenciesOf(m); only != nil && !slices.Contains(only, currency) {
			return nil, false, invalid("", "payment_method_types", "The payment method %s takes %v, and not %s.", m, only, currency)
		}
		if m == transfer && p["customer"] == "" {
			return nil, false, invalid("parameter_missing", "customer", "Bank transfers (customer_balance) need the id of a customer.")
		}
	}
	return methods, false, nil
}

func (ss *session) takesCards() bool { return slices.Contains(ss.methods, "card") }

// promptMethod is the session's method that pays at once, a card if it takes one, or "".
func (ss *session) promptMethod() string {
	if ss.takesCards() {
		return "card"
	}
	return ss.method(func(kind string) bool { return !delayed(kind) })
}

// delayedMethod is the session's method that pays later, or "".
func (ss *session) delayedMethod() string { return ss.method(delayed) }

func (ss *session) method(fits func(kind string) bool) string {
	if i := slices.IndexFunc(ss.methods, fits); i >= 0 {
		return ss.methods[i]
	}
	return ""
}

// add gives a checked session its ids and keeps it.
func (s *Stripe) add(ss *session) {
	defer s.named(ss.clientReference)()
	ss.id = s.id("cs_test_a1", 56)
	for _, it := range ss.items {
		it.id = s.id("li_1", 23)
		if it.price.id == "" {
			if it.price.product.id == "" {
				s.keepProduct(it.price.product, "")
			}
			s.keepPrice(it.price)
		}
	}
	ss.url = s.base + "/pay/" + ss.id
	s.sessions.add(ss)
	s.at(ss.expiresAt, func() {
		if ss.status == "open" {
			s.expire(ss, cause{})
		}
	})
}

func (s *Stripe) expire(ss *session, c cause) {
	ss.status = "expired"
	if pi := ss.intent; pi != nil && pi.status == "requires_payment_method" {
		s.cancelIntent(pi, "automatic", c)
	}
	s.emit("checkout.session.expired", ss.json(nil), c)
}

// SessionParams describe a session that CreateSession makes without a request, as a site's own code would make it.
type SessionParams struct {
	Name       string            // of the one line item; default "Booking"
	Amount     int64             // in the currency's minor unit; 0: nothing to pay
	Currency   string            // default usd
	Quantity   int64             // default 1
	Metadata   map[string]string // of the session
	SuccessURL string            // default https://example.com/success?session_id={CHECKOUT_SESSION_ID}
	CancelURL  string

	IntentMetadata     map[string]string // of the payment intent; nil: none, as on Stripe
	ClientReferenceID  string
	Customer           string    // the id of a customer, which bank transfers need
	CustomerEmail      string    // only without a Customer
	PaymentMethodTypes []string  // nil: Stripe's choice, which is card first and a delayed method, if the currency has one
	ExpiresAt          time.Time // zero: in 24 hours
	Tax, Shipping      int64     // come on top of the amount; the API of the stand-in has no way to ask for them
	Discount           int64     // is taken off
}

// Session is a checkout session as it is now.
type Session struct {
	ID, URL             string
	Status              string // open, complete, expired
	PaymentStatus       string // unpaid, paid, no_payment_required
	PaymentIntent       string // empty until the customer has tried to pay
	PaymentIntentStatus string
	Currency            string
	AmountSubtotal      int64
	AmountTotal         int64
	Metadata            map[string]string
	ClientReferenceID   string
	CustomerEmail       string
	Created, ExpiresAt  time.Time
	JSON                []byte // as the API answers it, without expansion
}

func (ss *session) export() Session {
	out := Session{
		ID: ss.id, Status: ss.status, PaymentStatus: ss.paymentStatus, Currency: ss.currency, AmountSubtotal: ss.subtotal, AmountTotal: ss.total,
		Metadata: map[string]string{}, ClientReferenceID: ss.clientReference, CustomerEmail: ss.email,
		Created: time.Unix(ss.created, 0).UTC(), ExpiresAt: time.Unix(ss.expiresAt, 0).UTC(), JSON: encode(ss.json(nil)),
	}
	for k, v := range ss.metadata {
		out.Metadata[k] = v
	}
	if ss.status == "open" {
		out.URL = ss.url
	}
	if ss.intent != nil {
		out.PaymentIntent, out.PaymentIntentStatus = ss.intent.id, ss.intent.status
	}
	return out
}

// CreateSession makes a session as POST /v1/checkout/sessions would, with the same checks.
func (s *Stripe) CreateSession(sp SessionParams) (Session, error) {
	p := params{"mode": "payment", "success_url": sp.SuccessURL, "line_items[0][quantity]": strconv.FormatInt(sp.Quantity, 10)}
	set := func(name, value, otherwise string) {
		if value == "" {
			value = otherwise
		}
		if value != "" {
			p[name] = value
		}
	}
	set("success_url", sp.SuccessURL, "https://example.com/success?session_id="+sessionTemplate)
	set("cancel_url", sp.CancelURL, "")
	set("client_reference_id", sp.ClientReferenceID, "")
	set("customer", sp.Customer, "")
	set("customer_email", sp.CustomerEmail, "")
	set("line_items[0][price_data][currency]", sp.Currency, "usd")
	set("line_items[0][price_data][product_data][name]", sp.Name, "Booking")
	set("line_items[0][price_data][unit_amount]", strconv.FormatInt(sp.Amount, 10), "")
	if sp.Quantity == 0 {
		p["line_items[0][quantity]"] = "1"
	}
	if !sp.ExpiresAt.IsZero() {
		p["expires_at"] = strconv.FormatInt(sp.ExpiresAt.Unix(), 10)
	}
	for k, v := range sp.Metadata {
		p["metadata["+k+"]"] = v
	}
	for k, v := range sp.IntentMetadata {
		p["payment_intent_data[metadata]["+k+"]"] = v
	}
	for i, m := range sp.PaymentMethodTypes {
		p["payment_method_types["+strconv.Itoa(i)+"]"] = m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	ss, _, err := s.newSession(p)
	if err != nil {
		return Session{}, wrap("create session", err)
	}
	ss.tax, ss.shipping, ss.discount = sp.Tax, sp.Shipping, sp.Discount
	ss.total = ss.subtotal + sp.Tax + sp.Shipping - sp.Discount
	if ss.total < 0 || sp.Tax < 0 || sp.Shipping < 0 || sp.Discount < 0 {
		return Session{}, wrap("create session", invalid("", "", "Tax, Shipping, Discount and the total must not be negative."))
	}
	ss.paymentStatus = "unpaid"
	if ss.total == 0 {
		ss.paymentStatus = "no_payment_required"
	}
	s.add(ss)
	s.pump()
	return ss.export(), nil
}

// Session returns the session with this id, as it is now.
func (s *Stripe) Session(id string) (Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	s.pump()
	if ss := s.sessions.byID[id]; ss != nil {
		return ss.export(), true
	}
	return Session{}, false
}

// Sessions are all sessions, oldest first.
func (s *Stripe) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	s.pump()
	out := make([]Session, len(s.sessions.all))
	for i, ss := range s.sessions.all {
		out[i] = ss.export()
	}
	return out
}

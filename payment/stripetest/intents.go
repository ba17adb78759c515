package stripetest

import "slices"

// Payment intents and charges. https://docs.stripe.com/api/payment_intents https://docs.stripe.com/api/charges
// The objects themselves are in objects.go, what happens to them in pay.go.

var intents = kind[*intent]{
	name: "payment_intent", param: "intent", path: "/v1/payment_intents", expand: []string{"latest_charge", "payment_method", "customer", "invoice"},
	also: []string{"client_secret"}, filters: []string{"customer"},
	shelf: func(s *Stripe) *shelf[*intent] { return &s.intents },
}

func (pi *intent) field(string) string { return pi.customer }

var charges = kind[*charge]{
	name: "charge", param: "id", path: "/v1/charges", expand: []string{"payment_intent", "refunds", "dispute"},
	filters: []string{"payment_intent", "customer", "transfer_group"},
	shelf:   func(s *Stripe) *shelf[*charge] { return &s.charges },
}

func (c *charge) field(name string) string {
	switch name {
	case "payment_intent":
		return c.intent.id
	case "customer":
		return c.intent.customer
	}
	return c.intent.group
}

// termParams are the parameters of an intent that a session can set as well.
var termParams = slices.Concat([]string{
	"description", "metadata.*", "receipt_email", "setup_future_usage", "statement_descriptor", "statement_descriptor_suffix", "transfer_group",
	"capture_method", "shipping.name", "shipping.phone", "shipping.carrier", "shipping.tracking_number",
}, within("shipping.address", addressParams))

// readTerms reads them; in gives a parameter its whole name.
func (p params) readTerms(in func(name string) string) (t terms, err *apiError) {
	t = terms{
		description: p[in("description")], receipt: p[in("receipt_email")], descriptor: p[in("statement_descriptor")],
		suffix: p[in("statement_descriptor_suffix")], setupFutureUsage: p[in("setup_future_usage")], group: p[in("transfer_group")],
	}
	if p[in("capture_method")] == "manual" {
		return t, unsupported(in("capture_method"), "The stand-in captures at once.")
	}
	for _, err := range []*apiError{
		p.atMost(in("description"), 1000), p.atMost(in("statement_descriptor"), 22), p.atMost(in("statement_descriptor_suffix"), 22),
		p.oneOf(in("setup_future_usage"), "on_session", "off_session"), p.oneOf(in("capture_method"), "automatic", "automatic_async"), p.email(in("receipt_email")),
	} {
		if err != nil {
			return t, err
		}
	}
	if t.shipping, err = p.shipping(in("shipping")); err != nil {
		return t, err
	}
	t.metadata, err = p.metadata(in("metadata"))
	return t, err
}

func (p params) shipping(prefix string) (*shipping, *apiError) {
	if !p.hasAny(prefix) {
		return nil, nil
	}
	for _, name := range []string{prefix + "[name]", prefix + "[address][line1]"} {
		if _, ok := p[name]; !ok {
			return nil, missingParam(name)
		}
	}
	return &shipping{
		name: p[prefix+"[name]"], phone: p[prefix+"[phone]"], carrier: p[prefix+"[carrier]"], tracking: p[prefix+"[tracking_number]"],
		address: p.address(prefix + "[address]"),
	}, nil
}

// confirmParams say how a payment is made; the stand-in reads the payment method alone.
var confirmParams = []string{
	"payment_method", "return_url", "off_session", "mandate_data.customer_acceptance.type", "mandate_data.customer_acceptance.accepted_at",
	"mandate_data.customer_acceptance.online.ip_address", "mandate_data.customer_acceptance.online.user_agent",
}

var foreignIntentParams = []string{
	"amount_details", "application_fee_amount", "automatic_payment_methods", "confirmation_token", "error_on_requires_action", "mandate", "mandate_data", "on_behalf_of",
	"payment_method_configuration", "payment_method_data", "payment_method_options", "radar_options", "transfer_data", "use_stripe_sdk",
}

func (s *Stripe) apiCreateIntent(p params, _ string) (work, *apiError) {
	known := slices.Concat([]string{
		"amount", "currency", "confirm", "confirmation_method", "customer", "payment_method_types.#", "automatic_payment_methods.enabled",
		"automatic_payment_methods.allow_redirects", "expand.#",
	}, termParams, confirmParams)
	if err := p.check(known, foreignIntentParams); err != nil {
		return nil, err
	}
	e, err := p.expansion(intents.expand, "")
	if err != nil {
		return nil, err
	}
	pi := &intent{status: "requires_payment_method"}
	if pi.terms, err = p.readTerms(func(name string) string { return name }); err != nil {
		return nil, err
	}
	pi.terms.customer = p["customer"]
	if pi.currency, err = p.currency("currency"); err != nil {
		return nil, err
	}
	if pi.amount, err = p.amount("amount", pi.currency); err != nil {
		return nil, err
	}
	if p["confirmation_method"] == "manual" {
		return nil, unsupported("confirmation_method", "The stand-in confirms automatically.")
	}
	if pi.methods, pi.dynamicMethods, err = p.methods(pi.currency); err != nil {
		return nil, err
	}
	confirm, err := p.boolean("confirm")
	if err != nil {
		return nil, err
	}
	if _, ok := p["return_url"]; ok && !confirm {
		return nil, invalid("", "return_url", "You can only provide a return_url when confirm is set to true.")
	}
	m, err := s.readConfirmation(p, pi)
	if err != nil {
		return nil, err
	}
	if confirm && m == nil {
		return nil, invalid("parameter_missing", "payment_method", "You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	return func(c cause) (any, *apiError) {
		if m != nil {
			s.keepMethod(m)
			pi.status, pi.method = "requires_confirmation", m
		}
		s.keepIntent(pi, c)
		if confirm {
			return s.answerConfirmation(pi, m, e, c)
		}
		return pi.json(e), nil
	}, nil
}

// readConfirmation checks the parameters of a confirmation. The method is nil when none is named.
func (s *Stripe) readConfirmation(p params, pi *intent) (m *method, err *apiError) {
	for _, err := range []*apiError{p.url("return_url"), p.oneOf("confirmation_method", "automatic"), p.oneOf("off_session", "true", "false", "one_off", "recurring")} {
		if err != nil {
			return nil, err
		}
	}
	if _, ok := p["payment_method"]; !ok {
		return nil, nil
	}
	if m, err = s.findMethod(p, "payment_method"); err == nil {
		err = m.fits(pi.methods)
	}
	return m, err
}

// answerConfirmation confirms and shows the intent as it is before the bank has more to say.
func (s *Stripe) answerConfirmation(pi *intent, m *method, e expansion, c cause) (any, *apiError) {
	if err := s.confirm(pi, m, c); err != nil {
		return nil, err.about(pi)
	}
	shown := pi.json(e)
	s.followUp(pi)
	return shown, nil
}

// about is the error as the answer to a request: with the intent it is about.
func (e apiError) about(pi *intent) *apiError {
	e.Intent = pi.json(nil)
	return &e
}

func unexpectedState(pi *intent, format string, args ...any) *apiError {
	return invalid("payment_intent_unexpected_state", "", format, args...).about(pi)
}

func (s *Stripe) apiConfirmIntent(p params, id string) (work, *apiError) {
	get, e, err := intents.target(s, p, id, slices.Concat([]string{"client_secret", "receipt_email"}, confirmParams),
		slices.Concat(foreignIntentParams, []string{"capture_method", "payment_method_types", "setup_future_usage", "shipping"}))
	if err != nil {
		return nil, err
	}
	if err := p.email("receipt_email"); err != nil {
		return nil, err
	}
	return func(c cause) (any, *apiError) {
		pi, err := get()
		if err != nil {
			return nil, err
		}
		m, err := s.readConfirmation(p, pi)
		if err != nil {
			return nil, err
		}
		if m == nil {
			m = pi.method
		}
		switch {
		case pi.session != nil:
			return nil, unexpectedState(pi, "You cannot confirm this PaymentIntent because it was created by a Checkout Session.")
		case pi.status != "requires_payment_method" && pi.status != "requires_confirmation":
			return nil, unexpectedState(pi, "You cannot confirm this PaymentIntent because it has a status of %s.", pi.status)
		case m == nil:
			return nil, unexpectedState(pi, "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method.")
		}
		if receipt, ok := p["receipt_email"]; ok {
			pi.receipt = receipt
		}
		s.keepMethod(m)
		return s.answerConfirmation(pi, m, e, c)
	}, nil
}

func (s *Stripe) apiCancelIntent(p params, id string) (work, *apiError) {
	get, e, err := intents.target(s, p, id, []string{"cancellation_reason"}, nil)
	if err != nil {
		return nil, err
	}
	if err := p.oneOf("cancellation_reason", "abandoned", "duplicate", "fraudulent", "requested_by_customer"); err != nil {
		return nil, err
	}
	return func(c cause) (any, *apiError) {
		pi, err := get()
		switch {
		case err != nil:
			return nil, err
		case pi.session != nil:
			return nil, unexpectedState(pi, "You cannot cancel this PaymentIntent because it was created by a Checkout Session. Expire the session instead.")
		case pi.status != "requires_payment_method" && pi.status != "requires_confirmation" && pi.status != "requires_action":
			return nil, unexpectedState(pi, "You cannot cancel this PaymentIntent because it has a status of %s. Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, requires_capture, requires_confirmation, requires_action, processing.", pi.status)
		}
		s.cancelIntent(pi, p["cancellation_reason"], c)
		return pi.json(e), nil
	}, nil
}

package stripetest

import (
	"slices"
	"strings"
	"time"
)

// card is one of Stripe's test cards, and what happens when it pays. https://docs.stripe.com/testing
type card struct {
	names          string // after pm_card_ and tok_
	number         string
	brand, funding string
	decline        string // the bank's code; empty: the card pays
	dispute        string // the reason of a dispute that follows the payment
	inquiry        bool   // which is a mere question of the bank
	refund         string // what becomes of a refund in the end; empty: it succeeds at once
}

var cards = []card{
	{names: "visa", number: "4242424242424242"},
	{names: "visa_debit", number: "4000056655665556", funding: "debit"},
	{names: "mastercard", number: "5555555555554444", brand: "mastercard"},
	{names: "mastercard_debit", number: "5200828282828210", brand: "mastercard", funding: "debit"},
	{names: "mastercard_prepaid", number: "5105105105105100", brand: "mastercard", funding: "prepaid"},
	{names: "amex", number: "378282246310005", brand: "amex"},
	{names: "discover", number: "6011111111111117", brand: "discover"},
	{names: "diners", number: "3056930009020004", brand: "diners"},
	{names: "jcb", number: "3566002020360505", brand: "jcb"},
	{names: "unionpay", number: "6200000000000005", brand: "unionpay"},
	{names: "bypassPending", number: "4000000000000077"},

	{names: "chargeDeclined visa_chargeDeclined", number: "4000000000000002", decline: "generic_decline"},
	{names: "chargeDeclinedInsufficientFunds visa_chargeDeclinedInsufficientFunds", number: "4000000000009995", decline: "insufficient_funds"},
	{names: "chargeDeclinedLostCard visa_chargeDeclinedLostCard", number: "4000000000009987", decline: "lost_card"},
	{names: "chargeDeclinedStolenCard visa_chargeDeclinedStolenCard", number: "4000000000009979", decline: "stolen_card"},
	{names: "chargeDeclinedExpiredCard", number: "4000000000000069", decline: "expired_card"},
	{names: "chargeDeclinedIncorrectCvc", number: "4000000000000127", decline: "incorrect_cvc"},
	{names: "chargeDeclinedProcessingError", number: "4000000000000119", decline: "processing_error"},

	{names: "createDispute", number: "4000000000000259", dispute: "fraudulent"},
	{names: "createDisputeProductNotReceived", number: "4000000000002685", dispute: "product_not_received"},
	{names: "createDisputeInquiry", number: "4000000000001976", dispute: "fraudulent", inquiry: true},

	{names: "pendingRefund", number: "4000000000007726", refund: "succeeded"},
	{names: "refundFail", number: "4000000000005126", refund: "failed"},
}

// cardOf finds a card by its number or one of its names.
func cardOf(is func(c card) bool) *card {
	i := slices.IndexFunc(cards, is)
	if i < 0 {
		return nil
	}
	c := cards[i]
	if c.brand == "" {
		c.brand = "visa"
	}
	if c.funding == "" {
		c.funding = "credit"
	}
	return &c
}

func cardNamed(name string) *card {
	return cardOf(func(c card) bool { return slices.Contains(strings.Fields(c.names), name) })
}

// bank is one of Stripe's test accounts for SEPA debits, and what the bank says about the payment.
// https://docs.stripe.com/payments/sepa-debit/accept-a-payment#test-your-integration
type bank struct {
	iban  string
	fails bool
	after time.Duration
}

const bankDelay = 3 * time.Minute

var banks = []bank{
	{iban: "AT611904300234573201"},
	{iban: "AT321904300235473204", after: bankDelay},
	{iban: "AT861904300235473202", fails: true},
	{iban: "AT051904300235473205", fails: true, after: bankDelay},
	{iban: "DE89370400440532013000"},
	{iban: "DE08370400440532013003", after: bankDelay},
	{iban: "DE62370400440532013001", fails: true},
	{iban: "DE78370400440532013004", fails: true, after: bankDelay},
	{iban: "IT60X0542811101000000123456", fails: true},
}

// method is a payment method: a card, one of the banks, or neither, whose news SettleDelayed brings.
type method struct {
	head
	kind     string // card, sepa_debit, us_bank_account, …
	card     *card
	bank     *bank
	payer    *payer
	customer string
	metadata map[string]string
}

var methods = kind[*method]{
	name: "PaymentMethod", param: "payment_method",
	shelf: func(s *Stripe) *shelf[*method] { return &s.methods },
}

func (m *method) json(expansion) map[string]any {
	return map[string]any{
		"id": m.id, "object": "payment_method", "billing_details": m.payer.json(), "created": m.created, "customer": null(m.customer),
		"livemode": false, "metadata": m.metadata, "type": m.kind, m.kind: m.account(),
	}
}

// account is the card or the bank account; of other methods nothing is known.
func (m *method) account() map[string]any {
	switch {
	case m.card != nil:
		brand := m.card.brand
		return map[string]any{
			"brand": brand, "checks": map[string]any{"address_line1_check": nil, "address_postal_code_check": "pass", "cvc_check": "pass"}, "country": "US",
			"exp_month": 12, "exp_year": 2034, "fingerprint": "stripetest", "funding": m.card.funding, "generated_from": nil, "last4": last4(m.card.number),
			"networks": map[string]any{"available": []string{brand}, "preferred": nil}, "three_d_secure_usage": map[string]any{"supported": true}, "wallet": nil,
		}
	case m.bank != nil:
		return map[string]any{
			"bank_code": m.bank.iban[4:9], "branch_code": "", "country": m.bank.iban[:2], "fingerprint": "stripetest",
			"generated_from": map[string]any{"charge": nil, "setup_attempt": nil}, "last4": last4(m.bank.iban),
		}
	}
	switch m.kind {
	case "us_bank_account", "acss_debit":
		return map[string]any{"bank_name": "STRIPETEST BANK", "last4": "6789"}
	case "sepa_debit", "bacs_debit", "au_becs_debit":
		return map[string]any{"last4": "6789"}
	case "boleto":
		return map[string]any{"tax_id": "00000000000"}
	}
	return map[string]any{}
}

func last4(s string) string { return s[len(s)-4:] }

// newMethod makes a payment method that has no id yet; keepMethod gives it one.
func newMethod(kind string, p *payer) *method {
	m := &method{kind: kind, payer: p, metadata: map[string]string{}}
	if kind == "card" {
		m.card = cardNamed("visa")
	}
	return m
}

func (s *Stripe) keepMethod(m *method) {
	if m.id == "" {
		m.head = head{s.id("pm_1", 23), s.now()}
		s.methods.add(m)
	}
}

// findMethod is the payment method that a parameter names: one that exists, or a new one from a name such as pm_card_visa.
func (s *Stripe) findMethod(p params, param string) (*method, *apiError) {
	id := p[param]
	name, ok := strings.CutPrefix(id, "pm_card_")
	if !ok {
		return methods.find(s, param, id)
	}
	m := newMethod("card", nil)
	if m.card = cardNamed(name); m.card == nil {
		return nil, unknownCard(param)
	}
	return m, nil
}

// fits refuses a method that is not among those allowed.
func (m *method) fits(kinds []string) *apiError {
	if slices.Contains(kinds, m.kind) {
		return nil
	}
	return invalid("payment_intent_incompatible_payment_method", "payment_method", "The PaymentMethod provided (%s) is not allowed here. Allowed are: %s.", m.kind, strings.Join(kinds, ", "))
}

func (s *Stripe) apiCreateMethod(p params, _ string) (work, *apiError) {
	known := []string{"type", "card.token", "card.number", "card.exp_month", "card.exp_year", "card.cvc", "sepa_debit.iban", "metadata.*", "allow_redisplay", "expand.#"}
	if err := p.check(slices.Concat(known, payerParams), slices.Concat(knownMethods, []string{"customer", "payment_method", "radar_options"})); err != nil {
		return nil, err
	}
	if p["type"] == "" {
		return nil, missingParam("type")
	}
	m := newMethod(p["type"], p.payer())
	var err *apiError
	switch m.kind {
	case "card":
		m.card, err = p.card()
	case "sepa_debit":
		m.bank, err = p.bank()
	default:
		err = unsupported("type", "The stand-in makes payment methods of the types card and sepa_debit only.")
	}
	if err != nil {
		return nil, err
	}
	if m.metadata, err = p.metadata("metadata"); err != nil {
		return nil, err
	}
	if err := p.email("billing_details[email]"); err != nil {
		return nil, err
	}
	e, err := p.expansion(methods.expand, "")
	return func(cause) (any, *apiError) {
		s.keepMethod(m)
		return m.json(e), nil
	}, err
}

var payerParams = slices.Concat([]string{"billing_details.email", "billing_details.name", "billing_details.phone"}, within("billing_details.address", addressParams))

func (p params) payer() *payer {
	return &payer{email: p["billing_details[email]"], name: p["billing_details[name]"], phone: p["billing_details[phone]"], address: p.address("billing_details[address]")}
}

var addressParams = []string{"city", "country", "line1", "line2", "postal_code", "state"}

func (p params) address(prefix string) address {
	return address{
		city: p[prefix+"[city]"], country: p[prefix+"[country]"], line1: p[prefix+"[line1]"], line2: p[prefix+"[line2]"],
		postalCode: p[prefix+"[postal_code]"], state: p[prefix+"[state]"],
	}
}

// card reads a card. No answer tells its number.
func (p params) card() (c *card, err *apiError) {
	param := "card[token]"
	if token, ok := p[param]; ok {
		c = cardNamed(strings.TrimPrefix(token, "tok_"))
	} else {
		param = "card[number]"
		for _, name := range []string{param, "card[exp_month]", "card[exp_year]"} {
			if _, ok := p[name]; !ok {
				return nil, missingParam(name)
			}
		}
		number := strings.ReplaceAll(p[param], " ", "")
		c = cardOf(func(c card) bool { return c.number == number })
	}
	if c == nil {
		return nil, unknownCard(param)
	}
	return c, nil
}

func unknownCard(param string) *apiError {
	return unsupported(param, "The stand-in does not know this test card.")
}

func (p params) bank() (*bank, *apiError) {
	const param = "sepa_debit[iban]"
	if _, ok := p[param]; !ok {
		return nil, missingParam(param)
	}
	iban := strings.ToUpper(strings.ReplaceAll(p[param], " ", ""))
	i := slices.IndexFunc(banks, func(b bank) bool { return b.iban == iban })
	if i < 0 {
		return nil, unsupported(param, "The stand-in does not know the test account of this IBAN.")
	}
	return &banks[i], nil
}

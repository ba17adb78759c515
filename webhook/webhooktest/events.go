package webhooktest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// APIVersion is the version that events have when no other is asked for.
const APIVersion = "2023-10-16"

// Session is what an event about a checkout session says. Every field may be
// left out. Amounts are in the currency's minor unit; without any, the session costs
// nothing, and is complete without a payment.
type Session struct {
	EventID  string // default: derived from all that the event says
	ID       string // default "cs_test_1"
	Intent   string // default "pi_1", or none for a session without a charge
	Metadata map[string]string

	Amount   int64  // amount_total; default Subtotal + Tax + Shipping - Discount
	Subtotal int64  // amount_subtotal; default Amount - Tax - Shipping + Discount
	Tax      int64  // part of Amount
	Shipping int64  // part of Amount
	Discount int64  // taken off Amount
	Currency string // default "usd"

	Mode          string // default "payment"
	Status        string // default: what the event's type implies
	PaymentStatus string // default: what the event's type implies

	Reference  string // client_reference_id
	Livemode   bool
	Account    string    // of a connected account's event
	APIVersion string    // default APIVersion
	Created    time.Time // default 2025-01-15 10:00 UTC
}

// Intent is what an event about a payment intent says. Every field may be left
// out. The amount is in the currency's minor unit.
type Intent struct {
	EventID  string // default: derived from all that the event says
	ID       string // default "pi_1"
	Metadata map[string]string

	Amount      int64
	Currency    string // default "usd"
	FailureCode string // of IntentFailed; default "card_declined"

	Livemode   bool
	Account    string    // of a connected account's event
	APIVersion string    // default APIVersion
	Created    time.Time // default 2025-01-15 10:00 UTC
}

// SessionCompleted is a checkout.session.completed: paid, unless PaymentStatus
// says that the money is still on its way ("unpaid").
func SessionCompleted(s Session) []byte {
	return s.event("checkout.session.completed", "complete", "paid")
}

// SessionAsyncPaymentSucceeded is a checkout.session.async_payment_succeeded: a
// delayed payment has arrived.
func SessionAsyncPaymentSucceeded(s Session) []byte {
	return s.event("checkout.session.async_payment_succeeded", "complete", "paid")
}

// SessionAsyncPaymentFailed is a checkout.session.async_payment_failed: a delayed
// payment will not arrive.
func SessionAsyncPaymentFailed(s Session) []byte {
	return s.event("checkout.session.async_payment_failed", "complete", "unpaid")
}

// SessionExpired is a checkout.session.expired: the customer did not pay in time.
func SessionExpired(s Session) []byte {
	return s.event("checkout.session.expired", "expired", "unpaid")
}

// IntentSucceeded is a payment_intent.succeeded.
func IntentSucceeded(i Intent) []byte { return i.event("payment_intent.succeeded") }

// IntentFailed is a payment_intent.payment_failed: one attempt to pay failed, and
// the customer may try again.
func IntentFailed(i Intent) []byte { return i.event("payment_intent.payment_failed") }

// Event is an event of any type about any object, in the default version. An empty
// id stands for one that is derived from the rest. It panics without a type or an
// object, and when that is none that JSON can hold.
func Event(id, eventType string, object map[string]any) []byte {
	if eventType == "" || object == nil {
		panic("webhooktest: an event has a type and an object")
	}
	return envelope{id: id, eventType: eventType}.around(object)
}

func (s Session) event(eventType, status, paymentStatus string) []byte {
	if s.ID == "" {
		s.ID = "cs_test_1"
	}
	if s.Currency == "" {
		s.Currency = "usd"
	}
	if s.Mode == "" {
		s.Mode = "payment"
	}
	if s.Amount == 0 {
		s.Amount = s.Subtotal + s.Tax + s.Shipping - s.Discount
	}
	if s.Subtotal == 0 {
		s.Subtotal = s.Amount - s.Tax - s.Shipping + s.Discount
	}
	if s.Status == "" {
		s.Status = status
	}
	if s.PaymentStatus == "" {
		s.PaymentStatus = paymentStatus
		if s.Amount == 0 && paymentStatus == "paid" {
			s.PaymentStatus = "no_payment_required"
		}
	}
	// Since 2022-08-01 an intent is made only when the customer submits the
	// form; a session that costs nothing never has one.
	if s.Intent == "" && s.Amount > 0 && s.Mode == "payment" && s.Status != "expired" {
		s.Intent = "pi_1"
	}
	created := orEpoch(s.Created)
	return envelope{s.EventID, eventType, s.Account, s.APIVersion, s.Livemode, s.Created}.around(map[string]any{
		"id":                  s.ID,
		"object":              "checkout.session",
		"amount_subtotal":     s.Subtotal,
		"amount_total":        s.Amount,
		"automatic_tax":       map[string]any{"enabled": false, "status": nil},
		"cancel_url":          "https://example.com/cancel",
		"client_reference_id": orNull(s.Reference),
		"created":             created.Unix(),
		"currency":            s.Currency,
		"custom_fields":       []any{},
		"custom_text":         map[string]any{"shipping_address": nil, "submit": nil},
		"customer":            nil,
		"customer_details": map[string]any{
			"address": map[string]any{"country": "BD", "postal_code": nil},
			"email":   "customer@example.com",
			"name":    "Test Customer",
			"phone":   nil,
		},
		"customer_email":       nil,
		"expires_at":           created.Add(24 * time.Hour).Unix(),
		"livemode":             s.Livemode,
		"metadata":             metadata(s.Metadata),
		"mode":                 s.Mode,
		"payment_intent":       orNull(s.Intent),
		"payment_method_types": []string{"card"},
		"payment_status":       s.PaymentStatus,
		"setup_intent":         nil,
		"shipping_options":     []any{},
		"status":               s.Status,
		"subscription":         nil,
		"success_url":          "https://example.com/success?session_id={CHECKOUT_SESSION_ID}",
		"total_details": map[string]any{
			"amount_discount": s.Discount, "amount_shipping": s.Shipping, "amount_tax": s.Tax,
		},
		"url": nil,
	})
}

func (i Intent) event(eventType string) []byte {
	if i.ID == "" {
		i.ID = "pi_1"
	}
	if i.Currency == "" {
		i.Currency = "usd"
	}
	if i.FailureCode == "" {
		i.FailureCode = "card_declined"
	}
	rest := i.ID[min(2, len(i.ID)):]
	charge, method := "ch"+rest, "pm"+rest
	object := map[string]any{
		"id":                   i.ID,
		"object":               "payment_intent",
		"amount":               i.Amount,
		"amount_received":      i.Amount,
		"capture_method":       "automatic",
		"created":              orEpoch(i.Created).Unix(),
		"currency":             i.Currency,
		"customer":             nil,
		"last_payment_error":   nil,
		"livemode":             i.Livemode,
		"metadata":             metadata(i.Metadata),
		"next_action":          nil,
		"payment_method":       method,
		"payment_method_types": []string{"card"},
		"receipt_email":        nil,
		"status":               "succeeded",
	}
	if eventType == "payment_intent.payment_failed" {
		object["status"], object["amount_received"], object["payment_method"] = "requires_payment_method", 0, nil
		failure := map[string]any{
			"charge": charge, "code": i.FailureCode, "message": "Your card was declined.", "type": "card_error",
			"payment_method": map[string]any{
				"id": method, "object": "payment_method", "billing_details": map[string]any{"email": "customer@example.com", "name": "Test Customer"},
				"created": orEpoch(i.Created).Unix(), "customer": nil, "livemode": i.Livemode, "type": "card",
			},
		}
		// A decline has one code for all, and the bank's own beside it.
		switch i.FailureCode {
		case "card_declined":
			failure["decline_code"] = "generic_decline"
		case "insufficient_funds", "lost_card", "stolen_card":
			failure["code"], failure["decline_code"] = "card_declined", i.FailureCode
		}
		object["last_payment_error"] = failure
	}
	// From 2022-11-15 on an intent names its latest charge; before, it held the
	// list of them. See https://docs.stripe.com/upgrades#2022-11-15
	if version := orDefault(i.APIVersion); version >= "2022-11-15" {
		object["latest_charge"] = charge
	} else {
		object["charges"] = map[string]any{
			"object": "list", "has_more": false, "total_count": 1,
			"data": []any{map[string]any{"id": charge, "object": "charge", "amount": i.Amount, "currency": i.Currency}},
		}
	}
	return envelope{i.EventID, eventType, i.Account, i.APIVersion, i.Livemode, i.Created}.around(object)
}

// envelope is what all events have around their object.
type envelope struct {
	id, eventType, account, version string
	livemode                        bool
	created                         time.Time
}

func (e envelope) around(object map[string]any) []byte {
	event := map[string]any{
		"id":               e.id,
		"object":           "event",
		"api_version":      orDefault(e.version),
		"created":          orEpoch(e.created).Unix(),
		"data":             map[string]any{"object": object},
		"livemode":         e.livemode,
		"pending_webhooks": 1,
		"request":          map[string]any{"id": nil, "idempotency_key": nil},
		"type":             e.eventType,
	}
	if e.account != "" {
		event["account"] = e.account
	}
	if e.id == "" {
		sum := sha256.Sum256(marshal(event))
		event["id"] = "evt_" + hex.EncodeToString(sum[:])[:24]
	}
	return marshal(event)
}

func marshal(event map[string]any) []byte {
	out, err := json.Marshal(event)
	if err != nil {
		panic("webhooktest: " + err.Error()) // an object that JSON can't hold
	}
	return out
}

func metadata(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func orDefault(version string) string {
	if version == "" {
		return APIVersion
	}
	return version
}

func orEpoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.Date(2025, time.January, 15, 10, 0, 0, 0, time.UTC)
	}
	return t
}

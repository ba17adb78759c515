package payment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// This file is the one reading of Stripe's JSON: of events, and of what the API
// answers. It reads few fields and tolerates every API version from 2020-08-27
// on; where versions differ, the comment says how. No error quotes the JSON.

// Event is one event of Stripe's, decoded as far as the library reads it.
// See https://docs.stripe.com/api/events/object
type Event struct {
	ID         string
	Type       string
	Account    string // of a connected account; empty for the platform's own
	APIVersion string // what Object is written in
	Livemode   bool
	Created    time.Time
	ObjectID   string          // the object's id; empty when it has none
	Object     json.RawMessage // data.object
	Raw        []byte          // all of it
}

// eventJSON is what is read of an event.
type eventJSON struct {
	ID         string `json:"id"`
	Object     string `json:"object"`
	Type       string `json:"type"`
	Account    string `json:"account"`
	APIVersion string `json:"api_version"`
	Livemode   *bool  `json:"livemode"`
	Created    int64  `json:"created"`
	Data       struct {
		Object json.RawMessage `json:"object"`
	} `json:"data"`
}

// DecodeEvent is the one reading of an event's JSON. Everything that is not an
// event is ErrNotEvent.
func DecodeEvent(raw []byte) (Event, error) {
	var j eventJSON
	if err := unmarshal(raw, &j); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNotEvent, err)
	}
	switch {
	case j.Object != "event":
		return Event{}, fmt.Errorf("%w: object is not \"event\"", ErrNotEvent)
	case store.CheckID("id", j.ID) != nil || store.CheckID("type", j.Type) != nil:
		return Event{}, fmt.Errorf("%w: id or type is missing or too long", ErrNotEvent)
	case j.Livemode == nil:
		return Event{}, fmt.Errorf("%w: livemode is missing", ErrNotEvent)
	case len(j.Data.Object) == 0 || j.Data.Object[0] != '{':
		return Event{}, fmt.Errorf("%w: data.object is not an object", ErrNotEvent)
	}
	var object struct {
		ID idOf `json:"id"`
	}
	if err := unmarshal(j.Data.Object, &object); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrNotEvent, err)
	}
	e := Event{
		ID: j.ID, Type: j.Type, Account: j.Account, APIVersion: j.APIVersion, Livemode: *j.Livemode,
		ObjectID: string(object.ID), Object: j.Data.Object, Raw: raw,
	}
	if store.CheckID("object id", e.ObjectID) != nil {
		e.ObjectID = ""
	}
	if j.Created > 0 {
		e.Created = time.Unix(j.Created, 0).UTC()
	}
	return e, nil
}

// session is a checkout session as Stripe tells it.
type session struct {
	facts     booking.Facts
	reference string // client_reference_id
	url       string // of the pay page; empty unless it is open
	replayed  bool   // Stripe repeated an earlier answer: the session may have moved on
}

// sessionJSON is what is read of a session.
// See https://docs.stripe.com/api/checkout/sessions/object
type sessionJSON struct {
	ID                string          `json:"id"`
	Object            string          `json:"object"`
	Mode              string          `json:"mode"`
	Status            string          `json:"status"` // since November 2021
	PaymentStatus     string          `json:"payment_status"`
	PaymentIntent     json.RawMessage `json:"payment_intent"` // null, an id or the object; before 2022-08-01 set from the start
	ClientReferenceID string          `json:"client_reference_id"`
	URL               string          `json:"url"`
	Currency          string          `json:"currency"`
	AmountSubtotal    *int64          `json:"amount_subtotal"`
	AmountTotal       *int64          `json:"amount_total"`
	TotalDetails      *struct {
		Discount int64 `json:"amount_discount"`
		Shipping int64 `json:"amount_shipping"`
		Tax      int64 `json:"amount_tax"`
	} `json:"total_details"`
	// CurrencyConversion is set on sessions of Adaptive Pricing from before
	// 2025-03-31, whose currency is the customer's; since then it is ours. See
	// https://docs.stripe.com/changelog/basil/2025-03-31/add_presentment_details
	CurrencyConversion *struct {
		SourceCurrency string `json:"source_currency"`
		AmountSubtotal int64  `json:"amount_subtotal"`
		AmountTotal    int64  `json:"amount_total"`
	} `json:"currency_conversion"`
	MethodTypes []string        `json:"payment_method_types"`
	Livemode    bool            `json:"livemode"`
	Metadata    json.RawMessage `json:"metadata"`
	Created     int64           `json:"created"`
	ExpiresAt   int64           `json:"expires_at"`
}

// decodeSession reads a session. event is the type of the event that it came
// with, if any: where an old session does not say its status, that does.
func decodeSession(raw []byte, event string) (session, error) {
	var j sessionJSON
	if err := unmarshal(raw, &j); err != nil {
		return session{}, fmt.Errorf("checkout session: %w", err)
	}
	if j.Object != "checkout.session" || store.CheckID("id", j.ID) != nil {
		return session{}, errors.New("checkout session: it is none")
	}
	in, err := decodeIntentField(j.PaymentIntent)
	if err != nil {
		return session{}, err
	}
	metadata, err := decodeMetadata(j.Metadata)
	if err != nil {
		return session{}, fmt.Errorf("checkout session: %w", err)
	}
	f := booking.Facts{
		SessionID: j.ID, PaymentIntentID: in.ID,
		Mode: j.Mode, SessionStatus: j.Status, PaymentStatus: j.PaymentStatus,
		Currency: strings.ToLower(j.Currency),
		Livemode: j.Livemode, Metadata: metadata, Created: unix(j.Created), ExpiresAt: unix(j.ExpiresAt),
	}
	f.PaymentMethod, f.MethodUsed = methodOf(in, j.MethodTypes)
	if j.AmountTotal != nil {
		f.Amount, f.Subtotal = *j.AmountTotal, *j.AmountTotal
	}
	if j.AmountSubtotal != nil {
		f.Subtotal = *j.AmountSubtotal
		if j.AmountTotal == nil {
			f.Amount = f.Subtotal
		}
	}
	if d := j.TotalDetails; d != nil {
		f.Discount, f.Shipping, f.Tax = d.Discount, d.Shipping, d.Tax
	}
	if c := j.CurrencyConversion; c != nil && c.SourceCurrency != "" {
		f.Currency, f.Subtotal, f.Amount = strings.ToLower(c.SourceCurrency), c.AmountSubtotal, c.AmountTotal
		f.Discount, f.Shipping, f.Tax = 0, 0, 0 // those are in the customer's currency
	}
	if f.SessionStatus == "" {
		f.SessionStatus = impliedStatus(event, f.PaymentStatus)
	}
	// The intent is what takes the money; its session can lag behind it.
	if in.Status == "succeeded" && f.Mode == "payment" && f.PaymentStatus != "no_payment_required" {
		f.SessionStatus, f.PaymentStatus = "complete", "paid"
	}
	// A delayed payment that failed leaves its session complete and unpaid, as
	// one that is on its way does: the event or the intent tells them apart.
	switch {
	case f.SessionStatus != "complete" || f.PaymentStatus != "unpaid":
	case event == asyncFailed, in.Status == "requires_payment_method", in.Status == "canceled":
		f.FailureCode = in.failure()
	}
	return session{facts: f, reference: j.ClientReferenceID, url: j.URL}, nil
}

// impliedStatus is the status of a session from before there was one.
func impliedStatus(event, paymentStatus string) string {
	switch {
	case event == "checkout.session.expired":
		return "expired"
	case strings.HasPrefix(event, "checkout.session."), paymentStatus == "paid":
		return "complete"
	}
	return "open"
}

// intentJSON is what is read of a payment intent.
// See https://docs.stripe.com/api/payment_intents/object
type intentJSON struct {
	ID             string          `json:"id"`
	Object         string          `json:"object"`
	Status         string          `json:"status"`
	Currency       string          `json:"currency"`
	Amount         int64           `json:"amount"`
	AmountReceived *int64          `json:"amount_received"`
	MethodTypes    []string        `json:"payment_method_types"`
	Livemode       bool            `json:"livemode"`
	Metadata       json.RawMessage `json:"metadata"`
	Created        int64           `json:"created"`
	PaymentMethod  typeOf          `json:"payment_method"` // an id, or the object
	LatestCharge   chargeJSON      `json:"latest_charge"`  // since 2022-11-15: an id, or the object
	Charges        struct {
		Data []chargeJSON `json:"data"` // newest first
	} `json:"charges"` // before 2022-11-15
	LastError *struct {
		Code        string `json:"code"`
		DeclineCode string `json:"decline_code"`
	} `json:"last_payment_error"`
}

// decodeIntent reads a payment intent: what it says about itself alone.
func decodeIntent(raw []byte) (booking.Facts, error) {
	var in intentJSON
	if err := unmarshal(raw, &in); err != nil {
		return booking.Facts{}, fmt.Errorf("payment intent: %w", err)
	}
	if in.Object != "payment_intent" || store.CheckID("id", in.ID) != nil {
		return booking.Facts{}, errors.New("payment intent: it is none")
	}
	metadata, err := decodeMetadata(in.Metadata)
	if err != nil {
		return booking.Facts{}, fmt.Errorf("payment intent: %w", err)
	}
	f := booking.Facts{
		PaymentIntentID: in.ID, IntentStatus: in.Status,
		Currency: strings.ToLower(in.Currency), Amount: in.Amount,
		Livemode: in.Livemode, Metadata: metadata, Created: unix(in.Created),
	}
	f.PaymentMethod, f.MethodUsed = methodOf(in, in.MethodTypes)
	if in.AmountReceived != nil && in.Status == "succeeded" {
		f.Amount = *in.AmountReceived
	}
	f.Subtotal = f.Amount
	if in.Status != "succeeded" && (in.LastError != nil || in.Status == "canceled") {
		f.FailureCode = in.failure()
	}
	return f, nil
}

// decodeIntentField reads a session's payment_intent: nothing, an id, or the
// object.
func decodeIntentField(raw json.RawMessage) (intentJSON, error) {
	var in intentJSON
	if len(raw) == 0 || string(raw) == "null" {
		return in, nil
	}
	var err error
	if raw[0] == '"' {
		err = unmarshal(raw, &in.ID)
	} else {
		err = unmarshal(raw, &in)
	}
	if err != nil || store.CheckID("id", in.ID) != nil {
		return in, errors.New("checkout session: payment_intent is neither an id nor an intent")
	}
	return in, nil
}

// failure is Stripe's code of why the latest attempt failed, the bank's own
// reason before the general "card_declined".
// See https://docs.stripe.com/declines/codes
func (in intentJSON) failure() string {
	if in.LastError != nil {
		for _, code := range []string{in.LastError.DeclineCode, in.LastError.Code} {
			if store.CheckID("code", code) == nil {
				return code
			}
		}
	}
	return booking.UnknownFailure
}

// chargeJSON is a charge: its id or, of an expanded one, how it was paid.
type chargeJSON struct {
	Details typeOf `json:"payment_method_details"`
}

func (c *chargeJSON) UnmarshalJSON(raw []byte) error {
	if raw[0] != '{' {
		return nil
	}
	type plain chargeJSON
	return json.Unmarshal(raw, (*plain)(c))
}

// typeOf is the "type" of an object, empty for anything else.
type typeOf string

func (t *typeOf) UnmarshalJSON(raw []byte) error {
	var object struct {
		Type string `json:"type"`
	}
	if raw[0] != '{' {
		return nil
	}
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	*t = typeOf(object.Type)
	return nil
}

// idOf is an id, empty for anything that is no text.
type idOf string

func (i *idOf) UnmarshalJSON(raw []byte) error {
	if raw[0] != '"' {
		return nil
	}
	return json.Unmarshal(raw, (*string)(i))
}

// methodOf is the type of payment method that was used when it is known, else
// the first that was allowed, else "card".
func methodOf(in intentJSON, allowed []string) (kind string, used bool) {
	known := []string{string(in.LatestCharge.Details), string(in.PaymentMethod)}
	if len(in.Charges.Data) > 0 {
		known = append(known, string(in.Charges.Data[0].Details))
	}
	for _, kind := range known {
		if store.CheckID("type", kind) == nil {
			return kind, true
		}
	}
	if len(allowed) > 0 && store.CheckID("type", allowed[0]) == nil {
		return allowed[0], false
	}
	return "card", false
}

func decodeMetadata(raw json.RawMessage) (map[string]string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, errors.New("metadata is not a map of texts") // a field's name would be the customer's
	}
	return m, nil
}

// unmarshal is json.Unmarshal with errors that say where, and never what.
func unmarshal(raw []byte, v any) error {
	err := json.Unmarshal(raw, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
			if _, text := v.(*string); !text {
				return errors.New("not a JSON object")
			}
		}
		return nil
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Errorf("%s has the wrong type", wrong.Field)
	}
	return errors.New("not a JSON object")
}

func unix(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

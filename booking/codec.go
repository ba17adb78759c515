package booking

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/carevia/stripebooking/store"
)

// Codec writes an Order into the metadata of a checkout session and its payment
// intent, and reads it back.
type Codec interface {
	// Encode returns the metadata, or an error that says which of Stripe's
	// limits the order breaks. Nothing is cut off silently.
	Encode(o Order) (map[string]string, error)

	// Decode reads the order from f.Metadata. ErrNotOurs: none of the codec's
	// keys are there. ErrMetadata: some are, but they make no order; the text
	// names the key and what is wrong, never the value.
	Decode(f Facts) (Order, error)
}

var (
	// ErrNotOurs: the session or intent was not made for a booking.
	ErrNotOurs = errors.New("booking: metadata is not ours")
	// ErrMetadata: the metadata is ours, but broken or too large.
	ErrMetadata = errors.New("booking: invalid metadata")
)

// Stripe's limits for metadata. See https://docs.stripe.com/metadata#data
const (
	maxKeys       = 50
	maxKeyChars   = 40
	maxValueChars = 500
)

// The keys. Those of the plain codec are in both.
const (
	keyUserID      = "userId"
	keyServiceID   = "serviceId"
	keyServiceName = "serviceName"
	keyAmount      = "amountToPay"
	keyOption      = "paymentOption"

	keyMarker   = "stripebooking"
	keyBooking  = "bookingId"
	keyVersion  = "bookingVersion"
	keyTotal    = "total"
	keyCurrency = "currency"
	keyPurpose  = "purpose"
)

// schema is the version of Marked's keys, the value of its marker.
const schema = "1"

// Marked is the codec of this library's own checkouts. It writes a marker, the
// key "stripebooking" with the version of the schema, and all of an Order:
//
//	stripebooking   "1"
//	bookingId       the booking's id
//	bookingVersion  the version of the held booking, "0" without a hold
//	userId          who books
//	serviceId       what; left out when empty, like the next
//	serviceName
//	paymentOption   "full" or "half"
//	purpose         "full", "deposit" or "balance"
//	amountToPay     what this session collects, as decimal text in major units
//	total           the price of the whole, likewise
//	currency        of both, three lower-case letters
//
// and each of the order's details under its own key. The plain codec's keys are
// among them, so that code that reads those keeps working. Decode gives back the
// very order that was encoded, in the currency that was agreed, whatever the
// payment came in; another schema is ErrMetadata.
type Marked struct{}

// Encode implements Codec.
func (Marked) Encode(o Order) (map[string]string, error) {
	own := map[string]string{
		keyMarker:   schema,
		keyBooking:  o.BookingID,
		keyVersion:  strconv.FormatInt(o.Version, 10),
		keyTotal:    FormatAmount(o.Total, o.Currency),
		keyCurrency: o.Currency,
		keyPurpose:  string(o.Purpose),
	}
	return encode(o, own, nil)
}

// Decode implements Codec.
func (Marked) Decode(f Facts) (Order, error) {
	marker, ours := f.Metadata[keyMarker]
	if !ours {
		return Order{}, ErrNotOurs
	}
	if marker != schema {
		return Order{}, problems(nil).key(keyMarker, "is not the schema version "+schema).err()
	}
	r := reader{metadata: f.Metadata}
	o := r.order(r.text(keyCurrency))
	o.BookingID = r.text(keyBooking)
	o.Purpose = store.Purpose(r.text(keyPurpose))
	o.Total = r.amount(keyTotal, o.Currency)
	version, err := strconv.ParseUint(r.text(keyVersion), 10, 63)
	if err != nil {
		r.wrong = r.wrong.key(keyVersion, "is not a number")
	}
	o.Version = int64(version)
	o.Details = r.rest(append(plainKeys(), markedKeys()...))
	return r.done(o)
}

// Plain is the codec of sites that make their checkout sessions themselves, as
// the guide teaches, with these keys:
//
//	userId         who books; required
//	serviceId      what; may be missing, like the next
//	serviceName
//	amountToPay    what this session collects, as decimal text in major units; required
//	paymentOption  "full" or "half"; missing means "full"
//
// All other keys become the booking's details. A session or intent is ours when
// it has any of userId, serviceId and amountToPay, and not Marked's marker.
//
// The keys do not tell everything that an Order has. The currency is the one
// that the payment came in. With "half" the total is taken to be twice
// amountToPay, and the purpose is the deposit. The booking's id is derived from
// the payment intent, or from the session when there is none, so that the news of
// a session and of its intent lead to the same booking, whichever of them comes
// first and carries the metadata.
//
// The amount is read as it is. One that can't be charged in the currency, or in
// a currency that Stripe does not list (read with two decimals), makes an order
// too, so that the payment is recorded; but more decimals than the currency has
// are ErrMetadata: what was agreed can't be told.
type Plain struct{}

// Encode implements Codec, for those who make such a session in Go. An order
// that the keys can't hold is refused with ErrMetadata: one with a booking id or
// a version, or with a total or a purpose other than Decode would make of the
// rest. The currency is the session's own.
func (Plain) Encode(o Order) (map[string]string, error) {
	var w problems
	if o.BookingID != "" || o.Version != 0 {
		w = append(w, "the plain keys have no place for a booking's id and version")
	}
	if total, ok := totalOf(o.Option, o.Now); !ok || o.Total != total || o.Purpose != purposeOf(o.Option) {
		w = append(w, "the plain keys have no place for this total or purpose")
	}
	o.BookingID = DeriveID("bk") // any, as Decode will find one
	return encode(o, nil, w)
}

// Decode implements Codec.
func (Plain) Decode(f Facts) (Order, error) {
	has := func(key string) bool { _, ok := f.Metadata[key]; return ok }
	if has(keyMarker) || !has(keyUserID) && !has(keyServiceID) && !has(keyAmount) {
		return Order{}, ErrNotOurs
	}
	r := reader{metadata: f.Metadata}
	currency := lower(f.Currency)
	if currency == "" {
		r.wrong = append(r.wrong, "there is no currency to read the amount in")
	}
	o := r.order(currency)
	o.Purpose = purposeOf(o.Option)
	total, ok := totalOf(o.Option, o.Now)
	if !ok {
		r.wrong = r.wrong.key(keyAmount, "is too large")
	}
	o.Total = total
	switch {
	case f.PaymentIntentID != "":
		o.BookingID = DeriveID("bk", "payment_intent", f.PaymentIntentID)
	case f.SessionID != "":
		o.BookingID = DeriveID("bk", "session", f.SessionID)
	default:
		r.wrong = append(r.wrong, "there is neither an intent nor a session to derive the booking's id from")
	}
	o.Details = r.rest(plainKeys())
	return r.done(o)
}

func plainKeys() []string {
	return []string{keyUserID, keyServiceID, keyServiceName, keyAmount, keyOption}
}

func markedKeys() []string {
	return []string{keyMarker, keyBooking, keyVersion, keyTotal, keyCurrency, keyPurpose}
}

// purposeOf is what a first payment with this option is for.
func purposeOf(option store.Option) store.Purpose {
	if option == store.OptionHalf {
		return store.PurposeDeposit
	}
	return store.PurposeFull
}

// totalOf is the total that now is paid of under the plain codec; false if it is
// too large.
func totalOf(option store.Option, now int64) (int64, bool) {
	if option != store.OptionHalf {
		return now, true
	}
	return 2 * now, now <= math.MaxInt64/2
}

// problems is all that is wrong with an order or its metadata.
type problems []string

// key adds what is wrong with one key, and with what is under it, never telling
// the value.
func (w problems) key(key, what string) problems {
	return append(w, fmt.Sprintf("%.*q %s", maxKeyChars, key, what))
}

func (w problems) err() error {
	if len(w) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrMetadata, strings.Join(w, "; "))
}

// encode returns the plain keys, own and the details together, once the order is
// sound and all of it within Stripe's limits.
func encode(o Order, own map[string]string, w problems) (map[string]string, error) {
	w = append(w, check(o)...)
	m := map[string]string{
		keyUserID: o.UserID,
		keyAmount: FormatAmount(o.Now, o.Currency),
		keyOption: string(o.Option),
	}
	if o.ServiceID != "" {
		m[keyServiceID] = o.ServiceID
	}
	if o.ServiceName != "" {
		m[keyServiceName] = o.ServiceName
	}
	maps.Copy(m, own)
	reserved := append(plainKeys(), keyMarker)
	if own != nil {
		reserved = append(reserved, markedKeys()...)
	}
	for _, k := range sorted(o.Details) {
		if slices.Contains(reserved, k) {
			w = w.key(k, "is a key of the codec's own and can't be a detail")
			continue
		}
		if o.Details[k] == "" {
			w = w.key(k, "is empty, and Stripe drops empty values")
		}
		m[k] = o.Details[k]
	}
	for _, k := range sorted(m) {
		if n := utf8.RuneCountInString(k); n > maxKeyChars {
			w = w.key(k, fmt.Sprintf("has %d characters, and keys at most %d", n, maxKeyChars))
		}
		if strings.ContainsAny(k, "[]") {
			w = w.key(k, "has a square bracket, which keys can't have")
		}
		if n := utf8.RuneCountInString(m[k]); n > maxValueChars {
			w = w.key(k, fmt.Sprintf("has a value of %d characters, and at most %d are allowed", n, maxValueChars))
		}
	}
	if len(m) > maxKeys {
		w = append(w, fmt.Sprintf("there are %d keys, and at most %d are allowed", len(m), maxKeys))
	}
	if err := w.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// reader reads metadata and gathers what is wrong with it.
type reader struct {
	metadata map[string]string
	wrong    problems
}

// text is the value of a key that must be there.
func (r *reader) text(key string) string {
	v := r.metadata[key]
	if v == "" {
		r.wrong = r.wrong.key(key, "is missing")
	}
	return v
}

// amount is the amount under a key that must be there.
func (r *reader) amount(key, currency string) int64 {
	text := r.text(key)
	if text == "" {
		return 0
	}
	f, _ := formOf(currency)
	n, wrong := f.parse(text)
	if wrong != "" {
		r.wrong = r.wrong.key(key, "is no amount: "+wrong)
	}
	return n
}

// order reads the plain keys.
func (r *reader) order(currency string) Order {
	option := store.Option(r.metadata[keyOption])
	if option == "" {
		option = store.OptionFull
	}
	return Order{
		UserID:      r.text(keyUserID),
		ServiceID:   r.metadata[keyServiceID],
		ServiceName: r.metadata[keyServiceName],
		Option:      option,
		Now:         r.amount(keyAmount, currency),
		Currency:    currency,
	}
}

// rest is the details: all keys but those of the codec.
func (r *reader) rest(keys []string) map[string]string {
	details := maps.Clone(r.metadata)
	maps.DeleteFunc(details, func(k, _ string) bool { return slices.Contains(keys, k) })
	if len(details) == 0 {
		return nil
	}
	return details
}

// done returns the order, unless something was wrong while reading it or is
// wrong with what came of it.
func (r *reader) done(o Order) (Order, error) {
	w := r.wrong
	if len(w) == 0 {
		w = check(o)
	}
	if err := w.err(); err != nil {
		return Order{}, err
	}
	return o, nil
}

// check finds what keeps an order from becoming a booking: whatever a store
// would refuse, and words that the rules don't know.
func check(o Order) problems {
	var w problems
	id := func(key, v string) {
		if store.CheckID("id", v) != nil {
			w = w.key(key, fmt.Sprintf("is not 1 to %d bytes of UTF-8 without NUL", store.MaxID))
		}
	}
	text := func(key, v string) {
		if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
			w = w.key(key, "is not UTF-8 without NUL")
		}
	}
	id(keyBooking, o.BookingID)
	id(keyUserID, o.UserID)
	if o.ServiceID != "" {
		id(keyServiceID, o.ServiceID)
	}
	text(keyServiceName, o.ServiceName)
	if o.Option != store.OptionFull && o.Option != store.OptionHalf {
		w = w.key(keyOption, fmt.Sprintf("is neither %q nor %q", store.OptionFull, store.OptionHalf))
	}
	switch o.Purpose {
	case store.PurposeFull, store.PurposeDeposit, store.PurposeBalance:
	default:
		w = w.key(keyPurpose, "is not a purpose of a payment")
	}
	if !isCode(o.Currency) {
		w = w.key(keyCurrency, "is not three lower-case letters")
	}
	if o.Now < 0 {
		w = w.key(keyAmount, "is negative")
	}
	if o.Total < o.Now {
		w = w.key(keyTotal, "is less than what is paid of it")
	}
	if o.Version < 0 {
		w = w.key(keyVersion, "is negative")
	}
	for _, k := range sorted(o.Details) {
		id(k, k)
		text(k, o.Details[k])
	}
	return w
}

// sorted is the keys of m in order, so that errors always read the same.
func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package booking_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

func deposit() booking.Order {
	return booking.Order{
		BookingID: "bk_1", UserID: "user-1", ServiceID: "cleaning", ServiceName: "Deep cleaning",
		Option: store.OptionHalf, Purpose: store.PurposeDeposit,
		Total: 5001, Now: 2501, Currency: "usd",
		Details: map[string]string{"date": "2026-03-01", "note": "ঘণ্টা বাজাবেন না"},
		Version: 3,
	}
}

func TestMarkedEncode(t *testing.T) {
	m, err := booking.Marked{}.Encode(deposit())
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"stripebooking": "1", "bookingId": "bk_1", "bookingVersion": "3",
		"userId": "user-1", "serviceId": "cleaning", "serviceName": "Deep cleaning",
		"paymentOption": "half", "purpose": "deposit",
		"amountToPay": "25.01", "total": "50.01", "currency": "usd",
		"date": "2026-03-01", "note": "ঘণ্টা বাজাবেন না",
	}, m)

	o, err := booking.Marked{}.Decode(booking.Facts{Metadata: m, Currency: "eur", PaymentIntentID: "pi_1"})
	require.NoError(t, err)
	assert.Equal(t, deposit(), o, "what was agreed, whatever it was paid in")

	_, err = booking.Plain{}.Decode(booking.Facts{Metadata: m, Currency: "usd", PaymentIntentID: "pi_1"})
	assert.ErrorIs(t, err, booking.ErrNotOurs, "marked metadata is not the plain codec's")
}

// Whatever a codec encodes it decodes to the very same order, and what it encodes
// is within Stripe's limits.
func FuzzCodecRoundTrip(f *testing.F) {
	f.Add("bk_1", "user-1", "cleaning", "Deep cleaning", "note", "ring twice", int64(5001), int64(2501), int64(3), uint8(0))
	f.Add("a", "b", "", "", "date", "2026", int64(0), int64(0), int64(0), uint8(77))
	f.Add("ID ", "É", "Cleaning", "নমস্কার 🧹", "ключ", " ", int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), uint8(255))
	f.Add("x", "y", "", "", "userId", "somebody else", int64(5), int64(1), int64(1), uint8(9))
	f.Add("x", "y", "", "", "a[b]", "v", int64(5), int64(1), int64(1), uint8(30))
	f.Add("x", "y", "", "", "k", strings.Repeat("é", 500), int64(-5), int64(1), int64(1), uint8(30))
	f.Add("x", "y", "", "", strings.Repeat("é", 41), "v", int64(5), int64(1), int64(1), uint8(30))
	f.Add("x", "y", "", "", "k", strings.Repeat("é", 501), int64(5), int64(1), int64(1), uint8(30))
	f.Add("x", "y", "", "", "bookingId", "theirs", int64(10), int64(5), int64(0), uint8(1))
	currencies := append(booking.Currencies(), "xxx", "bgn")
	f.Fuzz(func(t *testing.T, id, user, service, name, key, value string, total, now, version int64, pick uint8) {
		o := booking.Order{
			BookingID: id, UserID: user, ServiceID: service, ServiceName: name,
			Option:  []store.Option{store.OptionFull, store.OptionHalf}[pick%2],
			Purpose: []store.Purpose{store.PurposeFull, store.PurposeDeposit, store.PurposeBalance}[pick%3],
			Total:   total, Now: now, Currency: currencies[int(pick)%len(currencies)], Version: version,
		}
		if key != "" {
			o.Details = map[string]string{key: value}
		}
		facts := booking.Facts{PaymentIntentID: "pi_1", Currency: o.Currency}
		if m, err := (booking.Marked{}).Encode(o); err != nil {
			require.ErrorIs(t, err, booking.ErrMetadata)
		} else {
			require.Empty(t, overLimits(m))
			facts.Metadata = m
			back, err := booking.Marked{}.Decode(facts)
			require.NoError(t, err)
			require.Equal(t, o, back)
		}

		// What the plain keys have no place for, Decode makes of the rest.
		o.BookingID, o.Version, o.Purpose, o.Total = "", 0, store.PurposeFull, now
		if o.Option == store.OptionHalf && now <= math.MaxInt64/2 {
			o.Purpose, o.Total = store.PurposeDeposit, 2*now
		}
		if m, err := (booking.Plain{}).Encode(o); err != nil {
			require.ErrorIs(t, err, booking.ErrMetadata)
		} else {
			require.Empty(t, overLimits(m))
			facts.Metadata = m
			back, err := booking.Plain{}.Decode(facts)
			require.NoError(t, err)
			require.Equal(t, booking.DeriveID("bk", "payment_intent", "pi_1"), back.BookingID)
			back.BookingID = ""
			require.Equal(t, o, back)
		}
	})
}

// overLimits says where metadata breaks Stripe's limits: 50 keys of 40 characters
// without square brackets, values of 500, which are not empty.
// See https://docs.stripe.com/metadata#data
func overLimits(m map[string]string) (found []string) {
	if len(m) > 50 {
		found = append(found, "keys")
	}
	for k, v := range m {
		if len([]rune(k)) > 40 || strings.ContainsAny(k, "[]") || k == "" {
			found = append(found, fmt.Sprintf("key %q", k))
		}
		if len([]rune(v)) > 500 || v == "" {
			found = append(found, fmt.Sprintf("value of %q", k))
		}
	}
	return found
}

// Whatever is in the metadata, a codec says that it is not its own, or names what
// is wrong with it and no value, or makes an order that a store can keep and that
// is encoded again as the same order.
func FuzzCodecDecode(f *testing.F) {
	const all = 1<<12 - 1
	f.Add("1", "bk_1", "3", "user-1", "cleaning", "25.01", "50.01", "usd", "half", "deposit", "note", "ring twice", "usd", "pi_1", "cs_1", uint16(all))
	f.Add("", "", "", "user-1", "cleaning", "50", "", "", "full", "", "bookingId", "theirs", "jpy", "", "cs_1", uint16(0b1101_0011_1000))
	f.Add("2", "bk", "-1", "CANARY", "CANARY", "CANARY", "1e3", "USD", "CANARY", "CANARY", "a[b]", "CANARY", "USD", "", "", uint16(all))
	f.Add("1", "bk", "1", "u", "s", "92233720368547758.07", "92233720368547758.07", "isk", "half", "full", "k", "v", "kwd", "pi", "", uint16(all))
	f.Add("1", "bk", "1", "u", "s", "50", "49.99", "usd", "half", "full", "k", "v", "kwd", "pi", "", uint16(all))
	f.Add("", "", "", "u", "", "46116860184273879.04", "", "", "half", "", "", "", "usd", "pi", "", uint16(0b1011_0010_1000))
	f.Fuzz(func(t *testing.T, marker, id, version, user, service, now, total, currency, option, purpose, key, value, charged, intent, session string, mask uint16) {
		m := map[string]string{}
		for i, kv := range [][2]string{
			{"stripebooking", marker}, {"bookingId", id}, {"bookingVersion", version}, {"userId", user}, {"serviceId", service}, {"amountToPay", now},
			{"total", total}, {"currency", currency}, {"paymentOption", option}, {"purpose", purpose}, {"serviceName", value}, {key, value},
		} {
			if mask&(1<<i) != 0 {
				m[kv[0]] = kv[1]
			}
		}
		facts := booking.Facts{PaymentIntentID: intent, SessionID: session, Currency: charged, Metadata: m}
		ours := 0
		for _, codec := range []booking.Codec{booking.Marked{}, booking.Plain{}} {
			o, err := codec.Decode(facts)
			if !errors.Is(err, booking.ErrNotOurs) {
				ours++
			}
			if err != nil {
				require.NotEqual(t, errors.Is(err, booking.ErrNotOurs), errors.Is(err, booking.ErrMetadata), err)
				if !strings.Contains(key, "CANARY") { // keys are named
					require.NotContains(t, err.Error(), "CANARY")
				}
				require.Zero(t, o)
				continue
			}
			for _, id := range []string{o.BookingID, o.UserID, string(o.Option), string(o.Purpose), o.Currency} {
				require.NoError(t, store.CheckID("id", id))
			}
			require.True(t, o.Now >= 0 && o.Total >= o.Now && o.Version >= 0, "%+v", o)
			again := o
			if codec == (booking.Plain{}) {
				again.BookingID = "" // is derived
			}
			written, err := codec.Encode(again)
			if err != nil {
				require.NotEmpty(t, overLimits(m), err)
				continue
			}
			facts.Metadata = written
			back, err := codec.Decode(facts)
			require.NoError(t, err)
			require.Equal(t, o, back)
			facts.Metadata = m
		}
		require.LessOrEqual(t, ours, 1, "metadata belongs to one codec")
	})
}

func TestEncodeLimits(t *testing.T) {
	detail := func(k, v string) func(*booking.Order) {
		return func(o *booking.Order) { o.Details = map[string]string{k: v} }
	}
	details := func(n int) func(*booking.Order) {
		return func(o *booking.Order) {
			o.Details = map[string]string{}
			for i := range n {
				o.Details[fmt.Sprintf("d%02d", i)] = "x"
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*booking.Order)
		why    []string // empty: it fits
	}{
		{"as it is", func(*booking.Order) {}, nil},
		{"no details", func(o *booking.Order) { o.Details = nil }, nil},
		{"50 keys", details(39), nil},
		{"51 keys", details(40), []string{"51 keys", "at most 50"}},
		{"a key of 40 characters", detail(strings.Repeat("é", 40), "x"), nil},
		{"a key of 41", detail(strings.Repeat("é", 41), "x"), []string{"41 characters", "at most 40", strings.Repeat("é", 40)}},
		{"a value of 500 characters", detail("note", strings.Repeat("é", 500)), nil},
		{"a value of 501", detail("note", strings.Repeat("é", 501)), []string{`"note"`, "501 characters", "at most 500"}},
		{"a service name of 501", func(o *booking.Order) { o.ServiceName = strings.Repeat("x", 501) }, []string{`"serviceName"`, "501 characters"}},
		{"an opening bracket", detail("a[b", "x"), []string{`"a[b"`, "square bracket"}},
		{"a closing bracket", detail("a]b", "x"), []string{`"a]b"`, "square bracket"}},
		{"an empty key", detail("", "x"), []string{`""`, "1 to 255 bytes"}},
		{"an empty value", detail("note", ""), []string{`"note"`, "empty"}},
		{"a value that is not UTF-8", detail("note", "\xff"), []string{`"note"`, "UTF-8"}},
		{"a value with NUL", detail("note", "a\x00b"), []string{`"note"`, "NUL"}},
		{"a key with NUL", detail("a\x00b", "x"), []string{"NUL"}},
		{"a plain key", detail("userId", "somebody"), []string{`"userId"`, "codec's own"}},
		{"the marker", detail("stripebooking", "2"), []string{`"stripebooking"`, "codec's own"}},
		{"a marked key", detail("total", "1"), []string{`"total"`, "codec's own"}},
		{"a key that differs in case", detail("userid", "x"), nil},
		{"no user", func(o *booking.Order) { o.UserID = "" }, []string{`"userId"`}},
		{"a user id of 256 bytes", func(o *booking.Order) { o.UserID = strings.Repeat("x", 256) }, []string{`"userId"`, "255"}},
		{"no booking id", func(o *booking.Order) { o.BookingID = "" }, []string{`"bookingId"`}},
		{"an unknown option", func(o *booking.Order) { o.Option = "third" }, []string{`"paymentOption"`}},
		{"no purpose", func(o *booking.Order) { o.Purpose = "" }, []string{`"purpose"`}},
		{"no currency", func(o *booking.Order) { o.Currency = "" }, []string{`"currency"`}},
		{"an upper-case currency", func(o *booking.Order) { o.Currency = "USD" }, []string{`"currency"`, "lower-case"}},
		{"a negative amount", func(o *booking.Order) { o.Now = -1 }, []string{`"amountToPay"`}},
		{"a negative total", func(o *booking.Order) { o.Total, o.Now = -1, -1 }, []string{"negative"}},
		{"more than the total", func(o *booking.Order) { o.Now = o.Total + 1 }, []string{`"total"`}},
		{"a negative version", func(o *booking.Order) { o.Version = -1 }, []string{`"bookingVersion"`}},
		{"two things at once", func(o *booking.Order) { o.UserID, o.Details = "", map[string]string{"x[": "y"} }, []string{`"userId"`, `"x["`}},
	} {
		o := deposit()
		c.change(&o)
		m, err := booking.Marked{}.Encode(o)
		if len(c.why) == 0 {
			require.NoError(t, err, c.name)
			back, err := booking.Marked{}.Decode(booking.Facts{Metadata: m})
			require.NoError(t, err, c.name)
			assert.Equal(t, o, back, c.name)
			continue
		}
		assert.ErrorIs(t, err, booking.ErrMetadata, c.name)
		assert.Nil(t, m, c.name)
		for _, why := range c.why {
			assert.ErrorContains(t, err, why, c.name)
		}
	}
}

func TestMarkedDecode(t *testing.T) {
	whole, err := booking.Marked{}.Encode(deposit())
	require.NoError(t, err)

	for _, m := range []map[string]string{nil, {}, {"userId": "user-1", "amountToPay": "5.00"}, {"StripeBooking": "1"}} {
		_, err := booking.Marked{}.Decode(booking.Facts{Metadata: m, Currency: "usd", PaymentIntentID: "pi_1"})
		assert.ErrorIs(t, err, booking.ErrNotOurs, "%v", m)
		assert.NotErrorIs(t, err, booking.ErrMetadata, "%v", m)
	}

	const secret = "4242-secret"
	for key, values := range map[string][]string{
		"stripebooking":  {"", "0", "2", "01", secret},
		"bookingId":      {"", strings.Repeat("x", 256), "a\x00"},
		"bookingVersion": {"", "-1", "+1", "1.0", "x", "9223372036854775808", secret},
		"userId":         {"", strings.Repeat("x", 256), "a\x00"},
		"serviceId":      {strings.Repeat("x", 256), "a\x00"},
		"serviceName":    {"a\x00", "\xff"},
		"paymentOption":  {"third", "Half", "FULL", " full", secret},
		"purpose":        {"", "gift", secret},
		"amountToPay":    {"", "-1", "x", "25.011", "1e3", "NaN", "50.02", secret, strings.Repeat("9", 400)},
		"total":          {"", "-1", "x", "50.011", "25.00", secret, strings.Repeat("9", 400)},
		"currency":       {"", "us", "USD", "dollar", secret},
		"note":           {"a\x00", "\xff"},
	} {
		for _, v := range values {
			m := maps.Clone(whole)
			m[key] = v
			_, err := booking.Marked{}.Decode(booking.Facts{Metadata: m, Currency: "usd", PaymentIntentID: "pi_1"})
			require.ErrorIs(t, err, booking.ErrMetadata, "%s=%q", key, v)
			require.NotErrorIs(t, err, booking.ErrNotOurs, "%s=%q", key, v)
			require.NotContains(t, err.Error(), secret, "the value stays out of the text")
			if key != "amountToPay" || v != "50.02" { // more than the total: named there
				require.ErrorContains(t, err, fmt.Sprintf("%q", key), "%q", v)
			}
		}
	}
}

func TestPlainDecode(t *testing.T) {
	id := func(kind, name string) string { return booking.DeriveID("bk", kind, name) }
	base := booking.Order{
		BookingID: id("payment_intent", "pi_1"), UserID: "u1", ServiceID: "s1", ServiceName: "Cleaning",
		Option: store.OptionFull, Purpose: store.PurposeFull, Total: 5000, Now: 5000, Currency: "usd",
	}
	with := func(change func(*booking.Order)) booking.Order {
		o := base
		change(&o)
		return o
	}
	whole := map[string]string{"userId": "u1", "serviceId": "s1", "serviceName": "Cleaning", "amountToPay": "50.00", "paymentOption": "full"}
	set := func(pairs ...string) map[string]string {
		m := maps.Clone(whole)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
			if pairs[i+1] == "" {
				delete(m, pairs[i])
			}
		}
		return m
	}
	pi := booking.Facts{PaymentIntentID: "pi_1", SessionID: "cs_1", Currency: "usd"}

	for _, c := range []struct {
		name     string
		facts    booking.Facts
		metadata map[string]string
		want     booking.Order
	}{
		{"full", pi, whole, base},
		{"half is the deposit of twice as much", pi, set("paymentOption", "half"), with(func(o *booking.Order) {
			o.Option, o.Purpose, o.Total = store.OptionHalf, store.PurposeDeposit, 10000
		})},
		{"no option means full", pi, set("paymentOption", ""), base},
		{"no service", pi, set("serviceId", "", "serviceName", ""), with(func(o *booking.Order) { o.ServiceID, o.ServiceName = "", "" })},
		{"an amount without decimals", pi, set("amountToPay", "50"), base},
		{"other keys are details", pi, set("date", "2026-03-01", "bookingId", "theirs"), with(func(o *booking.Order) {
			o.Details = map[string]string{"date": "2026-03-01", "bookingId": "theirs"}
		})},
		{"the intent alone", booking.Facts{PaymentIntentID: "pi_1", Currency: "usd"}, whole, base},
		{"the session alone", booking.Facts{SessionID: "cs_1", Currency: "usd"}, whole, with(func(o *booking.Order) { o.BookingID = id("session", "cs_1") })},
		{"free", booking.Facts{SessionID: "cs_1", Currency: "usd"}, set("amountToPay", "0"), with(func(o *booking.Order) {
			o.BookingID, o.Total, o.Now = id("session", "cs_1"), 0, 0
		})},
		{"yen", booking.Facts{PaymentIntentID: "pi_1", Currency: "jpy"}, whole, with(func(o *booking.Order) {
			o.Total, o.Now, o.Currency = 50, 50, "jpy"
		})},
		{"dinar", booking.Facts{PaymentIntentID: "pi_1", Currency: "kwd"}, whole, with(func(o *booking.Order) {
			o.Total, o.Now, o.Currency = 50000, 50000, "kwd"
		})},
		{"a currency in upper case", booking.Facts{PaymentIntentID: "pi_1", Currency: "USD"}, whole, base},
		{"a currency that is not listed", booking.Facts{PaymentIntentID: "pi_1", Currency: "xxx"}, whole, with(func(o *booking.Order) { o.Currency = "xxx" })},
		{"an amount that can't be charged", booking.Facts{PaymentIntentID: "pi_1", Currency: "isk"}, set("amountToPay", "5.50"), with(func(o *booking.Order) {
			o.Total, o.Now, o.Currency = 550, 550, "isk"
		})},
	} {
		c.facts.Metadata = c.metadata
		got, err := booking.Plain{}.Decode(c.facts)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, got, c.name)
	}

	for _, m := range []map[string]string{
		nil, {}, {"orderId": "7"}, {"serviceName": "Cleaning", "paymentOption": "full"}, {"UserID": "u1"}, {"userid": "u1"},
		set("stripebooking", "1"), set("stripebooking", "99"),
	} {
		f := pi
		f.Metadata = m
		_, err := booking.Plain{}.Decode(f)
		assert.ErrorIs(t, err, booking.ErrNotOurs, "%v", m)
		assert.NotErrorIs(t, err, booking.ErrMetadata, "%v", m)
	}

	const secret = "4242-secret"
	for _, c := range []struct {
		name     string
		facts    booking.Facts
		metadata map[string]string
		why      string
	}{
		{"userId alone", pi, map[string]string{"userId": "u1"}, `"amountToPay" is missing`},
		{"serviceId alone", pi, map[string]string{"serviceId": "s1"}, `"userId" is missing`},
		{"amountToPay alone", pi, map[string]string{"amountToPay": "50"}, `"userId" is missing`},
		{"a long userId", pi, set("userId", strings.Repeat("x", 256)), `"userId"`},
		{"NUL in userId", pi, set("userId", "u\x00"), `"userId"`},
		{"a long serviceId", pi, set("serviceId", strings.Repeat("x", 256)), `"serviceId"`},
		{"an unknown option", pi, set("paymentOption", secret), `"paymentOption"`},
		{"an option in another case", pi, set("paymentOption", "Half"), `"paymentOption"`},
		{"words", pi, set("amountToPay", secret), `"amountToPay"`},
		{"negative", pi, set("amountToPay", "-50"), `"amountToPay"`},
		{"NaN", pi, set("amountToPay", "NaN"), `"amountToPay"`},
		{"an exponent", pi, set("amountToPay", "5e1"), `"amountToPay"`},
		{"too many decimals", pi, set("amountToPay", "50.005"), `"amountToPay"`},
		{"decimals of a yen", booking.Facts{PaymentIntentID: "pi_1", Currency: "jpy"}, set("amountToPay", "50.5"), `"amountToPay"`},
		{"too large", pi, set("amountToPay", strings.Repeat("9", 30)), `"amountToPay"`},
		{"too large when doubled", pi, set("amountToPay", "92233720368547758.07", "paymentOption", "half"), `"amountToPay"`},
		{"no currency", booking.Facts{PaymentIntentID: "pi_1"}, whole, "currency"},
		{"no intent and no session", booking.Facts{Currency: "usd"}, whole, "neither an intent nor a session"},
		{"a detail with NUL", pi, set("note", "a\x00"), `"note"`},
	} {
		c.facts.Metadata = c.metadata
		_, err := booking.Plain{}.Decode(c.facts)
		assert.ErrorIs(t, err, booking.ErrMetadata, c.name)
		assert.NotErrorIs(t, err, booking.ErrNotOurs, c.name)
		assert.ErrorContains(t, err, c.why, c.name)
		assert.NotContains(t, err.Error(), secret, c.name)
	}
}

func TestPlainEncode(t *testing.T) {
	o := booking.Order{
		UserID: "u1", ServiceID: "s1", ServiceName: "Cleaning", Option: store.OptionHalf, Purpose: store.PurposeDeposit,
		Total: 5000, Now: 2500, Currency: "usd", Details: map[string]string{"date": "2026-03-01"},
	}
	m, err := booking.Plain{}.Encode(o)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"userId": "u1", "serviceId": "s1", "serviceName": "Cleaning", "amountToPay": "25.00", "paymentOption": "half", "date": "2026-03-01",
	}, m)
	back, err := booking.Plain{}.Decode(booking.Facts{PaymentIntentID: "pi_1", Currency: "usd", Metadata: m})
	require.NoError(t, err)
	o.BookingID = back.BookingID
	assert.Equal(t, o, back)
	o.BookingID = ""

	for name, change := range map[string]func(*booking.Order){
		"a booking id":    func(o *booking.Order) { o.BookingID = "bk_1" },
		"a version":       func(o *booking.Order) { o.Version = 1 },
		"an odd total":    func(o *booking.Order) { o.Total = 4999 },
		"a balance":       func(o *booking.Order) { o.Purpose = store.PurposeBalance },
		"no user":         func(o *booking.Order) { o.UserID = "" },
		"the marker":      func(o *booking.Order) { o.Details = map[string]string{"stripebooking": "1"} },
		"a plain key":     func(o *booking.Order) { o.Details = map[string]string{"amountToPay": "1"} },
		"a long value":    func(o *booking.Order) { o.Details = map[string]string{"x": strings.Repeat("x", 501)} },
		"an empty detail": func(o *booking.Order) { o.Details = map[string]string{"x": ""} },
		"too much":        func(o *booking.Order) { o.Now, o.Total = math.MaxInt64, math.MaxInt64 },
	} {
		bad := o
		change(&bad)
		m, err := booking.Plain{}.Encode(bad)
		assert.ErrorIs(t, err, booking.ErrMetadata, name)
		assert.Nil(t, m, name)
	}
}

// The order of a booking recomputes the quote that it was decoded with.
func TestPlainQuote(t *testing.T) {
	for _, code := range booking.Currencies() {
		_, step, _, _ := booking.Form(code)
		for _, option := range []string{"full", "half"} {
			o, err := booking.Plain{}.Decode(booking.Facts{PaymentIntentID: "pi_1", Currency: code, Metadata: map[string]string{
				"userId": "u1", "amountToPay": booking.FormatAmount(777*step, code), "paymentOption": option,
			}})
			require.NoError(t, err)
			q := booking.QuoteOf(store.Booking{Total: o.Total, Option: o.Option, Currency: o.Currency})
			require.Equal(t, o.Now, q.Now, "%s %s", code, option)
		}
	}
}

func TestDeriveID(t *testing.T) {
	assert.Equal(t, "bk_sqosbz6n27n7lb6nna34xmgp", booking.DeriveID("bk", "payment_intent", "pi_1"), "never changes: it finds what is stored")
	seen := map[string]bool{}
	for _, names := range [][]string{
		nil, {""}, {"", ""}, {"a"}, {"A"}, {"a "}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"b", "a"}, {"a", "b", ""},
		{"payment_intent", "pi_1"}, {"session", "pi_1"}, {strings.Repeat("x", 1000)},
	} {
		id := booking.DeriveID("bk", names...)
		assert.Regexp(t, `^bk_[a-z2-7]{24}$`, id)
		assert.Equal(t, id, booking.DeriveID("bk", names...))
		assert.False(t, seen[id], "%q", names)
		seen[id] = true
	}
	assert.NotEqual(t, booking.DeriveID("bk", "a")[3:], booking.DeriveID("pay", "a")[4:])
}

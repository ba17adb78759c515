package sqlstore

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carevia/stripebooking/store"
)

// column ties a column of a table to a field of a record, both ways.
type column struct {
	name  string
	field field
}

// field reads a record's field for a statement and fills it from a row.
type field interface {
	driver.Valuer
	sql.Scanner
}

type columns []column

func bookingColumns(b *store.Booking) columns {
	return columns{
		{"id", text(&b.ID)},
		{"user_id", text(&b.UserID)},
		{"service_id", text(&b.ServiceID)},
		{"service_name", text(&b.ServiceName)},
		{"payment_option", text(&b.Option)},
		{"total", number{&b.Total}},
		{"paid", number{&b.Paid}},
		{"due", number{&b.Due}},
		{"currency", text(&b.Currency)},
		{"state", text(&b.State)},
		{"reason", text(&b.Reason)},
		{"version", number{&b.Version}},
		{"payment_intent_id", text(&b.PaymentIntentID)},
		{"session_id", text(&b.SessionID)},
		{"details", asJSON(&b.Details)},
		{"claims", asJSON(&b.Claims)},
		{"seats", asJSON(&b.Seats)},
		{"hold_until", millis{&b.HoldUntil}},
		{"livemode", flag{&b.Livemode}},
		{"account", text(&b.Account)},
		{"created_at", millis{&b.CreatedAt}},
		{"updated_at", millis{&b.UpdatedAt}},
	}
}

func paymentColumns(p *store.Payment) columns {
	return columns{
		{"payment_intent_id", text(&p.PaymentIntentID)},
		{"id", text(&p.ID)},
		{"booking_id", text(&p.BookingID)},
		{"user_id", text(&p.UserID)},
		{"session_id", text(&p.SessionID)},
		{"amount", number{&p.Amount}},
		{"subtotal", number{&p.Subtotal}},
		{"tax", number{&p.Tax}},
		{"shipping", number{&p.Shipping}},
		{"discount", number{&p.Discount}},
		{"currency", text(&p.Currency)},
		{"status", text(&p.Status)},
		{"captured_at", millis{&p.CapturedAt}},
		{"failure_code", text(&p.FailureCode)},
		{"payment_method", text(&p.PaymentMethod)},
		{"purpose", text(&p.Purpose)},
		{"refunds", asJSON(&p.Refunds)},
		{"refunded", number{&p.Refunded}},
		{"dispute", text(&p.Dispute)},
		{"metadata", asJSON(&p.Metadata)},
		{"livemode", flag{&p.Livemode}},
		{"account", text(&p.Account)},
		{"created_at", millis{&p.CreatedAt}},
		{"updated_at", millis{&p.UpdatedAt}},
	}
}

func historyColumns(h *store.History) columns {
	return columns{
		{"booking_id", text(&h.BookingID)},
		{"version", number{&h.Version}},
		{"from_state", text(&h.From)},
		{"to_state", text(&h.To)},
		{"reason", text(&h.Reason)},
		{"cause_by", text(&h.Cause.By)},
		{"cause_id", text(&h.Cause.ID)},
		{"at", millis{&h.At}},
	}
}

// eventColumns has all but the handlers, which are rows of a table of their own.
func eventColumns(e *store.Event) columns {
	return columns{
		{"id", text(&e.ID)},
		{"type", text(&e.Type)},
		{"object_id", text(&e.ObjectID)},
		{"account", text(&e.Account)},
		{"livemode", flag{&e.Livemode}},
		{"api_version", text(&e.APIVersion)},
		{"created", millis{&e.Created}},
		{"received_at", millis{&e.ReceivedAt}},
		{"state", text(&e.State)},
		{"reason", text(&e.Reason)},
		{"attempts", count{&e.Attempts}},
		{"booking_id", text(&e.BookingID)},
		{"updated_at", millis{&e.UpdatedAt}},
		{"payload", blob{&e.Payload}},
	}
}

// without is the columns but the named ones.
func (cs columns) without(names ...string) columns {
	var out columns
next:
	for _, c := range cs {
		for _, n := range names {
			if c.name == n {
				continue next
			}
		}
		out = append(out, c)
	}
	return out
}

// list is "alias.a, alias.b".
func (cs columns) list(alias string) string {
	var b strings.Builder
	for i, c := range cs {
		if i > 0 {
			b.WriteString(", ")
		}
		if alias != "" {
			b.WriteString(alias + ".")
		}
		b.WriteString(c.name)
	}
	return b.String()
}

// insert is "INSERT INTO table (a, b) VALUES (?, ?)".
func (cs columns) insert(table string) string {
	return "INSERT INTO " + table + " (" + cs.list("") + ") VALUES (" +
		strings.TrimSuffix(strings.Repeat("?, ", len(cs)), ", ") + ")"
}

// update is "UPDATE table SET a = ?, b = ?".
func (cs columns) update(table string) string {
	sets := make([]string, len(cs))
	for i, c := range cs {
		sets[i] = c.name + " = ?"
	}
	return "UPDATE " + table + " SET " + strings.Join(sets, ", ")
}

// args are the values for a statement, with more after them.
func (cs columns) args(more ...any) []any {
	out := make([]any, 0, len(cs)+len(more))
	for _, c := range cs {
		out = append(out, c.field)
	}
	return append(out, more...)
}

// The fields. All read NULL as the zero value, so that the empty side of a left
// join scans, and take what the drivers of several databases hand out.

type textField[S ~string] struct{ p *S }

func text[S ~string](p *S) field { return textField[S]{p} }

func (f textField[S]) Value() (driver.Value, error) { return string(*f.p), nil }

func (f textField[S]) Scan(src any) error {
	s, err := toText(src)
	*f.p = S(s)
	return err
}

type number struct{ p *int64 }

func (f number) Value() (driver.Value, error) { return *f.p, nil }

func (f number) Scan(src any) (err error) {
	*f.p, err = toInt(src)
	return err
}

type count struct{ p *int }

func (f count) Value() (driver.Value, error) { return int64(*f.p), nil }

func (f count) Scan(src any) error {
	n, err := toInt(src)
	*f.p = int(n)
	return err
}

type flag struct{ p *bool }

func (f flag) Value() (driver.Value, error) { return *f.p, nil }

func (f flag) Scan(src any) error {
	if b, ok := src.(bool); ok {
		*f.p = b
		return nil
	}
	n, err := toInt(src)
	*f.p = n != 0
	return err
}

// millis is a time as milliseconds since 1970; the zero Time is NULL.
type millis struct{ p *time.Time }

func (f millis) Value() (driver.Value, error) {
	if f.p.IsZero() {
		return nil, nil
	}
	return f.p.UnixMilli(), nil
}

func (f millis) Scan(src any) error {
	if src == nil {
		*f.p = time.Time{}
		return nil
	}
	ms, err := toInt(src)
	*f.p = time.UnixMilli(ms).UTC()
	return err
}

type blob struct{ p *[]byte }

func (f blob) Value() (driver.Value, error) {
	if len(*f.p) == 0 {
		return nil, nil
	}
	return *f.p, nil
}

func (f blob) Scan(src any) error {
	s, err := toText(src)
	*f.p = nil
	if s != "" {
		*f.p = []byte(s)
	}
	return err
}

// jsonField keeps a map or slice as JSON text; a nil one is NULL.
type jsonField[T any] struct{ p *T }

func asJSON[T any](p *T) field { return jsonField[T]{p} }

func (f jsonField[T]) Value() (driver.Value, error) {
	raw, err := json.Marshal(*f.p)
	if err != nil || string(raw) == "null" {
		return nil, err
	}
	return string(raw), nil
}

func (f jsonField[T]) Scan(src any) error {
	var v T
	s, err := toText(src)
	if err == nil && s != "" {
		err = json.Unmarshal([]byte(s), &v)
	}
	*f.p = v
	return err
}

func toText(src any) (string, error) {
	switch v := src.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	return "", fmt.Errorf("a column holds a %T, not text", src)
}

func toInt(src any) (int64, error) {
	switch v := src.(type) {
	case nil:
		return 0, nil
	case int64:
		return v, nil
	case string:
		return strconv.ParseInt(v, 10, 64)
	case []byte:
		return strconv.ParseInt(string(v), 10, 64)
	}
	return 0, fmt.Errorf("a column holds a %T, not an integer", src)
}

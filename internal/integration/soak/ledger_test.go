package soak

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// compareAnswers: the endpoint has taken what it was sent, or asked for patience.
func (l *leg) compareAnswers() {
	for _, d := range l.stripe.Deliveries() {
		switch d.Status {
		case 0, http.StatusOK, http.StatusServiceUnavailable: // 0: the answer got lost
		case http.StatusBadGateway: // the hub's, while a site is gone
		default:
			l.tally.wrong("event %s (%s) is answered with %d %s", d.EventID, d.EventType, d.Status, d.Answer)
		}
	}
}

// compareEvents: every event of the endpoint's has arrived, and is kept as it was sent.
func (l *leg) compareEvents(ctx context.Context, customers []*customer) error {
	bookings := map[string]string{} // that sessions and intents are for; "": none was made
	for _, c := range customers {
		for _, ss := range c.sessions {
			id := c.bookingOf(ss).ID
			bookings[ss.ID], bookings[ss.PaymentIntent] = id, id
		}
	}
	for _, e := range l.events {
		if !slices.Contains(hooked, e.Type) {
			continue
		}
		l.known.events[e.ID] = true
		if !strings.Contains(string(e.Payload), `"pending_webhooks": 0`) {
			l.tally.lost("event %s (%s) has not arrived", e.ID, e.Type)
		}
		row, err := l.store.Event(ctx, e.ID)
		if errors.Is(err, store.ErrNotFound) {
			l.tally.lost("event %s (%s) is not in the ledger", e.ID, e.Type)
			continue
		}
		if err != nil {
			return err
		}
		booking, ours := bookings[e.ObjectID]
		l.compareEvent(e, row, booking, ours)
	}
	for _, state := range []store.EventState{store.EventApplied, store.EventFailed, store.EventDead} {
		rows, _, err := l.store.Events(ctx, store.EventFilter{State: state}, store.Page{Limit: 10})
		if err != nil {
			return err
		}
		for _, e := range rows {
			l.tally.wrong("event %s (%s) of the ledger is %s %q", e.ID, e.Type, e.State, e.Reason)
		}
	}
	return nil
}

// compareEvent: it is done, and the service's handler has seen it, or ignored where it is not for a booking.
func (l *leg) compareEvent(e stripetest.Event, row store.Event, booking string, ours bool) {
	want := row
	want.Type, want.ObjectID, want.Created, want.APIVersion = e.Type, e.ObjectID, e.Created, stripetest.APIVersion
	want.Livemode, want.Account, want.Handlers = false, "", nil
	switch {
	case e.Type == "payment_intent.canceled":
		want.State, want.Reason, want.BookingID = store.EventIgnored, "no_handler", ""
	case !ours:
		want.State, want.Reason, want.BookingID = store.EventIgnored, "not_ours", ""
	default:
		want.State = store.EventDone
		if row.BookingID != "" || tellsOfBooking(e) {
			want.BookingID = booking
		}
		if e.Type == handled {
			want.Handlers = []string{handled}
			if _, ok := l.handled.Load(e.ID); !ok {
				l.tally.lost("event %s (%s) was not handled", e.ID, e.Type)
			}
		}
	}
	if wrong := differences(row, want); wrong != nil {
		l.tally.wrong("event %s (%s): %q", e.ID, e.Type, wrong)
	}
	if !bytes.Equal(sent(row.Payload), sent(e.Payload)) {
		l.tally.wrong("event %s (%s) is not kept as it was sent", e.ID, e.Type)
	}
	if !between(e.Created, l.clock.Now(), row.ReceivedAt, row.UpdatedAt) || row.Attempts < 1 {
		l.tally.wrong("event %s was made at %v, received at %v and updated at %v, after %d attempts", e.ID, e.Created, row.ReceivedAt, row.UpdatedAt, row.Attempts)
	}
}

// tellsOfBooking is true for what names a booking, or makes one, as money at a plain site does.
func tellsOfBooking(e stripetest.Event) bool {
	said := string(e.Payload)
	return strings.Contains(said, `"bookingId"`) || strings.Contains(said, `"payment_status": "paid"`) || strings.HasSuffix(e.Type, "succeeded")
}

var pending = regexp.MustCompile(`"pending_webhooks": \d+`)

// sent is an event but for what differs from delivery to delivery.
func sent(payload []byte) []byte { return pending.ReplaceAll(payload, nil) }

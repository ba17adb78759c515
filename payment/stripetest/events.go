package stripetest

import (
	"encoding/json"
	"time"
)

// Event is one of Stripe's events, as the stand-in made it. https://docs.stripe.com/api/events/object
type Event struct {
	ID, Type string
	ObjectID string // of data.object
	Created  time.Time
	Payload  []byte // as an endpoint would get it now; pending_webhooks changes from delivery to delivery
}

type event struct {
	id, kind, objectID string
	created            int64
	object             json.RawMessage
	request            string // the API request that caused it, if any
	key                string // its idempotency key
	parcels            []*parcel
}

// pending is how many endpoints have not taken the event yet.
func (e *event) pending() int {
	left := map[*endpoint]bool{}
	for _, p := range e.parcels {
		taken, seen := left[p.endpoint]
		left[p.endpoint] = (taken || !seen) && p.state != delivered
	}
	n := 0
	for _, waits := range left {
		if waits {
			n++
		}
	}
	return n
}

func (e *event) json() map[string]any {
	return map[string]any{
		"id": e.id, "object": "event", "api_version": APIVersion, "created": e.created,
		"data": map[string]any{"object": e.object}, "livemode": false, "pending_webhooks": e.pending(),
		"request": map[string]any{"id": null(e.request), "idempotency_key": null(e.key)}, "type": e.kind,
	}
}

func (e *event) export() Event {
	return Event{ID: e.id, Type: e.kind, ObjectID: e.objectID, Created: time.Unix(e.created, 0).UTC(), Payload: encode(e.json())}
}

// cause is the API request an event comes from; empty for what customers do.
type cause struct{ request, key string }

// emit makes an event of an object as it is now, and a parcel for every endpoint that wants it.
func (s *Stripe) emit(kind string, object map[string]any, c cause) *event {
	prefix := "evt_1"
	if object["object"] == "payment_intent" || object["object"] == "charge" {
		prefix = "evt_3"
	}
	id, _ := object["id"].(string)
	defer s.named(id)()
	e := &event{id: s.id(prefix, 23), kind: kind, objectID: id, created: s.now(), object: encode(object), request: c.request, key: c.key}
	s.events = append(s.events, e)
	s.eventByID[e.id] = e
	for _, ep := range s.endpoints {
		if ep.wants(kind) {
			s.pack(e, ep)
		}
	}
	return e
}

// Events are all events so far, oldest first.
func (s *Stripe) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expireDue()
	out := make([]Event, len(s.events))
	for i, e := range s.events {
		out[i] = e.export()
	}
	s.pump()
	return out
}

// Emit makes an event of any type about any object, which should have "id" and "object": for types that the
// stand-in does not make by itself.
func (s *Stripe) Emit(eventType string, object map[string]any) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.emit(eventType, object, cause{})
	s.pump()
	return e.export()
}

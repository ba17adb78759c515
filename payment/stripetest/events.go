package stripetest

import (
	"encoding/json"
	"reflect"
	"strings"
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
	head
	kind, objectID string
	object         json.RawMessage
	previous       map[string]any // what the object had before, if the event is about a change
	request        string         // the API request that caused it, if any
	key            string         // its idempotency key
	parcels        []*parcel
}

var events = kind[*event]{
	name: "event", param: "id", path: "/v1/events",
	more: []string{"type", "types.#", "delivery_success"}, narrow: narrowEvents,
	shelf: func(s *Stripe) *shelf[*event] { return &s.events },
	gone:  (*Stripe).forgotten,
}

func narrowEvents(_ *Stripe, p params) (func(e *event) bool, *apiError) {
	success, err := p.boolean("delivery_success")
	if err != nil {
		return nil, err
	}
	_, bySuccess := p["delivery_success"]
	types := p.list("types")
	if t, ok := p["type"]; ok {
		if len(types) > 0 {
			return nil, exclusive("types", "type")
		}
		types = []string{t}
	}
	if len(types) > 20 {
		return nil, invalid("", "types", "You may only specify up to 20 types.")
	}
	return func(e *event) bool {
		return (len(types) == 0 || anyType(types, e.kind)) && (!bySuccess || success == (e.pending() == 0))
	}, nil
}

// anyType reports whether a type is among patterns such as "checkout.session.*" or "*".
func anyType(patterns []string, kind string) bool {
	for _, pattern := range patterns {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(kind, prefix) || pattern == kind {
			return true
		}
	}
	return false
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

func (e *event) json(expansion) map[string]any {
	data := map[string]any{"object": e.object}
	if e.previous != nil {
		data["previous_attributes"] = e.previous
	}
	return map[string]any{
		"id": e.id, "object": "event", "api_version": APIVersion, "created": e.created,
		"data": data, "livemode": false, "pending_webhooks": e.pending(),
		"request": map[string]any{"id": null(e.request), "idempotency_key": null(e.key)}, "type": e.kind,
	}
}

func (e *event) export() Event {
	return Event{ID: e.id, Type: e.kind, ObjectID: e.objectID, Created: time.Unix(e.created, 0).UTC(), Payload: encode(e.json(nil))}
}

// cause is the API request an event comes from; empty for what customers do.
type cause struct{ request, key string }

// emit makes an event of an object as it is now, and a parcel for every endpoint that wants it.
func (s *Stripe) emit(kind string, object map[string]any, c cause) *event {
	return s.emitChange(kind, nil, object, c)
}

// emitChange is emit for an object that was another before.
func (s *Stripe) emitChange(kind string, before, object map[string]any, c cause) *event {
	prefix := "evt_1"
	switch object["object"] {
	case "payment_intent", "charge", "refund":
		prefix = "evt_3"
	}
	id, _ := object["id"].(string)
	defer s.named(id)()
	e := &event{head: head{s.id(prefix, 23), s.now()}, kind: kind, objectID: id, object: encode(object), request: c.request, key: c.key}
	if before != nil {
		e.previous = changed(plain(before), plain(object))
	}
	made := []*event{e}
	if s.roll("twin", e.id) < s.chaos.Twin {
		made = append(made, s.twin(e, prefix))
	}
	for _, e := range made {
		s.events.add(e)
		for _, ep := range s.endpoints.all {
			if ep.wants(kind) {
				s.pack(e, ep)
			}
		}
	}
	return e
}

// twin is another event about the same as one that was just made. Its id follows from that one's, so that other ids
// don't change.
func (s *Stripe) twin(e *event, prefix string) *event {
	defer s.named(e.id)()
	t := *e
	t.id = s.id(prefix, 23)
	return &t
}

// changed is what an object had where it is another now; null stands for what is new.
func changed(before, now map[string]any) map[string]any {
	out := map[string]any{}
	for name := range now {
		if _, ok := before[name]; !ok {
			out[name] = nil
		}
	}
	for name, old := range before {
		inner, ok := old.(map[string]any)
		current, both := now[name].(map[string]any)
		switch {
		case reflect.DeepEqual(old, now[name]):
		case ok && both:
			out[name] = changed(inner, current)
		default:
			out[name] = old
		}
	}
	return out
}

// plain is an object as its JSON is read.
func plain(object map[string]any) (m map[string]any) {
	if err := json.Unmarshal(encode(object), &m); err != nil {
		panic("stripetest: " + err.Error()) // our own JSON
	}
	return m
}

// Events are all events so far, oldest first.
func (s *Stripe) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
	out := make([]Event, len(s.events.all))
	for i, e := range s.events.all {
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
	s.wake()
	e := s.emit(eventType, object, cause{})
	s.pump()
	return e.export()
}

// apiRetryEvent is what Stripe's command-line tool asks for "stripe events resend". Without an endpoint Stripe sends to the
// tool's own listeners, which are not there, so that all endpoints get the event.
func (s *Stripe) apiRetryEvent(p params, id string) (work, *apiError) {
	get, e, err := events.target(s, p, id, []string{"webhook_endpoint", "for_stripecli"}, []string{"account"})
	if err != nil {
		return nil, err
	}
	to := s.endpoints.all
	if id, ok := p["webhook_endpoint"]; ok {
		ep, err := endpoints.find(s, "webhook_endpoint", id)
		if err != nil {
			return nil, err
		}
		to = []*endpoint{ep}
	}
	return func(cause) (any, *apiError) {
		ev, err := get()
		if err != nil {
			return nil, err
		}
		for _, ep := range to {
			if ep.wants(ev.kind) {
				s.pack(ev, ep)
			}
		}
		return ev.json(e), nil
	}, nil
}

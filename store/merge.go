package store

import (
	"maps"
	"slices"
)

// MergeEvent is the ledger row after a Change with event e applied over the row
// old (nil: there is none). The first delivery's time and the handlers stay, a
// done row stays done with its reason, an applied one is not ignored after all,
// a payload is not lost, and the attempt is counted.
func MergeEvent(old *Event, e Event) Event {
	e = e.Clone()
	e.Attempts = 1
	if old == nil {
		e.Handlers = union(nil, e.Handlers)
		return e
	}
	e.ReceivedAt, e.Attempts = old.ReceivedAt, old.Attempts+1
	e.Handlers = union(old.Handlers, e.Handlers)
	if old.State == EventDone || old.State == EventApplied && e.State == EventIgnored {
		e.State, e.Reason = old.State, old.Reason
	}
	if e.Payload == nil {
		e.Payload = slices.Clone(old.Payload)
	}
	if e.BookingID == "" {
		e.BookingID = old.BookingID
	}
	return e
}

// MergeFailure is the ledger row after a failed attempt at event e over the row
// old (nil: there is none). A row that is done or ignored keeps its state and
// reason: a late failure never undoes a success. The attempt is counted.
func MergeFailure(old *Event, e Event, reason string, dead bool) Event {
	e = e.Clone()
	e.Attempts, e.Handlers = 1, nil
	e.State, e.Reason = EventFailed, reason
	if dead {
		e.State = EventDead
	}
	if old == nil {
		return e
	}
	e.ReceivedAt, e.Attempts, e.Handlers = old.ReceivedAt, old.Attempts+1, slices.Clone(old.Handlers)
	if e.Payload == nil {
		e.Payload = slices.Clone(old.Payload)
	}
	if old.State == EventDone || old.State == EventIgnored {
		e.State, e.Reason = old.State, old.Reason
	}
	if e.BookingID == "" {
		e.BookingID = old.BookingID
	}
	return e
}

// MergeHandled is the ledger row after RecordHandled. The reason of a failure goes
// with the failure; any other, such as Stripe's code of a declined payment, stays.
func MergeHandled(old Event, handlers []string, done bool) Event {
	old = old.Clone()
	old.Handlers = union(old.Handlers, handlers)
	if done {
		if old.State == EventFailed || old.State == EventDead {
			old.Reason = ""
		}
		old.State = EventDone
	}
	return old
}

// union is the sorted set of both.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return cloneSlice(slices.Compact(out))
}

// Clone is a copy that shares nothing with b, its times as stores keep them and
// its empty maps and slices nil.
func (b Booking) Clone() Booking {
	b.Details = cloneMap(b.Details)
	b.Claims = cloneSlice(b.Claims)
	b.Seats = cloneSlice(b.Seats)
	b.HoldUntil, b.CreatedAt, b.UpdatedAt = Time(b.HoldUntil), Time(b.CreatedAt), Time(b.UpdatedAt)
	return b
}

// Clone is a copy that shares nothing with p, its times as stores keep them and
// its empty maps and slices nil.
func (p Payment) Clone() Payment {
	p.Refunds = cloneSlice(p.Refunds)
	p.Metadata = cloneMap(p.Metadata)
	p.CapturedAt, p.CreatedAt, p.UpdatedAt = Time(p.CapturedAt), Time(p.CreatedAt), Time(p.UpdatedAt)
	return p
}

// Clone is a copy that shares nothing with e, its times as stores keep them and
// its empty slices nil.
func (e Event) Clone() Event {
	e.Handlers = cloneSlice(e.Handlers)
	e.Payload = cloneSlice(e.Payload)
	e.Created, e.ReceivedAt, e.UpdatedAt = Time(e.Created), Time(e.ReceivedAt), Time(e.UpdatedAt)
	return e
}

func cloneSlice[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func cloneMap(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

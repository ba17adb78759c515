package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
)

// reasonNoHandler is why an event is ignored that nobody asked for. The other
// reasons are those of package payment.
const reasonNoHandler = "no_handler"

// pass is one go at an event: what brought it, and the key to apply it under.
type pass struct {
	by, id string // the Cause
	key    string
	replay bool // an operator's: handlers that a done event has not seen run too
}

// report is what a go at an event came to.
type report struct {
	state     store.EventState // done, ignored, failed or dead
	reason    string
	bookingID string
	settled   booking.Outcome // empty when no built-in ran
	duplicate bool
	err       error // of a failed or dead event
}

// process takes one decoded event to its end, and logs it.
func (h *Handler) process(ctx context.Context, ev payment.Event, p pass) report {
	start := h.cfg.Now()
	row := rowOf(ev, start)
	var rep report
	err := h.guard(ctx, ev.ID, func() (err error) {
		rep, err = h.run(ctx, ev, row, p)
		return err
	})
	if err != nil {
		rep = h.fail(ctx, ev, row, rep, err)
	}
	attrs := []slog.Attr{
		slog.String("type", ev.Type), slog.String("id", ev.ID),
		slog.String("outcome", string(rep.state)), slog.String("booking", rep.bookingID),
		slog.Int64("ms", h.cfg.Now().Sub(start).Milliseconds()), slog.String("by", p.by),
	}
	if rep.settled != "" {
		attrs = append(attrs, slog.String("settled", string(rep.settled)))
	}
	if rep.duplicate {
		attrs = append(attrs, slog.Bool("duplicate", true))
	}
	if rep.reason != "" && rep.err == nil {
		attrs = append(attrs, slog.String("reason", rep.reason))
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "webhook: event", attrs...)
	return rep
}

// run does the work. With an error the report holds what is known so far.
func (h *Handler) run(ctx context.Context, ev payment.Event, row store.Event, p pass) (report, error) {
	if reason := h.foreign(ev); reason != "" {
		if paid(ev) {
			h.log.LogAttrs(ctx, slog.LevelError, "webhook: a payment was ignored",
				slog.String("type", ev.Type), slog.String("id", ev.ID), slog.String("reason", reason))
		}
		return h.ignore(ctx, row, p, reason)
	}
	handlers := h.reg.of(ev.Type)
	builtIn := h.settler != nil && payment.Settles(ev.Type)
	if !builtIn && len(handlers) == 0 {
		return h.ignore(ctx, row, p, reasonNoHandler)
	}
	row.State = store.EventDone
	if len(handlers) > 0 {
		row.State = store.EventApplied
	}
	e := eventOf(ev)
	if !builtIn {
		res, err := h.cfg.Store.Apply(ctx, store.Change{Key: p.key, Event: &row})
		if err != nil {
			return report{}, fmt.Errorf("apply: %w", err)
		}
		return h.finish(ctx, e, *res.Event, handlers, p, report{duplicate: !res.Applied})
	}

	facts, err := h.settler.FactsOf(ctx, ev)
	if errors.Is(err, booking.ErrNotOurs) {
		return h.ignore(ctx, row, p, payment.ReasonNotOurs)
	}
	if err != nil {
		return report{}, fmt.Errorf("read the event: %w", err)
	}
	s, err := h.settler.Settle(ctx, facts, payment.Cause{By: p.by, ID: p.id, Key: p.key, Event: &row})
	if err != nil {
		return report{}, fmt.Errorf("settle: %w", err)
	}
	rep := report{settled: s.Outcome, reason: s.Reason, duplicate: !s.Applied}
	e.Booking, e.Payment = s.Booking, s.Payment
	last := *s.Event
	if e.Booking != nil {
		last.BookingID = e.Booking.ID
	}
	return h.finish(ctx, e, last, handlers, p, rep)
}

// foreign says why an event of another world is not for us; empty: it is.
func (h *Handler) foreign(ev payment.Event) string {
	switch {
	case ev.Livemode != (h.cfg.Mode == payment.Live):
		return payment.ReasonLivemode
	case ev.Account != h.cfg.Account:
		return payment.ReasonAccount
	}
	return ""
}

// paid reports whether an event that is not for us says that money was taken.
// Nothing but the log depends on it.
func paid(ev payment.Event) bool {
	var o struct {
		Object        string `json:"object"`
		PaymentStatus any    `json:"payment_status"`
		Status        any    `json:"status"`
	}
	if json.Unmarshal(ev.Object, &o) != nil {
		return false
	}
	switch o.Object {
	case "checkout.session":
		return o.PaymentStatus == "paid"
	case "payment_intent":
		return o.Status == "succeeded"
	}
	return false
}

// ignore records that an event is not for us.
func (h *Handler) ignore(ctx context.Context, row store.Event, p pass, reason string) (report, error) {
	row.State, row.Reason = store.EventIgnored, reason
	res, err := h.cfg.Store.Apply(ctx, store.Change{Key: p.key, Event: &row})
	if err != nil {
		return report{}, fmt.Errorf("apply: %w", err)
	}
	return h.finish(ctx, Event{ID: row.ID}, *res.Event, nil, p, report{duplicate: !res.Applied})
}

// finish runs the handlers that row does not name yet, and closes it.
func (h *Handler) finish(ctx context.Context, e Event, row store.Event, handlers []named, p pass, rep report) (report, error) {
	rep.state, rep.bookingID = row.State, row.BookingID
	if row.State == store.EventIgnored {
		rep.reason = row.Reason
		return rep, nil
	}
	missing := slices.DeleteFunc(handlers, func(n named) bool { return slices.Contains(row.Handlers, n.name) })
	done := row.State == store.EventDone
	if done && (len(missing) == 0 || !p.replay) {
		return rep, nil
	}
	rep.state = store.EventDone
	var ok []string
	var errs []error
	for _, n := range missing {
		err := ctx.Err()
		if err == nil {
			err = h.guard(ctx, e.ID, func() error { return n.fn(ctx, e.clone()) })
		}
		if err != nil {
			errs = append(errs, &handlerError{n.name, err})
			continue
		}
		ok = append(ok, n.name)
	}
	if len(ok) > 0 || len(errs) == 0 {
		// What a handler did is noted even if it took all the time there was.
		rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err := h.cfg.Store.RecordHandled(rctx, row.ID, ok, len(errs) == 0, h.cfg.Now()); err != nil {
			errs = append(errs, fmt.Errorf("record handled: %w", err))
		}
	}
	return rep, errors.Join(errs...)
}

// handlerError is a failure of a user's handler: always worth another try.
type handlerError struct {
	name string
	err  error
}

func (e *handlerError) Error() string { return "handler " + e.name + ": " + e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// permanent reports whether no other try can help.
func permanent(err error) bool {
	var own *handlerError
	if errors.As(err, &own) {
		return false
	}
	return errors.Is(err, booking.ErrMetadata) || errors.Is(err, payment.ErrNotEvent) ||
		errors.Is(err, store.ErrInvalid) || errors.Is(err, store.ErrMismatch)
}

// fail records a failed go at an event. One that can't be recorded stays worth a
// retry, so that it can't be lost.
func (h *Handler) fail(ctx context.Context, ev payment.Event, row store.Event, rep report, err error) report {
	dead := permanent(err)
	rep.reason, rep.err = reasonText(err), fmt.Errorf("webhook: event %s: %w", ev.ID, err)
	rep.state = store.EventFailed
	row.BookingID = rep.bookingID
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	rerr := h.guard(rctx, ev.ID, func() error { return h.cfg.Store.RecordFailure(rctx, row, rep.reason, dead) })
	if dead && rerr == nil {
		rep.state = store.EventDead
	}
	attrs := []slog.Attr{
		slog.String("type", ev.Type), slog.String("id", ev.ID),
		slog.String("outcome", string(rep.state)), slog.String("reason", rep.reason),
	}
	if rerr != nil {
		attrs = append(attrs, slog.String("notRecorded", reasonText(rerr)))
	}
	h.log.LogAttrs(ctx, slog.LevelError, "webhook: event failed", attrs...)
	if rep.state == store.EventDead && h.cfg.OnDead != nil {
		_ = h.guard(ctx, ev.ID, func() error { // a panic is logged, and changes nothing
			h.cfg.OnDead(ctx, eventOf(ev), rep.reason)
			return nil
		})
	}
	return rep
}

// reasonText is an error's text as the ledger keeps it.
func reasonText(err error) string {
	s := strings.ReplaceAll(strings.ReplaceAll(err.Error(), "\x00", ""), "\n", "; ")
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	return strings.ToValidUTF8(s, "")
}

// guard runs fn and makes an error of its panic. What was panicked with may be
// anything, customer data included, so only its type is told, or the text when
// it is the runtime's own.
func (h *Handler) guard(ctx context.Context, eventID string, fn func() error) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		what := fmt.Sprintf("%T", v)
		if e, ok := v.(runtime.Error); ok {
			what = e.Error()
		}
		err = errors.New("panic: " + what)
		// With net/http's own value a handler asks for no stack.
		if e, ok := v.(error); ok && errors.Is(e, http.ErrAbortHandler) {
			return
		}
		h.log.LogAttrs(ctx, slog.LevelError, "webhook: panic",
			slog.String("id", eventID), slog.String("panic", what), slog.String("stack", string(debug.Stack())))
	}()
	return fn()
}

func eventOf(ev payment.Event) Event {
	return Event{
		ID: ev.ID, Type: ev.Type, ObjectID: ev.ObjectID, Account: ev.Account, APIVersion: ev.APIVersion,
		Livemode: ev.Livemode, Created: ev.Created, Object: ev.Object,
	}
}

// clone is a copy that a handler may change as it likes.
func (e Event) clone() Event {
	e.Object = slices.Clone(e.Object)
	if e.Booking != nil {
		b := e.Booking.Clone()
		e.Booking = &b
	}
	if e.Payment != nil {
		p := e.Payment.Clone()
		e.Payment = &p
	}
	return e
}

// bound is ctx with the deadline of one event.
func (h *Handler) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, h.cfg.Deadline)
}

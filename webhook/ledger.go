package webhook

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// ErrPruned: the payload of the event is no longer kept, so that it can't be
// replayed. Stripe resends events for 30 days from its dashboard.
var ErrPruned = errors.New("webhook: the payload was pruned")

// ProcessEvent does with an event what a delivery does, without a signature: for
// events that were verified by other means, such as Stripe's list of events. raw
// is the event's JSON. It returns nil when the event is done or ignored, an
// error that wraps payment.ErrNotEvent when raw is none, and otherwise the reason
// for which the event failed or is dead, which the ledger keeps too. Unlike a
// delivery it stops with ctx.
func (h *Handler) ProcessEvent(ctx context.Context, raw []byte) error {
	ev, err := decode(raw)
	if err != nil {
		return fmt.Errorf("webhook: process event: %w", err)
	}
	ctx, cancel := h.bound(ctx)
	defer cancel()
	return h.process(ctx, ev, pass{by: "reconcile", id: ev.ID, key: ev.ID}).err
}

// Events lists the ledger's rows that match f, newest first, and the cursor of
// the next page, empty after the last.
func (h *Handler) Events(ctx context.Context, f store.EventFilter, p store.Page) ([]store.Event, string, error) {
	rows, next, err := h.cfg.Store.Events(ctx, f, p)
	if err != nil {
		return nil, "", fmt.Errorf("webhook: events: %w", err)
	}
	return rows, next, nil
}

// Event returns one row of the ledger, or an error that wraps store.ErrNotFound.
func (h *Handler) Event(ctx context.Context, id string) (store.Event, error) {
	row, err := h.cfg.Store.Event(ctx, id)
	if err != nil {
		return store.Event{}, fmt.Errorf("webhook: event %q: %w", id, err)
	}
	return row, nil
}

// Replay processes a stored event again, and returns as ProcessEvent does; the
// booking's history names the operator. It is always harmless. An event that
// failed or is dead gets another try. One that was ignored, or is done, is looked
// at afresh, so that a codec or a handler that is new since takes effect;
// handlers that have succeeded for it do not run again.
//
// The errors are store.ErrNotFound, ErrPruned, store.ErrInvalid for an operator
// that is empty, and those of the event.
func (h *Handler) Replay(ctx context.Context, id, operator string) error {
	if err := store.CheckID("operator", operator); err != nil {
		return fmt.Errorf("webhook: replay: %w", err)
	}
	row, err := h.cfg.Store.Event(ctx, id)
	if err != nil {
		return fmt.Errorf("webhook: replay %q: %w", id, err)
	}
	return h.replay(ctx, row, operator)
}

func (h *Handler) replay(ctx context.Context, row store.Event, operator string) error {
	if len(row.Payload) == 0 {
		return fmt.Errorf("webhook: replay %q: %w", row.ID, ErrPruned)
	}
	ev, err := decode(row.Payload)
	if err != nil {
		return fmt.Errorf("webhook: replay %q: %w", row.ID, err)
	}
	p := pass{by: "replay", id: operator, key: row.ID, replay: true}
	if row.State == store.EventDone || row.State == store.EventIgnored {
		// The event's own key is used up. Attempts grows with each replay that
		// applies, so that the next has another; two at once share one.
		p.key = row.ID + "/replay/" + strconv.Itoa(row.Attempts)
		if len(p.key) > store.MaxID {
			p.key = booking.DeriveID("replay", row.ID, strconv.Itoa(row.Attempts))
		}
	}
	ctx, cancel := h.bound(ctx)
	defer cancel()
	return h.process(ctx, ev, p).err
}

// ReplayAll replays every event that matches f, newest first, and goes on after
// one that fails. It returns how many ended well and the errors of the others,
// joined. Events that no longer have the state of f when their turn comes are
// left out. It stops when ctx does.
func (h *Handler) ReplayAll(ctx context.Context, f store.EventFilter, operator string) (int, error) {
	if err := store.CheckID("operator", operator); err != nil {
		return 0, fmt.Errorf("webhook: replay all: %w", err)
	}
	n := 0
	var errs []error
	// Pages follow ReceivedAt, which a replay does not change.
	for page := (store.Page{Limit: 100}); ; {
		rows, next, err := h.cfg.Store.Events(ctx, f, page)
		if err != nil {
			return n, errors.Join(append(errs, fmt.Errorf("webhook: replay all: %w", err))...)
		}
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				return n, errors.Join(append(errs, fmt.Errorf("webhook: replay all: %w", err))...)
			}
			now, err := h.cfg.Store.Event(ctx, row.ID)
			if err == nil && f.State != "" && now.State != f.State {
				continue
			}
			if err == nil {
				err = h.replay(ctx, now, operator)
			} else {
				err = fmt.Errorf("webhook: replay %q: %w", row.ID, err)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			n++
		}
		if next == "" {
			return n, errors.Join(errs...)
		}
		page.After = next
	}
}

package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// eventCases are about the ledger.
func eventCases() []testCase {
	return []testCase{
		{
			name:   "events-filter",
			reason: "an operator finds events by state, type and time of the first delivery, and by all of them at once",
			run:    eventsFilter,
		},
		{
			name:   "failure-recorded",
			reason: "a failed attempt is kept with its reason and counted, and the time of the first delivery stays",
			run:    failureRecorded,
		},
		{
			name:   "failure-names-no-key",
			reason: "an event that failed, or is dead, can still be applied when it comes again",
			run:    failureNamesNoKey,
		},
		{
			name:   "failure-never-undoes",
			reason: "a failure that is reported late does not undo an event that is done or ignored",
			run:    failureNeverUndoes,
		},
		{
			name:   "handled-recorded",
			reason: "handlers that succeeded are remembered, so that a later delivery runs the others only",
			run:    handledRecorded,
		},
		{
			name:   "handled-at-once",
			reason: "32 deliveries that each note a handler at once lose none of them",
			run:    handledAtOnce,
		},
		{
			name:   "event-merged",
			reason: "a Change with an event that has a row already adds to it: attempts, handlers, first delivery, and done stays done",
			run:    eventMerged,
		},
		{
			name:   "event-every-turn",
			reason: "whatever a ledger row says, news of any kind changes it as MergeEvent, MergeFailure and MergeHandled do",
			run:    eventEveryTurn,
		},
	}
}

func eventsFilter(e *env) {
	states := []store.EventState{store.EventApplied, store.EventDone, store.EventIgnored, store.EventFailed, store.EventDead}
	types := []string{"checkout.session.completed", "payment_intent.succeeded"}
	var rows []store.Event // as stored, newest first
	for i := range 15 {
		row := *anEvent(name("evt", i))
		row.ReceivedAt, row.Type, row.State = at(i/2), types[i%2], states[i%5]
		switch row.State {
		case store.EventFailed, store.EventDead:
			dead := row.State == store.EventDead
			require.NoError(e, e.RecordFailure(e.ctx, row, "x", dead))
			row = store.MergeFailure(nil, row, "x", dead)
		default:
			e.apply(store.Change{Key: row.ID, Event: &row})
			row = store.MergeEvent(nil, row)
		}
		rows = append([]store.Event{row}, rows...)
	}
	var filters []store.EventFilter
	for _, state := range append(states, "", "nonsense") {
		for _, kind := range append(types, "", "Payment_Intent.succeeded") {
			filters = append(filters, store.EventFilter{State: state, Type: kind})
		}
		filters = append(filters, store.EventFilter{State: state, Type: types[0], From: at(1), To: at(6)})
	}
	filters = append(filters,
		store.EventFilter{From: at(3)}, store.EventFilter{To: at(3)},
		store.EventFilter{From: at(3), To: at(3)}, store.EventFilter{From: at(3), To: at(4)},
		store.EventFilter{From: at(9)}, store.EventFilter{To: at(0)}, store.EventFilter{From: at(0), To: at(9)},
		// Between two milliseconds, which is all that stores keep of a time.
		store.EventFilter{From: at(3).Add(time.Microsecond)}, store.EventFilter{To: at(3).Add(time.Microsecond)},
	)
	for _, f := range filters {
		var want []string
		for _, row := range rows {
			if (f.State == "" || row.State == f.State) && (f.Type == "" || row.Type == f.Type) &&
				(f.From.IsZero() || !row.ReceivedAt.Before(f.From)) && (f.To.IsZero() || row.ReceivedAt.Before(f.To)) {
				want = append(want, row.ID)
			}
		}
		var got []string
		p := store.Page{Limit: 4}
		for {
			page, next, err := e.Events(e.ctx, f, p)
			require.NoError(e, err)
			for _, row := range page {
				got = append(got, row.ID)
			}
			if next == "" {
				break
			}
			p.After = next
		}
		equal(e, want, got, "%+v", f)
	}
	all, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
	require.NoError(e, err)
	equal(e, rows, all)
}

func failureRecorded(e *env) {
	row := *anEvent("evt-1")
	// Not read, by the contract.
	row.State, row.Reason, row.Attempts, row.Handlers = store.EventDone, "mine", 7, []string{"mail"}
	row.BookingID, row.ObjectID = "b-1", "cs-1"
	require.NoError(e, e.RecordFailure(e.ctx, row, "no database", false))
	want := store.MergeFailure(nil, row, "no database", false)
	equal(e, store.EventFailed, want.State)
	equal(e, want, e.event("evt-1"))

	again := row
	again.ReceivedAt, again.UpdatedAt, again.BookingID = at(60), at(60), ""
	again.Payload = []byte("{}")
	require.NoError(e, e.RecordFailure(e.ctx, again, "metadata broken", true))
	want = store.MergeFailure(&want, again, "metadata broken", true)
	equal(e, store.EventDead, want.State)
	equal(e, 2, want.Attempts)
	equal(e, at(0), want.ReceivedAt)
	equal(e, "b-1", want.BookingID)
	equal(e, want, e.event("evt-1"))

	// A transient failure after that: an attempt was made, and it failed.
	again.UpdatedAt = at(90)
	require.NoError(e, e.RecordFailure(e.ctx, again, "no database", false))
	want = store.MergeFailure(&want, again, "no database", false)
	equal(e, want, e.event("evt-1"))
	rows, _, err := e.Events(e.ctx, store.EventFilter{State: store.EventFailed}, store.Page{})
	require.NoError(e, err)
	equal(e, []store.Event{want}, rows, "one row for each event, found by its state")
	rows, _, err = e.Events(e.ctx, store.EventFilter{State: store.EventDead}, store.Page{})
	require.NoError(e, err)
	empty(e, rows)
	empty(e, maybe(e, func() (store.Booking, error) { return e.Booking(e.ctx, "b-1") }), "a failure writes no booking")
}

func failureNamesNoKey(e *env) {
	for i, dead := range []bool{false, true} {
		id := name("evt", i)
		row := *anEvent(id)
		require.NoError(e, e.RecordFailure(e.ctx, row, "no database", dead))
		failed := e.event(id)

		c := paid(id, name("b", i), name("pi", i))
		c.Event = anEvent(id)
		c.Event.ReceivedAt, c.Event.UpdatedAt, c.Event.BookingID = at(30), at(30), c.Booking.ID
		r := e.apply(c)
		want := store.MergeEvent(&failed, *c.Event)
		equal(e, store.EventDone, want.State)
		equal(e, 2, want.Attempts)
		equal(e, at(0), want.ReceivedAt, "the first delivery's")
		empty(e, want.Reason)
		equal(e, &want, r.Event)
		equal(e, want, e.event(id))
		e.replayed(c)
		equal(e, want, e.event(id))
	}
}

func failureNeverUndoes(e *env) {
	for i, state := range []store.EventState{store.EventDone, store.EventIgnored, store.EventApplied} {
		for j, dead := range []bool{false, true} {
			id := name("evt", 2*i+j)
			c := store.Change{Key: id, Event: anEvent(id)}
			c.Event.State, c.Event.Reason = state, "as it was"
			before := *e.apply(c).Event

			late := *anEvent(id)
			late.UpdatedAt = at(60)
			require.NoError(e, e.RecordFailure(e.ctx, late, "no database", dead))
			want := store.MergeFailure(&before, late, "no database", dead)
			if state != store.EventApplied { // handlers are still to run: it can fail
				equal(e, state, want.State)
				equal(e, "as it was", want.Reason)
			}
			equal(e, want, e.event(id), "after %s, dead %t", state, dead)
		}
	}
	// Done by its handlers, which stay.
	require.NoError(e, e.RecordHandled(e.ctx, "evt-004", []string{"mail"}, true, at(61)))
	require.NoError(e, e.RecordFailure(e.ctx, *anEvent("evt-004"), "no database", true))
	row := e.event("evt-004")
	equal(e, store.EventDone, row.State)
	equal(e, []string{"mail"}, row.Handlers)
	empty(e, row.Reason)
}

func handledRecorded(e *env) {
	require.ErrorIs(e, e.RecordHandled(e.ctx, "evt-1", []string{"mail"}, true, at(1)), store.ErrNotFound)
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	c.Event.State = store.EventApplied
	want := *e.apply(c).Event

	record := func(done bool, second int, handlers ...string) {
		e.Helper()
		require.NoError(e, e.RecordHandled(e.ctx, "evt-1", handlers, done, at(second)))
		want = store.MergeHandled(want, handlers, done)
		want.UpdatedAt = at(second)
		equal(e, want, e.event("evt-1"))
	}
	record(false, 1, "mail")
	record(false, 2, "calendar", "*")
	record(false, 3, "mail") // again
	equal(e, []string{"*", "calendar", "mail"}, want.Handlers, "sorted")
	equal(e, store.EventApplied, want.State)
	equal(e, 1, want.Attempts, "a handler is no attempt")

	// One fails; its reason goes when all have succeeded.
	require.NoError(e, e.RecordFailure(e.ctx, *c.Event, "sms: down", false))
	want = store.MergeFailure(&want, *c.Event, "sms: down", false)
	equal(e, want, e.event("evt-1"))
	record(false, 4, "log")
	equal(e, store.EventFailed, want.State)
	record(true, 5, "sms")
	equal(e, store.EventDone, want.State)
	empty(e, want.Reason)
	record(true, 6)
	record(false, 7, "late")
	equal(e, store.EventDone, want.State)
	require.True(e, slices.IsSorted(want.Handlers))
	require.EqualValues(e, 1, e.booking("b-1").Version)
	equal(e, &want, e.replayed(c).Event)
	// A reason that is no failure's stays.
	declined := anEvent("evt-2")
	declined.State, declined.Reason = store.EventApplied, "card_declined"
	e.apply(store.Change{Key: "evt-2", Event: declined})
	require.NoError(e, e.RecordHandled(e.ctx, "evt-2", []string{"mail"}, true, at(9)))
	equal(e, "card_declined", e.event("evt-2").Reason)
}

func handledAtOnce(e *env) {
	c := store.Change{Key: "evt-1", Event: anEvent("evt-1")}
	c.Event.State = store.EventApplied
	e.apply(c)
	var want []string
	for i := range callers {
		want = append(want, name("handler", i))
	}
	got := race(callers, func(i int) (store.Result, error) {
		return store.Result{}, e.RecordHandled(e.ctx, "evt-1", want[i:i+1], i == 5, at(i))
	})
	for i, o := range got {
		require.NoError(e, o.err, "caller %d", i)
	}
	row := e.event("evt-1")
	equal(e, want, row.Handlers)
	equal(e, store.EventDone, row.State)
}

func eventMerged(e *env) {
	c := paid("evt-1", "b-1", "pi-1")
	c.Event = anEvent("evt-1")
	c.Event.State, c.Event.BookingID, c.Event.Handlers = store.EventApplied, "b-1", []string{"a"}
	want := *e.apply(c).Event
	equal(e, store.MergeEvent(nil, *c.Event), want)

	merge := func(key string, edit func(row *store.Event)) {
		e.Helper()
		row := *anEvent("evt-1")
		row.ReceivedAt, row.UpdatedAt = want.ReceivedAt.Add(at(9).Sub(at(0))), want.UpdatedAt.Add(at(9).Sub(at(0)))
		edit(&row)
		r := e.apply(store.Change{Key: key, Event: &row})
		want = store.MergeEvent(&want, row)
		equal(e, &want, r.Event)
		equal(e, want, e.event("evt-1"))
		rows, _, err := e.Events(e.ctx, store.EventFilter{}, store.Page{})
		require.NoError(e, err)
		equal(e, []store.Event{want}, rows, "one row for each event")
	}
	merge("evt-1/replay/1", func(row *store.Event) { row.State, row.Handlers = store.EventApplied, []string{"c", "b"} })
	equal(e, []string{"a", "b", "c"}, want.Handlers)
	equal(e, 2, want.Attempts)
	merge("evt-1/replay/2", func(row *store.Event) { row.Payload, row.APIVersion = []byte("{}"), "2026-01-01" })
	equal(e, store.EventDone, want.State)
	merge("evt-1/replay/3", func(row *store.Event) { row.State, row.Reason = store.EventIgnored, "no handler" })
	equal(e, store.EventDone, want.State, "done stays done")
	equal(e, "b-1", want.BookingID)
	equal(e, at(0), want.ReceivedAt)
	require.EqualValues(e, 1, e.booking("b-1").Version)
}

// eventEveryTurn lets each kind of news meet a row that each kind has left.
func eventEveryTurn(e *env) {
	type turn struct {
		name string
		take func(old *store.Event, id string, second int) (store.Event, error)
	}
	news := func(id string, second int, full bool) store.Event {
		row := *anEvent(id)
		row.ReceivedAt, row.UpdatedAt, row.Payload = at(second), at(second), nil
		if full {
			// A booking that is not there: an event may be about one that was never made.
			row.Reason, row.BookingID, row.Payload = name("reason", second), name("b-none", second), []byte(name("payload", second))
			row.Handlers = []string{name("handler", second)}
		}
		return row
	}
	var turns []turn
	for _, full := range []bool{true, false} {
		for _, state := range []store.EventState{store.EventApplied, store.EventDone, store.EventIgnored} {
			turns = append(turns, turn{fmt.Sprintf("%s (full: %t)", state, full), func(old *store.Event, id string, second int) (store.Event, error) {
				row := news(id, second, full)
				row.State = state
				want := store.MergeEvent(old, row)
				r, err := e.Apply(e.ctx, store.Change{Key: name(id, second), Event: &row})
				if err == nil {
					equal(e, &want, r.Event, "Result.Event")
				}
				return want, err
			}})
		}
		for _, dead := range []bool{false, true} {
			turns = append(turns, turn{fmt.Sprintf("a failure (dead: %t, full: %t)", dead, full), func(old *store.Event, id string, second int) (store.Event, error) {
				row, reason := news(id, second, full), name("failure", second)
				return store.MergeFailure(old, row, reason, dead), e.RecordFailure(e.ctx, row, reason, dead)
			}})
		}
	}
	for _, done := range []bool{false, true} {
		turns = append(turns, turn{fmt.Sprintf("handled (done: %t)", done), func(old *store.Event, id string, second int) (store.Event, error) {
			handlers := []string{name("z", second), "a"}
			if old == nil {
				return store.Event{}, e.RecordHandled(e.ctx, id, handlers, done, at(second))
			}
			want := store.MergeHandled(*old, handlers, done)
			want.UpdatedAt = at(second)
			return want, e.RecordHandled(e.ctx, id, handlers, done, at(second))
		}})
	}
	for i, first := range turns {
		for j, second := range turns {
			id := fmt.Sprintf("evt-%d-%d", i, j)
			row, err := first.take(nil, id, 1)
			if isNotFound(err) { // nothing that could be handled
				break
			}
			require.NoError(e, err, first.name)
			equal(e, row, e.event(id), first.name)
			row, err = second.take(&row, id, 2)
			require.NoError(e, err, "%s after %s", second.name, first.name)
			equal(e, row, e.event(id), "%s after %s", second.name, first.name)
		}
	}
}

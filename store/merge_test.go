package store_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

func row(state store.EventState, reason string) *store.Event {
	return &store.Event{
		ID: "evt_1", Type: "t", State: state, Reason: reason, Attempts: 4, Handlers: []string{"b", "d"},
		BookingID: "b_1", Payload: []byte("old"), ReceivedAt: now, UpdatedAt: now,
	}
}

func TestMergeEvent(t *testing.T) {
	e := store.Event{
		ID: "evt_1", Type: "t", State: store.EventApplied, Reason: "new", Attempts: 99, Handlers: []string{"d", "a"},
		Payload: []byte("new"), ReceivedAt: now.Add(time.Hour), UpdatedAt: now.Add(time.Hour),
	}
	first := store.MergeEvent(nil, e)
	require.Equal(t, 1, first.Attempts, "the caller's count is not read")
	require.Equal(t, e.ReceivedAt, first.ReceivedAt)
	require.Equal(t, []string{"a", "d"}, first.Handlers)

	for _, tt := range []struct {
		old, new, want store.EventState
		reason         string
	}{
		{store.EventFailed, store.EventApplied, store.EventApplied, "new"},
		{store.EventFailed, store.EventDone, store.EventDone, "new"},
		{store.EventDead, store.EventDone, store.EventDone, "new"},
		{store.EventIgnored, store.EventApplied, store.EventApplied, "new"},
		{store.EventApplied, store.EventDone, store.EventDone, "new"},
		{store.EventApplied, store.EventIgnored, store.EventApplied, "old"},
		{store.EventDone, store.EventApplied, store.EventDone, "old"},
		{store.EventDone, store.EventIgnored, store.EventDone, "old"},
	} {
		e.State = tt.new
		got := store.MergeEvent(row(tt.old, "old"), e)
		require.Equal(t, store.Event{
			ID: "evt_1", Type: "t", State: tt.want, Reason: tt.reason, Attempts: 5, Handlers: []string{"a", "b", "d"},
			BookingID: "b_1", Payload: []byte("new"), ReceivedAt: now, UpdatedAt: now.Add(time.Hour),
		}, got, "%s over %s", tt.new, tt.old)
	}
	e.Payload = nil
	require.Equal(t, []byte("old"), store.MergeEvent(row(store.EventFailed, ""), e).Payload)
	e.BookingID = "b_2"
	require.Equal(t, "b_2", store.MergeEvent(row(store.EventFailed, ""), e).BookingID)
}

func TestMergeFailure(t *testing.T) {
	e := store.Event{
		ID: "evt_1", Type: "t", State: store.EventDone, Reason: "not read", Attempts: 99, Handlers: []string{"not read"},
		ReceivedAt: now.Add(time.Hour), UpdatedAt: now.Add(time.Hour),
	}
	for _, tt := range []struct {
		old    *store.Event
		dead   bool
		want   store.EventState
		reason string
	}{
		{nil, false, store.EventFailed, "new"},
		{nil, true, store.EventDead, "new"},
		{row(store.EventFailed, "old"), false, store.EventFailed, "new"},
		{row(store.EventFailed, "old"), true, store.EventDead, "new"},
		{row(store.EventDead, "old"), false, store.EventFailed, "new"},
		{row(store.EventApplied, ""), false, store.EventFailed, "new"},
		{row(store.EventApplied, ""), true, store.EventDead, "new"},
		{row(store.EventDone, ""), true, store.EventDone, ""},
		{row(store.EventIgnored, "old"), true, store.EventIgnored, "old"},
		{row(store.EventIgnored, "old"), false, store.EventIgnored, "old"},
	} {
		want := e
		want.State, want.Reason, want.Attempts, want.Handlers = tt.want, tt.reason, 1, nil
		if tt.old != nil {
			want.Attempts, want.Handlers, want.BookingID, want.ReceivedAt = 5, []string{"b", "d"}, "b_1", now
			want.Payload = tt.old.Payload
		}
		require.Equal(t, want, store.MergeFailure(tt.old, e, "new", tt.dead), "over %+v, dead %t", tt.old, tt.dead)
	}
}

// The reason of a failure goes with it, and any other stays.
func TestMergeHandledReason(t *testing.T) {
	for state, reason := range map[store.EventState]string{
		store.EventFailed: "", store.EventDead: "", store.EventApplied: "card_declined", store.EventDone: "card_declined",
	} {
		got := store.MergeHandled(*row(state, "card_declined"), []string{"mail"}, true)
		require.Equal(t, store.EventDone, got.State)
		require.Equal(t, reason, got.Reason, "from %s", state)
		require.Equal(t, "card_declined", store.MergeHandled(*row(state, "card_declined"), nil, false).Reason)
	}
}

func TestMergeHandled(t *testing.T) {
	old := *row(store.EventFailed, "old")
	got := store.MergeHandled(old, []string{"c", "b"}, false)
	require.Equal(t, []string{"b", "c", "d"}, got.Handlers)
	require.Equal(t, store.EventFailed, got.State)
	require.Equal(t, "old", got.Reason)
	require.Equal(t, 4, got.Attempts)

	got = store.MergeHandled(old, nil, true)
	require.Equal(t, []string{"b", "d"}, got.Handlers)
	require.Equal(t, store.EventDone, got.State)
	require.Empty(t, got.Reason)
	require.Equal(t, *row(store.EventFailed, "old"), old, "the old row is left alone")
}

// The reflection finds a map or slice that is added one day and not cloned.
func TestClone(t *testing.T) {
	c := valid()
	b, p, e := *c.Booking, c.Payments[0], *row(store.EventDone, "")
	p.Metadata = map[string]string{"k": "v"}
	require.Equal(t, b, b.Clone())
	require.Equal(t, p, p.Clone())
	require.Equal(t, e, e.Clone())
	for _, pair := range [][2]any{{b, b.Clone()}, {p, p.Clone()}, {e, e.Clone()}} {
		from, to := reflect.ValueOf(pair[0]), reflect.ValueOf(pair[1])
		for i := range from.NumField() {
			name := from.Type().Name() + "." + from.Type().Field(i).Name
			switch from.Field(i).Kind() {
			case reflect.Map, reflect.Slice:
				require.NotZero(t, from.Field(i).Len(), "the test needs a %s", name)
				require.NotEqual(t, from.Field(i).Pointer(), to.Field(i).Pointer(), "%s is shared", name)
			case reflect.Pointer, reflect.Interface, reflect.Chan, reflect.Func:
				require.Fail(t, "a record holds values only", name)
			}
		}
	}
	empty := store.Booking{Details: map[string]string{}, Claims: []store.SeatClaim{}, Seats: []store.Seat{}}
	require.Equal(t, store.Booking{}, empty.Clone())
	require.Equal(t, store.Payment{}, store.Payment{Refunds: []store.Refund{}, Metadata: map[string]string{}}.Clone())
	require.Equal(t, store.Event{}, store.Event{Handlers: []string{}, Payload: []byte{}}.Clone())
}

func TestTime(t *testing.T) {
	require.True(t, store.Time(time.Time{}).IsZero())
	given := time.Date(2026, 5, 1, 14, 0, 0, 123_999_999, time.FixedZone("", 7200))
	require.Equal(t, time.Date(2026, 5, 1, 12, 0, 0, 123e6, time.UTC), store.Time(given))
	require.Equal(t, store.Time(given), store.Time(store.Time(given)))
	require.Equal(t, store.Time(given), time.UnixMilli(given.UnixMilli()).UTC())
	old := time.Date(1960, 1, 1, 0, 0, 0, 999_999, time.UTC)
	require.Equal(t, time.UnixMilli(old.UnixMilli()).UTC(), store.Time(old), "also before 1970")
}

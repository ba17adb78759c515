package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

// A failure names the field and both values, in one line.
func TestEqual(t *testing.T) {
	b := aBooking("b-1")
	b.Details = map[string]string{"a": "1", "b": "2"}
	b.Seats = []store.Seat{{Slot: "room", Number: 1}, {Slot: "room", Number: 2}}
	edited := func(edit func(b *store.Booking)) store.Booking {
		c := b.Clone()
		edit(&c)
		return c
	}
	for _, tt := range []struct {
		want, got any
		says      string
	}{
		{b, b.Clone(), ""},
		{view{Booking: &b}, view{Booking: &b}, ""},
		{b, edited(func(b *store.Booking) { b.Total++ }), ".Total: want int64 10000, got int64 10001"},
		{view{Booking: &b}, view{}, ".Booking: want *store.Booking &{ID:b-1 UserID:user-1 "},
		{view{}, view{Event: anEvent("evt-1")}, ".Event: want none, got *store.Event &{ID:evt-1 Type:"},
		{b, edited(func(b *store.Booking) { b.Details["b"] = "3" }), `.Details["b"]: want "2", got "3"`},
		{b, edited(func(b *store.Booking) { b.Details = nil }), ".Details: want map[string]string map[a:1 b:2], got map[string]string map[]"},
		{store.Booking{}, store.Booking{Details: map[string]string{}}, ".Details: want map"},
		{map[string]int{"a": 1}, map[string]int{"b": 1}, `["a"]: want int 1, got none`},
		{b, edited(func(b *store.Booking) { b.Seats[1].Number = 3 }), ".Seats[1].Number: want int 2, got int 3"},
		{b, edited(func(b *store.Booking) { b.Seats = b.Seats[:1] }), ".Seats: want []store.Seat [{Slot:room Number:1} {Slot:room Number:2}], got []store.Seat [{Slot:room Number:1}]"},
		{b, edited(func(b *store.Booking) { b.CreatedAt = at(1) }), ".CreatedAt: want 2026-03-29T01:30:00.123Z, got 2026-03-29T01:30:01.123Z"},
		{at(0), at(0).In(time.FixedZone("UTC+6", 6*3600)), "want 2026-03-29T01:30:00.123Z, got 2026-03-29T07:30:00.123+06:00 in zone UTC+6"},
		{[]string{"a", "b"}, []string{"b", "a"}, `want ["a" "b"], got ["b" "a"]`},
		{1, int64(1), "want int 1, got int64 1"},
		{1, nil, "want int 1, got none"},
	} {
		r := observe(testCase{run: func(e *env) { equal(e, tt.want, tt.got, "the %s", "message") }},
			hooks{open: func() store.Store { return nil }})
		what := fmt.Sprintf("%v and %v", tt.want, tt.got)
		require.Equal(t, tt.says != "", r.Failed(), what)
		require.Contains(t, r.log.String(), tt.says, what)
		if tt.says != "" {
			require.Contains(t, r.log.String(), "the message")
		}
	}
}

func TestLength(t *testing.T) {
	var none *store.Booking
	b := aBooking("b-1")
	for what, tt := range map[string]struct {
		check func(e *env)
		says  string
	}{
		"as long":        {func(e *env) { length(e, []int{1}, 1) }, ""},
		"too short":      {func(e *env) { length(e, []int{1}, 2, "the %s", "message") }, "want 2, got 1: []int [1]"},
		"no pointer":     {func(e *env) { empty(e, none) }, ""},
		"no list":        {func(e *env) { empty(e, []int{}) }, ""},
		"nothing at all": {func(e *env) { empty(e, nil) }, ""},
		"no text":        {func(e *env) { empty(e, store.Conflict("")) }, ""},
		"a pointer":      {func(e *env) { empty(e, &b, "the %s", "message") }, "want none, got *store.Booking &{ID:b-1 "},
		"a list":         {func(e *env) { empty(e, []int{1}, "the %s", "message") }, "want none, got []int [1]"},
		"a text":         {func(e *env) { empty(e, store.ConflictSeats, "the %s", "message") }, "want none, got store.Conflict seats"},
	} {
		r := observe(testCase{run: tt.check}, hooks{open: func() store.Store { return nil }})
		require.Equal(t, tt.says != "", r.Failed(), what)
		require.Contains(t, r.log.String(), tt.says, what)
		if tt.says != "" {
			require.Contains(t, r.log.String(), "the message", what)
		}
	}
}

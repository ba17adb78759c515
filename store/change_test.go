package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

var now = time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)

// valid is a Change of a stored booking with something of everything.
func valid() store.Change {
	return store.Change{
		Key: "evt_1", Fingerprint: "hash",
		Booking: &store.Booking{
			ID: "b", UserID: "u", Option: store.OptionFull, Currency: "eur", State: store.StateConfirmed, Version: 3,
			Details:   map[string]string{"note": ""},
			Claims:    []store.SeatClaim{{Slot: "room", Capacity: 4, Count: 2}},
			Seats:     []store.Seat{{Slot: "room", Number: 1}, {Slot: "room", Number: 2}},
			CreatedAt: now, UpdatedAt: now,
		},
		Payments: []store.Payment{{
			ID: "p", BookingID: "b", UserID: "u", PaymentIntentID: "pi", Currency: "eur",
			Status: store.StatusSucceeded, Purpose: store.PurposeFull,
			Refunds:   []store.Refund{{ID: "re", Amount: 1}},
			CreatedAt: now, UpdatedAt: now,
		}},
		Claim:   []store.SeatClaim{{Slot: "room", Capacity: 4, Count: 1}},
		Release: []store.Seat{{Slot: "room", Number: 2}},
		Event:   &store.Event{ID: "evt_1", Type: "t", State: store.EventDone, ReceivedAt: now, UpdatedAt: now},
		History: &store.History{To: store.StateConfirmed, Cause: store.Cause{By: "webhook", ID: "evt_1"}, At: now},
	}
}

func TestChangeValidate(t *testing.T) {
	require.NoError(t, valid().Validate())
	require.NoError(t, store.Change{Key: "k"}.Validate(), "a key alone")
	ledgerOnly := store.Change{Key: "k", Event: valid().Event}
	require.NoError(t, ledgerOnly.Validate())

	long := strings.Repeat("x", store.MaxID+1)
	for what, spoil := range map[string]func(c *store.Change){
		"key is empty":            func(c *store.Change) { c.Key = "" },
		"key has 256 bytes":       func(c *store.Change) { c.Key = long },
		"key is not valid UTF-8":  func(c *store.Change) { c.Key = "\xff" },
		"fingerprint has":         func(c *store.Change) { c.Fingerprint = long },
		"booking id is empty":     func(c *store.Change) { c.Booking.ID = "" },
		"user id":                 func(c *store.Change) { c.Booking.UserID = "" },
		"service id":              func(c *store.Change) { c.Booking.ServiceID = long },
		"service name":            func(c *store.Change) { c.Booking.ServiceName = "\x00" },
		"option":                  func(c *store.Change) { c.Booking.Option = "" },
		"state":                   func(c *store.Change) { c.Booking.State, c.History.To = "", "" },
		"currency":                func(c *store.Change) { c.Booking.Currency = "" },
		"session id":              func(c *store.Change) { c.Booking.SessionID = long },
		"payment intent id":       func(c *store.Change) { c.Booking.PaymentIntentID = long },
		"account":                 func(c *store.Change) { c.Booking.Account = long },
		"details key":             func(c *store.Change) { c.Booking.Details[""] = "x" },
		"details value":           func(c *store.Change) { c.Booking.Details["x"] = "\xff" },
		"version -1":              func(c *store.Change) { c.Booking.Version = -1 },
		"no seats yet":            func(c *store.Change) { c.Booking.Version = 0 },
		"without a time":          func(c *store.Change) { c.Booking.UpdatedAt = time.Time{} },
		"claim of 0 seats":        func(c *store.Change) { c.Booking.Claims[0].Count = 0 },
		"without a history line":  func(c *store.Change) { c.History = nil },
		"another state":           func(c *store.Change) { c.History.To = store.StateHeld },
		"cause is empty":          func(c *store.Change) { c.History.Cause.By = "" },
		"cause id":                func(c *store.Change) { c.History.Cause.ID = long },
		"history reason":          func(c *store.Change) { c.History.Reason = "\xff" },
		"without a booking":       func(c *store.Change) { c.Booking = nil },
		"payment of another":      func(c *store.Change) { c.Payments[0].BookingID = "b2" },
		"intent twice":            func(c *store.Change) { c.Payments = append(c.Payments, c.Payments[0]) },
		"payment id":              func(c *store.Change) { c.Payments[0].ID = "" },
		"payment method":          func(c *store.Change) { c.Payments[0].PaymentMethod = long },
		"purpose":                 func(c *store.Change) { c.Payments[0].Purpose = "" },
		"status":                  func(c *store.Change) { c.Payments[0].Status = "" },
		"refund id":               func(c *store.Change) { c.Payments[0].Refunds[0].ID = "" },
		"payment without a time":  func(c *store.Change) { c.Payments[0].CreatedAt = time.Time{} },
		"slot is empty":           func(c *store.Change) { c.Claim[0].Slot = "" },
		"claim of 5 seats of 4":   func(c *store.Change) { c.Claim[0].Count = 5 },
		"claim of 1 seats of 0":   func(c *store.Change) { c.Claim[0].Capacity = 0 },
		"two claims on one slot":  func(c *store.Change) { c.Claim = append(c.Claim, c.Claim[0]) },
		"release of a seat":       func(c *store.Change) { c.Release[0].Number = 3 },
		"or twice":                func(c *store.Change) { c.Release = append(c.Release, c.Release[0]) },
		"event id":                func(c *store.Change) { c.Event.ID = "" },
		"event type":              func(c *store.Change) { c.Event.Type = "" },
		"handler":                 func(c *store.Change) { c.Event.Handlers = []string{""} },
		"event without a time":    func(c *store.Change) { c.Event.ReceivedAt = time.Time{} },
		`event state "failed"`:    func(c *store.Change) { c.Event.State = store.EventFailed },
		`event state ""`:          func(c *store.Change) { c.Event.State = "" },
		`event state "dead" in a`: func(c *store.Change) { c.Event.State = store.EventDead },
	} {
		c := valid()
		spoil(&c)
		err := c.Validate()
		assert.ErrorIs(t, err, store.ErrInvalid, what)
		assert.ErrorContains(t, err, what)
	}
}

func TestCheckIDNamesNoValue(t *testing.T) {
	require.NoError(t, store.CheckID("id", strings.Repeat("x", store.MaxID)))
	require.NoError(t, store.CheckID("id", " যোগ\t"))
	for _, id := range []string{"", strings.Repeat("secret", 60), "secret\x00", "secret\xff"} {
		err := store.CheckID("id", id)
		require.ErrorIs(t, err, store.ErrInvalid)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestChangeNext(t *testing.T) {
	c := valid()
	c.Booking.UpdatedAt = now.Add(1234567).In(time.FixedZone("", 3600))
	b := c.Next()
	require.EqualValues(t, 4, b.Version)
	require.Equal(t, []store.Seat{{Slot: "room", Number: 1}}, b.Seats, "without the released, before any are claimed")
	require.Equal(t, now.Add(time.Millisecond), b.UpdatedAt)
	require.Equal(t, c.Booking.Claims, b.Claims)

	b.Details["note"], b.Seats[0].Slot, b.Claims[0].Slot = "x", "x", "x"
	again := valid()
	again.Booking.UpdatedAt = c.Booking.UpdatedAt
	require.Equal(t, again, c, "it shares nothing with the Change")

	c.Release = c.Booking.Seats
	require.Nil(t, c.Next().Seats)
}

func TestPickSeats(t *testing.T) {
	for _, tt := range []struct {
		name    string
		claim   []store.SeatClaim
		release []int
		picked  []store.Seat
	}{
		{"the lowest that are free", []store.SeatClaim{{Slot: "room", Capacity: 5, Count: 2}}, nil, []store.Seat{{Slot: "room", Number: 1}, {Slot: "room", Number: 3}}},
		{"up to the capacity", []store.SeatClaim{{Slot: "room", Capacity: 3, Count: 2}}, nil, []store.Seat{{Slot: "room", Number: 1}, {Slot: "room", Number: 3}}},
		{"too few", []store.SeatClaim{{Slot: "room", Capacity: 3, Count: 3}}, nil, nil},
		{"with the released ones", []store.SeatClaim{{Slot: "room", Capacity: 3, Count: 3}}, []int{2},
			[]store.Seat{{Slot: "room", Number: 1}, {Slot: "room", Number: 2}, {Slot: "room", Number: 3}}},
		{"of each slot, or none", []store.SeatClaim{{Slot: "hall", Capacity: 1, Count: 1}, {Slot: "room", Capacity: 2, Count: 2}}, nil, nil},
		{"none is asked for", nil, nil, nil},
	} {
		c := store.Change{Claim: tt.claim}
		for _, n := range tt.release {
			c.Release = append(c.Release, store.Seat{Slot: "room", Number: n})
		}
		picked, ok := c.PickSeats(func(s store.Seat) bool {
			return s == store.Seat{Slot: "room", Number: 2} || s.Slot == "room" && s.Number == 4
		})
		require.Equal(t, tt.picked, picked, tt.name)
		require.Equal(t, tt.picked != nil || tt.claim == nil, ok, tt.name)
	}
}

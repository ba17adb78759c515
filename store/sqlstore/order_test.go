package sqlstore

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/carevia/stripebooking/store"
)

func TestInOrder(t *testing.T) {
	given := func() store.Change {
		return store.Change{
			Key:      "k",
			Payments: []store.Payment{{PaymentIntentID: "pi_2"}, {PaymentIntentID: "pi_1"}, {PaymentIntentID: "PI_3"}},
			Claim:    []store.SeatClaim{{Slot: "pool", Count: 2}, {Slot: "hall", Count: 1}},
		}
	}
	c := given()
	assert.Equal(t, store.Change{
		Key:      "k",
		Payments: []store.Payment{{PaymentIntentID: "PI_3"}, {PaymentIntentID: "pi_1"}, {PaymentIntentID: "pi_2"}},
		Claim:    []store.SeatClaim{{Slot: "hall", Count: 1}, {Slot: "pool", Count: 2}},
	}, inOrder(c))
	assert.Equal(t, given(), c, "the caller's is as it was")
}

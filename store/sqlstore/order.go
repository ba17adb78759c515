package sqlstore

import (
	"cmp"
	"slices"

	"github.com/carevia/stripebooking/store"
)

// inOrder is c with its payments and claims in the order of their keys, which is
// the order in which they are taken: two Changes that want the same ones then wait
// for each other rather than in a circle, which a database ends as a deadlock.
func inOrder(c store.Change) store.Change {
	c.Payments, c.Claim = slices.Clone(c.Payments), slices.Clone(c.Claim)
	slices.SortFunc(c.Payments, func(p, q store.Payment) int { return cmp.Compare(p.PaymentIntentID, q.PaymentIntentID) })
	slices.SortFunc(c.Claim, func(a, b store.SeatClaim) int { return cmp.Compare(a.Slot, b.Slot) })
	return c
}

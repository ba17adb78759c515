package soak

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// hooked is what the sites' endpoint gets.
var hooked = []string{
	"checkout.session.completed", "checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed",
	"checkout.session.expired", "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled",
}

// tally counts the differences between what happened at Stripe and what is stored.
type tally struct {
	mu                                sync.Mutex
	missing, duplicate, amount, state int
	first                             []string // in words
}

func (t *tally) lost(format string, args ...any)  { t.add(&t.missing, "missing", format, args...) }
func (t *tally) twice(format string, args ...any) { t.add(&t.duplicate, "duplicate", format, args...) }
func (t *tally) amounts(format string, args ...any) {
	t.add(&t.amount, "wrong amount", format, args...)
}
func (t *tally) wrong(format string, args ...any) { t.add(&t.state, "wrong state", format, args...) }

func (t *tally) add(n *int, what, format string, args ...any) {
	const told = 12
	t.mu.Lock()
	defer t.mu.Unlock()
	if *n++; len(t.first) < told {
		t.first = append(t.first, what+": "+fmt.Sprintf(format, args...))
	}
}

func (t *tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("missing=%d duplicate=%d wrong amount=%d wrong state=%d", t.missing, t.duplicate, t.amount, t.state)
}

// compare looks at everything that is stored of a leg, when all of it has ended.
func (l *leg) compare(ctx context.Context, customers []*customer) error {
	l.events, l.expired = map[string]stripetest.Event{}, map[string]time.Time{}
	for _, e := range slices.Backward(l.stripe.Events()) { // of an event that is told twice the first counts
		l.events[e.ID] = e
		if e.Type == "checkout.session.expired" {
			l.expired[e.ObjectID] = e.Created
		}
	}
	sessions := map[string][]stripetest.Session{} // by user
	for _, ss := range l.stripe.Sessions() {
		sessions[ss.Metadata["userId"]] = append(sessions[ss.Metadata["userId"]], ss)
	}
	l.compareAnswers()
	var mu sync.Mutex
	var errs []error
	each(customers, func(c *customer) {
		c.sessions = sessions[c.user]
		err := c.compare(ctx)
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
		l.left = append(l.left, left{c.user, hashOf(c.bookings, c.payments)})
	})
	for _, c := range customers {
		for _, b := range c.bookings {
			l.known.bookings[b.ID] = true
		}
		for _, p := range c.payments {
			l.known.intents[p.PaymentIntentID] = true
		}
	}
	return errors.Join(append(errs, l.compareSeats(ctx, customers), l.compareEvents(ctx, customers))...)
}

// compare looks at one customer's bookings and payments.
func (c *customer) compare(ctx context.Context) (err error) {
	if c.bookings, c.payments, err = c.of(ctx, c.user); err != nil {
		return err
	}
	errs := []error{c.compareLookups(ctx)}
	for _, b := range c.bookings {
		errs = append(errs, c.compareHistory(ctx, b))
	}
	c.compareSessions()
	c.compareBookings()
	c.comparePayments()
	return errors.Join(errs...)
}

// of is what is stored of a user.
func (k *soak) of(ctx context.Context, user string) ([]store.Booking, []store.Payment, error) {
	bookings, err := adaptertest.Pages(store.MaxLimit, func(p store.Page) ([]store.Booking, string, error) { return k.store.BookingsByUser(ctx, user, p) })
	if err != nil {
		return nil, nil, err
	}
	payments, err := adaptertest.Pages(store.MaxLimit, func(p store.Page) ([]store.Payment, string, error) { return k.store.PaymentsByUser(ctx, user, p) })
	return bookings, payments, err
}

// left is what a user has left behind, as a hash.
type left struct {
	user string
	hash uint64
}

func hashOf(bookings []store.Booking, payments []store.Payment) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v %+v", bookings, payments)
	return h.Sum64()
}

// compareAgain: what is stored of a leg is what was compared when it ended, whoever came since.
func (k *soak) compareAgain(ctx context.Context) error {
	var mu sync.Mutex
	var errs []error
	each(k.left, func(l left) {
		bookings, payments, err := k.of(ctx, l.user)
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		} else if hashOf(bookings, payments) != l.hash {
			k.tally.wrong("%s: the bookings have changed since, to %+v, or the payments, to %+v", l.user, bookings, payments)
		}
	})
	return errors.Join(errs...)
}

// own is true for the customer's sessions and their intents.
func (c *customer) own(id string) bool {
	return id != "" && slices.ContainsFunc(c.sessions, func(ss stripetest.Session) bool { return ss.ID == id || ss.PaymentIntent == id })
}

// since is true for times from when the customer came until now.
func (c *customer) since(times ...time.Time) bool { return between(c.began, c.clock.Now(), times...) }

func between(from, to time.Time, times ...time.Time) bool {
	return !slices.ContainsFunc(times, func(t time.Time) bool { return t.Before(from) || t.After(to) })
}

// differences tells the fields in which a record is not as it should be.
func differences[R any](is, should R) (all []string) {
	a, b := reflect.ValueOf(is), reflect.ValueOf(should)
	for i := range a.NumField() {
		if a, b := a.Field(i).Interface(), b.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			all = append(all, fmt.Sprintf("%s is %v and not %v", reflect.TypeFor[R]().Field(i).Name, a, b))
		}
	}
	return all
}

func (t *tally) any() bool { return t.missing+t.duplicate+t.amount+t.state > 0 }

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
)

// A slot has fewer seats than there are customers who want one.
const (
	capacity = 3
	wanters  = 6
)

// kind is what a customer is like, and how many of a hundred are.
type kind struct {
	name  string
	share int
	comes func(c *customer, ctx context.Context)
}

func kinds() []kind {
	return []kind{
		{"pays by card", 20, func(c *customer, ctx context.Context) { c.paysFor(ctx, c.books(ctx, 1)) }},
		{"clicks three times", 10, func(c *customer, ctx context.Context) { c.paysFor(ctx, c.books(ctx, 3)) }},
		{"wants a seat", 14, (*customer).wantsASeat},
		{"is declined first", 8, func(c *customer, ctx context.Context) { c.paysFor(ctx, c.isDeclined(c.books(ctx, 1))) }},
		{"is declined and leaves", 4, func(c *customer, ctx context.Context) { c.isDeclined(c.books(ctx, 1)) }},
		{"leaves", 3, func(c *customer, ctx context.Context) { c.books(ctx, 1) }},
		{"closes the page", 4, (*customer).closesThePage},
		{"pays by bank", 9, func(c *customer, ctx context.Context) { c.paysByBank(ctx, c.books(ctx, 2)) }},
		{"has nothing to pay", 5, func(c *customer, ctx context.Context) {
			c.deal = deal{option: store.OptionFull, currency: c.deal.currency}
			c.paysFor(ctx, c.books(ctx, 2))
		}},
		{"changes the option", 5, (*customer).changesTheOption},
		{"pays at a plain site", 8, func(c *customer, ctx context.Context) { c.paysFor(ctx, c.booksPlain()) }},
		{"pays a plain site by bank", 4, func(c *customer, ctx context.Context) { c.paysByBank(ctx, c.isDeclined(c.booksPlain())) }},
		{"is charged another amount", 3, func(c *customer, ctx context.Context) {
			c.charged = c.deal.now + 100*stepOf(c.deal.currency)
			c.paysFor(ctx, c.booksPlain())
		}},
		{"buys something else", 3, (*customer).buysSomethingElse},
	}
}

// deal is a price, worked out without the library.
type deal struct {
	option     store.Option
	total, now int64
	currency   string
}

func stepOf(currency string) int64 {
	if currency == "kwd" {
		return 10
	}
	return 1
}

func newDeal(total int64, currency string, option store.Option) deal {
	d := deal{option, total, total, currency}
	if option == store.OptionHalf {
		step := stepOf(currency)
		d.now = (total/step + 1) / 2 * step
	}
	return d
}

// customer is somebody who wants to book once, and what became of it as far as the customer can tell.
type customer struct {
	*leg
	n      int
	random *rand.Rand // of what the customer does; not in goroutines
	kind   kind
	user   string
	deal   deal
	other  *deal             // agreed as well
	seats  []store.SeatClaim // wanted
	plain  bool              // at a site that makes its sessions itself
	gone   bool              // perhaps before there was a session
	began  time.Time

	charged                 int64  // not 0: instead of what was agreed
	tax, shipping, discount int64  // of a plain site
	booking                 string // its id, where it is told
	session                 string // that was paid, or will be by the bank
	byBank, good            bool   // paid by a bank, and it pays
	failure                 string // of the last attempt that failed
	soldOut                 atomic.Bool

	sessions []stripetest.Session // at Stripe, in the end
	bookings []store.Booking      // as they are stored
	payments []store.Payment
	asked    bool // Stripe, by the site: not all was brought by its events
}

func newCustomer(l *leg, n int) *customer {
	c := &customer{leg: l, n: n, random: rand.New(rand.NewPCG(uint64(l.seed), uint64(n))), user: fmt.Sprintf("user_%d_%d", l.seed, n)}
	roll := c.random.IntN(100)
	for _, c.kind = range kinds() {
		if roll -= c.kind.share; roll < 0 {
			break
		}
	}
	currency := []string{"usd", "usd", "eur", "jpy", "kwd"}[c.random.IntN(5)]
	option := []store.Option{store.OptionFull, store.OptionFull, store.OptionHalf}[c.random.IntN(3)]
	c.deal = newDeal((200+c.random.Int64N(9000))*stepOf(currency), currency, option)
	return c
}

func (c *customer) comes(ctx context.Context) {
	c.began = store.Time(c.clock.Now())
	c.kind.comes(c, ctx)
}

// late is true when a hold may have ended: its end has no parts of a second.
func (c *customer) late() bool { return c.clock.Now().Sub(c.began) > hold-time.Second }

// half is true for every second customer.
func (c *customer) half() bool { return c.random.IntN(2) == 0 }

// books clicks so many times at once, and returns the session to pay.
func (c *customer) books(ctx context.Context, clicks int) (session string) {
	return c.clicks(ctx, clicks, c.deal, order{Attempt: "first", Seats: c.seats})
}

func (c *customer) clicks(ctx context.Context, clicks int, d deal, o order) (session string) {
	quote, err := booking.NewQuote(d.total, d.currency, d.option)
	if err != nil {
		panic(err) // our own price
	}
	o.Quote = quote
	done := make([]payment.Checkout, clicks)
	var wg sync.WaitGroup
	for i := range done {
		wg.Go(func() {
			switch status, answer := c.ask(ctx, "/checkout", c.user, o); {
			case status == 0, status == 410 && c.late(): // no time left
			case status == 409 && c.seats != nil:
				c.soldOut.Store(true)
			case status == 200:
				if err := json.Unmarshal(answer, &done[i]); err != nil {
					c.tally.wrong("%s: checkout: %v", c, err)
				}
			default:
				c.tally.wrong("%s: checkout is answered with %d %s", c, status, answer)
			}
		})
	}
	wg.Wait()
	for _, got := range done {
		switch {
		case got.BookingID == "":
			continue
		case c.booking == "":
			c.booking = got.BookingID
		case c.booking != got.BookingID:
			c.tally.twice("%s: one attempt leads to the bookings %s and %s", c, c.booking, got.BookingID)
		}
		ss, ok := c.stripe.Session(got.SessionID)
		if o.BookingID == "" && (!ok || got.URL != c.hub.URL+"/pay/"+ss.ID) {
			c.tally.wrong("%s: checkout leads to %q, where session %q is not paid", c, got.URL, got.SessionID)
		}
		if ss.Status == "open" {
			session = ss.ID
		}
	}
	return session
}

// booksPlain is a session that a site of its own makes.
func (c *customer) booksPlain() (session string) {
	c.plain = true
	metadata, err := booking.Plain{}.Encode(booking.Order{
		UserID: c.user, ServiceID: "svc", ServiceName: "Elder care", Option: c.deal.option, Currency: c.deal.currency, Now: c.deal.now,
		Total:   map[store.Option]int64{store.OptionFull: c.deal.now, store.OptionHalf: 2 * c.deal.now}[c.deal.option],
		Purpose: map[store.Option]store.Purpose{store.OptionFull: store.PurposeFull, store.OptionHalf: store.PurposeDeposit}[c.deal.option],
	})
	if err != nil {
		panic(err) // our own order
	}
	p := stripetest.SessionParams{Amount: c.deal.now, Currency: c.deal.currency, Metadata: metadata, ClientReferenceID: c.user}
	if c.charged != 0 {
		p.Amount = c.charged
	}
	if c.half() {
		p.IntentMetadata = metadata
	}
	if c.half() {
		c.tax, c.shipping, c.discount = c.random.Int64N(50), c.random.Int64N(50), c.random.Int64N(50)
		p.Tax, p.Shipping, p.Discount = c.tax, c.shipping, c.discount
	}
	return c.makes(p)
}

func (c *customer) buysSomethingElse(ctx context.Context) {
	c.paysFor(ctx, c.makes(stripetest.SessionParams{
		Amount: c.deal.now, Currency: c.deal.currency, Metadata: map[string]string{"cart": c.user}, ClientReferenceID: c.user,
	}))
}

func (c *customer) makes(p stripetest.SessionParams) (session string) {
	ss, err := c.stripe.CreateSession(p)
	if err != nil {
		panic(err) // our own session
	}
	return ss.ID
}

func (c *customer) seat() []store.SeatClaim {
	return []store.SeatClaim{{Slot: fmt.Sprintf("%d/%d", c.seed, c.n/(wanters*7)), Capacity: capacity, Count: 1 + c.random.IntN(2)}}
}

// closesThePage is somebody who does not wait for the site's answer, unless it is quick.
func (c *customer) closesThePage(ctx context.Context) {
	c.seats, c.gone = c.seat(), true
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.random.IntN(20))*time.Millisecond)
	defer cancel()
	c.paysFor(ctx, c.books(ctx, 1))
}

func (c *customer) wantsASeat(ctx context.Context) {
	c.seats = c.seat()
	session := c.books(ctx, 1+c.random.IntN(2))
	switch c.random.IntN(4) {
	case 0: // leaves
	case 1:
		c.paysByBank(ctx, session)
	default:
		c.paysFor(ctx, session)
	}
}

// changesTheOption books in full and then half, or the other way round, and may have paid meanwhile.
func (c *customer) changesTheOption(ctx context.Context) {
	first := c.books(ctx, 1)
	if first == "" {
		return
	}
	option := store.OptionHalf
	if c.deal.option == store.OptionHalf {
		option = store.OptionFull
	}
	d := newDeal(c.deal.total, c.deal.currency, option)
	c.other = &d
	var wg sync.WaitGroup
	if c.half() {
		wg.Go(func() { c.stripe.Pay(first) }) // what came of it is seen below
	}
	second := c.clicks(ctx, 1, d, order{Attempt: "second", BookingID: c.booking})
	wg.Wait()
	if ss, _ := c.stripe.Session(first); ss.Status == "complete" {
		c.comesBack(ctx, first, true)
		return
	}
	c.paysFor(ctx, second)
}

func (c *customer) isDeclined(session string) string {
	for range 1 + c.random.IntN(2) {
		if session != "" {
			c.failure = "insufficient_funds"
			c.stripe.Decline(session, c.failure) // it may have expired
		}
	}
	return session
}

// paysFor pays a session and comes back to the site.
func (c *customer) paysFor(ctx context.Context, session string) {
	if session == "" {
		return
	}
	var wg sync.WaitGroup
	if c.half() {
		wg.Go(func() { c.stripe.Pay(session) }) // a double click
	}
	_, err := c.stripe.Pay(session)
	wg.Wait()
	if err != nil && !errors.Is(err, stripetest.ErrNotOpen) {
		c.tally.wrong("%s: pay: %v", c, err)
	}
	if ss, _ := c.stripe.Session(session); ss.Status == "complete" {
		c.comesBack(ctx, session, true)
	}
}

func (c *customer) paysByBank(ctx context.Context, session string) {
	if session == "" {
		return
	}
	c.good = c.random.IntN(3) > 0
	day := c.random.IntN(days)
	if _, err := c.stripe.PayDelayed(session); err != nil {
		return // too late
	}
	c.byBank = true
	c.mu.Lock()
	c.bank[day] = append(c.bank[day], c)
	c.mu.Unlock()
	c.comesBack(ctx, session, false)
}

func (c *customer) hearsFromTheBank(ctx context.Context) {
	if !c.good {
		c.failure = "payment_intent_payment_attempt_failed"
		if c.deal.currency == "jpy" { // by a voucher
			c.failure = "payment_intent_payment_attempt_expired"
		}
	}
	if _, err := c.stripe.SettleDelayed(c.session, c.good); err != nil {
		c.tally.wrong("%s: the bank: %v", c, err)
	}
	c.comesBack(ctx, c.session, c.good)
}

// comesBack is the success page: it asks for confirmation while it polls, and somebody else tries the same address.
// Some customers close the browser instead.
func (c *customer) comesBack(ctx context.Context, session string, paid bool) {
	c.session = session
	if c.random.IntN(8) == 0 {
		return
	}
	confirms, polls, strange := c.random.IntN(3), c.random.IntN(4), c.random.IntN(4) == 0
	var wg sync.WaitGroup
	for range confirms {
		wg.Go(func() { c.sees(ctx, "/confirm", paid, false) })
	}
	wg.Go(func() {
		for range polls {
			c.sees(ctx, "/verify", paid, false)
		}
	})
	if strange {
		wg.Go(func() { c.isWatched(ctx) })
	}
	wg.Wait()
}

// sees asks as the customer, and looks at the answer. In the end, when all that was on its way has arrived, what was
// paid must be processed.
func (c *customer) sees(ctx context.Context, path string, paid, end bool) {
	body := map[string]any{"sessionId": c.session}
	if path == "/verify" && c.n%3 == 0 {
		body["wait"] = 0.2 // seconds
	}
	status, answer := c.ask(ctx, path, c.user, body)
	var got struct {
		Data struct {
			BookingID   string
			AmountMinor int64
			Currency    string
			Processed   bool
		}
	}
	if status == 200 || status == 409 {
		if err := json.Unmarshal(answer, &got); err != nil {
			c.tally.wrong("%s: %s: %v", c, path, err)
		}
	}
	d := got.Data
	foreign, amiss := !c.plain && c.booking == "", c.charged != 0
	switch {
	case status == 0: // no time left
	case status == 200 && paid && !foreign && !d.Processed && path == "/verify" && !end: // the webhook is late
	case status == 200 && paid && !foreign && d.Processed && !amiss, status == 409 && paid && amiss:
		ss, _ := c.stripe.Session(c.session)
		if d.AmountMinor != ss.AmountTotal || d.Currency != ss.Currency {
			c.tally.amounts("%s: %s says %d %s of session %s", c, path, d.AmountMinor, d.Currency, ss.ID)
		}
		if c.booking != "" && d.BookingID != c.booking {
			c.tally.wrong("%s: %s says booking %s and not %s", c, path, d.BookingID, c.booking)
		}
	case status == 400 && (!paid || foreign): // not paid, or nothing of ours
	default:
		c.tally.wrong("%s: %s is answered with %d %s", c, path, status, answer)
	}
}

// isWatched is somebody else who has the session's id.
func (c *customer) isWatched(ctx context.Context) {
	for _, path := range []string{"/verify", "/confirm"} {
		status, answer := c.ask(ctx, path, "stranger", map[string]string{"sessionId": c.session})
		foreign := !c.plain && c.booking == ""
		if status != 0 && status != 403 && !(foreign && status == 400) {
			c.tally.wrong("%s: a stranger's %s is answered with %d %s", c, path, status, answer)
		}
	}
}

// looksAgain is some customers' last visit, when all must be well.
func (c *customer) looksAgain(ctx context.Context) {
	if c.session == "" || c.n%4 > 0 {
		return
	}
	ss, _ := c.stripe.Session(c.session)
	c.sees(ctx, "/verify", ss.PaymentStatus != "unpaid", true)
	c.isWatched(ctx)
}

func (c *customer) String() string {
	return fmt.Sprintf("seed %d, customer %d (%s)", c.seed, c.n, c.kind.name)
}

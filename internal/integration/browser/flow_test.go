package browser

import (
	"bytes"
	"context"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/payment/stripetest"
)

// choose books on the home page and goes on to the pay page.
func (p *tab) choose(service, option string) {
	p.t.Helper()
	p.visit("/")
	p.click(service)
	p.click(option)
	p.click("Continue to payment")
	p.see("To be paid", "TEST")
}

// TestNoWebhook is first since it takes ten seconds: as long as the page is patient.
func TestNoWebhook(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	s.stripe.Hold()
	p.choose("Elderly care visit", "Full Payment")
	p.click("Pay 45.00 USD")
	p.see("Processing your payment…")
	p.picture("processing")
	p.see("Almost there", "Payment is being processed. Please check your bookings in a moment.")
	p.picture("waiting")
	assert.Equal(t, 10, p.requests("POST /api/payment/verify"))
	p.click("Go to Home")
	p.see("Your bookings", "Waiting for payment")

	s.deliver()
	p.visit("/")
	p.see("Your bookings", "Confirmed")
}

// TestBothWays: no webhook, and the page makes the booking itself in the end.
func TestBothWays(t *testing.T) {
	t.Parallel()
	s := open(t, "-mode", "both")
	p := s.visitor(t)
	p.onPhone()
	s.stripe.Hold()
	p.choose("Elderly care visit", "Full Payment")
	p.click("Pay 45.00 USD")
	p.see("Processing your payment…")
	p.look()
	p.see("Payment Successful!")
	assert.Equal(t, 10, p.requests("POST /api/payment/verify"))
	assert.Equal(t, 1, p.requests("POST /api/payment/confirm"))
	assert.Equal(t, "confirmed", s.booking().State)
	s.deliver()
	assert.Equal(t, "succeeded", s.payment().Status, "and there is one")
}

// TestServerAway: nobody answers the page.
func TestServerAway(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	s.stripe.Hold()
	p.choose("Elderly care visit", "Full Payment")
	p.click("Pay 45.00 USD")
	p.see("Processing your payment…")
	require.NoError(t, s.cmd.Process.Kill())
	p.see("Payment Error", "Failed to verify payment. Please contact support if you were charged.")
	p.excuse("net::ERR_")
	p.look()
}

func TestPaidInFull(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	s.stripe.Hold()
	p.visit("/")
	p.see("You have no bookings yet.", "To pay today", "45.00 USD")
	p.picture("home")
	p.choose("Home nursing", "Full Payment")
	p.see("125.00 USD")
	p.picture("pay")

	p.click("Pay 125.00 USD")
	p.see("Processing your payment…")
	id := s.held()
	s.deliver()
	p.see("Payment Successful!", "Your booking has been confirmed", id, "What's Next?")
	facts := p.facts()
	assert.Equal(t, booking{id, "confirmed", "Home nursing", "full", "125.00", "125.00", "0.00"}, s.booking())
	paid := s.payment()
	assert.Equal(t, payment{id, s.session().PaymentIntent, "125.00", "succeeded"}, paid)
	assert.Contains(t, facts["Booked"], " UTC")
	delete(facts, "Booked")
	assert.Equal(t, map[string]string{
		"Service": "Home nursing", "Amount Paid": "125.00 USD", "Payment Option": "Full Payment", "Status": "Confirmed",
		"Payment reference": paid.PaymentIntentID,
	}, facts)
	p.picture("success")

	p.click("View Booking")
	p.see("Home nursing", "Your booking has been confirmed.", id, paid.PaymentIntentID, "Succeeded", "by webhook evt_")
	assert.Equal(t, "125.00 USD", p.facts()["Total"])
	assert.Equal(t, "125.00 USD", p.facts()["Amount Paid"])
	assert.Equal(t, "Confirmed", p.facts()["Status"])
	p.picture("booking")
	p.click("Back to Home")
	p.see("Your bookings", "Home nursing", "125.00 USD", "Confirmed")
	p.look()
}

func TestPaidByHalf(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.visit("/")
	p.click("Baby care")
	p.see("To pay today", "39.99 USD")
	p.click("50% Advance")
	p.see("20.00 USD", "and 19.99 USD at your visit")
	p.click("Continue to payment")
	p.see("To be paid", "Pay 20.00 USD")
	assert.NotContains(t, p.text(), "39.99")
	id := s.held()
	p.click("Pay 20.00 USD")
	p.see("Payment Successful!", id)
	assert.Equal(t, "20.00 USD", p.facts()["Amount Paid"])
	assert.Equal(t, "50% Advance", p.facts()["Payment Option"])
	assert.Equal(t, "19.99 USD at your visit", p.facts()["Still to pay"])
	assert.Equal(t, booking{id, "confirmed", "Baby care", "half", "39.99", "20.00", "19.99"}, s.booking())
	assert.Equal(t, payment{id, s.session().PaymentIntent, "20.00", "succeeded"}, s.payment())
	p.look()

	p.click("View Booking")
	p.see("Your booking has been confirmed. The rest is paid at your visit.")
	assert.Equal(t, "39.99 USD", p.facts()["Total"])
	assert.Equal(t, "20.00 USD", p.facts()["Amount Paid"])
	assert.Equal(t, "19.99 USD", p.facts()["Still to pay"])
	p.look()
	p.click("Back to Home")
	p.see("Your bookings", "Baby care", "39.99 USD")
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Elderly care visit", "Full Payment")
	id := s.held()
	p.click("Decline card")
	p.see("Your card was declined.", "Pay 45.00 USD")
	p.excuse("402 (Payment Required)")
	p.picture("declined")
	s.deliver()
	assert.Equal(t, "held", s.booking().State)

	// The customer gives up, and finds the way back.
	p.visit("/payment/success?session_id=" + s.session().ID)
	p.see("Payment Error", "Payment not completed", "You have not been charged.")
	p.picture("error")
	p.click("Try again")
	p.see("This booking waits for its payment.", "Failed")
	assert.Equal(t, "0.00 USD", p.facts()["Amount Paid"])
	p.look()
	p.click("Continue to payment")
	p.see("To be paid")
	p.click("Pay 45.00 USD")
	p.see("Payment Successful!", id)
	assert.Equal(t, booking{id, "confirmed", "Elderly care visit", "full", "45.00", "45.00", "0.00"}, s.booking())
	assert.Equal(t, payment{id, s.session().PaymentIntent, "45.00", "succeeded"}, s.payment())
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Elderly care visit", "Full Payment")
	p.click("Cancel")
	p.see("Payment was cancelled.", "Your bookings", "Waiting for payment")
	p.look()
}

// TestBrowserClosed closes the tab before it has asked for the page after the
// payment.
func TestBrowserClosed(t *testing.T) {
	t.Parallel()
	s := open(t)
	later := s.visitor(t)
	p := s.tab(t, later.ctx)
	s.stripe.Hold()
	p.choose("Elderly care visit", "Full Payment")
	id := s.held()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	asks := chromedp.Events(ctx, fetch.RequestPaused)
	p.do(call(fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*/payment/success*"}}}))
	p.click("Pay 45.00 USD")
	for _, err := range asks {
		require.NoError(t, err)
		break
	}
	p.close()
	assert.Equal(t, "held", s.booking().State)

	s.deliver()
	assert.Equal(t, booking{id, "confirmed", "Elderly care visit", "full", "45.00", "45.00", "0.00"}, s.booking())
	later.visit("/")
	later.see("Your bookings", "Elderly care visit", "45.00 USD", "Confirmed")
}

// TestPaidByBank: the payment arrives days after the customer left.
func TestPaidByBank(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Elderly care visit", "Full Payment")
	id := s.held()
	p.click("Pay by bank, later")
	p.see("Almost there", "Your payment is on its way.")
	p.look()
	p.click("View Booking")
	p.see("Your payment is on its way.", "Processing")
	assert.NotContains(t, p.text(), "Continue to payment")
	p.look()

	_, err := s.stripe.SettleDelayed(s.session().ID, true)
	require.NoError(t, err)
	s.deliver()
	p.visit("/payment/success?session_id=" + s.session().ID)
	p.see("Payment Successful!", id)
}

// TestPaidByBankUnseen: Stripe can't be reached when the customer comes back, so that the
// page hears of the bank from its script.
func TestPaidByBankUnseen(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Elderly care visit", "Full Payment")
	s.stripe.FailNext(4, "GET /v1/checkout/sessions/{id}", stripetest.Fault{Status: 503})
	p.click("Pay by bank, later")
	p.see("Almost there", "Payment is being processed.")
	p.excuse("the server responded with a status of") // 502, and then 400
	p.look()
}

// TestPaidOtherwise: less was paid than agreed.
func TestPaidOtherwise(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Elderly care visit", "Full Payment")
	p.visit("/")
	agreed := s.session()
	less, err := s.stripe.CreateSession(stripetest.SessionParams{Amount: 1000, Metadata: agreed.Metadata, SuccessURL: s.url + "/payment/success?session_id={CHECKOUT_SESSION_ID}"})
	require.NoError(t, err)
	p.do(chromedp.Navigate(less.URL))
	s.stripe.Hold()
	p.click("Pay 10.00 USD")
	p.see("Processing your payment…")
	s.deliver()
	p.see("We are looking into your booking", "We received your payment", "Please do not pay again.")
	p.excuse("409 (Conflict)")
	p.look()
	p.click("View Booking")
	p.see("Conflicted", "We received your payment")
	p.look()
}

// TestConfirm is the mode without a webhook.
func TestConfirm(t *testing.T) {
	t.Parallel()
	s := open(t, "-mode", "confirm")
	p := s.visitor(t)
	s.stripe.Hold()
	p.choose("Elderly care visit", "Full Payment")
	id := s.held()
	p.click("Pay 45.00 USD")
	p.see("Payment Successful!", id)
	assert.Equal(t, 0, p.requests("POST /api/payment/verify"))
	assert.Equal(t, 1, p.requests("POST /api/payment/confirm"))
	assert.Equal(t, "confirmed", s.booking().State)
}

// TestSomebodyElse follows a link to another's payment.
func TestSomebodyElse(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Elderly care visit", "Full Payment")
	id := s.held()
	stranger := s.visitor(t)
	for _, paid := range []bool{false, true} {
		if paid {
			p.click("Pay 45.00 USD")
			p.see("Payment Successful!")
		}
		stranger.visit("/payment/success?session_id=" + s.session().ID)
		stranger.see("Payment Error", "Unauthorized access")
		stranger.excuse("403 (Forbidden)")
		for _, secret := range []string{id, "Elderly", "45.00", "Confirmed"} {
			assert.NotContains(t, eval[string](stranger, "document.documentElement.outerHTML"), secret)
		}
		assert.Equal(t, 0, stranger.requests("POST /api/payment/verify"))
	}
	stranger.look()
	stranger.visit("/booking/" + id)
	stranger.see("Unauthorized access")
	stranger.excuse("403 (Forbidden)")
	assert.NotContains(t, stranger.text(), "Elderly")
	stranger.look()
	stranger.visit("/payment/success")
	stranger.see("Payment Error", "Invalid payment session")
	stranger.excuse("400 (Bad Request)")
}

func TestPhone(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.onPhone()
	s.stripe.Hold()
	p.visit("/")
	p.look()
	p.choose("Baby care", "50% Advance")
	p.look()
	p.click("Decline card")
	p.see("Your card was declined.")
	p.excuse("402 (Payment Required)")
	p.look()
	p.visit("/payment/success?session_id=" + s.session().ID)
	p.see("Payment Error")
	p.look()
	p.click("Try again")
	p.see("Continue to payment")
	p.look()
	p.click("Continue to payment")
	p.see("To be paid")
	p.click("Pay 20.00 USD")
	p.see("Processing your payment…")
	s.deliver()
	p.see("Payment Successful!")
	p.picture("phone")
	p.click("View Booking")
	p.see("19.99 USD")
	p.look()
	p.click("Back to Home")
	p.see("Your bookings", "Baby care")
	p.look()
}

// TestKeyboard books and pays without a mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.visit("/")
	p.tabTo("Skip to content")
	p.tabTo("Elderly care visit")
	p.do(chromedp.KeyEvent(kb.ArrowDown))
	p.tabTo("Full Payment")
	p.do(chromedp.KeyEvent(kb.ArrowRight))
	p.see("20.00 USD", "and 19.99 USD at your visit")
	p.tabTo("Continue to payment")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.see("To be paid")
	p.tabTo("Pay 20.00 USD")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.see("Payment Successful!", "Baby care", "50% Advance")
	p.tabTo("View Booking")
	p.do(chromedp.KeyEvent(kb.Enter))
	p.see("History")
}

// tabTo presses Tab until the focus is on what begins with these words. Wherever it
// stops on the way, it must be seen.
func (p *tab) tabTo(words string) {
	p.t.Helper()
	for range 20 {
		p.do(chromedp.KeyEvent(kb.Tab))
		focus := eval[struct {
			Text string
			Seen bool
		}](p, `(() => {
			const e = document.activeElement.closest("label") ?? document.activeElement;
			const style = getComputedStyle(e), r = e.getBoundingClientRect();
			return {
				text: e.innerText.trim(),
				seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && r.left >= 0 && r.top >= 0 && r.bottom < innerHeight,
			};
		})()`)
		assert.True(p.t, focus.Seen, "the focus on %q", focus.Text)
		if len(focus.Text) >= len(words) && focus.Text[:len(words)] == words {
			return
		}
	}
	require.FailNow(p.t, "the keyboard does not lead to "+words)
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.visitor(t)
	p.choose("Baby care", "50% Advance")
	id := s.held()
	p.click("Pay 20.00 USD")
	for _, page := range []string{"Payment Successful!", "History"} {
		p.see(page)
		eval[bool](p, "window.print = () => { window.printed = true; }, true")
		p.click("Download Receipt")
		assert.True(t, eval[bool](p, "window.printed"))

		p.media("print")
		text := p.text()
		for _, fact := range []string{"Carevia", "Receipt", id, "Baby care", "20.00 USD", "19.99 USD", "50% Advance", "Confirmed", s.session().PaymentIntent, " UTC"} {
			assert.Contains(t, text, fact)
		}
		assert.Empty(t, eval[[]string](p, `[...document.querySelectorAll("button, .button, nav, footer")].filter(
			(e) => e.checkVisibility()).map((e) => e.innerText)`))
		pdf := run(p, chromedp.PrintToPDF(chromedp.PDFPaper(chromedp.PaperA4)))
		assert.Equal(t, 1, bytes.Count(pdf, []byte("/Type /Page\n")), "pages")
		if page == "Payment Successful!" {
			p.picture("receipt")
			p.media("screen")
			p.click("View Booking")
		}
	}
}

// held is the id of the booking, which waits for its payment.
func (s *shop) held() string {
	s.t.Helper()
	b := s.booking()
	require.Equal(s.t, "held", b.State)
	return b.ID
}

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
)

//go:embed templates static
var files embed.FS

func static() http.Handler {
	assets := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // may be kept, but is asked for again
		assets.ServeHTTP(w, r)
	})
}

// pages are the parsed templates by name, each with the layout around it.
type pages map[string]*template.Template

func parsePages() pages {
	p := pages{}
	for _, name := range []string{"home", "success", "booking", "message"} {
		p[name] = template.Must(template.ParseFS(files, "templates/layout.html", "templates/"+name+".html"))
	}
	return p
}

// view is what the layout shows. Data is the page's own.
type view struct {
	Title   string
	Script  string
	User    string
	StandIn bool
	Data    any
}

func (s *site) render(w http.ResponseWriter, r *http.Request, status int, page string, v view) {
	v.User, v.StandIn = visitor(w, r), s.cfg.StandIn
	var body bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&body, "layout.html", v); err != nil {
		s.cfg.Logger.ErrorContext(r.Context(), "page failed", "page", page, "error", err)
		http.Error(w, "This page is not working.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the visitor may be gone by now
}

func (s *site) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	s.render(w, r, status, "message", view{Title: title, Data: text})
}

type homePage struct {
	Cancelled bool
	Attempt   string // the name of the attempt that a click on this page makes
	Services  []serviceView
	Bookings  []bookingView
}

type serviceView struct{ ID, Name, Note, Full, Half, Rest string }

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	if s.misnamed(r.Host) {
		http.Redirect(w, r, s.cfg.BaseURL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		return
	}
	data := homePage{Cancelled: r.URL.Query().Has("cancelled"), Attempt: rand.Text()}
	for _, sv := range services() {
		half, err := booking.NewQuote(sv.Price, currency, store.OptionHalf)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		data.Services = append(data.Services, serviceView{sv.ID, sv.Name, sv.Note, money(half.Total, currency), money(half.Now, currency), money(half.Balance, currency)})
	}
	if user, ok := caller(r); ok {
		bookings, _, err := s.cfg.Store.BookingsByUser(r.Context(), user, store.Page{Limit: 10})
		if err != nil {
			s.failed(w, r, err)
			return
		}
		for _, b := range bookings {
			data.Bookings = append(data.Bookings, viewOf(b))
		}
	}
	s.render(w, r, http.StatusOK, "home", view{Title: "Book a service", Script: "home.js", Data: data})
}

// misnamed reports whether host is another name of BaseURL's on this machine.
// Stripe sends customers back to BaseURL, and a cookie for "localhost" would not
// come along to "127.0.0.1", so visitors are taken there before they choose.
func (s *site) misnamed(host string) bool {
	base, err := url.Parse(s.cfg.BaseURL)
	if err != nil || host == base.Host {
		return false
	}
	name, port, err := net.SplitHostPort(host)
	return err == nil && port == base.Port() && isLoopback(name) && isLoopback(base.Hostname())
}

func isLoopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// What the page after the payment shows.
const (
	showSuccess    = "success"
	showAttention  = "attention"  // paid, but not as agreed
	showProcessing = "processing" // paid, and the webhook is on its way: the page's script asks again
	showWaiting    = "waiting"    // it is on its way from the bank, which takes days
	showError      = "error"
)

type successPage struct {
	Show           string
	Session, Mode  string
	Mailer         bool
	Reason, Detail string       // of an error, or of waiting
	Booking        *bookingView // nil: there is none, or it is not the visitor's
	Amount, PaidBy string       // of the payment: what was paid, and its id
}

// Why a booking is held whose customer has nothing to do on the pay page any more.
const (
	onItsWay = "Your payment is on its way. A bank takes some days, and a voucher has to be paid first; the booking is confirmed as soon as the money arrives."
	received = "Your payment was received. The booking is confirmed in a moment."
)

const (
	// lookTime is how long a visitor waits for the first answer. Later ones come to
	// the page's script.
	lookTime = 5 * time.Second
	// oldNews is how old Verify's news of Stripe can be while it is not paid.
	oldNews = 2 * time.Second
)

// success is the page that a customer comes back to. Like the verify endpoint it
// only reads.
func (s *site) success(w http.ResponseWriter, r *http.Request) {
	session := r.URL.Query().Get("session_id")
	if store.CheckID("session", session) != nil {
		s.paymentError(w, r, http.StatusBadRequest, "Invalid payment session")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookTime)
	defer cancel()
	user, ok := caller(r)
	if !ok { // nobody's question: Stripe need not be asked
		s.paymentError(w, r, http.StatusForbidden, "Unauthorized access")
		return
	}
	found, err := s.payments.Verify(ctx, session, user, 0)
	if err == nil && found.Status == payment.Unpaid {
		// Or so it was, and the customer was faster. Nobody who has paid may read
		// that they have not.
		select {
		case <-time.After(oldNews):
		case <-ctx.Done():
		}
		found, err = s.payments.Verify(ctx, session, user, 0)
	}
	status := http.StatusOK
	if err != nil {
		var text string
		if status, text = explain(err); status < 500 {
			s.paymentError(w, r, status, text)
			return
		}
		status, found.Status = http.StatusOK, payment.Pending // the script will see
	}
	if b := found.Booking; b != nil {
		ended := b.State == store.StateExpired || b.State == store.StateCancelled
		calledOff := found.Status == payment.Processed && b.State != store.StateConfirmed // since, or paid back
		goesOn := found.Status == payment.Expired && !ended                               // by another of its sessions
		if calledOff || goesOn {
			http.Redirect(w, r, "/booking/"+url.PathEscape(b.ID), http.StatusSeeOther)
			return
		}
	}
	data := successPage{Session: session, Mode: s.cfg.Mode, Mailer: s.cfg.Mailer != nil && s.webhook != nil}
	if b := found.Booking; b != nil {
		v := viewOf(*b)
		if err := s.addRecords(r.Context(), &v, *b); err != nil {
			s.failed(w, r, err)
			return
		}
		data.Booking, data.Amount = &v, money(0, b.Currency)
	}
	if p := found.Payment; p != nil {
		data.Amount, data.PaidBy = money(p.Amount, p.Currency), p.PaymentIntentID
	}
	var title, script string
	switch {
	case found.Status == payment.Processed:
		title, script, data.Show = "Payment Successful!", "print.js", showSuccess
	case found.Status == payment.NeedsAttention:
		title, data.Show = "We are looking into your booking", showAttention
	case found.Status == payment.Pending:
		title, script, data.Show = "Processing your payment…", "success.js", showProcessing
	case found.Status == payment.Processing:
		title, data.Show, data.Detail = "Almost there", showWaiting, onItsWay
	default:
		title, data.Show, data.Reason = "Payment Error", showError, "Payment not completed"
		data.Detail = "You have not been charged."
		if found.Status == payment.Expired {
			data.Detail = "The booking has ended without a payment. You can book again at any time."
		}
	}
	s.render(w, r, status, "success", view{Title: title, Script: script, Data: data})
}

func (s *site) paymentError(w http.ResponseWriter, r *http.Request, status int, reason string) {
	data := successPage{Show: showError, Reason: reason}
	if status == http.StatusForbidden {
		data.Detail = "Only the one who paid can see this. Are you signed in as somebody else?"
	}
	s.render(w, r, status, "success", view{Title: "Payment Error", Data: data})
}

type bookingView struct {
	ID, Service, ServiceID, Option, OptionID string
	State, StateText, Explain                string
	Total, Paid, Due, Made                   string
	Held                                     bool // it can be paid
	Receipt                                  bool // it was paid
	Attempt                                  string
	Payments                                 []paymentView
	History                                  []historyView
}

type paymentView struct{ ID, Amount, Status, StatusText, Made string }

type historyView struct{ What, Cause, At string }

func (s *site) booking(w http.ResponseWriter, r *http.Request) {
	user, _ := caller(r)
	b, err := s.ownBooking(r.Context(), r.PathValue("id"), user)
	if err != nil {
		s.failed(w, r, err)
		return
	}
	v := viewOf(b)
	if err := s.addRecords(r.Context(), &v, b); err != nil {
		s.failed(w, r, err)
		return
	}
	if v.Held && b.SessionID != "" {
		// The webhook may not be here. When Stripe can't be asked, the page tells what is stored.
		ctx, cancel := context.WithTimeout(r.Context(), lookTime)
		found, err := s.payments.Verify(ctx, b.SessionID, user, 0)
		cancel()
		switch {
		case err == nil && found.Status == payment.Processing:
			v.Held, v.Explain = false, onItsWay
		case err == nil && found.Status == payment.Pending:
			v.Held, v.Explain = false, received
		}
	}
	script := "print.js"
	if v.Held {
		script = "home.js"
	}
	s.render(w, r, http.StatusOK, "booking", view{Title: "Booking", Script: script, Data: v})
}

func (s *site) addRecords(ctx context.Context, v *bookingView, b store.Booking) error {
	payments, _, err := s.payments.PaymentsByBooking(ctx, b.ID, store.Page{})
	if err != nil {
		return err
	}
	for _, p := range payments {
		v.Payments = append(v.Payments, paymentView{p.PaymentIntentID, money(p.Amount, p.Currency), string(p.Status), words(string(p.Status)), when(p.CreatedAt)})
	}
	history, err := s.cfg.Store.History(ctx, b.ID)
	if err != nil {
		return err
	}
	for _, h := range history {
		what := words(string(h.To))
		switch {
		case h.Reason != "":
			what += " (" + strings.ReplaceAll(h.Reason, "_", " ") + ")"
		case h.From == h.To && h.Cause.By == "checkout":
			what = "Pay page ready"
		case h.From == h.To:
			what += ", details added"
		}
		v.History = append(v.History, historyView{what, strings.TrimSpace("by " + h.Cause.By + " " + h.Cause.ID), when(h.At)})
	}
	return nil
}

// failed shows what went wrong, in words for a visitor.
func (s *site) failed(w http.ResponseWriter, r *http.Request, err error) {
	status, text := explain(err)
	if status >= 500 {
		s.cfg.Logger.ErrorContext(r.Context(), "page failed", "path", r.URL.Path, "error", err)
	}
	s.message(w, r, status, http.StatusText(status), text)
}

func viewOf(b store.Booking) bookingView {
	v := bookingView{
		ID: b.ID, Service: b.ServiceName, ServiceID: b.ServiceID, Option: optionText(b.Option), OptionID: string(b.Option),
		State: string(b.State), StateText: words(string(b.State)), Explain: explainState(b),
		Total: money(b.Total, b.Currency), Paid: money(b.Paid, b.Currency), Made: when(b.CreatedAt),
		Held: b.State == store.StateHeld, Receipt: b.State == store.StateConfirmed,
	}
	if v.Service == "" {
		v.Service = "Booking"
	}
	if v.Held {
		v.Attempt = rand.Text()
	} else if b.Due > 0 {
		v.Due = money(b.Due, b.Currency)
	}
	return v
}

func optionText(o store.Option) string {
	if o == store.OptionHalf {
		return "50% Advance"
	}
	return "Full Payment"
}

func explainState(b store.Booking) string {
	switch b.State {
	case store.StateHeld:
		return "This booking waits for its payment."
	case store.StateConfirmed:
		if b.Due > 0 {
			return "Your booking has been confirmed. The rest is paid at your visit."
		}
		return "Your booking has been confirmed."
	case store.StateExpired:
		return "This booking was not paid in time. You have not been charged."
	case store.StateCancelled:
		return "This booking was cancelled."
	case store.StateConflicted:
		return "We received your payment, but could not confirm the booking yet. Our team will contact you."
	case store.StateRefunded:
		return "This booking was cancelled and your payment was returned."
	}
	return ""
}

// words makes a name such as "partially_refunded" readable.
func words(name string) string {
	if name == string(store.StateHeld) {
		return "Waiting for payment"
	}
	if name == "" {
		return ""
	}
	name = strings.ReplaceAll(name, "_", " ")
	return strings.ToUpper(name[:1]) + name[1:]
}

func money(minor int64, currency string) string {
	return fmt.Sprintf("%s %s", booking.FormatAmount(minor, currency), strings.ToUpper(currency))
}

func when(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

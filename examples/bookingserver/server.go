package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/webhook"
)

// What makes a booking of a payment.
const (
	modeWebhook = "webhook" // Stripe's deliveries: the way for production
	modeConfirm = "confirm" // the customer's browser: for testing
	modeBoth    = "both"    // the first, and the second when it is late
)

type config struct {
	BaseURL string // of this site, without a slash at the end
	Mode    string
	Store   store.Store
	Mailer  mailer // nil: no confirmations are sent
	Logger  *slog.Logger

	// How to reach Stripe; connectStripe fills these in.
	SecretKey string
	Secrets   []string // that sign the deliveries
	APIBase   string   // empty: Stripe's own
	PayOrigin string   // where pay pages are; empty: Stripe's own
	StandIn   bool
}

// service is something to book. The price lives here, on the server: a browser
// only says which service it wants.
type service struct {
	ID, Name, Note string
	Price          int64 // in cents
}

const currency = "usd"

func services() []service {
	return []service{
		{"elderly-care", "Elderly care visit", "Four hours at home with a trained companion", 4500},
		{"baby-care", "Baby care", "Three hours with a certified carer", 3999},
		{"home-nursing", "Home nursing", "A registered nurse for a day", 12500},
	}
}

func findService(id string) (service, bool) {
	for _, s := range services() {
		if s.ID == id {
			return s, true
		}
	}
	return service{}, false
}

type site struct {
	cfg      config
	payments *payment.Service
	webhook  *webhook.Handler // nil in modeConfirm
	pages    pages
}

func newSite(cfg config) (*site, error) {
	payments, err := payment.New(payment.Config{
		Store:     cfg.Store,
		SecretKey: cfg.SecretKey,
		Mode:      payment.Test,
		// The second one reads the metadata of sites that were built after the
		// guide; the first is what Checkout writes.
		Codecs:     []booking.Codec{booking.Marked{}, booking.Plain{}},
		SuccessURL: cfg.BaseURL + "/payment/success",
		CancelURL:  cfg.BaseURL + "/?cancelled=1",
		APIBase:    cfg.APIBase,
		Logger:     cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	s := &site{cfg: cfg, payments: payments, pages: parsePages()}
	if cfg.Mode == modeConfirm {
		return s, nil
	}
	s.webhook, err = webhook.New(webhook.Config{
		Secrets:  cfg.Secrets,
		Store:    cfg.Store,
		Payments: payments,
		Mode:     payment.Test,
		Logger:   cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	if cfg.Mailer != nil {
		// The booking is made by then; this runs in addition.
		s.webhook.Handle("checkout.session.completed", s.sendConfirmation)
		s.webhook.Handle("checkout.session.async_payment_succeeded", s.sendConfirmation)
		s.webhook.Handle("payment_intent.succeeded", s.sendConfirmation)
	}
	return s, nil
}

// sendConfirmation may run more than once for one event, and several events tell of
// one payment, so what the mail is about goes along as the key for the mail service.
func (s *site) sendConfirmation(ctx context.Context, e webhook.Event) error {
	if e.Booking == nil || e.Booking.State != store.StateConfirmed {
		return nil
	}
	return s.cfg.Mailer.Confirm(ctx, e.Booking.ID+"/confirmed", *e.Booking)
}

func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /payment/success", s.success)
	mux.HandleFunc("GET /booking/{id}", s.booking)
	mux.Handle("GET /static/", static())
	mux.HandleFunc("POST /api/checkout", s.checkout)
	mux.Handle("/api/payment/verify", s.payments.VerifyHandler(caller))
	if s.cfg.Mode != modeWebhook {
		mux.Handle("/api/payment/confirm", s.payments.ConfirmHandler(caller))
	}
	if s.webhook != nil {
		mux.Handle("/api/payment/webhook", s.webhook)
	}
	mux.HandleFunc("GET /api/payments", s.listPayments)
	mux.HandleFunc("GET /api/bookings/{id}", s.showBooking)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("/", s.notFound)

	// Forms and calls from other sites' pages are refused. Stripe's deliveries
	// and other programs, which are no browsers, are not affected.
	return s.headers(http.NewCrossOriginProtection().Handler(mux))
}

// headers allows pages what they need and nothing more. A form's target counts
// also where it redirects to, hence the pay page's origin.
func (s *site) headers(next http.Handler) http.Handler {
	pay := "https://checkout.stripe.com"
	if s.cfg.PayOrigin != "" {
		pay = s.cfg.PayOrigin
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self' " + pay + "; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

const (
	userHeader = "X-Demo-User"
	userCookie = "demo_user"
)

// caller finds who makes a request. FOR THE DEMO ONLY: anybody can claim to be
// anybody. A real site asks its own login here.
func caller(r *http.Request) (string, bool) {
	if user := r.Header.Get(userHeader); user != "" {
		return user, store.CheckID("user", user) == nil
	}
	c, err := r.Cookie(userCookie)
	if err != nil || store.CheckID("user", c.Value) != nil {
		return "", false
	}
	return c.Value, true
}

// visitor is caller for pages: it makes a new visitor known by a cookie.
func visitor(w http.ResponseWriter, r *http.Request) string {
	if user, ok := caller(r); ok {
		return user
	}
	user := "guest-" + strings.ToLower(rand.Text()[:8])
	http.SetCookie(w, &http.Cookie{
		Name: userCookie, Value: user, Path: "/", MaxAge: int((365 * 24 * time.Hour).Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return user
}

type checkoutRequest struct {
	ServiceID     string       `json:"serviceId"`
	PaymentOption store.Option `json:"paymentOption"`
	Attempt       string       `json:"attempt"`   // names the attempt: the same again is the same session
	BookingID     string       `json:"bookingId"` // of a booking that waits for its payment; empty: a new one
}

// maxBody is the most that a request may carry, webhooks aside.
const maxBody = 64 << 10

// checkout takes JSON, or the form of the home page, which works without a
// script. JSON is known by its brace: curl calls everything a form.
func (s *site) checkout(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		writeJSON(w, status, http.StatusText(status), nil)
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/x-www-form-urlencoded" && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		s.checkoutForm(w, r, body)
		return
	}
	user, ok := caller(r)
	if !ok {
		writeJSON(w, http.StatusUnauthorized, "Who is calling? For this demo, send the header "+userHeader+".", nil)
		return
	}
	var in checkoutRequest
	if err := json.Unmarshal(body, &in); err != nil {
		writeJSON(w, http.StatusBadRequest, `Send JSON such as {"serviceId":"elderly-care","paymentOption":"full"}`, nil)
		return
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		in.Attempt = key
	}
	out, status, message := s.startCheckout(r.Context(), user, in)
	if status != http.StatusOK {
		writeJSON(w, status, message, nil)
		return
	}
	writeJSON(w, status, message, map[string]any{"bookingId": out.BookingID, "sessionId": out.SessionID, "url": out.URL})
}

func (s *site) checkoutForm(w http.ResponseWriter, r *http.Request, body []byte) {
	user, ok := caller(r)
	if !ok {
		s.message(w, r, http.StatusUnauthorized, "Please allow cookies", "This site needs one cookie to know its visitors.")
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		s.message(w, r, http.StatusBadRequest, "Payment could not be started", "The form is not valid.")
		return
	}
	in := checkoutRequest{
		ServiceID:     form.Get("serviceId"),
		PaymentOption: store.Option(form.Get("paymentOption")),
		BookingID:     form.Get("bookingId"),
		Attempt:       form.Get("attempt"),
	}
	if in.Attempt != "" {
		// One load of the page is one attempt at each choice on it: a visitor
		// may come back with the Back button and choose something else.
		in.Attempt += "/" + in.ServiceID + "/" + string(in.PaymentOption)
	}
	out, status, message := s.startCheckout(r.Context(), user, in)
	switch {
	case status != http.StatusOK:
		s.message(w, r, status, "Payment could not be started", message)
	case out.URL == "": // paid already
		http.Redirect(w, r, "/booking/"+url.PathEscape(out.BookingID), http.StatusSeeOther)
	default:
		http.Redirect(w, r, out.URL, http.StatusSeeOther)
	}
}

// startCheckout returns a session to pay on, or the status and the text that say
// why there is none.
func (s *site) startCheckout(ctx context.Context, user string, in checkoutRequest) (payment.Checkout, int, string) {
	var none payment.Checkout
	chosen, ok := findService(in.ServiceID)
	if !ok {
		return none, http.StatusBadRequest, "Unknown serviceId"
	}
	quote, err := booking.NewQuote(chosen.Price, currency, in.PaymentOption)
	if err != nil {
		return none, http.StatusBadRequest, `paymentOption must be "full" or "half"`
	}
	if in.Attempt == "" {
		in.Attempt = rand.Text()
	}
	out, err := s.payments.Checkout(ctx, payment.CheckoutRequest{
		Attempt:     in.Attempt,
		BookingID:   in.BookingID,
		UserID:      user,
		ServiceID:   chosen.ID,
		ServiceName: chosen.Name,
		Quote:       quote,
	})
	if err != nil {
		status, message := explain(err)
		if status >= 500 {
			s.cfg.Logger.ErrorContext(ctx, "checkout failed", "error", err)
		}
		return none, status, message
	}
	switch {
	case out.URL != "":
	case out.Booking.State == store.StateHeld:
		return out, http.StatusOK, "The payment is on its way"
	case out.Booking.State == store.StateConflicted:
		return out, http.StatusOK, "The payment was received, but not as agreed"
	default:
		return out, http.StatusOK, "Nothing is left to pay"
	}
	return out, http.StatusOK, "Checkout session created"
}

// explain gives the status and the text for an error of the library's.
func explain(err error) (int, string) {
	switch {
	case errors.Is(err, store.ErrInvalid), errors.Is(err, payment.ErrInvalid), errors.Is(err, booking.ErrMetadata), errors.Is(err, booking.ErrNotOurs):
		return http.StatusBadRequest, "The request is not valid"
	case errors.Is(err, payment.ErrNotOwner):
		return http.StatusForbidden, "Unauthorized access"
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, "There is no such booking"
	case errors.Is(err, payment.ErrNoSession):
		return http.StatusNotFound, "Payment session not found"
	case errors.Is(err, payment.ErrAttemptReused):
		return http.StatusConflict, "This attempt was used for another checkout"
	case errors.Is(err, payment.ErrSettled):
		return http.StatusConflict, "This booking waits for no payment"
	case errors.Is(err, payment.ErrSoldOut):
		return http.StatusConflict, "There are no places left"
	case errors.Is(err, payment.ErrHoldEnded):
		return http.StatusConflict, "This booking was not paid in time. Please book again."
	case errors.Is(err, payment.ErrRefused):
		return http.StatusBadGateway, "Stripe does not take this payment. You have not been charged."
	case errors.Is(err, payment.ErrStripe):
		return http.StatusBadGateway, "Stripe can't be reached. Please try again in a moment."
	}
	return http.StatusServiceUnavailable, "Something is not working. Please try again in a moment."
}

func (s *site) listPayments(w http.ResponseWriter, r *http.Request) {
	user, ok := caller(r)
	if !ok {
		writeJSON(w, http.StatusUnauthorized, "Unauthorized", nil)
		return
	}
	page := store.Page{After: r.URL.Query().Get("after")}
	if limit := r.URL.Query().Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			writeJSON(w, http.StatusBadRequest, fmt.Sprintf("limit must be a number from 1 to %d", store.MaxLimit), nil)
			return
		}
		page.Limit = n
	}
	payments, next, err := s.payments.PaymentsByUser(r.Context(), user, page)
	if err != nil {
		status, message := explain(err)
		writeJSON(w, status, message, nil)
		return
	}
	data := make([]map[string]any, 0, len(payments))
	for _, p := range payments {
		data = append(data, map[string]any{
			"paymentIntentId": p.PaymentIntentID,
			"bookingId":       p.BookingID,
			"amount":          booking.FormatAmount(p.Amount, p.Currency),
			"amountMinor":     p.Amount,
			"currency":        p.Currency,
			"status":          p.Status,
			"purpose":         p.Purpose,
			"createdAt":       p.CreatedAt,
		})
	}
	writeBody(w, http.StatusOK, map[string]any{"success": true, "message": "Payments, newest first", "data": data, "next": next})
}

func (s *site) showBooking(w http.ResponseWriter, r *http.Request) {
	user, ok := caller(r)
	if !ok {
		writeJSON(w, http.StatusUnauthorized, "Unauthorized", nil)
		return
	}
	b, err := s.ownBooking(r.Context(), r.PathValue("id"), user)
	if err != nil {
		status, message := explain(err)
		writeJSON(w, status, message, nil)
		return
	}
	writeJSON(w, http.StatusOK, "Booking", map[string]any{
		"id":              b.ID,
		"state":           b.State,
		"reason":          b.Reason,
		"version":         b.Version,
		"userId":          b.UserID,
		"serviceId":       b.ServiceID,
		"serviceName":     b.ServiceName,
		"paymentOption":   b.Option,
		"total":           booking.FormatAmount(b.Total, b.Currency),
		"paid":            booking.FormatAmount(b.Paid, b.Currency),
		"due":             booking.FormatAmount(b.Due, b.Currency),
		"currency":        b.Currency,
		"paymentIntentId": b.PaymentIntentID,
		"sessionId":       b.SessionID,
		"createdAt":       b.CreatedAt,
		"updatedAt":       b.UpdatedAt,
	})
}

// ownBooking returns a booking to its owner only.
func (s *site) ownBooking(ctx context.Context, id, user string) (store.Booking, error) {
	b, err := s.cfg.Store.Booking(ctx, id)
	if err == nil && b.UserID != user {
		return store.Booking{}, payment.ErrNotOwner
	}
	return b, err
}

// health asks the store for something that isn't there: an answer is an answer.
func (s *site) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if _, err := s.cfg.Store.Event(ctx, "health"); err != nil && !errors.Is(err, store.ErrNotFound) {
		s.cfg.Logger.ErrorContext(ctx, "the store does not answer", "error", err)
		writeJSON(w, http.StatusServiceUnavailable, "The store does not answer", nil)
		return
	}
	writeJSON(w, http.StatusOK, "ok", nil)
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeJSON(w, http.StatusNotFound, "Not found", nil)
		return
	}
	s.message(w, r, http.StatusNotFound, "Page not found", "There is nothing at this address.")
}

// writeJSON answers in the envelope that all of the site's API shares.
func writeJSON(w http.ResponseWriter, status int, message string, data any) {
	body := map[string]any{"success": status < 300, "message": message}
	if data != nil {
		body["data"] = data
	}
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the visitor may be gone by now
}

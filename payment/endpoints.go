package payment

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/store"
)

// Caller finds who makes a request; ok is false for nobody.
type Caller func(r *http.Request) (userID string, ok bool)

// MaxWait is the longest that a page can make the verify endpoint wait. A
// server's WriteTimeout should be longer.
const MaxWait = 10 * time.Second

// maxBody is the largest body that the endpoints read.
const maxBody = 64 << 10

// The texts of the endpoints.
const (
	msgMethod       = "Method not allowed"
	msgCaller       = "Unauthorized"
	msgTooLarge     = "Request body is too large"
	msgNoSessionID  = "Session ID is required"
	msgNoSession    = "Payment session not found"
	msgMetadata     = "Invalid session metadata"
	msgOwner        = "Unauthorized access"
	msgNotPaid      = "Payment not completed"
	msgPending      = "Payment successful, processing..."
	msgVerified     = "Payment verified"
	msgConfirmed    = "Payment confirmed and booking created"
	msgAlready      = "Payment already processed"
	msgConflicted   = "Your payment was received, but the booking could not be confirmed as agreed. Our team will contact you to settle it; please do not pay again."
	msgStripeAway   = "The payment provider can't be reached. Please try again in a moment."
	msgDatabaseAway = "The service is busy. Please try again in a moment."
)

// ConfirmHandler is POST confirm: it makes the booking when the customer comes
// back, with all of Confirm's risks. Leave it out where there is a webhook.
//
// The body is {"sessionId":"cs_…"}, the answer {"success","message","data"}:
//
//	200  "Payment confirmed and booking created" or "Payment already processed"
//	400  "Session ID is required", "Invalid session metadata", "Payment not completed"
//	401  no caller
//	403  "Unauthorized access": another's session
//	404  no such session
//	405  not POST
//	409  paid, but not as agreed; data has the booking's id, message what happens next
//	413  body over 64 KiB
//	502  Stripe can't be reached, or refuses the call (the log says why), with Retry-After
//	503  the database can't be reached, with Retry-After
//
// The data of "Payment not completed" is {"processed":false,"status":…}: "unpaid",
// "expired", or "processing" for days while a bank's payment is on its way or a voucher
// is to be paid. Else in data are bookingId, serviceName, amount (what was charged, in
// major units as decimal text), amountMinor (the same in Stripe's minor unit),
// currency, paymentOption and processed.
func (s *Service) ConfirmHandler(c Caller) http.Handler {
	return s.endpoint(c, func(ctx context.Context, userID string, in request) reply {
		t, err := s.Confirm(ctx, in.SessionID, userID)
		switch {
		case errors.Is(err, ErrConflicted):
			return conflict(t.Booking, t.Payment)
		case err != nil:
			return s.failure(ctx, "confirm", in.SessionID, err)
		case t.Outcome == booking.OutcomeConfirmed:
			return reply{status: http.StatusOK, message: msgConfirmed, data: dataOf(t.Booking, t.Payment, true)}
		}
		return reply{status: http.StatusOK, message: msgAlready, data: dataOf(t.Booking, t.Payment, true)}
	})
}

// VerifyHandler is POST verify, which the page that the customer comes back to
// polls. It only reads.
//
// The body is {"sessionId":"cs_…"}, and may have "wait": the seconds, up to
// MaxWait, that the answer may take while the webhook is not here yet, so that one
// call does; anything else is no wait. The answers are those of ConfirmHandler, but
//
//	200  "Payment verified", with data as there
//	200  "Payment successful, processing...", with {"processed":false}: paid, ask again
//	400  "Payment not completed" also for a session or hold that ended unpaid
func (s *Service) VerifyHandler(c Caller) http.Handler {
	return s.endpoint(c, func(ctx context.Context, userID string, in request) reply {
		v, err := s.Verify(ctx, in.SessionID, userID, in.wait())
		if err != nil {
			return s.failure(ctx, "verify", in.SessionID, err)
		}
		switch v.Status {
		case Processed:
			return reply{status: http.StatusOK, message: msgVerified, data: dataOf(v.Booking, v.Payment, true)}
		case Pending:
			return reply{status: http.StatusOK, message: msgPending, data: map[string]any{"processed": false}}
		case NeedsAttention:
			return conflict(v.Booking, v.Payment)
		}
		return (&notPaid{v.Status}).reply()
	})
}

func (e *notPaid) reply() reply {
	return reply{status: http.StatusBadRequest, message: msgNotPaid, data: map[string]any{"processed": false, "status": e.status}}
}

// request is the body of both.
type request struct {
	SessionID string
	Wait      json.RawMessage
}

// wait is a number of seconds within the limit; anything else is 0.
func (r request) wait() time.Duration {
	var seconds float64
	if json.Unmarshal(r.Wait, &seconds) != nil || seconds <= 0 {
		return 0
	}
	return time.Duration(min(seconds, MaxWait.Seconds()) * float64(time.Second))
}

type reply struct {
	status  int
	message string
	data    map[string]any
}

// endpoint does what both have in common.
func (s *Service) endpoint(caller Caller, do func(context.Context, string, request) reply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := func(a reply) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			if a.status == http.StatusServiceUnavailable || a.status == http.StatusBadGateway {
				w.Header().Set("Retry-After", "2")
			}
			w.WriteHeader(a.status)
			body := map[string]any{"success": a.status < 300, "message": a.message}
			if a.data != nil {
				body["data"] = a.data
			}
			_ = json.NewEncoder(w).Encode(body) // who went away needs no answer
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			answer(reply{status: http.StatusMethodNotAllowed, message: msgMethod})
			return
		}
		userID, ok := caller(r)
		if !ok || userID == "" {
			answer(reply{status: http.StatusUnauthorized, message: msgCaller})
			return
		}
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			answer(reply{status: http.StatusRequestEntityTooLarge, message: msgTooLarge})
			return
		}
		in, ok := parse(raw)
		if err != nil || !ok {
			answer(reply{status: http.StatusBadRequest, message: msgNoSessionID})
			return
		}
		answer(do(r.Context(), userID, in))
	})
}

// parse reads the body. Keys are matched as they are written, unlike what
// json.Unmarshal does with structs.
func parse(raw []byte) (request, bool) {
	var body map[string]json.RawMessage
	var in request
	if json.Unmarshal(raw, &body) != nil || json.Unmarshal(body["sessionId"], &in.SessionID) != nil {
		return request{}, false
	}
	in.SessionID = strings.TrimSpace(in.SessionID)
	in.Wait = body["wait"]
	return in, isSessionID(in.SessionID)
}

// failure is the answer to an error.
func (s *Service) failure(ctx context.Context, op, sessionID string, err error) reply {
	switch {
	case errors.Is(err, ErrNoSession):
		return reply{status: http.StatusNotFound, message: msgNoSession}
	case errors.Is(err, booking.ErrMetadata), errors.Is(err, booking.ErrNotOurs):
		return reply{status: http.StatusBadRequest, message: msgMetadata}
	case errors.Is(err, ErrNotOwner):
		return reply{status: http.StatusForbidden, message: msgOwner}
	}
	if unpaid := (*notPaid)(nil); errors.As(err, &unpaid) {
		return unpaid.reply()
	}
	s.cfg.Logger.ErrorContext(ctx, "payment: "+op+" failed", "session", sessionID, "error", err)
	if errors.Is(err, ErrStripe) || errors.Is(err, ErrRefused) {
		return reply{status: http.StatusBadGateway, message: msgStripeAway}
	}
	return reply{status: http.StatusServiceUnavailable, message: msgDatabaseAway}
}

func conflict(b *store.Booking, p *store.Payment) reply {
	return reply{status: http.StatusConflict, message: msgConflicted, data: dataOf(b, p, false)}
}

// dataOf is what a page shows of a booking. The amount is what was charged; of a
// booking without a payment there was nothing to charge.
func dataOf(b *store.Booking, p *store.Payment, processed bool) map[string]any {
	if b == nil {
		return map[string]any{"processed": processed}
	}
	amount, currency := int64(0), b.Currency
	if p != nil {
		amount, currency = p.Amount, p.Currency
	}
	return map[string]any{
		"bookingId":     b.ID,
		"serviceName":   b.ServiceName,
		"amount":        booking.FormatAmount(amount, currency),
		"amountMinor":   amount,
		"currency":      currency,
		"paymentOption": string(b.Option),
		"processed":     processed,
	}
}

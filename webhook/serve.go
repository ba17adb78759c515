package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/store"
	stripehook "github.com/stripe/stripe-go/v76/webhook"
)

// The errors of a request that is refused before there is an event.
var (
	errNoSignature  = errors.New("no signature provided")
	errBadSignature = errors.New("signature verification failed")
	errTimestamp    = errors.New("signature timestamp is outside the tolerance")
	errTooLarge     = errors.New("request body is too large")
	errUnreadable   = errors.New("request body can't be read")
)

// ServeHTTP answers one delivery as the package's table says. When Stripe hangs
// up, the event is processed to its end all the same: the client's context is
// not ours, only the deadline is.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, false, "method not allowed")
		return
	}
	raw, err := h.read(w, r)
	if err == nil {
		err = h.verify(raw, r.Header.Values("Stripe-Signature"))
	}
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errTooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "webhook: delivery refused",
			slog.Int("status", status), slog.String("reason", err.Error()))
		answer(w, status, false, err.Error())
		return
	}
	ev, err := decode(raw)
	if err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelWarn, "webhook: delivery refused",
			slog.Int("status", http.StatusBadRequest), slog.String("reason", "not an event"))
		answer(w, http.StatusBadRequest, false, "not an event")
		return
	}
	ctx, cancel := h.bound(context.WithoutCancel(r.Context()))
	defer cancel()
	rep := h.process(ctx, ev, pass{by: "webhook", id: ev.ID, key: ev.ID})
	switch rep.state {
	case store.EventDone:
		answer(w, http.StatusOK, true, "event processed")
	case store.EventIgnored:
		answer(w, http.StatusOK, true, "event ignored")
	case store.EventDead:
		answer(w, h.cfg.PermanentStatus, false, "event can't be processed")
	default:
		w.Header().Set("Retry-After", retryAfter)
		answer(w, http.StatusServiceUnavailable, false, "temporary failure, try again later")
	}
}

// answer writes the envelope. message is always one of this package's own texts.
func answer(w http.ResponseWriter, status int, success bool, message string) {
	body, _ := json.Marshal(struct { // can't fail: a bool and a plain text
		Success bool   `json:"success"`
		Message string `json:"message"`
	}{success, message})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // nobody is left to tell
}

// read returns the body as it was sent, which is what the signature is over.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > h.cfg.MaxBody {
		w.Header().Set("Connection", "close") // rather than read what is on its way
		return nil, errTooLarge
	}
	if r.Body == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, errUnreadable
	}
	return raw, nil
}

// verify checks the signature with stripe-go, for each secret, and then the time
// that was signed, against our clock and in both directions: stripe-go reads
// time.Now and lets any time in the future pass.
// See https://docs.stripe.com/webhooks#verify-manually
func (h *Handler) verify(raw []byte, headers []string) error {
	if len(headers) == 0 || len(headers) == 1 && headers[0] == "" {
		return errNoSignature
	}
	if len(headers) > 1 {
		return errBadSignature
	}
	at, ok := signedAt(headers[0])
	if !ok {
		return errBadSignature
	}
	valid := false
	for _, secret := range h.cfg.Secrets {
		if stripehook.ValidatePayloadIgnoringTolerance(raw, headers[0], secret) == nil {
			valid = true
		}
	}
	if !valid {
		return errBadSignature
	}
	// Sub saturates, so that no time is too far away to be refused.
	if age := h.cfg.Now().Sub(at); age > h.cfg.Tolerance || age < -h.cfg.Tolerance {
		return errTimestamp
	}
	return nil
}

// signedAt is the time in the header, read as stripe-go reads it. A header
// without one or with several is refused: only one of them was signed.
func signedAt(header string) (time.Time, bool) {
	var at time.Time
	found := 0
	for _, pair := range strings.Split(header, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key != "t" {
			continue
		}
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return time.Time{}, false
		}
		at = time.Unix(seconds, 0)
		found++
	}
	return at, found == 1
}

// decode reads an event, and makes sure that the ledger can keep it. Every error
// wraps payment.ErrNotEvent.
func decode(raw []byte) (payment.Event, error) {
	// encoding/json would put U+FFFD in the place of broken bytes.
	if !utf8.Valid(raw) {
		return payment.Event{}, fmt.Errorf("%w: not UTF-8", payment.ErrNotEvent)
	}
	if err := unambiguous(raw); err != nil {
		return payment.Event{}, fmt.Errorf("%w: %w", payment.ErrNotEvent, err)
	}
	ev, err := payment.DecodeEvent(raw)
	if err != nil {
		return payment.Event{}, err
	}
	if err := rowOf(ev, time.Unix(0, 0)).Validate(); err != nil {
		return payment.Event{}, fmt.Errorf("%w: %w", payment.ErrNotEvent, err)
	}
	return ev, nil
}

// unambiguous makes sure that every reader of an event sees the same one.
// encoding/json takes the last of two members with one name, and any case of it;
// other readers of the stored payload may take the first, or only the right case.
func unambiguous(raw []byte) error {
	event, err := members(raw, "id", "object", "type", "data")
	if err != nil {
		return err
	}
	data, err := members(event["data"], "object")
	if err != nil {
		return err
	}
	_, err = members(data["object"])
	return err
}

// members is what a JSON object holds. It must hold what is wanted, and no name
// twice, whatever the case.
func members(raw []byte, want ...string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	out, folded := map[string]json.RawMessage{}, map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, errors.New("not JSON")
		}
		if folded[fold(name)] {
			return nil, errors.New("a name twice in one object")
		}
		folded[fold(name)] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("not JSON")
		}
		out[name] = value
	}
	for _, name := range want {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("no %q", name)
		}
	}
	return out, nil
}

// fold is one text for all names that encoding/json takes for the same. Lower case
// is not enough: "\u017f" is an s there, and no capital.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r { // round the circle: the smallest
				return next
			}
			r = next
		}
	}, name)
}

// rowOf is the ledger row of an event, without a state.
func rowOf(ev payment.Event, now time.Time) store.Event {
	return store.Event{
		ID: ev.ID, Type: ev.Type, ObjectID: ev.ObjectID, Account: ev.Account,
		Livemode: ev.Livemode, APIVersion: ev.APIVersion, Created: ev.Created,
		ReceivedAt: now, UpdatedAt: now, Payload: ev.Raw,
	}
}

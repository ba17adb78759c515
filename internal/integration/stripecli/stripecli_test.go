// Package stripecli tests that Stripe's own command-line tool drives the stand-in
// for Stripe, and that our webhook takes what comes of it.
package stripecli

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/booking"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/payment"
	"github.com/carevia/stripebooking/payment/stripetest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/webhook"
)

const secretKey = "sk_test_1234567890abcdef"

// world is the tool, the stand-in and a webhook over a store in memory.
type world struct {
	t     *testing.T
	ctx   context.Context
	cli   string
	home  string
	srv   *stripetest.Server
	store *memory.Store
	hook  *webhook.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, ctx: ctx, cli: servers.StripeCLI(t), home: t.TempDir(), store: &memory.Store{}}
	w.srv = stripetest.NewServer(stripetest.Config{SecretKey: secretKey})
	t.Cleanup(w.srv.Close)
	payments, err := payment.New(payment.Config{
		Store: w.store, Mode: payment.Test, SecretKey: secretKey, APIBase: w.srv.URL, Codecs: []booking.Codec{booking.Marked{}, booking.Plain{}},
	})
	require.NoError(t, err)
	w.hook, err = webhook.New(webhook.Config{Store: w.store, Mode: payment.Test, Payments: payments, Secrets: []string{w.srv.WebhookSecret}})
	require.NoError(t, err)
	site := httptest.NewServer(w.hook)
	t.Cleanup(site.Close)
	require.NoError(t, w.srv.AddEndpoint(site.URL, ""))
	return w
}

// command is a run of the tool, which keeps its settings in a temporary folder and
// reaches nothing but this machine.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.ctx, w.cli, append(args, "--api-key", secretKey, "--api-base", w.srv.URL)...)
	cmd.Env = []string{
		"HOME=" + w.home, "USERPROFILE=" + w.home, "XDG_CONFIG_HOME=" + w.home, "PATH=" + os.Getenv("PATH"),
		"STRIPE_CLI_TELEMETRY_OPTOUT=1", "STRIPE_NO_AUTO_UPDATE=1", "HTTP_PROXY=http://127.0.0.1:1", "HTTPS_PROXY=http://127.0.0.1:1",
	}
	return cmd
}

// stripe is what a command prints, which must succeed.
func (w *world) stripe(args ...string) []byte {
	w.t.Helper()
	cmd := w.command(args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(w.t, err, "stripe %v: %s%s", args, out, &stderr)
	return out
}

// object runs a command whose answer is an object. The tool prints an error of the
// API and succeeds all the same.
func (w *world) object(args ...string) map[string]any {
	w.t.Helper()
	var m map[string]any
	require.NoError(w.t, json.Unmarshal(w.stripe(args...), &m))
	require.NotContains(w.t, m, "error", "stripe %v", args)
	return m
}

// list is object for a list: its ids.
func (w *world) list(args ...string) (ids []string) {
	w.t.Helper()
	m := w.object(args...)
	require.Equal(w.t, "list", m["object"])
	for _, v := range m["data"].([]any) {
		ids = append(ids, v.(map[string]any)["id"].(string))
	}
	return ids
}

// arrived waits until every event has been delivered and answered with 200, and
// returns their types in the order in which they were made.
func (w *world) arrived() (types []string) {
	w.t.Helper()
	require.NoError(w.t, w.srv.Wait(w.ctx))
	for _, d := range w.srv.Deliveries() {
		assert.Equal(w.t, 200, d.Status, d.EventType)
	}
	for _, e := range w.srv.Events() {
		row, err := w.store.Event(w.ctx, e.ID)
		require.NoError(w.t, err, "a verified event is in the ledger: %s", e.Type)
		assert.Contains(w.t, []store.EventState{store.EventDone, store.EventIgnored}, row.State, "%s: %s", e.Type, row.Reason)
		types = append(types, e.Type)
	}
	return types
}

// last is the newest event of a type.
func (w *world) last(kind string) stripetest.Event {
	w.t.Helper()
	events := w.srv.Events()
	for i := len(events) - 1; i >= 0; i-- {
		if events[i].Type == kind {
			return events[i]
		}
	}
	require.Fail(w.t, "no "+kind)
	return stripetest.Event{}
}

func (w *world) bookings() []store.Booking {
	w.t.Helper()
	all, _, err := w.store.BookingsByUser(w.ctx, "ada", store.Page{})
	require.NoError(w.t, err)
	return all
}

// order is the metadata of a booking, for the session that a trigger makes.
var order = []string{
	"--add", "checkout_session:metadata[userId]=ada", "--add", "checkout_session:metadata[serviceId]=care",
	"--add", "checkout_session:metadata[serviceName]=Elderly care", "--add", "checkout_session:metadata[amountToPay]=30.00",
	"--add", "checkout_session:metadata[paymentOption]=full", "--add", "checkout_session:metadata[room]=7",
}

func TestTrigger(t *testing.T) {
	catalog := []string{"product.created", "price.created"}
	attempt := func(rest ...string) []string { return append([]string{"payment_intent.created"}, rest...) }
	paid := attempt("charge.succeeded", "payment_intent.succeeded")
	pending := attempt("charge.pending", "payment_intent.processing", "checkout.session.completed")
	for event, want := range map[string][][]string{
		"checkout.session.completed":               {catalog, paid, {"checkout.session.completed"}},
		"checkout.session.async_payment_succeeded": {catalog, pending, {"charge.succeeded", "payment_intent.succeeded", "checkout.session.async_payment_succeeded"}},
		"checkout.session.async_payment_failed":    {catalog, pending, {"charge.failed", "payment_intent.payment_failed", "checkout.session.async_payment_failed"}},
		"checkout.session.expired":                 {catalog, {"checkout.session.expired"}},
		"payment_intent.succeeded":                 {paid},
		"payment_intent.payment_failed":            {attempt("charge.failed", "payment_intent.payment_failed")},
		"charge.refunded":                          {paid, {"refund.created", "charge.refunded"}},
		"charge.dispute.created":                   {paid, {"charge.dispute.created"}},

		// Not asked for, but they come with the same requests.
		"payment_intent.created":    {{"payment_intent.created"}},
		"payment_intent.canceled":   {{"payment_intent.created", "payment_intent.canceled"}},
		"payment_intent.processing": {attempt("charge.pending", "payment_intent.processing")},
		"charge.succeeded":          {paid},
		"charge.failed":             {attempt("charge.failed", "payment_intent.payment_failed")},
		"charge.refund.updated":     {paid, {"refund.created", "charge.refunded", "refund.updated", "charge.refund.updated"}},
		"charge.dispute.updated":    {paid, {"charge.dispute.created", "charge.dispute.updated"}},
		"charge.dispute.closed":     {paid, {"charge.dispute.created", "charge.dispute.closed"}},
		"product.created":           {{"product.created"}},
	} {
		t.Run(event, func(t *testing.T) {
			w := newWorld(t)
			w.stripe("trigger", event)
			var all []string
			for _, part := range want {
				all = append(all, part...)
			}
			assert.Equal(t, all, w.arrived())
			for _, r := range w.srv.Requests() {
				assert.NotEqual(t, "other", r.Route, r.Path)
			}
		})
	}
}

func TestTriggerFails(t *testing.T) {
	w := newWorld(t)
	w.srv.Fail("POST /v1/payment_intents", stripetest.Fault{Status: 500})
	out, err := w.command("trigger", "payment_intent.created").CombinedOutput()
	assert.Error(t, err, "its exit status means something: %s", out)
}

func TestBooking(t *testing.T) {
	for event, status := range map[string]store.State{
		"checkout.session.completed":               store.StateConfirmed,
		"checkout.session.async_payment_succeeded": store.StateConfirmed,
		"checkout.session.async_payment_failed":    "",
		"checkout.session.expired":                 "",
	} {
		t.Run(event, func(t *testing.T) {
			w := newWorld(t)
			w.stripe(append([]string{"trigger", event}, order...)...)
			w.arrived()
			if status == "" {
				assert.Empty(t, w.bookings())
				return
			}
			require.Len(t, w.bookings(), 1)
			b := w.bookings()[0]
			assert.Equal(t, status, b.State)
			assert.Equal(t, "care Elderly care", b.ServiceID+" "+b.ServiceName)
			assert.EqualValues(t, 3000, b.Paid)
			assert.EqualValues(t, 3000, b.Total)
			assert.Equal(t, map[string]string{"room": "7"}, b.Details)
			p, err := w.store.Payment(w.ctx, b.PaymentIntentID)
			require.NoError(t, err)
			assert.Equal(t, b.ID, p.BookingID)
			assert.EqualValues(t, 3000, p.Amount)
		})
	}

	t.Run("another price", func(t *testing.T) {
		w := newWorld(t)
		w.stripe(append([]string{"trigger", "checkout.session.completed", "--override", "price:unit_amount=2500", "--override", "payment_page_confirm:expected_amount=5000"}, order...)...)
		w.arrived()
		require.Len(t, w.bookings(), 1)
		assert.Equal(t, store.StateConflicted, w.bookings()[0].State, "50 were paid, 30 agreed")
	})
}

func TestResend(t *testing.T) {
	w := newWorld(t)
	w.stripe(append([]string{"trigger", "checkout.session.completed"}, order...)...)
	before := w.arrived()
	first := w.bookings()
	require.Len(t, first, 1)

	completed := w.last("checkout.session.completed")
	assert.Equal(t, completed.ID, w.object("events", "resend", completed.ID)["id"])
	endpoints := w.list("webhook_endpoints", "list")
	require.Len(t, endpoints, 1)
	assert.Equal(t, completed.ID, w.object("events", "resend", completed.ID, "--webhook-endpoint", endpoints[0])["id"])
	assert.Equal(t, before, w.arrived(), "no new event")
	times := 0
	for _, d := range w.srv.Deliveries() {
		if d.EventID == completed.ID {
			times++
		}
	}
	assert.Equal(t, 3, times)
	assert.Equal(t, first, w.bookings(), "the booking, as it was")
}

func TestRefunds(t *testing.T) {
	w := newWorld(t)
	w.stripe(append([]string{"trigger", "checkout.session.completed"}, order...)...)
	before := len(w.arrived())
	require.Len(t, w.bookings(), 1)
	intent := w.bookings()[0].PaymentIntentID

	part := w.object("refunds", "create", "--payment-intent", intent, "--amount", "1000")
	assert.Equal(t, "succeeded", part["status"])
	assert.Equal(t, 1000.0, part["amount"])
	rest := w.object("refunds", "create", "--charge", part["charge"].(string), "--reason", "requested_by_customer")
	assert.Equal(t, 2000.0, rest["amount"])
	assert.Equal(t, []string{"refund.created", "charge.refunded", "refund.created", "charge.refunded"}, w.arrived()[before:])
	row, err := w.hook.Event(w.ctx, w.last("charge.refunded").ID)
	require.NoError(t, err)
	assert.Equal(t, store.EventIgnored, row.State, "kept, but not read yet")
	assert.Equal(t, []string{rest["id"].(string), part["id"].(string)}, w.list("refunds", "list", "--payment-intent", intent))
	assert.Equal(t, part["id"], w.object("refunds", "retrieve", part["id"].(string))["id"])

	w.object("refunds", "update", part["id"].(string), "-d", "metadata[why]=rain")
	assert.Equal(t, []string{"refund.updated", "charge.refund.updated"}, w.arrived()[before+4:])
}

func TestCommands(t *testing.T) {
	w := newWorld(t)
	ss := w.object("checkout", "sessions", "create", "--mode", "payment", "--success-url", "https://example.com/ok",
		"-d", "line_items[0][quantity]=2", "-d", "line_items[0][price_data][currency]=usd",
		"-d", "line_items[0][price_data][unit_amount]=2250", "-d", "line_items[0][price_data][product_data][name]=Care")
	id := ss["id"].(string)
	assert.Equal(t, 4500.0, ss["amount_total"])
	assert.Equal(t, w.srv.URL+"/pay/"+id, ss["url"])
	assert.Equal(t, id, w.object("checkout", "sessions", "retrieve", id)["id"])
	assert.Equal(t, []string{id}, w.list("checkout", "sessions", "list", "--status", "open"))
	assert.Len(t, w.list("checkout", "sessions", "list_line_items", id), 1)
	assert.Equal(t, "expired", w.object("checkout", "sessions", "expire", id)["status"])
	assert.Empty(t, w.list("checkout", "sessions", "list", "--status", "open"))

	w.stripe("trigger", "payment_intent.succeeded")
	w.stripe("trigger", "charge.dispute.created")
	w.arrived()
	var made []string // events, newest first
	for _, e := range w.srv.Events() {
		made = append([]string{e.ID}, made...)
	}
	assert.Equal(t, made, w.list("events", "list"))
	assert.Equal(t, made[:2], w.list("events", "list", "--limit", "2"))
	assert.Equal(t, made[2:], w.list("events", "list", "--starting-after", made[1]))
	dispute := w.last("charge.dispute.created")
	assert.Equal(t, []string{dispute.ID}, w.list("events", "list", "--type", "charge.dispute.*"))
	assert.Empty(t, w.list("events", "list", "--delivery-success=false"))
	assert.Equal(t, dispute.Type, w.object("events", "retrieve", dispute.ID)["type"])
	assert.Equal(t, []string{dispute.ObjectID}, w.list("disputes", "list"))

	intents := w.list("payment_intents", "list")
	require.Len(t, intents, 2)
	assert.Equal(t, "succeeded", w.object("payment_intents", "retrieve", intents[0])["status"])
	open := w.object("payment_intents", "create", "--amount", "2000", "--currency", "usd")["id"].(string)
	assert.Equal(t, "succeeded", w.object("payment_intents", "confirm", open, "--payment-method", "pm_card_visa")["status"])
	for _, r := range w.srv.Requests() {
		assert.Equal(t, 200, r.Status, r.Route)
	}
}

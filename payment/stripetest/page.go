package stripetest

import (
	"errors"
	"html/template"
	"net/http"
	"strings"
)

// showPage is the hosted pay page. It needs no JavaScript and loads nothing.
func (s *Stripe) showPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r.PathValue("id"), http.StatusOK, "")
}

// submitPage does what a button of the page says.
func (s *Stripe) submitPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	id, action := r.PathValue("id"), r.PostFormValue("action")

	var ss Session
	var err error
	switch action {
	case "pay":
		if ss, err = s.Pay(id); errors.Is(err, ErrOnlyDelayed) {
			ss, err = s.PayDelayed(id)
		}
	case "bank":
		ss, err = s.PayDelayed(id)
	case "decline":
		if ss, err = s.Decline(id, ""); err == nil {
			s.render(w, id, http.StatusPaymentRequired, "Your card was declined.")
			return
		}
	case "bank-paid", "bank-failed":
		if _, err = s.SettleDelayed(id, action == "bank-paid"); err == nil {
			s.render(w, id, http.StatusOK, "")
			return
		}
	case "cancel":
		ss, _ = s.Session(id)
	default:
		s.render(w, id, http.StatusBadRequest, "That button is not known here.")
		return
	}

	s.mu.Lock()
	var success, cancelled string
	if kept := s.sessions.byID[id]; kept != nil {
		success, cancelled = strings.ReplaceAll(kept.successURL, sessionTemplate, id), kept.cancelURL
	}
	s.mu.Unlock()
	switch {
	case action == "cancel" && cancelled != "":
		http.Redirect(w, r, cancelled, http.StatusSeeOther)
	case action == "cancel" && success != "":
		s.render(w, id, http.StatusOK, "The shop gave no address to go back to.")
	case ss.PaymentIntentStatus == "requires_action" && action != "decline":
		s.render(w, id, http.StatusOK, "") // the voucher; the customer does not go back to the site
	case err == nil && success != "", errors.Is(err, ErrNotOpen) && ss.Status == "complete" && action != "decline":
		// The second case is the second half of a double click.
		http.Redirect(w, r, success, http.StatusSeeOther)
	case errors.Is(err, ErrNotOpen):
		s.render(w, id, http.StatusBadRequest, "")
	case errors.Is(err, ErrNoSession), err == nil:
		s.render(w, id, http.StatusOK, "")
	case errors.Is(err, ErrNotWaiting):
		s.render(w, id, http.StatusBadRequest, "No money is on its way here.")
	default:
		s.render(w, id, http.StatusBadRequest, "This checkout can't be paid that way.")
	}
}

// Stripe's own pay page asks the API for the session and confirms it there, and so does Stripe's command-line tool.
// Neither request is documented.

// page is a session as its pay page sees it.
func (ss *session) page() map[string]any {
	m := ss.json(expansion{"payment_intent", "line_items"})
	m["id"], m["session_id"] = "ppage_1"+ss.id[len(ss.id)-23:], ss.id
	return m
}

func (s *Stripe) apiGetPage(p params, id string) (work, *apiError) {
	return func(cause) (any, *apiError) {
		ss, err := sessions.find(s, sessions.param, id)
		if err != nil {
			return nil, err
		}
		return ss.page(), nil
	}, p.check(nil, nil)
}

func (s *Stripe) apiConfirmPage(p params, id string) (work, *apiError) {
	if err := p.check([]string{"payment_method", "expected_amount"}, []string{"eid", "key", "return_url"}); err != nil {
		return nil, err
	}
	expected, given, err := p.integer("expected_amount")
	if err != nil {
		return nil, err
	}
	if _, ok := p["payment_method"]; !ok {
		return nil, missingParam("payment_method")
	}
	return func(c cause) (any, *apiError) {
		ss, err := sessions.find(s, sessions.param, id)
		if err != nil {
			return nil, err
		}
		m, err := s.findMethod(p, "payment_method")
		switch {
		case err != nil:
			return nil, err
		case ss.status != "open":
			return nil, invalid("checkout_not_active_session", "", "This Checkout Session is no longer active.")
		case given && expected != ss.total:
			return nil, invalid("checkout_amount_mismatch", "expected_amount", "The expected amount is not the amount of the Checkout Session.")
		}
		if err := m.fits(ss.methods); err != nil {
			return nil, err
		}
		if err := s.submit(ss, m, c); err != nil {
			return nil, err.about(ss.intent)
		}
		shown := ss.page()
		if ss.intent != nil {
			s.followUp(ss.intent)
		}
		return shown, nil
	}, nil
}

type pageLine struct{ Label, Note, Amount string }

type pageView struct {
	ID, State, Error string
	Lines            []pageLine
	Total, Button    string
	Back, Success    string
	Bank, Decline    bool
	Waits, Fails     bool // for the bank or the customer's money; which can fail
	Expires          string
}

func (s *Stripe) render(w http.ResponseWriter, id string, status int, problem string) {
	s.mu.Lock()
	s.wake()
	s.pump()
	v := pageView{ID: id, State: "unknown", Error: problem}
	if ss := s.sessions.byID[id]; ss != nil {
		v = ss.view(problem)
	}
	s.mu.Unlock()

	switch v.State {
	case "unknown":
		status = http.StatusNotFound
	case "expired":
		status = http.StatusGone
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	if err := pageTemplate.Execute(w, v); err != nil {
		s.cfg.Logger.Error("stripetest: pay page", "error", err)
	}
}

func (ss *session) view(problem string) pageView {
	v := pageView{
		ID: ss.id, State: ss.status, Error: problem, Total: format(ss.total, ss.currency), Back: ss.cancelURL,
		Success: strings.ReplaceAll(ss.successURL, sessionTemplate, ss.id), Bank: ss.total > 0 && ss.delayedMethod() != "" && ss.promptMethod() != "", Decline: ss.total > 0 && ss.takesCards(),
		Button: "Pay " + format(ss.total, ss.currency), Expires: ss.export().ExpiresAt.Format("2 January 2006, 15:04 UTC"),
	}
	if v.Waits = ss.waits(); v.Waits {
		v.Fails = ss.intent.method.kind != transfer
	}
	switch {
	case ss.total == 0:
		v.Button = "Complete (nothing to pay)"
	case ss.promptMethod() == "":
		v.Button += " by bank, later"
	}
	for _, it := range ss.items {
		l := pageLine{Label: it.price.product.name, Note: it.price.product.description, Amount: format(it.price.unit*it.quantity, ss.currency)}
		if it.quantity > 1 {
			l.Note = strings.TrimPrefix(l.Note+" · "+decimal(it.quantity, 0)+" × "+format(it.price.unit, ss.currency), " · ")
		}
		v.Lines = append(v.Lines, l)
	}
	for _, part := range []struct {
		label  string
		amount int64
	}{{"Tax", ss.tax}, {"Shipping", ss.shipping}} {
		if part.amount != 0 {
			v.Lines = append(v.Lines, pageLine{Label: part.label, Amount: format(part.amount, ss.currency)})
		}
	}
	if ss.discount != 0 {
		v.Lines = append(v.Lines, pageLine{Label: "Discount", Amount: "−" + format(ss.discount, ss.currency)})
	}
	return v
}

var pageTemplate = template.Must(template.New("pay").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{if eq .State "open"}}Pay {{.Total}}{{else}}Checkout{{end}} – test checkout</title>
<style>
*{box-sizing:border-box}
body{margin:0;min-height:100vh;padding:2.5rem 1rem;background:#eef0f5;color:#1c2433;font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{max-width:27rem;margin:0 auto;background:#fff;border:1px solid #dde1ea;border-radius:14px;box-shadow:0 6px 24px rgba(28,36,51,.09);overflow:hidden}
.notice{display:flex;align-items:center;gap:.9rem;margin:0;padding:.85rem 1.5rem;background:#fff3cd;color:#573f00;font-size:.875rem;line-height:1.4;border-bottom:1px solid #f0dfa6}
.notice strong{flex:none;padding:.15rem .5rem;border-radius:5px;background:#573f00;color:#fff3cd;font-size:.75rem;letter-spacing:.06em}
.card{padding:1.5rem}
h1{margin:0;font-size:1rem;font-weight:500;color:#4b5670}
.total{margin:.1rem 0 1.2rem;font-size:2.1rem;line-height:1.3;font-weight:700;letter-spacing:-.02em;overflow-wrap:anywhere}
dl{margin:0 0 1.5rem;border-top:1px solid #e3e7ee}
dl div{display:flex;justify-content:space-between;gap:1rem;padding:.7rem 0;border-bottom:1px solid #e3e7ee}
dt{overflow-wrap:anywhere}dd{margin:0;white-space:nowrap;font-variant-numeric:tabular-nums}
small{display:block;color:#4b5670}
button{display:block;width:100%;min-height:2.75rem;padding:.6rem 1rem;border:1px solid #b9c1d0;border-radius:8px;background:#fff;color:#1c2433;font:inherit;font-weight:600;cursor:pointer}
button:hover{background:#f4f6fa}
button.main{min-height:3.25rem;background:#3b49c9;border-color:#3b49c9;color:#fff}
button.main:hover{background:#303cab}
button.quiet{margin-top:.6rem;border-color:transparent;color:#3b49c9}
.others{display:flex;flex-wrap:wrap;gap:.6rem}
.others p{flex:1 0 100%;margin:1.1rem 0 0;color:#4b5670;font-size:.875rem}
.others button{flex:1 1 40%;width:auto}
a{color:#3b49c9}
button:focus-visible,a:focus-visible{outline:3px solid #1c2433;outline-offset:2px;border-radius:8px}
.error{margin:0 0 1.2rem;padding:.75rem 1rem;border:1px solid #f3c4c4;border-radius:8px;background:#fde8e8;color:#8c1616;font-weight:600}
footer{padding:0 1.5rem 1.4rem;color:#4b5670;font-size:.75rem;overflow-wrap:anywhere}
@media (max-width:30rem){body{padding:0;background:#fff}main{border:0;border-radius:0;box-shadow:none}}
</style>
</head>
<body>
<main>
<p class="notice"><strong>TEST</strong><span>A stand-in for Stripe's pay page. No card is asked for and no money moves.</span></p>
<div class="card">
{{if .Error}}<p class="error" role="alert">{{.Error}}</p>{{end}}
{{if eq .State "open"}}
<h1>To be paid</h1>
<p class="total">{{.Total}}</p>
<dl>
{{range .Lines}}<div><dt>{{.Label}}{{if .Note}}<small>{{.Note}}</small>{{end}}</dt><dd>{{.Amount}}</dd></div>
{{end}}</dl>
<form method="post">
<button class="main" name="action" value="pay">{{.Button}}</button>
{{if or .Bank .Decline}}<div class="others">
<p>Or see what else can happen:</p>
{{if .Decline}}<button name="action" value="decline">Decline card</button>{{end}}
{{if .Bank}}<button name="action" value="bank">Pay by bank, later</button>{{end}}
</div>{{end}}
<button class="quiet" name="action" value="cancel">Cancel</button>
</form>
{{else if eq .State "complete"}}
<h1>This checkout is complete</h1>
<p class="total">{{.Total}}</p>
{{if .Waits}}<p>The money is not there yet: the bank takes days, or a voucher is to be paid.</p>
<form method="post"><div class="others">
<button name="action" value="bank-paid">The money comes</button>
{{if .Fails}}<button name="action" value="bank-failed">It does not come</button>{{end}}
</div></form>
{{end}}<p><a href="{{.Success}}">Continue to the shop</a></p>
{{else if eq .State "expired"}}
<h1>This checkout has expired</h1>
<p>It can't be paid any more. Nothing was charged.</p>
{{if .Back}}<p><a href="{{.Back}}">Back to the shop</a></p>{{end}}
{{else}}
<h1>There is no such checkout</h1>
<p>The stand-in keeps its checkouts in memory: it has forgotten them after a restart.</p>
{{end}}
</div>
<footer>{{if eq .State "open"}}Valid until {{.Expires}}<br>{{end}}{{.ID}}</footer>
</main>
</body>
</html>
`))

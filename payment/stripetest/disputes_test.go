package stripetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/payment/stripetest"
)

func TestDispute(t *testing.T) {
	c := newClock()
	srv := start(t, stripetest.Config{Now: c.now})
	sc := api(srv, srv.SecretKey)
	pi := charged(t, sc, "pm_card_createDisputeProductNotReceived")
	assert.Equal(t, stripe.PaymentIntentStatusSucceeded, pi.Status)
	assert.Equal(t, []string{"charge.dispute.created", "charge.dispute.funds_withdrawn"}, types(srv.Events()[3:]))
	d := object[stripe.Dispute](t, srv.Events(), "charge.dispute.created")
	assert.Regexp(t, `^dp_[A-Za-z0-9]{24}$`, d.ID)
	assert.Equal(t, stripe.DisputeStatusNeedsResponse, d.Status)
	assert.Equal(t, stripe.DisputeReasonProductNotReceived, d.Reason)
	assert.EqualValues(t, 2000, d.Amount)
	assert.EqualValues(t, "eur", d.Currency)
	assert.Equal(t, pi.ID, d.PaymentIntent.ID)
	assert.Equal(t, pi.LatestCharge.ID, d.Charge.ID)
	assert.Equal(t, "13.1", d.PaymentMethodDetails.Card.NetworkReasonCode)
	assert.False(t, d.IsChargeRefundable)
	require.Len(t, d.BalanceTransactions, 1)
	assert.EqualValues(t, -3500, d.BalanceTransactions[0].Net, "the amount and the fee")
	assert.EqualValues(t, 1500, d.BalanceTransactions[0].FeeDetails[0].Amount)
	assert.Equal(t, c.now().Add(20*24*time.Hour).Unix(), d.EvidenceDetails.DueBy)
	_, ch, _ := raw(t, srv, "GET", "/v1/charges/"+pi.LatestCharge.ID+"?expand[]=dispute", srv.SecretKey, nil)
	assert.Equal(t, true, ch["disputed"])
	assert.Equal(t, d.ID, ch["dispute"].(map[string]any)["id"])

	// Kept for later, then sent.
	before := len(srv.Events())
	staged, err := sc.Disputes.Update(d.ID, &stripe.DisputeParams{Submit: stripe.Bool(false), Evidence: &stripe.DisputeEvidenceParams{CustomerName: stripe.String("Jo")}, Metadata: map[string]string{"k": "v"}})
	require.NoError(t, err)
	assert.True(t, staged.EvidenceDetails.HasEvidence)
	assert.Zero(t, staged.EvidenceDetails.SubmissionCount)
	assert.Equal(t, stripe.DisputeStatusNeedsResponse, staged.Status)
	assert.Equal(t, map[string]any{"evidence": map[string]any{"customer_name": nil}, "evidence_details": map[string]any{"has_evidence": false}, "metadata": map[string]any{"k": nil}}, previous(t, srv, "charge.dispute.updated"))
	sent, err := sc.Disputes.Update(d.ID, &stripe.DisputeParams{Evidence: &stripe.DisputeEvidenceParams{UncategorizedText: stripe.String("winning_evidence")}})
	require.NoError(t, err)
	assert.Equal(t, stripe.DisputeStatusUnderReview, sent.Status)
	assert.Equal(t, "Jo", sent.Evidence.CustomerName)
	assert.EqualValues(t, 1, sent.EvidenceDetails.SubmissionCount)
	assert.Equal(t, []string{"charge.dispute.updated", "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_reinstated"}, types(srv.Events()[before:]))
	won, err := sc.Disputes.Get(d.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, stripe.DisputeStatusWon, won.Status)
	assert.Equal(t, map[string]string{"k": "v"}, won.Metadata)
	require.Len(t, won.BalanceTransactions, 2)
	assert.EqualValues(t, 2000, won.BalanceTransactions[1].Net)
	_, err = sc.Disputes.Close(d.ID, nil)
	assert.Equal(t, 400, stripeError(t, err).HTTPStatusCode)
	_, err = sc.Disputes.Update(d.ID, &stripe.DisputeParams{Evidence: &stripe.DisputeEvidenceParams{CustomerName: stripe.String("Jo")}})
	assert.Equal(t, 400, stripeError(t, err).HTTPStatusCode)

	lost := charged(t, sc, "pm_card_createDispute")
	it := sc.Disputes.List(&stripe.DisputeListParams{PaymentIntent: &lost.ID})
	require.True(t, it.Next())
	other := it.Dispute()
	assert.Equal(t, stripe.DisputeReasonFraudulent, other.Reason)
	assert.False(t, it.Next())
	closed, err := sc.Disputes.Close(other.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, stripe.DisputeStatusLost, closed.Status)
	assert.Equal(t, map[string]any{"status": "needs_response"}, previous(t, srv, "charge.dispute.closed"))
	text := charged(t, sc, "pm_card_createDispute")
	it = sc.Disputes.List(&stripe.DisputeListParams{Charge: &text.LatestCharge.ID})
	require.True(t, it.Next())
	_, err = sc.Disputes.Update(it.Dispute().ID, &stripe.DisputeParams{Evidence: &stripe.DisputeEvidenceParams{UncategorizedText: stripe.String("losing_evidence")}})
	require.NoError(t, err)
	assert.Equal(t, stripe.DisputeStatusLost, object[stripe.Dispute](t, srv.Events(), "charge.dispute.closed").Status)
}

func TestInquiry(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	pi := charged(t, sc, "pm_card_createDisputeInquiry")
	assert.Equal(t, []string{"charge.dispute.created"}, types(srv.Events()[3:]), "it takes no money")
	d := object[stripe.Dispute](t, srv.Events(), "charge.dispute.created")
	assert.Equal(t, stripe.DisputeStatusWarningNeedsResponse, d.Status)
	assert.Equal(t, "10", d.PaymentMethodDetails.Card.NetworkReasonCode)
	assert.True(t, d.IsChargeRefundable)
	assert.Empty(t, d.BalanceTransactions)
	_, err := sc.Refunds.New(&stripe.RefundParams{PaymentIntent: &pi.ID})
	require.NoError(t, err)
	closed, err := sc.Disputes.Close(d.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, stripe.DisputeStatusWarningClosed, closed.Status)

	checkRefused(t, srv, map[string]refused{
		"unknown":       {"/v1/disputes/dp_x", form("metadata[k]", "v"), 404, "resource_missing", "dispute"},
		"a file":        {"/v1/disputes/" + d.ID, form("evidence[receipt]", "file_1"), 400, "stripetest_unsupported", "evidence[receipt]"},
		"odd parameter": {"/v1/disputes/" + d.ID, form("colour", "red"), 400, "parameter_unknown", "colour"},
	})
}

package stripetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// sign returns the Stripe-Signature header of a payload: the time in whole seconds, one v1 signature for each secret, as
// Stripe sends while a secret is rolled, and the "additional signature with a fake v0 scheme" that test events have, by
// no secret of the endpoint's. https://docs.stripe.com/webhooks#verify-manually
func sign(payload []byte, at time.Time, secrets ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "t=%d", at.Unix())
	add := func(scheme, secret string) {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.", at.Unix())
		mac.Write(payload)
		b.WriteString("," + scheme + "=" + hex.EncodeToString(mac.Sum(nil)))
	}
	for _, secret := range secrets {
		add("v1", secret)
	}
	add("v0", "fake")
	return b.String()
}

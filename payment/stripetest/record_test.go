package stripetest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/internal/record"
)

// With STRIPETEST_RECORD the requests that these tests make are written to that
// file, for internal/integration/stripemock to look at.
func TestMain(m *testing.M) {
	file := os.Getenv("STRIPETEST_RECORD")
	if file == "" {
		os.Exit(m.Run())
	}
	transport := record.New()
	// It stays a *http.Transport, which package payment makes its own of.
	http.DefaultTransport.(*http.Transport).RegisterProtocol("http", transport)
	stripe.SetHTTPClient(&http.Client{Transport: transport})
	code := m.Run()
	raw, err := json.Marshal(transport.Calls())
	if err == nil {
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

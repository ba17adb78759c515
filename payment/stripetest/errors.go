package stripetest

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error as Stripe's API answers it. https://docs.stripe.com/api/errors
// An intent keeps that of its last attempt.
type apiError struct {
	status      int
	Charge      string         `json:"charge,omitempty"`
	Code        string         `json:"code,omitempty"`
	DeclineCode string         `json:"decline_code,omitempty"`
	DocURL      string         `json:"doc_url,omitempty"`
	Message     string         `json:"message"`
	Param       string         `json:"param,omitempty"`
	Intent      map[string]any `json:"payment_intent,omitempty"`
	Method      map[string]any `json:"payment_method,omitempty"`
	Type        string         `json:"type"`
}

func (e *apiError) Error() string {
	if e.Code != "" {
		return fmt.Sprintf("%s (%d %s)", e.Message, e.status, e.Code)
	}
	return fmt.Sprintf("%s (%d)", e.Message, e.status)
}

func invalid(code, param, format string, args ...any) *apiError {
	e := &apiError{status: http.StatusBadRequest, Code: code, Param: param, Type: "invalid_request_error", Message: fmt.Sprintf(format, args...)}
	if code != "" {
		e.DocURL = docURL(code)
	}
	return e
}

func docURL(code string) string {
	return "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(code, "_", "-")
}

// unsupported is for what Stripe can do and the stand-in can't; the code is not one of Stripe's.
func unsupported(param, format string, args ...any) *apiError {
	e := invalid("", param, format, args...)
	e.Code = "stripetest_unsupported"
	return e
}

func withStatus(status int, e *apiError) *apiError {
	e.status = status
	return e
}

func missing(kind, param, id string) *apiError {
	return withStatus(http.StatusNotFound, invalid("resource_missing", param, "No such %s: '%s'", kind, id))
}

// exclusive is for two parameters of which a request may have one.
func exclusive(param, other string) *apiError {
	return invalid("", param, "You may only specify one of these parameters: %s, %s.", other, param)
}

func missingParam(param string) *apiError {
	return invalid("parameter_missing", param, "Missing required param: %s.", param)
}

func offStep(param, currency string) *apiError {
	return invalid("", param, "Amounts in %s must be a multiple of %d.", currency, step(currency))
}

// declined is what a bank says about a card. https://docs.stripe.com/declines/codes
func declined(code string) *apiError {
	e := &apiError{status: http.StatusPaymentRequired, Type: "card_error", Code: "card_declined", DeclineCode: code, Message: "Your card was declined."}
	switch code {
	case "":
		e.DeclineCode = "generic_decline"
	case "insufficient_funds":
		e.Message = "Your card has insufficient funds."
	case "expired_card":
		e.Code, e.Message = code, "Your card has expired."
	case "incorrect_cvc":
		e.Code, e.Message = code, "Your card's security code is incorrect."
	case "processing_error":
		e.Code, e.Message = code, "An error occurred while processing your card. Try again in a little bit."
	}
	e.DocURL = docURL(e.Code)
	return e
}

// faultError is the body of an answer that a Fault asked for.
func faultError(status int) *apiError {
	if status == http.StatusTooManyRequests {
		return withStatus(status, invalid("rate_limit", "", "Too many requests hit the stand-in too quickly. This error was asked for by the test."))
	}
	return &apiError{status: status, Type: "api_error", Message: "Something went wrong on the stand-in's end. This error was asked for by the test."}
}

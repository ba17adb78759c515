package stripetest

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error as Stripe's API answers it. https://docs.stripe.com/api/errors
type apiError struct {
	status  int
	Code    string `json:"code,omitempty"`
	DocURL  string `json:"doc_url,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	Type    string `json:"type"`
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

func missingParam(param string) *apiError {
	return invalid("parameter_missing", param, "Missing required param: %s.", param)
}

// faultError is the body of an answer that a Fault asked for.
func faultError(status int) *apiError {
	if status == http.StatusTooManyRequests {
		return withStatus(status, invalid("rate_limit", "", "Too many requests hit the stand-in too quickly. This error was asked for by the test."))
	}
	return &apiError{status: status, Type: "api_error", Message: "Something went wrong on the stand-in's end. This error was asked for by the test."}
}

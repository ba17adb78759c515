// Package record keeps the HTTP requests that tests make, so that others can
// look at them.
package record

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// Call is one request and its answer.
type Call struct {
	Method      string
	URI         string // path and query
	ContentType string
	Body        string
	Status      int // 0: none came
	Answer      string
}

// Transport is a http.Transport that keeps what passes through it.
type Transport struct {
	*http.Transport

	mu    sync.Mutex
	calls []Call
}

// New returns a Transport like Go's own.
func New() *Transport {
	return &Transport{Transport: http.DefaultTransport.(*http.Transport).Clone()}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := Call{Method: r.Method, URI: r.URL.RequestURI(), ContentType: r.Header.Get("Content-Type")}
	if r.Body != nil && r.Body != http.NoBody {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		c.Body = string(body)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := t.Transport.RoundTrip(r)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		c.Status, c.Answer = resp.StatusCode, string(body)
	}
	t.mu.Lock()
	t.calls = append(t.calls, c)
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// Calls are the requests so far, in the order in which they ended.
func (t *Transport) Calls() []Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Call(nil), t.calls...)
}

// Package stripemock shows requests to stripe-mock, Stripe's own stub of its API:
// those that the library makes, and those that the stand-in takes. It knows
// Stripe's OpenAPI, and refuses what that does not allow. What it answers are
// fixtures, so the answers come from the stand-in.
package stripemock

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/param"
	"github.com/stripe/stripe-mock/server"
	"github.com/stripe/stripe-mock/spec"

	"github.com/carevia/stripebooking/internal/record"
)

// mock is stripe-mock as its program is, but for the ports.
type mock struct {
	spec *spec.Spec
	stub *server.StubServer
}

func stripeMock(t *testing.T) *mock {
	t.Helper()
	m, err := loaded()
	require.NoError(t, err)
	return m
}

// loaded is kept, since it takes a while to read all of the OpenAPI.
var loaded = sync.OnceValues(func() (*mock, error) {
	api, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		return nil, err
	}
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		return nil, err
	}
	stub, err := server.NewStubServer(fixtures, api, false, false)
	return &mock{api, stub}, err
})

// requestOf is a recorded request, made again.
func requestOf(c record.Call) *http.Request {
	r := httptest.NewRequest(c.Method, c.URI, strings.NewReader(c.Body))
	r.Header.Set("Content-Type", c.ContentType)
	r.Header.Set("Authorization", "Bearer sk_test_1") // whose keys are good, the stand-in says
	return r
}

// paramsOf are the parameters of the query and the body.
func paramsOf(t *testing.T, c record.Call) map[string]any {
	t.Helper()
	p, err := param.ParseParams(requestOf(c))
	require.NoError(t, err, c)
	return p
}

// refuses says why Stripe does not take a request; nil: it takes it.
func (m *mock) refuses(t *testing.T, c record.Call) error {
	t.Helper()
	w := httptest.NewRecorder()
	m.stub.HandleRequest(w, requestOf(c))
	if w.Code >= 300 {
		var body server.ResponseError
		require.NoError(t, json.NewDecoder(w.Body).Decode(&body))
		return fmt.Errorf("%d %s", w.Code, body.ErrorInfo.Message)
	}
	// Of what is inside of a parameter, stripe-mock lets unknown names pass.
	op := m.operation(c.Method, requestOf(c).URL.Path)
	require.NotNil(t, op, c)
	schema := spec.BuildQuerySchema(op)
	if c.Method != http.MethodGet {
		schema = op.RequestBody.Content["application/x-www-form-urlencoded"].Schema
	}
	if name := unknown("", paramsOf(t, c), schema); name != "" {
		return fmt.Errorf("no parameter is named %s", name)
	}
	return nil
}

// operation finds what a path leads to, whole names before variable ones.
func (m *mock) operation(method, path string) *spec.Operation {
	var found *spec.Operation
	variables := len(path)
	for pattern, verbs := range m.spec.Paths {
		n, want, have := 0, strings.Split(string(pattern), "/"), strings.Split(path, "/")
		if !slices.EqualFunc(want, have, func(w, h string) bool {
			if strings.HasPrefix(w, "{") {
				n++
				return h != ""
			}
			return w == h
		}) {
			continue
		}
		if op := verbs[spec.HTTPVerb(strings.ToLower(method))]; op != nil && n < variables {
			found, variables = op, n
		}
	}
	return found
}

// unknown is the first name in v that a schema does not have; empty: it has all.
func unknown(at string, v any, s *spec.Schema) string {
	if s == nil {
		return at
	}
	if len(s.AnyOf) > 0 {
		name := ""
		for _, one := range s.AnyOf {
			if name = unknown(at, v, one); name == "" {
				return ""
			}
		}
		return name
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner := s.Properties[key]
			if inner == nil {
				inner = s.AdditionalProperties
			}
			if inner == nil {
				inner = s.Items // "list[0]" is read as a map
			}
			if name := unknown(at+"["+key+"]", v[key], inner); name != "" {
				return name
			}
		}
	case []any:
		for i, one := range v {
			if name := unknown(fmt.Sprintf("%s[%d]", at, i), one, s.Items); name != "" {
				return name
			}
		}
	}
	return ""
}

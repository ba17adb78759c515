package repo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	stripe        = "github.com/stripe/stripe-go/v76"
	stripeWebhook = "github.com/stripe/stripe-go/v76/webhook"
	testify       = "github.com/stretchr/testify"
	mongoDriver   = "go.mongodb.org/mongo-driver/v2"
)

// layers says what each package may import besides the standard library: paths
// of this module, or of others. An entry ending in "/..." stands for all below it
// too. Whatever is not listed is an error, so that a new package gets a line.
var layers = map[string][]string{
	"store":            {},
	"store/memory":     {"store"},
	"store/sqlstore":   {"store"},
	"store/mongostore": {"store", mongoDriver + "/..."},
	"storetest":        {"store", testify + "/..."},

	"booking": {"store"},

	"payment":                           {"store", "booking", stripe + "/..."},
	"payment/stripetest":                {},
	"payment/stripetest/cmd/stripetest": {"payment/stripetest"},

	"webhook":             {"store", "booking", "payment", stripeWebhook},
	"webhook/webhooktest": {},

	"internal/jsonfuzz": {},
	"internal/record":   {},
	"internal/repo":     {},
}

// inTests is what tests may import besides packages of this module.
var inTests = []string{testify + "/...", stripe + "/..."}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range list(t) {
		assert.Empty(t, violations(p), p.path())
	}
}

// violations says what p imports although its layer may not.
func violations(p pkg) (found []string) {
	allowed, known := layers[p.path()]
	if !known {
		return []string{p.path() + " has no line in layers"}
	}
	for _, path := range p.Imports {
		if !std(path) && !listed(allowed, path) {
			found = append(found, fmt.Sprintf("%s imports %s", p.path(), path))
		}
	}
	for _, path := range append(p.TestImports, p.XTestImports...) {
		if !std(path) && !strings.HasPrefix(path, module+"/") && !listed(inTests, path) {
			found = append(found, fmt.Sprintf("a test of %s imports %s", p.path(), path))
		}
	}
	return found
}

// std reports whether path is of the standard library: its first element has no dot.
func std(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func listed(allowed []string, path string) bool {
	path = strings.TrimPrefix(path, module+"/")
	for _, a := range allowed {
		root, below := strings.CutSuffix(a, "/...")
		if path == root || below && strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

func TestViolationsAreSeen(t *testing.T) {
	of := func(path string, imports ...string) pkg {
		return pkg{ImportPath: module + "/" + path, Imports: imports}
	}
	for name, p := range map[string]pkg{
		"store looks up":                of("store", "errors", module+"/booking"),
		"store leaves the library":      of("store", testify+"/require"),
		"an adapter looks up":           of("store/sqlstore", module+"/store", module+"/payment"),
		"an adapter brings a driver":    of("store/sqlstore", "modernc.org/sqlite"),
		"a driver of another's":         of("store/sqlstore", module+"/store", mongoDriver+"/mongo"),
		"booking asks Stripe":           of("booking", module+"/store", stripe),
		"payment looks up":              of("payment", module+"/webhook"),
		"webhook asks Stripe":           of("webhook", stripe),
		"webhook uses a client":         of("webhook", stripe+"/checkout/session"),
		"the stand-in knows the client": of("payment/stripetest", module+"/payment"),
		"the suite knows an adapter":    of("storetest", module+"/store", module+"/store/memory"),
		"a package without a layer":     of("receipt"),
		"a test brings a driver":        {ImportPath: module + "/store", TestImports: []string{"modernc.org/sqlite"}},
		"an outer test brings a driver": {ImportPath: module + "/store", XTestImports: []string{"modernc.org/sqlite"}},
	} {
		assert.Len(t, violations(p), 1, name)
	}
	for name, p := range map[string]pkg{
		"what it may":      of("webhook", "net/http", "encoding/json", module+"/payment", stripeWebhook),
		"a folder below":   of("payment", stripe+"/checkout/session"),
		"tests of testify": {ImportPath: module + "/store", XTestImports: []string{testify + "/require", module + "/storetest"}},
	} {
		assert.Empty(t, violations(p), name)
	}
}

package stripetest_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/carevia/stripebooking/payment/stripetest"
)

func TestProductsAndPrices(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	product, err := sc.Products.New(&stripe.ProductParams{
		Name: stripe.String("Care"), Description: stripe.String("A day"), Images: stripe.StringSlice([]string{"https://example.com/a.png"}), Metadata: map[string]string{"k": "v"},
	})
	require.NoError(t, err)
	assert.Regexp(t, `^prod_[A-Za-z0-9]{14}$`, product.ID)
	assert.Equal(t, "Care A day", product.Name+" "+product.Description)
	assert.True(t, product.Active)
	assert.Equal(t, map[string]string{"k": "v"}, product.Metadata)
	assert.Equal(t, []string{"https://example.com/a.png"}, product.Images)

	price, err := sc.Prices.New(&stripe.PriceParams{Product: &product.ID, Currency: stripe.String("USD"), UnitAmount: stripe.Int64(1500), Nickname: stripe.String("day")})
	require.NoError(t, err)
	assert.Regexp(t, `^price_[A-Za-z0-9]{24}$`, price.ID)
	assert.EqualValues(t, 1500, price.UnitAmount)
	assert.EqualValues(t, 1500, price.UnitAmountDecimal)
	assert.EqualValues(t, "usd", price.Currency)
	assert.Equal(t, stripe.PriceTypeOneTime, price.Type)
	assert.Equal(t, product.ID, price.Product.ID)
	assert.Empty(t, price.Product.Name, "an id only")
	both, err := sc.Prices.New(&stripe.PriceParams{
		Currency: stripe.String("eur"), UnitAmount: stripe.Int64(0), Active: stripe.Bool(false), ProductData: &stripe.PriceProductDataParams{Name: stripe.String("Tea")},
	})
	require.NoError(t, err)
	assert.False(t, both.Active)
	assert.Equal(t, []string{"product.created", "price.created", "product.created", "price.created"}, types(srv.Events()))

	get := &stripe.PriceParams{}
	get.AddExpand("product")
	got, err := sc.Prices.Get(price.ID, get)
	require.NoError(t, err)
	assert.Equal(t, "Care", got.Product.Name)
	named, err := sc.Products.Get(both.Product.ID, nil)
	require.NoError(t, err)
	assert.Equal(t, "Tea", named.Name)

	list := func(p *stripe.PriceListParams) (ids []string) {
		it := sc.Prices.List(p)
		for it.Next() {
			ids = append(ids, it.Price().ID)
		}
		require.NoError(t, it.Err())
		return ids
	}
	assert.Equal(t, []string{both.ID, price.ID}, list(&stripe.PriceListParams{}))
	assert.Equal(t, []string{price.ID}, list(&stripe.PriceListParams{Active: stripe.Bool(true)}))
	assert.Equal(t, []string{both.ID}, list(&stripe.PriceListParams{Currency: stripe.String("eur")}))
	assert.Equal(t, []string{price.ID}, list(&stripe.PriceListParams{Product: &product.ID}))
	it := sc.Products.List(&stripe.ProductListParams{})
	require.True(t, it.Next())
	assert.Equal(t, both.Product.ID, it.Product().ID, "the newest first")

	_, err = sc.Products.New(&stripe.ProductParams{ID: stripe.String("care"), Name: stripe.String("Care")})
	require.NoError(t, err)
	_, err = sc.Products.New(&stripe.ProductParams{ID: stripe.String("care"), Name: stripe.String("Care")})
	assert.Equal(t, stripe.ErrorCodeResourceAlreadyExists, stripeError(t, err).Code)
}

func TestSessionOfPrices(t *testing.T) {
	srv := start(t, stripetest.Config{})
	sc := api(srv, srv.SecretKey)
	price, err := sc.Prices.New(&stripe.PriceParams{Currency: stripe.String("usd"), UnitAmount: stripe.Int64(1500), ProductData: &stripe.PriceProductDataParams{Name: stripe.String("Care")}})
	require.NoError(t, err)
	p := sessionParams("")
	p.LineItems = append([]*stripe.CheckoutSessionLineItemParams{{Price: &price.ID, Quantity: stripe.Int64(2)}}, p.LineItems...)
	p.LineItems = append(p.LineItems, &stripe.CheckoutSessionLineItemParams{
		Quantity:  stripe.Int64(1),
		PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{Currency: stripe.String("usd"), UnitAmount: stripe.Int64(5), Product: &price.Product.ID},
	})
	ss, err := sc.CheckoutSessions.New(p)
	require.NoError(t, err)
	assert.EqualValues(t, 2*1500+2*2250+5, ss.AmountTotal)

	items := func(limit int64) (out []*stripe.LineItem) {
		p := &stripe.CheckoutSessionListLineItemsParams{Session: &ss.ID}
		p.Limit = &limit
		p.AddExpand("data.price.product")
		it := sc.CheckoutSessions.ListLineItems(p)
		for it.Next() {
			out = append(out, it.LineItem())
		}
		require.NoError(t, it.Err())
		return out
	}
	all := items(2) // the client turns the page
	require.Len(t, all, 3)
	assert.Equal(t, items(3), all)
	for i, want := range []struct {
		name  string
		total int64
		kept  bool // a price that may be used again
	}{{"Care", 3000, true}, {"Elder care", 4500, false}, {"Care", 5, false}} {
		assert.Equal(t, want.name, all[i].Description)
		assert.Equal(t, want.name, all[i].Price.Product.Name)
		assert.Equal(t, want.total, all[i].AmountTotal)
		assert.Equal(t, want.kept, all[i].Price.Active)
		got, err := sc.Prices.Get(all[i].Price.ID, nil)
		require.NoError(t, err)
		assert.Equal(t, want.kept, got.Active)
	}
	assert.Equal(t, price.ID, all[0].Price.ID)
	it := sc.CheckoutSessions.ListLineItems(&stripe.CheckoutSessionListLineItemsParams{Session: stripe.String("cs_none")})
	assert.False(t, it.Next())
	assert.Equal(t, 404, stripeError(t, it.Err()).HTTPStatusCode)

	p.LineItems = []*stripe.CheckoutSessionLineItemParams{{Price: &all[1].Price.ID, Quantity: stripe.Int64(1)}}
	_, err = sc.CheckoutSessions.New(p)
	assert.Contains(t, stripeError(t, err).Msg, "inactive", "a price that was made for one session")
}

// refusal posts a form and says what is wrong with it: status, code and parameter.
func refusal(t *testing.T, srv *stripetest.Server, path string, form url.Values) (status int, code, param string) {
	t.Helper()
	status, body, _ := raw(t, srv, "POST", path, srv.SecretKey, form)
	e, _ := body["error"].(map[string]any)
	code, _ = e["code"].(string)
	param, _ = e["param"].(string)
	return status, code, param
}

type refused struct {
	path        string
	form        url.Values
	status      int
	code, param string
}

func checkRefused(t *testing.T, srv *stripetest.Server, cases map[string]refused) {
	t.Helper()
	before := len(srv.Events())
	for name, tt := range cases {
		status, code, param := refusal(t, srv, tt.path, tt.form)
		assert.Equal(t, tt.status, status, name)
		assert.Equal(t, tt.code, code, name)
		assert.Equal(t, tt.param, param, name)
	}
	assert.Len(t, srv.Events(), before, "nothing happened")
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func TestCatalogRefuses(t *testing.T) {
	srv := start(t, stripetest.Config{})
	_, body, _ := raw(t, srv, "POST", "/v1/products", srv.SecretKey, form("name", "Care", "active", "false"))
	closed := body["id"].(string)
	item := func(pairs ...string) url.Values {
		f := form(pairs...)
		f.Set("mode", "payment")
		f.Set("success_url", "https://example.com/ok")
		f.Set("line_items[0][quantity]", "1")
		return f
	}
	checkRefused(t, srv, map[string]refused{
		"no name":           {"/v1/products", form(), 400, "parameter_missing", "name"},
		"odd flag":          {"/v1/products", form("name", "Care", "active", "maybe"), 400, "", "active"},
		"odd url":           {"/v1/products", form("name", "Care", "url", "care"), 400, "url_invalid", "url"},
		"unknown":           {"/v1/products", form("name", "Care", "colour", "red"), 400, "parameter_unknown", "colour"},
		"default price":     {"/v1/products", form("name", "Care", "default_price_data[currency]", "usd"), 400, "stripetest_unsupported", "default_price_data[currency]"},
		"no currency":       {"/v1/prices", form("unit_amount", "1", "product", closed), 400, "parameter_missing", "currency"},
		"no amount":         {"/v1/prices", form("currency", "usd", "product", closed), 400, "parameter_missing", "unit_amount"},
		"no product":        {"/v1/prices", form("currency", "usd", "unit_amount", "1"), 400, "parameter_missing", "product_data[name]"},
		"unknown product":   {"/v1/prices", form("currency", "usd", "unit_amount", "1", "product", "prod_x"), 404, "resource_missing", "product"},
		"inactive product":  {"/v1/prices", form("currency", "usd", "unit_amount", "1", "product", closed), 400, "product_inactive", "product"},
		"two products":      {"/v1/prices", form("currency", "usd", "unit_amount", "1", "product", closed, "product_data[name]", "x"), 400, "", "product_data"},
		"subscription":      {"/v1/prices", form("currency", "usd", "unit_amount", "1", "product", closed, "recurring[interval]", "month"), 400, "stripetest_unsupported", "recurring[interval]"},
		"odd step":          {"/v1/prices", form("currency", "kwd", "unit_amount", "1005", "product", closed), 400, "", "unit_amount"},
		"unknown price":     {"/v1/checkout/sessions", item("line_items[0][price]", "price_x"), 404, "resource_missing", "line_items[0][price]"},
		"price and data":    {"/v1/checkout/sessions", item("line_items[0][price]", "price_x", "line_items[0][price_data][currency]", "usd"), 400, "", "line_items[0][price_data]"},
		"other currency":    {"/v1/checkout/sessions", item("line_items[0][price_data][currency]", "usd", "line_items[0][price_data][unit_amount]", "100", "line_items[0][price_data][product_data][name]", "x", "line_items[1][quantity]", "1", "line_items[1][price_data][currency]", "eur", "line_items[1][price_data][unit_amount]", "100", "line_items[1][price_data][product_data][name]", "x"), 400, "", "line_items[1]"},
		"descriptor inside": {"/v1/checkout/sessions", item("line_items[0][price_data][product_data][statement_descriptor]", "x"), 400, "stripetest_unsupported", "line_items[0][price_data][product_data][statement_descriptor]"},
	})
}

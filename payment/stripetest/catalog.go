package stripetest

import (
	"slices"
	"strconv"
)

// Products and their prices. https://docs.stripe.com/api/products https://docs.stripe.com/api/prices

type product struct {
	head
	active                       bool
	name, description, unitLabel string
	url, descriptor              string
	images                       []string
	metadata                     map[string]string
}

var products = kind[*product]{
	name: "product", param: "id", path: "/v1/products", expand: []string{"default_price", "tax_code"},
	filters: []string{"active"}, foreign: []string{"ids", "shippable", "url"},
	shelf: func(s *Stripe) *shelf[*product] { return &s.products },
}

func (pr *product) field(string) string { return strconv.FormatBool(pr.active) }

func (pr *product) json(expansion) map[string]any {
	return map[string]any{
		"id": pr.id, "object": "product", "active": pr.active, "created": pr.created, "default_price": nil, "description": null(pr.description),
		"features": []any{}, "images": pr.images, "livemode": false, "metadata": pr.metadata, "name": pr.name, "package_dimensions": nil,
		"shippable": nil, "statement_descriptor": null(pr.descriptor), "tax_code": nil, "type": "service", "unit_label": null(pr.unitLabel),
		"updated": pr.created, "url": null(pr.url),
	}
}

// readProduct reads the fields of a new product, which have a prefix when they stand inside something else.
func (p params) readProduct(in func(name string) string) (*product, *apiError) {
	if _, ok := p[in("name")]; !ok {
		return nil, missingParam(in("name"))
	}
	pr := &product{
		name: p[in("name")], description: p[in("description")], unitLabel: p[in("unit_label")], url: p[in("url")],
		descriptor: p[in("statement_descriptor")], images: append([]string{}, p.list(in("images"))...),
	}
	var err *apiError
	if pr.active, err = p.booleanOr(in("active"), true); err != nil {
		return nil, err
	}
	if err := p.url(in("url")); err != nil {
		return nil, err
	}
	pr.metadata, err = p.metadata(in("metadata"))
	return pr, err
}

func (s *Stripe) apiCreateProduct(p params, _ string) (work, *apiError) {
	err := p.check([]string{"id", "name", "active", "description", "images.#", "metadata.*", "statement_descriptor", "unit_label", "url", "expand.#"},
		[]string{"default_price_data", "features", "marketing_features", "package_dimensions", "shippable", "tax_code", "type"})
	if err != nil {
		return nil, err
	}
	e, err := p.expansion(products.expand, "")
	if err != nil {
		return nil, err
	}
	pr, err := p.readProduct(func(name string) string { return name })
	return func(c cause) (any, *apiError) {
		if s.products.byID[p["id"]] != nil {
			return nil, invalid("resource_already_exists", "id", "Product already exists.")
		}
		s.keepProduct(pr, p["id"])
		s.emit("product.created", pr.json(nil), c)
		return pr.json(e), nil
	}, err
}

func (s *Stripe) keepProduct(pr *product, id string) {
	if id == "" {
		id = s.id("prod_", 14)
	}
	pr.head = head{id, s.now()}
	s.products.add(pr)
}

type price struct {
	head
	active              bool
	product             *product
	currency            string
	unit                int64
	nickname, lookupKey string
	taxBehavior         string
	metadata            map[string]string
}

var prices = kind[*price]{
	name: "price", param: "price", path: "/v1/prices", expand: []string{"product"},
	filters: []string{"active", "currency", "product", "type"}, foreign: []string{"lookup_keys", "recurring"},
	shelf: func(s *Stripe) *shelf[*price] { return &s.prices },
}

func (pr *price) field(name string) string {
	switch name {
	case "active":
		return strconv.FormatBool(pr.active)
	case "currency":
		return pr.currency
	case "product":
		return pr.product.id
	}
	return "one_time"
}

func (pr *price) json(e expansion) map[string]any {
	m := map[string]any{
		"id": pr.id, "object": "price", "active": pr.active, "billing_scheme": "per_unit", "created": pr.created, "currency": pr.currency,
		"custom_unit_amount": nil, "livemode": false, "lookup_key": null(pr.lookupKey), "metadata": pr.metadata, "nickname": null(pr.nickname),
		"product": pr.product.id, "recurring": nil, "tax_behavior": pr.taxBehavior, "tiers_mode": nil, "transform_quantity": nil, "type": "one_time",
		"unit_amount": pr.unit, "unit_amount_decimal": strconv.FormatInt(pr.unit, 10),
	}
	if e.has("product") {
		m["product"] = pr.product.json(nil)
	}
	return m
}

var (
	priceParams = []string{"currency", "unit_amount", "product", "tax_behavior", "product_data.name", "product_data.metadata.*"}
	// What a price can be on Stripe, but not here.
	foreignPriceParams = []string{"currency_options", "custom_unit_amount", "product_data", "recurring", "tiers", "tiers_mode", "transfer_lookup_key", "transform_quantity", "unit_amount_decimal"}
)

// readPrice reads the fields of a new price, as readProduct does. Its product may be a new one, too.
func (s *Stripe) readPrice(p params, in func(name string) string) (*price, *apiError) {
	pr := &price{active: true, metadata: map[string]string{}, taxBehavior: p[in("tax_behavior")]}
	if pr.taxBehavior == "" {
		pr.taxBehavior = "unspecified"
	}
	var err *apiError
	if pr.currency, err = p.currency(in("currency")); err != nil {
		return nil, err
	}
	if pr.unit, err = p.money(in("unit_amount"), pr.currency); err != nil {
		return nil, err
	}
	if err := p.oneOf(in("tax_behavior"), "exclusive", "inclusive", "unspecified"); err != nil {
		return nil, err
	}
	id, ok := p[in("product")]
	if !ok {
		pr.product, err = p.readProduct(func(name string) string { return in("product_data") + "[" + name + "]" })
		return pr, err
	}
	if _, both := p[in("product_data")+"[name]"]; both {
		return nil, exclusive(in("product_data"), in("product"))
	}
	if pr.product, err = products.find(s, in("product"), id); err == nil && !pr.product.active {
		err = invalid("product_inactive", in("product"), "The product %s is not active.", id)
	}
	return pr, err
}

func (s *Stripe) apiCreatePrice(p params, _ string) (work, *apiError) {
	known := []string{
		"active", "nickname", "lookup_key", "billing_scheme", "metadata.*", "expand.#",
		"product_data.active", "product_data.statement_descriptor", "product_data.unit_label",
	}
	if err := p.check(slices.Concat(known, priceParams), foreignPriceParams); err != nil {
		return nil, err
	}
	e, err := p.expansion(prices.expand, "")
	if err != nil {
		return nil, err
	}
	for _, err := range []*apiError{p.oneOf("billing_scheme", "per_unit"), p.atMost("lookup_key", 200)} {
		if err != nil {
			return nil, err
		}
	}
	pr, err := s.readPrice(p, func(name string) string { return name })
	if err != nil {
		return nil, err
	}
	pr.nickname, pr.lookupKey = p["nickname"], p["lookup_key"]
	if pr.active, err = p.booleanOr("active", true); err != nil {
		return nil, err
	}
	pr.metadata, err = p.metadata("metadata")
	return func(c cause) (any, *apiError) {
		if pr.product.id == "" {
			s.keepProduct(pr.product, "")
			s.emit("product.created", pr.product.json(nil), c)
		}
		s.keepPrice(pr)
		s.emit("price.created", pr.json(nil), c)
		return pr.json(e), nil
	}, err
}

func (s *Stripe) keepPrice(pr *price) {
	pr.head = head{s.id("price_1", 23), s.now()}
	s.prices.add(pr)
}

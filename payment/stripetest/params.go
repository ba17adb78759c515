package stripetest

import (
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// params are the form fields of one request, by their name in brackets with every "[]" made an index:
// "expand[]" twice is "expand[0]" and "expand[1]".
type params map[string]string

func parseParams(form url.Values) params {
	p := params{}
	for name, values := range form {
		for i, v := range values {
			switch {
			case strings.HasSuffix(name, "[]"):
				p[strings.TrimSuffix(name, "[]")+"["+strconv.Itoa(i)+"]"] = v
			default:
				p[name] = v // the last one wins
			}
		}
	}
	return p
}

// names are sorted, so that the same request always gets the same error.
func (p params) names() []string {
	names := make([]string, 0, len(p))
	for name := range p {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// fingerprint is equal for equal parameters only.
func (p params) fingerprint() string {
	v := url.Values{}
	for name, value := range p {
		v.Set(name, value)
	}
	return v.Encode()
}

// segments splits "a[0][b]" into a, 0, b. It answers nil if the brackets do not pair.
func segments(name string) []string {
	open := strings.IndexByte(name, '[')
	if open < 0 {
		if strings.IndexByte(name, ']') >= 0 {
			return nil
		}
		return []string{name}
	}
	if open == 0 || !strings.HasSuffix(name, "]") {
		return nil
	}
	rest := strings.Split(name[open+1:len(name)-1], "][")
	for _, r := range rest {
		if strings.ContainsAny(r, "[]") {
			return nil
		}
	}
	return append([]string{name[:open]}, rest...)
}

// matches says whether a name fits a pattern such as "line_items.#.quantity" (an index) or "metadata.*" (any key).
func matches(pattern string, segs []string) bool {
	want := strings.Split(pattern, ".")
	if len(want) != len(segs) {
		return false
	}
	for i, w := range want {
		switch w {
		case "*":
		case "#":
			if n, err := strconv.Atoi(segs[i]); err != nil || n < 0 {
				return false
			}
		default:
			if w != segs[i] {
				return false
			}
		}
	}
	return true
}

// check refuses what Stripe does not know, what only the stand-in does not know, and empty values.
func (p params) check(known, foreign []string) *apiError {
	var unknown []string
	for _, name := range p.names() {
		segs := segments(name)
		if segs == nil && strings.Contains(name, "metadata[") {
			return invalid("", "metadata", "Invalid metadata key: square brackets are not allowed in it.")
		}
		ok := false
		for _, pattern := range known {
			if matches(pattern, segs) {
				ok = true
				break
			}
		}
		switch {
		case ok:
			if p[name] == "" && !strings.Contains(name, "metadata[") {
				return invalid("parameter_invalid_empty", name, "You passed an empty string for '%s'. An empty value would unset the parameter, which is not possible here: leave it out or give it a value.", name)
			}
		case segs != nil && slices.Contains(foreign, segs[0]):
			return unsupported(name, "The stand-in does not know Stripe's parameter %s.", name)
		default:
			unknown = append(unknown, name)
		}
	}
	switch len(unknown) {
	case 0:
		return nil
	case 1:
		return invalid("parameter_unknown", unknown[0], "Received unknown parameter: %s", unknown[0])
	}
	return invalid("parameter_unknown", unknown[0], "Received unknown parameters: %s", strings.Join(unknown, ", "))
}

// list is name[0], name[1], ...
func (p params) list(name string) []string {
	var out []string
	for i := 0; ; i++ {
		v, ok := p[name+"["+strconv.Itoa(i)+"]"]
		if !ok {
			return out
		}
		out = append(out, v)
	}
}

func (p params) integer(name string) (n int64, given bool, err *apiError) {
	v, ok := p[name]
	if !ok {
		return 0, false, nil
	}
	n, perr := strconv.ParseInt(v, 10, 64)
	if perr != nil {
		return 0, true, invalid("parameter_invalid_integer", name, "Invalid integer: %s", v)
	}
	return n, true, nil
}

func (p params) boolean(name string) (bool, *apiError) {
	switch v := p[name]; v {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid("", name, "Invalid boolean: %s", v)
	}
}

func (p params) booleanOr(name string, otherwise bool) (bool, *apiError) {
	if _, ok := p[name]; !ok {
		return otherwise, nil
	}
	return p.boolean(name)
}

// hasAny reports whether there is any parameter inside name.
func (p params) hasAny(name string) bool {
	for n := range p {
		if strings.HasPrefix(n, name+"[") {
			return true
		}
	}
	return false
}

// currency is a required one, in lower case.
func (p params) currency(name string) (string, *apiError) {
	v, ok := p[name]
	switch {
	case !ok:
		return "", missingParam(name)
	case !knownCurrency(lower(v)):
		return "", invalid("", name, "Invalid currency: %s. Stripe currently supports these currencies: %s", v, currencies)
	}
	return lower(v), nil
}

// money is a required amount, 0 or more.
func (p params) money(name, currency string) (int64, *apiError) {
	n, given, err := p.integer(name)
	switch {
	case err != nil:
		return 0, err
	case !given:
		return 0, missingParam(name)
	case n < 0:
		return 0, invalid("parameter_invalid_integer", name, "Invalid non-negative integer")
	case n > maximum(currency):
		return 0, invalid("amount_too_large", name, "Amount must be no more than %s", format(maximum(currency), currency))
	case n%step(currency) != 0:
		return 0, offStep(name, currency)
	}
	return n, nil
}

// amount is a required amount that Stripe would charge.
func (p params) amount(name, currency string) (int64, *apiError) {
	n, err := p.money(name, currency)
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, invalid("parameter_invalid_integer", name, "This value must be greater than or equal to 1.")
	case n < minimum(currency):
		return 0, invalid("amount_too_small", name, "Amount must be at least %s", format(minimum(currency), currency))
	}
	return n, nil
}

func (p params) oneOf(name string, allowed ...string) *apiError {
	if v, ok := p[name]; ok && !slices.Contains(allowed, v) {
		return invalid("", name, "Invalid %s: must be one of %s", name, strings.Join(allowed, ", "))
	}
	return nil
}

func (p params) atMost(name string, max int) *apiError {
	if utf8.RuneCountInString(p[name]) > max {
		return invalid("", name, "Invalid string for %s; must be at most %d characters", name, max)
	}
	return nil
}

func (p params) url(name string) *apiError {
	v, ok := p[name]
	if !ok {
		return nil
	}
	// The template's braces are legal in Stripe's eyes wherever they stand.
	u, err := url.Parse(strings.ReplaceAll(v, sessionTemplate, "id"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return invalid("url_invalid", name, "Not a valid URL")
	}
	return p.atMost(name, 5000)
}

// Stripe's limits of metadata. https://docs.stripe.com/api/metadata
const (
	metadataKeys  = 50
	metadataKey   = 40
	metadataValue = 500
)

// metadata is prefix[key] for every key; an empty value unsets its key, so it is not there afterwards.
func (p params) metadata(prefix string) (map[string]string, *apiError) {
	m := map[string]string{}
	for _, name := range p.names() {
		if !strings.HasPrefix(name, prefix+"[") {
			continue
		}
		key, value := strings.TrimSuffix(name[len(prefix)+1:], "]"), p[name]
		switch {
		case utf8.RuneCountInString(key) > metadataKey:
			return nil, invalid("", prefix, "Metadata keys can have up to %d characters, but you passed in a key that is %d characters.", metadataKey, utf8.RuneCountInString(key))
		case utf8.RuneCountInString(value) > metadataValue:
			return nil, invalid("", prefix, "Metadata values can have up to %d characters, but you passed in a value that is %d characters.", metadataValue, utf8.RuneCountInString(value))
		case value != "":
			m[key] = value
		}
	}
	return m, tooManyKeys(prefix, m)
}

// merged is metadata over what is there already; an empty value takes its key away.
func (p params) merged(prefix string, old map[string]string) (map[string]string, *apiError) {
	m, err := p.metadata(prefix)
	if err != nil {
		return nil, err
	}
	for key, value := range old {
		if _, named := p[prefix+"["+key+"]"]; !named {
			m[key] = value
		}
	}
	return m, tooManyKeys(prefix, m)
}

func tooManyKeys(prefix string, m map[string]string) *apiError {
	if len(m) > metadataKeys {
		return invalid("", prefix, "Metadata can have up to %d keys, but you've set %d.", metadataKeys, len(m))
	}
	return nil
}

// span is created=, or created[gt], [gte], [lt], [lte].
type span struct{ min, max int64 }

func (p params) span(name string) (span, *apiError) {
	s := span{min: -1 << 62, max: 1 << 62}
	for _, f := range []struct {
		suffix string
		set    func(n int64)
	}{
		{"", func(n int64) { s.min, s.max = n, n }},
		{"[gte]", func(n int64) { s.min = n }},
		{"[gt]", func(n int64) { s.min = n + 1 }},
		{"[lte]", func(n int64) { s.max = n }},
		{"[lt]", func(n int64) { s.max = n - 1 }},
	} {
		n, given, err := p.integer(name + f.suffix)
		if err != nil {
			return s, err
		}
		if given {
			f.set(n)
		}
	}
	return s, nil
}

func (s span) holds(n int64) bool { return s.min <= n && n <= s.max }

// page is Stripe's way to list: newest first, with a cursor. https://docs.stripe.com/api/pagination
type page struct {
	limit         int
	after, before string
}

var pageParams = []string{"limit", "starting_after", "ending_before", "expand.#"}

func (p params) page() (page, *apiError) {
	pg := page{limit: 10, after: p["starting_after"], before: p["ending_before"]}
	n, given, err := p.integer("limit")
	if err != nil {
		return pg, err
	}
	if given {
		if n < 1 || n > 100 {
			return pg, invalid("parameter_invalid_integer", "limit", "Invalid integer: %d is not between 1 and 100", n)
		}
		pg.limit = int(n)
	}
	if pg.after != "" && pg.before != "" {
		return pg, exclusive("ending_before", "starting_after")
	}
	return pg, nil
}

// startsAt reports whether an id is the cursor, which is on neither side of it: what has changed since the last page, and
// is not among what the list is narrowed to any more, still has its place.
func (pg page) startsAt(id string) bool { return id == pg.after || id == pg.before }

// cut takes one page out of ids, newest first: those from one index to another. ok is false when the cursor names none.
func (pg page) cut(ids []string) (from, to int, more, ok bool) {
	to = len(ids)
	switch {
	case pg.after != "":
		i := slices.Index(ids, pg.after)
		if i < 0 {
			return 0, 0, false, false
		}
		from = i + 1
	case pg.before != "":
		if to = slices.Index(ids, pg.before); to < 0 {
			return 0, 0, false, false
		}
		if to > pg.limit {
			return to - pg.limit, to, true, true
		}
	}
	if to-from > pg.limit {
		return from, from + pg.limit, true, true
	}
	return from, to, false, true
}

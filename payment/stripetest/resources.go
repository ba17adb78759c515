package stripetest

import "slices"

// How objects are kept, shown by their id and listed. What is particular to one kind is in the file of its name.

// head is what every object of the API has.
type head struct {
	id      string
	created int64
}

func (h head) ident() string       { return h.id }
func (h head) born() int64         { return h.created }
func (h head) field(string) string { return "" }

// resource is an object of the API.
type resource interface {
	ident() string
	born() int64
	field(name string) string // what a list can be narrowed by
	json(e expansion) map[string]any
}

// shelf keeps the objects of one kind, oldest first.
type shelf[T resource] struct {
	all  []T
	byID map[string]T
}

func (sh *shelf[T]) add(v T) {
	if sh.byID == nil {
		sh.byID = map[string]T{}
	}
	sh.all = append(sh.all, v)
	sh.byID[v.ident()] = v
}

func (sh *shelf[T]) remove(v T) {
	delete(sh.byID, v.ident())
	sh.all = slices.DeleteFunc(sh.all, func(other T) bool { return other.ident() == v.ident() })
}

// kind tells how the objects of one kind are asked for.
type kind[T resource] struct {
	name, param string // for "No such …"
	path        string
	shelf       func(s *Stripe) *shelf[T]
	expand      []string                  // what an object can show whole
	also        []string                  // parameters of GET one that change nothing
	filters     []string                  // fields that a list can be narrowed by
	foreign     []string                  // parameters of a list that only the stand-in does not know
	gone        func(s *Stripe, v T) bool // what is not shown any more; nil: everything is

	// narrow reads other parameters of a list, which are named in more; nil: there are none.
	more   []string
	narrow func(s *Stripe, p params) (keep func(T) bool, err *apiError)
}

// find is the object of an id that a parameter names.
func (k kind[T]) find(s *Stripe, param, id string) (v T, err *apiError) {
	v, ok := k.shelf(s).byID[id]
	if !ok || !k.shows(s, v) {
		return v, missing(k.name, param, id)
	}
	return v, nil
}

func (k kind[T]) shows(s *Stripe, v T) bool { return k.gone == nil || !k.gone(s, v) }

// target is find for the id in the path, and the expansion that every request may ask for.
func (k kind[T]) target(s *Stripe, p params, id string, known, foreign []string) (get func() (T, *apiError), e expansion, err *apiError) {
	if err := p.check(slices.Concat([]string{"expand.#"}, known), foreign); err != nil {
		return nil, nil, err
	}
	e, err = p.expansion(k.expand, "")
	return func() (T, *apiError) { return k.find(s, k.param, id) }, e, err
}

func (k kind[T]) get(s *Stripe, p params, id string) (work, *apiError) {
	get, e, err := k.target(s, p, id, k.also, nil)
	if err != nil {
		return nil, err
	}
	return func(cause) (any, *apiError) {
		v, err := get()
		if err != nil {
			return nil, err
		}
		return v.json(e), nil
	}, nil
}

var createdParams = []string{"created", "created.gt", "created.gte", "created.lt", "created.lte"}

func (k kind[T]) list(s *Stripe, p params, _ string) (work, *apiError) {
	known := slices.Concat(pageParams, createdParams, k.filters, k.more)
	if err := p.check(known, k.foreign); err != nil {
		return nil, err
	}
	e, err := p.expansion(k.expand, "data.")
	if err != nil {
		return nil, err
	}
	pg, err := p.page()
	if err != nil {
		return nil, err
	}
	created, err := p.span("created")
	if err != nil {
		return nil, err
	}
	keep := func(T) bool { return true }
	if k.narrow != nil {
		if keep, err = k.narrow(s, p); err != nil {
			return nil, err
		}
	}
	return func(cause) (any, *apiError) {
		all := k.shelf(s).all
		var found []T
		for i := len(all) - 1; i >= 0; i-- {
			v := all[i]
			fits := created.holds(v.born()) && p.match(v, k.filters) && keep(v)
			if k.shows(s, v) && (fits || pg.startsAt(v.ident())) {
				found = append(found, v)
			}
		}
		return showPage(k.path, k.name, found, pg, e)
	}, nil
}

// match reports whether an object has what the filters ask for.
func (p params) match(v resource, filters []string) bool {
	for _, name := range filters {
		if want, given := p[name]; given && v.field(name) != want {
			return false
		}
	}
	return true
}

// showPage shows one page of what was found.
func showPage[T resource](url, name string, found []T, pg page, e expansion) (any, *apiError) {
	ids := make([]string, len(found))
	for i, v := range found {
		ids[i] = v.ident()
	}
	from, to, more, ok := pg.cut(ids)
	if !ok {
		param, cursor := "starting_after", pg.after
		if cursor == "" {
			param, cursor = "ending_before", pg.before
		}
		return nil, withStatus(400, missing(name, param, cursor))
	}
	data := []any{}
	for _, v := range found[from:to] {
		data = append(data, v.json(e))
	}
	return map[string]any{"object": "list", "url": url, "has_more": more, "data": data}, nil
}

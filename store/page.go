package store

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Page asks for a part of a list.
type Page struct {
	// Limit is the most rows to return: 1 to MaxLimit; 0 stands for
	// DefaultLimit.
	Limit int
	// After is the cursor that came with the page before; empty for the first.
	After string
}

// The limits of a Page.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

// Cursor is a place in a list: after the row with this creation time and id.
type Cursor struct {
	At time.Time
	ID string
}

// Parse returns the limit and the place to go on from (nil: the start). A limit
// out of range and a cursor that no store made are ErrInvalid.
func (p Page) Parse() (limit int, after *Cursor, err error) {
	switch {
	case p.Limit < 0 || p.Limit > MaxLimit:
		return 0, nil, fmt.Errorf("%w: page limit %d, allowed are 1 to %d", ErrInvalid, p.Limit, MaxLimit)
	case p.Limit == 0:
		p.Limit = DefaultLimit
	}
	if p.After == "" {
		return p.Limit, nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.After)
	ms, id, ok := strings.Cut(string(raw), "/")
	at, perr := strconv.ParseInt(ms, 10, 64)
	if err != nil || !ok || perr != nil || CheckID("cursor", id) != nil {
		return 0, nil, fmt.Errorf("%w: page cursor", ErrInvalid)
	}
	return p.Limit, &Cursor{At: time.UnixMilli(at).UTC(), ID: id}, nil
}

// String is the cursor in the form that Page.After takes. Callers treat it as
// opaque.
func (c Cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.At.UnixMilli(), 10) + "/" + c.ID))
}

// Before reports whether the row (at, id) comes after c in a newest-first list.
func (c Cursor) Before(at time.Time, id string) bool {
	a, b := at.UnixMilli(), c.At.UnixMilli()
	return a < b || a == b && id < c.ID
}

package memory

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/carevia/stripebooking/store"
)

// index is a set of lists, one for each group (a user, a booking, ...), newest
// first. The zero value is empty.
type index struct{ rows map[string][]row }

// row is a place in a list and the key of the record that stands there.
type row struct {
	at  time.Time
	id  string
	key string
}

func rowOf(at time.Time, id, key string) row { return row{at: at, id: id, key: key} }

// newestFirst is the order of the contract: time, then id, both descending. The
// key only tells records with one id apart.
func newestFirst(a, b row) int {
	return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.id, a.id), cmp.Compare(b.key, a.key))
}

// put adds a row. A record without the group's name, such as a booking that has
// no session, is in no list.
func (x *index) put(group string, r row) {
	if group != "" {
		x.insert(group, r)
	}
}

func (x *index) insert(group string, r row) {
	rows := x.rows[group]
	i, _ := slices.BinarySearchFunc(rows, r, newestFirst)
	set(&x.rows, group, slices.Insert(rows, i, r))
}

func (x *index) drop(group string, r row) {
	rows := x.rows[group]
	i, ok := slices.BinarySearchFunc(rows, r, newestFirst)
	switch {
	case !ok:
	case len(rows) == 1:
		delete(x.rows, group)
	default:
		x.rows[group] = slices.Delete(rows, i, i+1)
	}
}

// from is the list after a cursor (nil: all of it).
func (x *index) from(group string, after *store.Cursor) []row {
	rows := x.rows[group]
	if after == nil {
		return rows
	}
	i := sort.Search(len(rows), func(i int) bool { return after.Before(rows[i].at, rows[i].id) })
	return rows[i:]
}

func (x *index) newest(group string) (key string, ok bool) {
	if rows := x.rows[group]; len(rows) > 0 {
		return rows[0].key, true
	}
	return "", false
}

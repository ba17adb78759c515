package boltstore

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/carevia/stripebooking/store"
)

// Here is what bbolt lacks, and nothing of bookings: transactions that a context
// ends, records that are more than bytes, and lists of records in pages.

// bucket holds all keys. Its number is the format's: the next one would be filled
// from this.
var bucket = []byte("stripebooking/1")

// table is the bucket within a transaction.
type table struct {
	*bolt.Bucket
	wrote bool
	err   error // the first that went wrong, after which nothing counts
}

func (t *table) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

// run lets do work in a transaction, and commits what it wrote.
func run[T any](ctx context.Context, s *Store, op string, write bool, do func(t *table) (T, error)) (got T, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("boltstore: %s: %w", op, err)
		}
	}()
	tx := s.tx
	if tx == nil {
		if tx, err = begin(ctx, s.db, write); err != nil {
			return got, err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do; else do's error is the news
	}
	if err := ctx.Err(); err != nil {
		return got, err
	}
	t := &table{Bucket: tx.Bucket(bucket)}
	done, err := do(t)
	if t.err == nil && err == nil && t.wrote && s.tx == nil {
		t.err = tx.Commit()
	}
	if t.err != nil {
		return got, t.err
	}
	return done, err
}

// begin waits for bbolt's lock as long as ctx lasts. bbolt itself waits for ever,
// so a goroutine does, and gives back what comes too late.
func begin(ctx context.Context, db *bolt.DB, write bool) (*bolt.Tx, error) {
	type begun struct {
		tx  *bolt.Tx
		err error
	}
	done := make(chan begun)
	go func() {
		tx, err := db.Begin(write)
		select {
		case done <- begun{tx, err}:
		case <-ctx.Done():
			if err == nil {
				tx.Rollback() //nolint:errcheck // nothing was written
			}
		}
	}()
	select {
	case b := <-done:
		return b.tx, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// key puts the name of a table and ids together. No id that is stored has a NUL, so
// that none runs into what follows; one that is asked for may, and is found nowhere.
func key(table string, ids ...string) string {
	for _, id := range ids {
		table += "\x00" + strings.ReplaceAll(id, "\x00", "\xff")
	}
	return table
}

// number is the end of a key, in the order of numbers: the sign is turned, so that
// negative ones come first.
func number(n int64) string {
	return string(binary.BigEndian.AppendUint64([]byte{0}, uint64(n)^1<<63))
}

// place is where a record stands in a list: by time and id, so that the newest
// comes last. What is unique at the end tells records with one id apart.
func place(list string, at time.Time, id, unique string) string {
	return list + number(at.UnixMilli()) + id + "\x00" + unique
}

// get returns a record, or nil.
func get[T any](t *table, key string) *T {
	raw := t.Get([]byte(key))
	if raw == nil {
		return nil
	}
	record := new(T)
	t.note(json.Unmarshal(raw, record))
	return record
}

func (t *table) put(key string, v any) {
	raw, err := json.Marshal(v)
	t.note(err)
	t.note(t.Put([]byte(key), raw))
	t.wrote = true
}

func (t *table) remove(key string) { t.note(t.Delete([]byte(key))) }

// save puts a record under the first of its keys, and that key under the others,
// which are its places in lists; those that it had before are gone.
func save[T any](t *table, record T, keysOf func(T) []string) {
	keys := keysOf(record)
	if old := get[T](t, keys[0]); old != nil {
		for _, place := range keysOf(*old)[1:] {
			t.remove(place)
		}
	}
	t.put(keys[0], record)
	for _, place := range keys[1:] {
		t.note(t.Put([]byte(place), []byte(keys[0]))) // not as JSON, whose strings are UTF-8
	}
}

// one reads the record with this key.
func one[T any](ctx context.Context, s *Store, op, key string) (T, error) {
	return run(ctx, s, op, false, func(t *table) (found T, err error) {
		if record := get[T](t, key); record != nil {
			return *record, nil
		}
		return found, store.ErrNotFound
	})
}

// window is a part of a list.
type window struct {
	from, to time.Time     // at or after, and before; zero: all
	after    *store.Cursor // what comes after it
	limit    int           // 0: all
}

// list reads a page of a list.
func list[T any](ctx context.Context, s *Store, name string, p store.Page, w window) (found []T, next string, err error) {
	found, err = run(ctx, s, "list", false, func(t *table) (found []T, err error) {
		if w.limit, w.after, err = p.Parse(); err == nil {
			found, next = rows[T](t, name, w)
		}
		return found, err
	})
	return found, next, err
}

// rows reads a part of a list, newest first, and a cursor if more follows.
func rows[T any](t *table, name string, w window) (found []T, next string) {
	// A list has whole milliseconds: this is the first that is not before at.
	bound := func(at time.Time) string { return name + number(at.Add(time.Millisecond-1).UnixMilli()) }
	first, end := name+"\x00", name+"\x01"
	if !w.from.IsZero() {
		first = bound(w.from)
	}
	if !w.to.IsZero() {
		end = bound(w.to)
	}
	if w.after != nil {
		end = min(end, name+number(w.after.At.UnixMilli())+w.after.ID)
	}
	c, last := t.Cursor(), ""
	newest := c.Prev
	if k, _ := c.Seek([]byte(end)); k == nil { // nothing stands behind it
		newest = c.Last
	}
	for k, v := newest(); string(k) >= first; k, v = c.Prev() {
		if w.limit > 0 && len(found) == w.limit {
			id, _, _ := strings.Cut(last[8:], "\x00")
			ms := int64(binary.BigEndian.Uint64([]byte(last[:8])) ^ 1<<63)
			return found, store.Cursor{At: time.UnixMilli(ms), ID: id}.String()
		}
		found, last = append(found, *get[T](t, string(v))), string(k[len(name)+1:])
	}
	return found, ""
}

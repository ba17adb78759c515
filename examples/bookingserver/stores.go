package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	_ "modernc.org/sqlite" // written in Go: no C compiler needed

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A scheme is one kind of store that -store can name.
type scheme struct {
	name string
	form string // how it is written, for the usage text
	open func(ctx context.Context, rest string) (store.Store, func() error, error)
}

// schemes is the one place to add a store to.
func schemes() []scheme {
	return []scheme{
		{"memory", "memory (gone when the server stops)", openMemory},
		{"sqlite", "sqlite:FILE", openSQLite},
	}
}

func storeForms() string {
	var forms []string
	for _, s := range schemes() {
		forms = append(forms, s.form)
	}
	return strings.Join(forms, ", ")
}

// openStore opens the store that u names, ready to use, and returns what closes it.
func openStore(ctx context.Context, u string) (store.Store, func() error, error) {
	name, rest, _ := strings.Cut(u, ":")
	for _, s := range schemes() {
		if s.name == name {
			st, done, err := s.open(ctx, rest)
			if err != nil {
				return nil, nil, fmt.Errorf("-store %s: %w", name, err)
			}
			return st, done, nil
		}
	}
	return nil, nil, fmt.Errorf("unknown -store %q; there are: %s", name, storeForms())
}

func openMemory(_ context.Context, rest string) (store.Store, func() error, error) {
	if rest != "" {
		return nil, nil, errors.New("takes no argument")
	}
	return &memory.Store{}, func() error { return nil }, nil
}

func openSQLite(ctx context.Context, file string) (store.Store, func() error, error) {
	if file == "" {
		return nil, nil, errors.New("needs a file, as in sqlite:bookings.db")
	}
	db, err := sql.Open("sqlite", sqliteDSN(file))
	if err != nil {
		return nil, nil, err
	}
	st, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err == nil {
		err = st.Migrate(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return st, db.Close, nil
}

// sqliteDSN sets what sqlstore asks of a SQLite connection: a write-ahead log,
// every commit on the disk before it is reported, patience while another
// connection writes, and transactions that take the write lock at their start.
func sqliteDSN(file string) string {
	options := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)"},
		"_txlock": {"immediate"},
	}
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + options.Encode()
}

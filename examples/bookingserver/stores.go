package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	_ "modernc.org/sqlite" // written in Go: no C compiler needed

	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/memory"
	"github.com/carevia/stripebooking/store/mongostore"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A scheme is one kind of store that -store can name.
type scheme struct {
	names []string // what stands before the ":"
	form  string   // how it is written, for the usage text
	open  func(ctx context.Context, u string) (opened, error)
}

// schemes is the one place to add a store to.
func schemes() []scheme {
	return []scheme{
		{[]string{"memory"}, "memory (gone when the server stops)", openMemory},
		{[]string{"sqlite"}, "sqlite:FILE", openSQLite},
		{[]string{"postgres", "postgresql"}, "postgres://USER:PASSWORD@HOST:PORT/DATABASE", openPostgres},
		{[]string{"mysql", "mariadb"}, "mysql://USER:PASSWORD@HOST:PORT/DATABASE", openMySQL},
		{[]string{"mongodb", "mongodb+srv"}, "mongodb://USER:PASSWORD@HOST:PORT/DATABASE", openMongoDB},
	}
}

// opened is a store that is ready to use.
type opened struct {
	store store.Store
	name  string // to be shown: without user, password and settings
	close func() error
}

func storeForms() string {
	var forms []string
	for _, s := range schemes() {
		forms = append(forms, s.form)
	}
	return strings.Join(forms, ", ")
}

// openStore opens the store that u names. An error never quotes u, which may hold
// a password.
func openStore(ctx context.Context, u string) (opened, error) {
	name, _, _ := strings.Cut(u, ":")
	for _, s := range schemes() {
		if slices.Contains(s.names, name) {
			st, err := s.open(ctx, u)
			if err != nil {
				return opened{}, fmt.Errorf("-store %s: %w", name, err)
			}
			return st, nil
		}
	}
	return opened{}, fmt.Errorf("unknown -store; there are: %s", storeForms())
}

func openMemory(_ context.Context, u string) (opened, error) {
	if u != "memory" {
		return opened{}, errors.New("takes no argument")
	}
	return opened{&memory.Store{}, u, func() error { return nil }}, nil
}

func openSQLite(ctx context.Context, u string) (opened, error) {
	file := strings.TrimPrefix(u, "sqlite:")
	if file == "" || file == u {
		return opened{}, errors.New("needs a file, as in sqlite:bookings.db")
	}
	db, err := sql.Open("sqlite", sqliteDSN(file))
	if err != nil {
		return opened{}, err
	}
	return openSQL(ctx, db, sqlstore.SQLite, u)
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

func openPostgres(ctx context.Context, raw string) (opened, error) {
	u, err := parseURL(raw)
	if err != nil {
		return opened{}, err
	}
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		return opened{}, err // it masks the password of a URL that is one
	}
	return openServer(ctx, stdlib.OpenDB(*cfg), sqlstore.Postgres, u)
}

func openMySQL(ctx context.Context, raw string) (opened, error) {
	u, err := parseURL(raw)
	if err != nil {
		return opened{}, err
	}
	cfg, err := mysqlConfig(u)
	if err != nil {
		return opened{}, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return opened{}, err
	}
	return openServer(ctx, sql.OpenDB(connector), sqlstore.MySQL, u)
}

// mysqlConfig is what the driver needs to know of a URL, for it has a form of its own.
// Only host and settings go through that form, in which "@", ":" and "/" can't be
// written everywhere.
func mysqlConfig(u *url.URL) (*mysql.Config, error) {
	addr := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306"))
	cfg, err := mysql.ParseDSN("tcp(" + addr + ")/?" + strings.ReplaceAll(u.RawQuery, "/", "%2F"))
	if err != nil {
		return nil, err
	}
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.DBName = strings.TrimPrefix(u.Path, "/")
	return cfg, nil
}

func openMongoDB(ctx context.Context, raw string) (opened, error) {
	u, err := parseURL(raw)
	if err != nil {
		return opened{}, err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(u.String()))
	if err != nil {
		return opened{}, err
	}
	disconnect := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), reachTimeout)
		defer cancel()
		return client.Disconnect(ctx)
	}
	err = reach(ctx, u, func(ctx context.Context) error { return client.Ping(ctx, nil) })
	if err != nil {
		return opened{}, errors.Join(err, disconnect())
	}
	st, err := mongostore.New(mongostore.Config{Database: client.Database(strings.TrimPrefix(u.Path, "/"))})
	if err == nil {
		err = st.Migrate(ctx)
	}
	if err != nil {
		return opened{}, errors.Join(err, disconnect())
	}
	return opened{st, shown(u), disconnect}, nil
}

// parseURL takes a database server's URL. Its errors don't quote it.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err == nil {
		_, err = url.ParseQuery(u.RawQuery)
	}
	if err != nil || u.Opaque != "" || strings.Contains(u.Path+u.RawQuery+u.Fragment, "@") {
		// The last is a password with a "/", "?" or "#" that ends the host early.
		return nil, errors.New("the URL can't be read. In user and password write %40 for @, %2F for /, %3F for ?, %23 for #, %25 for %")
	}
	if u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return nil, errors.New("needs a host and a database: " + u.Scheme + "://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	return u, nil
}

// shown is what a log may tell of a database server's URL.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// openServer opens the store in a database that a server keeps.
func openServer(ctx context.Context, db *sql.DB, dialect *sqlstore.Dialect, u *url.URL) (opened, error) {
	// A few of these programs, and other users, share what the server allows:
	// 100 connections on PostgreSQL, 151 on MySQL, unless set. Idle ones are
	// kept, since a new one costs the server more than a booking, but not for
	// ever, so that a server which was replaced is left behind.
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)

	if err := reach(ctx, u, db.PingContext); err != nil {
		return opened{}, errors.Join(err, db.Close())
	}
	return openSQL(ctx, db, dialect, shown(u))
}

const reachTimeout = 10 * time.Second

// reach says what it was that can't be reached.
func reach(ctx context.Context, u *url.URL, ping func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := ping(ctx); err != nil {
		return fmt.Errorf("can't reach %s: %w", shown(u), err)
	}
	return nil
}

// openSQL opens the store in db, and closes db if it can't. The tables are made or
// brought up to date; several processes may start at once.
func openSQL(ctx context.Context, db *sql.DB, dialect *sqlstore.Dialect, name string) (opened, error) {
	st, err := sqlstore.New(sqlstore.Config{DB: db, Dialect: dialect})
	if err == nil {
		err = st.Migrate(ctx)
	}
	if err != nil {
		return opened{}, errors.Join(err, db.Close())
	}
	return opened{st, name, db.Close}, nil
}

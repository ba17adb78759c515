package acceptance

import (
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/mongostore"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A place is an empty database for bookingserver.
type place struct {
	flag    string   // of -store
	shown   string   // what the log may tell of it
	secrets []string // what it may not
	absent  string   // as flag, of a database that isn't there
	slow    bool     // it is not made for many records
	count   func(t *testing.T) tally
}

// A tally is what a database holds.
type tally struct {
	bookings  int
	intents   int // different ones that bookings name
	confirmed int // bookings, as they were agreed
	payments  int
	booked    int // different bookings that payments name
	succeeded int // payments, in full
	pairs     int // of a booking and a payment that name each other
	events    int
	done      int // events
}

var stores = []struct {
	name string
	open func(t *testing.T) place
}{
	{"sqlite", sqlite},
	{"postgres", postgres},
	{"mariadb", mariaDB},
	{"mongodb", mongoDB},
}

func sqlite(t *testing.T) place {
	file := filepath.Join(t.TempDir(), "bookings.db")
	return place{
		flag:   "sqlite:" + file,
		shown:  "sqlite:" + file,
		absent: "sqlite:" + filepath.Join(t.TempDir(), "no", "such", "folder", "bookings.db"),
		count: func(t *testing.T) tally {
			db, err := sql.Open("sqlite", "file:"+file)
			require.NoError(t, err)
			defer db.Close()
			var sound string
			require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&sound))
			assert.Equal(t, "ok", sound)
			return countSQL(t, db)
		},
	}
}

func postgres(t *testing.T) place {
	server := servers.Postgres(t)
	dsn := server.DSN(server.NewDatabase(t), server.Addr)
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	if _, has := u.User.Password(); !has { // then it takes any
		u.User = url.UserPassword(u.User.Username(), "hunter2")
	}
	return sqlPlace(u, "pgx", dsn)
}

func mariaDB(t *testing.T) place {
	server := servers.MariaDB(t)
	database := server.NewDatabase(t)
	dsn := server.DSN(database, server.Addr)
	cfg, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	if cfg.Passwd == "" { // then this user may make others
		db, err := sql.Open("mysql", dsn)
		require.NoError(t, err)
		cfg.User, cfg.Passwd = database, "hunter2:/?#@%"
		_, err = db.Exec("CREATE USER " + cfg.User + " IDENTIFIED BY '" + cfg.Passwd + "'")
		require.NoError(t, err)
		t.Cleanup(func() {
			_, err := db.Exec("DROP USER " + cfg.User)
			assert.NoError(t, errors.Join(err, db.Close()))
		})
		_, err = db.Exec("GRANT ALL ON " + database + ".* TO " + cfg.User)
		require.NoError(t, err)
	}
	u := &url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + database}
	return sqlPlace(u, "mysql", dsn)
}

// urlPlace is a database of a server.
func urlPlace(u *url.URL) place {
	p := place{flag: u.String(), shown: u.Scheme + "://" + u.Host + u.Path}
	if password, has := u.User.Password(); has {
		p.secrets = []string{password, url.PathEscape(password)}
	}
	return p
}

// sqlPlace is one that the driver reaches with dsn.
func sqlPlace(u *url.URL, driver, dsn string) place {
	p := urlPlace(u)
	u.Path += "_is_absent"
	p.absent = u.String()
	p.count = func(t *testing.T) tally {
		db, err := sql.Open(driver, dsn)
		require.NoError(t, err)
		defer db.Close()
		return countSQL(t, db)
	}
	return p
}

func mongoDB(t *testing.T) place {
	server := servers.MongoDB(t)
	u, err := url.Parse(server.URI(server.Addr))
	require.NoError(t, err)
	u.Path = "/" + server.NewDatabase(t)
	p := urlPlace(u)
	p.slow = server.Ferret
	p.count = func(t *testing.T) tally {
		client, err := mongo.Connect(options.Client().ApplyURI(p.flag))
		require.NoError(t, err)
		defer func() { assert.NoError(t, client.Disconnect(t.Context())) }()
		st, err := mongostore.New(mongostore.Config{Database: client.Database(u.Path[1:])})
		require.NoError(t, err)
		return countStore(t, st)
	}
	// It would make a database that isn't there.
	u.Host = freeAddrs(t, 1)[0]
	u.RawQuery += "&serverSelectionTimeoutMS=500"
	p.absent = u.String()
	return p
}

// countStore reads all records.
func countStore(t *testing.T, st store.Store) (n tally) {
	t.Helper()
	ctx := t.Context()
	booked, intents, paid := map[string]string{}, map[string]bool{}, map[string]bool{}
	for user := range users {
		for _, b := range adaptertest.All(t, store.MaxLimit, func(p store.Page) ([]store.Booking, string, error) {
			return st.BookingsByUser(ctx, userID(user), p)
		}) {
			n.bookings++
			booked[b.ID] = b.PaymentIntentID
			intents[b.PaymentIntentID] = true
			if b.State == store.StateConfirmed && b.Reason == "" {
				n.confirmed++
			}
		}
		for _, pay := range adaptertest.All(t, store.MaxLimit, func(p store.Page) ([]store.Payment, string, error) {
			return st.PaymentsByUser(ctx, userID(user), p)
		}) {
			n.payments++
			paid[pay.BookingID] = true
			if pay.Status == store.StatusSucceeded && pay.Amount == 4500 {
				n.succeeded++
			}
			if booked[pay.BookingID] == pay.PaymentIntentID {
				n.pairs++
			}
		}
	}
	n.intents, n.booked = len(intents), len(paid)
	for _, e := range adaptertest.All(t, store.MaxLimit, func(p store.Page) ([]store.Event, string, error) {
		return st.Events(ctx, store.EventFilter{}, p)
	}) {
		n.events++
		if e.State == store.EventDone {
			n.done++
		}
	}
	return n
}

// countSQL knows the tables, and nothing of the library that wrote them.
func countSQL(t *testing.T, db *sql.DB) (n tally) {
	t.Helper()
	const (
		bookings = sqlstore.DefaultPrefix + "bookings"
		payments = sqlstore.DefaultPrefix + "payments"
		events   = sqlstore.DefaultPrefix + "events"
	)
	for query, to := range map[string]*int{
		"count(*) FROM " + bookings:                                                   &n.bookings,
		"count(DISTINCT payment_intent_id) FROM " + bookings:                          &n.intents,
		"count(*) FROM " + bookings + " WHERE state = 'confirmed' AND reason = ''":    &n.confirmed,
		"count(*) FROM " + payments:                                                   &n.payments,
		"count(DISTINCT booking_id) FROM " + payments:                                 &n.booked,
		"count(*) FROM " + payments + " WHERE status = 'succeeded' AND amount = 4500": &n.succeeded,
		"count(*) FROM " + bookings + " b JOIN " + payments + " p ON p.booking_id = b.id AND p.payment_intent_id = b.payment_intent_id": &n.pairs,
		"count(*) FROM " + events:                           &n.events,
		"count(*) FROM " + events + " WHERE state = 'done'": &n.done,
	} {
		require.NoError(t, db.QueryRow("SELECT "+query).Scan(to), query)
	}
	return n
}

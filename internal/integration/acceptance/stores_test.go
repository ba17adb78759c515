package acceptance

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// A place is an empty database for bookingserver.
type place struct {
	flag    string   // of -store
	shown   string   // what the log may tell of it
	secrets []string // what it may not
	absent  string   // as flag, of a database that isn't there
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
	return serverPlace(u, "pgx", dsn)
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
		defer db.Close()
		cfg.User, cfg.Passwd = database, "hunter2:/?#@%"
		_, err = db.Exec("CREATE USER " + cfg.User + " IDENTIFIED BY '" + cfg.Passwd + "'")
		require.NoError(t, err)
		_, err = db.Exec("GRANT ALL ON " + database + ".* TO " + cfg.User)
		require.NoError(t, err)
	}
	u := &url.URL{Scheme: "mysql", User: url.UserPassword(cfg.User, cfg.Passwd), Host: cfg.Addr, Path: "/" + database}
	return serverPlace(u, "mysql", dsn)
}

// serverPlace is a database of a server, which the driver reaches with dsn.
func serverPlace(u *url.URL, driver, dsn string) place {
	p := place{flag: u.String(), shown: u.Scheme + "://" + u.Host + u.Path}
	password, _ := u.User.Password()
	p.secrets = []string{password, url.PathEscape(password)}
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

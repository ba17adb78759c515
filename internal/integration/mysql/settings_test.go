package mysql

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/sqlstore"
)

// Settings of a connection that would lose bookings, or meet other rows than were
// meant, are refused, by what to change.
func TestSettings(t *testing.T) {
	onlyMariaDB(t) // by its names and limits
	for params, want := range map[string]string{
		"charset=latin1":                  "character_set_results is latin1: add charset=utf8mb4",
		"charset=utf8":                    "character_set_client is utf8mb3: add charset=utf8mb4",
		"character_set_connection=latin1": "character_set_connection is latin1: add charset=utf8mb4",
		"sql_mode=''":                     "add STRICT_TRANS_TABLES",
		"sql_mode='STRICT_ALL_TABLES'":    "",
		"autocommit=0":                    "autocommit is OFF: set it to ON",
		"completion_type='CHAIN'":         "completion_type is CHAIN: set it to NO_CHAIN",
		"unique_checks=0":                 "unique_checks is OFF: set it to ON",
		"group_concat_max_len=1024":       "group_concat_max_len is 1024",
		"collation=utf8mb4_unicode_ci":    "",
		"character_set_results=utf8mb4":   "",
		"innodb_lock_wait_timeout=3":      "",
	} {
		t.Run(params, func(t *testing.T) {
			name, value, _ := strings.Cut(params, "=")
			db := prepared.Open(t, prepared.NewDSN(t)+"&"+name+"="+url.QueryEscape(value))
			if want != "" {
				prepared.Refused(t, db, want)
				return
			}
			_, err := prepared.Store(t, db, nil).Apply(context.Background(), sample.Paid("a"))
			require.NoError(t, err)
		})
	}
}

// Settings of the server, which a test changes for a moment.
func TestServerSettings(t *testing.T) {
	onlyMariaDB(t) // has another engine for transactional tables
	ctx := context.Background()
	db := prepared.New(t)
	prepared.Store(t, db, nil)
	for _, c := range []struct{ change, back, want string }{
		{"SET GLOBAL innodb_flush_log_at_trx_commit = 2", "SET GLOBAL innodb_flush_log_at_trx_commit = 1", "innodb_flush_log_at_trx_commit is 2"},
		{"ALTER TABLE stripebooking_seats ENGINE=Aria", "ALTER TABLE stripebooking_seats ENGINE=InnoDB", "ALTER TABLE stripebooking_seats ENGINE=InnoDB"},
	} {
		_, err := db.Exec(c.change)
		require.NoError(t, err)
		_, refused := prepared.Unmigrated(t, sqlstore.Config{DB: db}).Apply(ctx, sample.Paid("a"))
		_, err = db.Exec(c.back)
		require.NoError(t, err)
		assert.ErrorContains(t, refused, c.want)
		assert.Equal(t, [5]int{}, sqltest.Counts(t, db))
	}
	_, err := prepared.Unmigrated(t, sqlstore.Config{DB: db}).Apply(ctx, sample.Paid("a"))
	require.NoError(t, err)
}

// After a failover, connections to the server that takes no writes any more are not used
// again, and the settings of the one that took its place are looked at.
func TestReadOnlyServer(t *testing.T) {
	ctx := context.Background()
	for name, hook := range map[string]sqltest.InTx{
		"statement":   nil,
		"transaction": func(context.Context, *sql.Tx, store.Change) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			config, err := mysql.ParseDSN(prepared.NewDSN(t))
			require.NoError(t, err)
			setting := "'STRICT_ALL_TABLES'"
			require.NoError(t, config.Apply(mysql.BeforeConnect(func(_ context.Context, c *mysql.Config) error {
				c.Params = map[string]string{"sql_mode": setting}
				return nil
			})))
			connector, err := mysql.NewConnector(config)
			require.NoError(t, err)
			db := sql.OpenDB(connector)
			t.Cleanup(func() { db.Close() })
			db.SetMaxOpenConns(1)
			s := prepared.Store(t, db, hook)
			_, err = s.Apply(ctx, sample.Paid("a"))
			require.NoError(t, err)
			refused := func(id string) {
				_, err = db.Exec("SET SESSION TRANSACTION READ ONLY")
				require.NoError(t, err)
				_, err = s.Apply(ctx, sample.Paid(id))
				require.EqualValues(t, 1792, number(err), "%v", err)
				assert.True(t, store.IsTransient(err))
			}

			refused("b")
			_, err = s.Apply(ctx, sample.Paid("b"))
			require.NoError(t, err)
			refused("c")
			setting = "''"
			_, err = s.Apply(ctx, sample.Paid("c"))
			require.ErrorContains(t, err, "sql_mode")
			assert.Equal(t, 2, sqltest.Whole(t, db))
		})
	}
}

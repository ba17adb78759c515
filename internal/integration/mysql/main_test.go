// Package mysql tests sqlstore on MariaDB or MySQL.
package mysql

import (
	"testing"

	"github.com/go-sql-driver/mysql" // and the driver "mysql"

	"github.com/carevia/stripebooking/internal/integration/adaptertest"
	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMain(m *testing.M) {
	mysql.SetLogger(new(mysql.NopLogger)) // connections break here on purpose
	open := sqltest.Opener(sqlstore.MySQL)
	faults.Child(open)
	adaptertest.Child(open)
	servers.Main(m)
}

// with is a way to the server: what is added to the data source name.
func with(name, params string) sqltest.Way {
	return sqltest.Way{Name: name, Dialect: sqlstore.MySQL, Driver: "mysql", NewDSN: func(t testing.TB) string {
		server := servers.MariaDB(t)
		return server.DSN(server.NewDatabase(t), server.Addr) + params
	}}
}

var (
	prepared     = with("prepared", "") // statements, as the driver does unless told otherwise
	interpolated = with("interpolated", "&interpolateParams=true")
	foundRows    = with("found rows", "&clientFoundRows=true&interpolateParams=true")
	serializable = sqltest.Way{Name: "serializable", Dialect: sqlstore.MySQL, Driver: "mysql", NewDSN: func(t testing.TB) string {
		return prepared.NewDSN(t) + isolation(t, "SERIALIZABLE")
	}}
)

// isolation is the setting of a connection's isolation.
func isolation(t testing.TB, level string) string {
	name := "transaction_isolation"
	if servers.MariaDB(t).IsMariaDB(t) {
		name = "tx_isolation"
	}
	return "&" + name + "=%27" + level + "%27"
}

// onlyMariaDB is for tests of what MySQL does not have.
func onlyMariaDB(t *testing.T) {
	t.Helper()
	if !servers.MariaDB(t).IsMariaDB(t) {
		t.Skip("SKIPPED: the server is not MariaDB")
	}
}

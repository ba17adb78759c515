// Package mysql tests sqlstore on MariaDB or MySQL.
package mysql

import (
	"testing"

	"github.com/go-sql-driver/mysql" // and the driver "mysql"

	"github.com/carevia/stripebooking/internal/integration/faults"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
	"github.com/carevia/stripebooking/store/sqlstore"
)

func TestMain(m *testing.M) {
	mysql.SetLogger(new(mysql.NopLogger)) //nolint:errcheck // it is not nil; connections break here on purpose
	faults.Child(openStore)
	sqltest.Child(sqlstore.MySQL)
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
	serializable = with("serializable", "&transaction_isolation=%27SERIALIZABLE%27")
)

package mysql

import (
	"testing"

	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/internal/integration/sqltest"
)

func TestSuiteNoticesALostKey(t *testing.T) {
	server := servers.MariaDB(t)
	sqltest.TestSuiteNoticesALostKey(t, "TEST_MYSQL_DSN="+server.DSN("", server.Addr), nil)
}

func TestKeyless(t *testing.T) { sqltest.TestKeyless(t, prepared, dropKey) }

func dropKey(table string) string {
	columns := map[string]string{
		"changes": "change_key", "history": "booking_id, version", "bookings": "id", "payments": "payment_intent_id",
		"seats": "slot, seat_number", "events": "id", "event_handlers": "event_id, handler",
	}
	return "ALTER TABLE stripebooking_" + table + " DROP PRIMARY KEY, ADD INDEX (" + columns[table] + ")"
}

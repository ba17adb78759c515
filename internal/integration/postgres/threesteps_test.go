package postgres

import (
	"database/sql"
	"errors"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestThreeSteps is what this library is against: look the payment up, create the
// booking, create the payment record, with a unique index on the payment intent,
// and two deliveries of each intent at once. THREE_STEPS_N (default 200) is the
// number of intents; the README's figures are of 2,000.
func TestThreeSteps(t *testing.T) {
	n := 200
	if v := os.Getenv("THREE_STEPS_N"); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		require.NoError(t, err)
	}
	db := pgx.open(t, pgx.newDSN(t))
	db.SetMaxOpenConns(32)
	guideTables(t, db)

	intents := make(chan string)
	var workers sync.WaitGroup
	var refused atomic.Int64
	for range 16 {
		workers.Go(func() {
			for intent := range intents {
				var pair sync.WaitGroup
				for range 2 {
					pair.Go(func() {
						if threeSteps(db, intent) != 200 {
							refused.Add(1)
						}
					})
				}
				pair.Wait()
			}
		})
	}
	for i := range n {
		intents <- "pi_" + strconv.Itoa(i)
	}
	close(intents)
	workers.Wait()

	var bookings, payments int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM guide_bookings").Scan(&bookings))
	require.NoError(t, db.QueryRow("SELECT count(*) FROM guide_payments").Scan(&payments))
	t.Logf("%d intents: %d bookings, %d payments, %d answers of 500", n, bookings, payments, refused.Load())
	assert.Equal(t, n, payments, "the unique index holds")
	assert.Greater(t, bookings, n, "and does not help the bookings")
	assert.EqualValues(t, bookings-n, refused.Load())
}

func guideTables(t testing.TB, db *sql.DB) {
	t.Helper()
	for _, statement := range []string{
		"CREATE TABLE guide_bookings (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, intent TEXT NOT NULL)",
		"CREATE TABLE guide_payments (intent TEXT PRIMARY KEY, booking_id BIGINT NOT NULL)",
	} {
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
}

// threeSteps is the guide's flow, and the status that it answers.
func threeSteps(db *sql.DB, intent string) int {
	var booking int64
	err := db.QueryRow("SELECT booking_id FROM guide_payments WHERE intent = $1", intent).Scan(&booking)
	if err == nil {
		return 200
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return 500
	}
	if err := db.QueryRow("INSERT INTO guide_bookings (intent) VALUES ($1) RETURNING id", intent).Scan(&booking); err != nil {
		return 500
	}
	if _, err := db.Exec("INSERT INTO guide_payments (intent, booking_id) VALUES ($1, $2)", intent, booking); err != nil {
		return 500
	}
	return 200
}

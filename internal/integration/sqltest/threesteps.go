package sqltest

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
// number of intents; the README's figures are of 2,000. conns is how many
// connections there are at most.
func TestThreeSteps(t *testing.T, w Way, conns int) {
	n := 200
	if v := os.Getenv("THREE_STEPS_N"); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		require.NoError(t, err)
	}
	db := w.New(t)
	db.SetMaxOpenConns(conns)
	run(t, db, "CREATE TABLE guide_bookings (id BIGINT PRIMARY KEY, intent VARCHAR(255) NOT NULL);\n"+
		"CREATE TABLE guide_payments (intent VARCHAR(255) PRIMARY KEY, booking_id BIGINT NOT NULL);\n")

	intents := make(chan string)
	var workers sync.WaitGroup
	var refused, last atomic.Int64
	for range 16 {
		workers.Go(func() {
			for intent := range intents {
				var pair sync.WaitGroup
				for range 2 {
					pair.Go(func() {
						if w.threeSteps(db, intent, last.Add(1)) != 200 {
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

// threeSteps is the guide's flow, and the status that it answers. A booking that it
// makes has this id.
func (w Way) threeSteps(db *sql.DB, intent string, id int64) int {
	var booking int64
	err := db.QueryRow(w.bind("SELECT booking_id FROM guide_payments WHERE intent = ?"), intent).Scan(&booking)
	if err == nil {
		return 200
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return 500
	}
	if _, err := db.Exec(w.bind("INSERT INTO guide_bookings (id, intent) VALUES (?, ?)"), id, intent); err != nil {
		return 500
	}
	if _, err := db.Exec(w.bind("INSERT INTO guide_payments (intent, booking_id) VALUES (?, ?)"), intent, id); err != nil {
		return 500
	}
	return 200
}

package main

import (
	"context"
	"log/slog"

	"github.com/carevia/stripebooking/store"
)

// mailer sends a customer the confirmation of a booking.
type mailer interface {
	// Confirm may be called more than once with the same key, which a mail
	// service takes as its idempotency key, so that one mail is sent.
	Confirm(ctx context.Context, key string, b store.Booking) error
}

// logMailer sends nothing: it writes to the log what it would have sent.
type logMailer struct{ log *slog.Logger }

func (m logMailer) Confirm(ctx context.Context, key string, b store.Booking) error {
	m.log.InfoContext(ctx, "confirmation email (not sent, only logged)", "booking", b.ID, "key", key)
	return nil
}

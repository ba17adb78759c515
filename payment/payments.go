package payment

import (
	"context"
	"fmt"

	"github.com/carevia/stripebooking/store"
)

// Payment returns the payment of a payment intent, or store.ErrNotFound.
func (s *Service) Payment(ctx context.Context, paymentIntentID string) (store.Payment, error) {
	p, err := s.cfg.Store.Payment(ctx, paymentIntentID)
	if err != nil {
		return p, fmt.Errorf("payment: payment: %w", err)
	}
	return p, nil
}

// PaymentsByUser lists a user's payments, newest first, and the cursor of the
// next page, empty after the last.
func (s *Service) PaymentsByUser(ctx context.Context, userID string, p store.Page) ([]store.Payment, string, error) {
	rows, next, err := s.cfg.Store.PaymentsByUser(ctx, userID, p)
	if err != nil {
		return nil, "", fmt.Errorf("payment: payments by user: %w", err)
	}
	return rows, next, nil
}

// PaymentsByBooking lists a booking's payments, newest first, and the cursor of
// the next page, empty after the last.
func (s *Service) PaymentsByBooking(ctx context.Context, bookingID string, p store.Page) ([]store.Payment, string, error) {
	rows, next, err := s.cfg.Store.PaymentsByBooking(ctx, bookingID, p)
	if err != nil {
		return nil, "", fmt.Errorf("payment: payments by booking: %w", err)
	}
	return rows, next, nil
}

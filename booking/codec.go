package booking

import "errors"

// Codec writes an Order into the metadata of a checkout session and its payment
// intent, and reads it back.
type Codec interface {
	// Encode returns the metadata, or an error that says which of Stripe's
	// limits the order breaks. Nothing is cut off silently.
	Encode(o Order) (map[string]string, error)

	// Decode reads the order from f.Metadata. ErrNotOurs: none of the codec's
	// keys are there. ErrMetadata: some are, but they make no order; the text
	// names the key and what is wrong, never the value.
	Decode(f Facts) (Order, error)
}

var (
	// ErrNotOurs: the session or intent was not made for a booking.
	ErrNotOurs = errors.New("booking: metadata is not ours")
	// ErrMetadata: the metadata is ours, but broken or too large.
	ErrMetadata = errors.New("booking: invalid metadata")
)

package booking

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// DeriveID returns an id for something that has a name elsewhere: for a booking
// ("bk") that of a payment intent, a session, or a user's attempt. The same kind
// and names always give the same id, others give others. It is the kind, an
// underscore and 24 lower-case letters and digits (120 bits of a hash), from
// which the names can't be told.
func DeriveID(kind string, names ...string) string {
	h := sha256.New()
	// Each part after its length, so that no two lists of parts read the same.
	for _, part := range append([]string{"stripebooking/id/1", kind}, names...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	return kind + "_" + strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)[:15]))
}

package store_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/store"
)

func TestPageParse(t *testing.T) {
	for given, want := range map[int]int{0: store.DefaultLimit, 1: 1, 50: 50, store.MaxLimit: store.MaxLimit} {
		limit, after, err := store.Page{Limit: given}.Parse()
		require.NoError(t, err)
		require.Equal(t, want, limit)
		require.Nil(t, after)
	}
	for _, limit := range []int{-1, store.MaxLimit + 1} {
		_, _, err := store.Page{Limit: limit}.Parse()
		require.ErrorIs(t, err, store.ErrInvalid)
	}
	for _, c := range []store.Cursor{
		{At: now, ID: "b_1"},
		{At: now.Add(123 * time.Millisecond), ID: "a/b/c"},
		{At: time.Date(1960, 1, 1, 0, 0, 0, 1e6, time.UTC), ID: "যোগ "},
		{At: now, ID: strings.Repeat("x", store.MaxID)},
	} {
		_, after, err := store.Page{After: c.String()}.Parse()
		require.NoError(t, err)
		require.Equal(t, &c, after)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, bad := range []string{
		"x", "=", "not a cursor", encode(nil) + "A", encode([]byte("1")), encode([]byte("/a")), encode([]byte("1/")), encode([]byte("x/a")),
		encode([]byte("1/\x00")), encode([]byte("1/\xff")), encode([]byte("99999999999999999999/a")),
		encode([]byte("1/" + strings.Repeat("x", store.MaxID+1))),
	} {
		_, after, err := store.Page{After: bad}.Parse()
		require.ErrorIs(t, err, store.ErrInvalid, bad)
		require.Nil(t, after)
		require.NotContains(t, err.Error(), bad)
	}
}

func TestCursorBefore(t *testing.T) {
	c := store.Cursor{At: now, ID: "m"}
	for _, tt := range []struct {
		at   time.Time
		id   string
		want bool
	}{
		{now.Add(-time.Millisecond), "z", true},
		{now.Add(time.Millisecond), "a", false},
		{now, "l", true},
		{now, "m", false},
		{now, "n", false},
		{now, "M", true}, // bytes, not letters
		{now, "m ", false},
		{now.Add(999 * time.Microsecond), "l", true}, // the same millisecond
	} {
		require.Equal(t, tt.want, c.Before(tt.at, tt.id), "%v %q", tt.at, tt.id)
	}
}

func TestIsTransient(t *testing.T) {
	for err, want := range map[error]bool{
		store.ErrConflict: true, context.Canceled: true, context.DeadlineExceeded: true, errors.New("connection refused"): true,
		store.ErrNotFound: false, store.ErrMismatch: false, store.ErrInvalid: false,
	} {
		require.Equal(t, want, store.IsTransient(err), "%v", err)
		require.Equal(t, want, store.IsTransient(fmt.Errorf("op: %w", err)), "wrapped: %v", err)
	}
	require.False(t, store.IsTransient(nil))
}

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

// A cursor is read as it was written; any other text is refused, or is a cursor.
func FuzzPage(f *testing.F) {
	encode := base64.RawURLEncoding.EncodeToString
	for _, text := range []string{"1/b_1", "1", "/a", "1/", "+1/a/b", "-0/a", "x/a", "99999999999999999999/a", "-9223372036854775808/a", "1/\x00", "1/\xff"} {
		f.Add(0, encode([]byte(text)), int64(1), "b_1")
	}
	f.Add(-1, "=", int64(-1), "")
	f.Add(store.MaxLimit+1, "", int64(0), strings.Repeat("x", store.MaxID+1))
	f.Fuzz(func(t *testing.T, limit int, text string, ms int64, id string) {
		got, after, err := store.Page{Limit: limit, After: text}.Parse()
		switch {
		case err != nil:
			require.ErrorIs(t, err, store.ErrInvalid)
			require.Nil(t, after)
		case text == "":
			require.Nil(t, after)
		default:
			require.NoError(t, store.CheckID("id", after.ID))
			_, again, err := store.Page{After: after.String()}.Parse()
			require.NoError(t, err)
			require.Equal(t, after, again)
		}
		if limit >= 0 && limit <= store.MaxLimit && text == "" {
			require.NoError(t, err)
			require.True(t, got == limit || limit == 0 && got == store.DefaultLimit)
		}
		if c := (store.Cursor{At: time.UnixMilli(ms).UTC(), ID: id}); store.CheckID("id", id) == nil {
			_, again, err := store.Page{After: c.String()}.Parse()
			require.NoError(t, err)
			require.Equal(t, &c, again)
		}
	})
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

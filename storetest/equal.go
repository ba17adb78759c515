package storetest

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// equal is require.Equal for records: it prints the fields that differ instead of
// both values whole, which fill a screen each.
func equal(e *env, want, got any, msg ...any) {
	e.Helper()
	if reflect.DeepEqual(want, got) {
		return
	}
	var d differences
	d.compare("", reflect.ValueOf(want), reflect.ValueOf(got))
	require.Fail(e, strings.Join(d, "\n"), msg...)
}

// length is require.Len, and empty require.Empty and require.Nil, that print no more
// than is needed to see what is there.
func length(e *env, list any, want int, msg ...any) {
	e.Helper()
	if v := reflect.ValueOf(list); v.Len() != want {
		require.Fail(e, fmt.Sprintf("want %d, got %d: %s", want, v.Len(), show(v)), msg...)
	}
}

func empty(e *env, got any, msg ...any) {
	e.Helper()
	v := reflect.ValueOf(got)
	if v.Kind() == reflect.Pointer && !v.IsNil() || v.Kind() != reflect.Pointer && v.IsValid() && v.Len() > 0 {
		require.Fail(e, "want none, got "+show(v), msg...)
	}
}

// differences are lines that say where two values differ.
type differences []string

func (d *differences) note(path string, want, got reflect.Value) {
	*d = append(*d, strings.TrimPrefix(path+": ", ": ")+"want "+show(want)+", got "+show(got))
}

// compare takes the same values for different as reflect.DeepEqual does: a nil
// map is not an empty one, and a time in another zone not the same.
func (d *differences) compare(path string, want, got reflect.Value) {
	alike := want.IsValid() && got.IsValid() && want.Type() == got.Type()
	kind := want.Kind()
	switch {
	case alike && reflect.DeepEqual(want.Interface(), got.Interface()):
	case !alike || want.Type() == reflect.TypeOf(time.Time{}):
		d.note(path, want, got)
	case kind == reflect.Pointer && !want.IsNil() && !got.IsNil():
		d.compare(path, want.Elem(), got.Elem())
	case kind == reflect.Struct:
		for i := range want.NumField() {
			d.compare(path+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i))
		}
	case kind == reflect.Slice && want.Len() == got.Len() && want.Len() > 0 && want.Type().Elem().Kind() == reflect.Struct:
		for i := range want.Len() {
			d.compare(fmt.Sprintf("%s[%d]", path, i), want.Index(i), got.Index(i))
		}
	case kind == reflect.Map && want.Len() == got.Len() && want.Len() > 0:
		for _, key := range want.MapKeys() {
			d.compare(fmt.Sprintf("%s[%q]", path, key), want.MapIndex(key), got.MapIndex(key))
		}
	default:
		d.note(path, want, got)
	}
}

// show is a value in a few words.
func show(v reflect.Value) string {
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "none"
	}
	const most = 300
	var s string
	switch v := v.Interface().(type) {
	case time.Time:
		s = v.Format(time.RFC3339Nano)
		if v.Location() != time.UTC {
			s += " in zone " + v.Location().String()
		}
	case string, []byte, []string:
		s = fmt.Sprintf("%q", v)
	default:
		s = fmt.Sprintf("%T %+v", v, v)
	}
	if len(s) > most {
		s = fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:most], ""), len(s))
	}
	return s
}

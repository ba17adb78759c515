package main

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// refused runs the server with a store that it can't have. It returns the error
// and all else that was said.
func refused(t *testing.T, env map[string]string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), append([]string{"-addr", "127.0.0.1:0"}, args...),
		func(k string) string { return env[k] }, &out, func(string) { t.Error("it runs") })
	require.Error(t, err)
	return err.Error() + "\n" + out.String()
}

// servers are the schemes of database servers, each with settings that its driver
// does not take.
func servers() map[string][]string {
	postgres := []string{"sslmode=maybe", "connect_timeout=soon", "sslmode=maybe&password=secret"}
	mysql := []string{"tls=maybe", "timeout=soon"}
	return map[string][]string{
		"postgres": postgres, "postgresql": postgres, "mysql": mysql, "mariadb": mysql,
		"mongodb": {"tls=maybe", "maxPoolSize=few", "tlsCertificateKeyFilePassword=secret&tls=maybe"},
	}
}

// TestNoSecretInErrors: "secret" is in each piece of these passwords that a parser
// may take for something else.
func TestNoSecretInErrors(t *testing.T) {
	for scheme, settings := range servers() {
		for _, password := range []string{
			"secret/secret", "1/secret", "secret?secret", "1?secret", "secret#secret", "1#secret", "secret%secret", "secret secret",
			"secret[secret", "secret:secret/secret", "secret\x7fsecret", "1/secret?secret#secret",
		} {
			said := refused(t, nil, "-store", scheme+"://app:"+password+"@127.0.0.1:1/shop")
			assert.Contains(t, said, "%40 for @", password)
			assert.NotContains(t, said, "secret", password)
		}
		rest := []string{"", ":app:secret", "://app:secret@127.0.0.1:1", "://app:secret@127.0.0.1:1/", "://app:secret@/shop",
			"://app:secret@127.0.0.1:x/shop", "://app:secret@127.0.0.1:1/shop?password=secret%zz"}
		for _, s := range settings {
			rest = append(rest, "://app:secret@127.0.0.1:1/shop?"+s)
		}
		for _, u := range rest {
			said := refused(t, nil, "-store", scheme+u)
			assert.NotContains(t, said, "secret", u)
			assert.NotContains(t, said, "can't reach", u)
		}
	}
	for _, args := range [][]string{
		{"-store", "host=127.0.0.1 password=secret"},
		{"-store", "password=secret:x"},
		{"-store", "app:secret@tcp(127.0.0.1:1)/shop"},
		{"-store", "memory:secret"},
		{"postgres://app:secret@127.0.0.1:1/shop"},
	} {
		assert.NotContains(t, refused(t, nil, args...), "secret", args)
	}
	assert.NotContains(t, refused(t, map[string]string{"BOOKING_STORE": "postgres://app:secret@127.0.0.1:1/shop"}, "-h"), "secret")
}

// TestUnreachable: nobody listens where the database should be.
func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	for scheme := range servers() {
		u := scheme + "://app:sec%72et@" + addr + "/shop"
		if scheme == "mongodb" {
			u += "?serverSelectionTimeoutMS=100" // this driver tries again until then
		}
		said := refused(t, nil, "-store", u)
		assert.Contains(t, said, "can't reach "+scheme+"://"+addr+"/shop")
		assert.Contains(t, said, "connection refused")
		assert.NotContains(t, said, "secret")
		assert.NotContains(t, said, "sec%72et")
		assert.Equal(t, said, refused(t, map[string]string{"BOOKING_STORE": u}))
	}
}

// TestStopWhileConnecting: what should be the database takes connections and says nothing.
func TestStopWhileConnecting(t *testing.T) {
	for scheme := range servers() {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if c, err := ln.Accept(); err == nil {
				defer c.Close()
			}
			cancel()
		}()
		_, err = openStore(ctx, scheme+"://app:secret@"+ln.Addr().String()+"/shop")
		require.ErrorIs(t, err, context.Canceled)
		assert.ErrorContains(t, err, "can't reach "+scheme+"://"+ln.Addr().String()+"/shop")
	}
}

func TestShown(t *testing.T) {
	for raw, want := range map[string]string{
		"postgres://app:secret@db.local:5433/shop?sslmode=require&password=secret": "postgres://db.local:5433/shop",
		"postgres://app:se%40%2Fcret@[::1]/shop":                                   "postgres://[::1]/shop",
		"postgres://db.local/shop":                                                 "postgres://db.local/shop",
		"mongodb://app:secret@a.local:27017,b.local:27017/shop":                    "mongodb://a.local:27017,b.local:27017/shop",
	} {
		u, err := parseURL(raw)
		require.NoError(t, err, raw)
		assert.Equal(t, want, shown(u))
	}
}

func TestMySQLConfig(t *testing.T) {
	for raw, want := range map[string][4]string{
		"mysql://app:secret@db.local:3307/shop":                   {"app", "secret", "db.local:3307", "shop"},
		"mysql://app:secret@db.local/shop":                        {"app", "secret", "db.local:3306", "shop"},
		"mysql://app:secret@[::1]:3307/shop":                      {"app", "secret", "[::1]:3307", "shop"},
		"mysql://app:secret@[::1]/shop":                           {"app", "secret", "[::1]:3306", "shop"},
		"mysql://app@db.local/shop":                               {"app", "", "db.local:3306", "shop"},
		"mysql://db.local/shop?tls=true&loc=Europe/Berlin":        {"", "", "db.local:3306", "shop"},
		"mysql://a%40b%3Ac%2Fd:p%40%3A%2F%3F%23%25%20%28@h/s%20p": {"a@b:c/d", "p@:/?#% (", "h:3306", "s p"},
		"mysql://app:a@b:c@h/shop":                                {"app", "a@b:c", "h:3306", "shop"},
	} {
		u, err := parseURL(raw)
		require.NoError(t, err, raw)
		cfg, err := mysqlConfig(u)
		require.NoError(t, err, raw)
		assert.Equal(t, want, [4]string{cfg.User, cfg.Passwd, cfg.Addr, cfg.DBName}, raw)
		assert.Equal(t, "tcp", cfg.Net)
		assert.Equal(t, u.Query().Get("tls"), cfg.TLSConfig)
		if cfg.TLSConfig != "" {
			assert.Equal(t, "db.local", cfg.TLS.ServerName)
			assert.Equal(t, "Europe/Berlin", cfg.Loc.String())
		}
	}
	for _, settings := range []string{"parseTime=maybe", "timeout=soon", "tls=unheard", "loc=Nowhere"} {
		u, err := parseURL("mysql://app:secret@db.local/shop?" + settings)
		require.NoError(t, err)
		_, err = mysqlConfig(u)
		require.Error(t, err, settings)
		assert.NotContains(t, err.Error(), "secret")
	}
}

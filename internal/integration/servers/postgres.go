package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// PostgresServer is a PostgreSQL server.
type PostgresServer struct {
	Addr  string // host:port
	url   url.URL
	admin *sql.DB
}

var postgres = sync.OnceValues(startPostgres)

// Postgres is the PostgreSQL server of this test binary: the one that
// TEST_POSTGRES_DSN names (postgres://user:password@host:port/database, of a role
// that may create databases), or one that is started from the machine's programs.
// Its databases sort by a language's rules where it can, so that a column that
// forgets its collation is noticed. It does not outlive a power cut.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := postgres()
	return got(t, s, err)
}

func startPostgres() (*PostgresServer, error) {
	if dsn := os.Getenv("TEST_POSTGRES_DSN"); dsn != "" {
		u, err := url.Parse(dsn)
		if err != nil || u.Host == "" {
			return nil, errors.New("TEST_POSTGRES_DSN is not like postgres://user:password@host:port/database")
		}
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Hostname(), "5432")
		}
		return newPostgres(*u)
	}
	initdb, err := program("/usr/lib/postgresql/*/bin/initdb", "initdb")
	if err != nil {
		return nil, err
	}
	server, err := program(filepath.Join(filepath.Dir(initdb), "postgres"))
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, attr, err := unprivileged("postgres")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	args := []string{"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"}
	if help, _ := exec.Command(initdb, "--help").Output(); strings.Contains(string(help), "--icu-locale") {
		args = append(args, "--locale-provider=icu", "--icu-locale=en-US") // from 15 on
	}
	cmd := exec.Command(initdb, args...)
	cmd.Dir, cmd.SysProcAttr = dir, attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}

	host, port, _ := net.SplitHostPort(addr)
	cmd = exec.Command(server, "-D", data)
	for _, setting := range []string{
		"listen_addresses=" + host, "port=" + port, "unix_socket_directories=",
		"fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=200",
	} {
		cmd.Args = append(cmd.Args, "-c", setting)
	}
	cmd.SysProcAttr = attr
	s, err := newPostgres(url.URL{Scheme: "postgres", User: url.User("postgres"), Host: addr, Path: "postgres", RawQuery: "sslmode=disable"})
	if err != nil {
		return nil, err
	}
	return s, start(cmd, dir, syscall.SIGQUIT, s.admin.Ping)
}

func newPostgres(u url.URL) (*PostgresServer, error) {
	admin, err := sql.Open("pgx", u.String())
	return &PostgresServer{Addr: u.Host, url: u, admin: admin}, err
}

// NewDatabase makes an empty database, which is dropped when the test has ended,
// and returns its name.
func (s *PostgresServer) NewDatabase(t testing.TB) string {
	t.Helper()
	return newDatabase(t, s.admin, "DROP DATABASE %s WITH (FORCE)")
}

// DSN is the data source name of a database for any driver: a URL, whose query
// may be added to with "&". addr is the server's Addr, or that of whatever stands
// before it.
func (s *PostgresServer) DSN(database, addr string) string {
	u := s.url
	u.Host, u.Path = addr, database
	if u.RawQuery == "" {
		u.RawQuery = "connect_timeout=30"
	}
	return u.String()
}

// PgBouncerServer is a pooler before the PostgreSQL server.
type PgBouncerServer struct {
	Addr string // host:port; see PostgresServer.DSN
}

var pgBouncer = sync.OnceValues(startPgBouncer)

// PgBouncer is a PgBouncer before the server of Postgres, which gives every
// transaction any of its connections.
func PgBouncer(t testing.TB) *PgBouncerServer {
	t.Helper()
	Postgres(t)
	s, err := pgBouncer()
	return got(t, s, err)
}

func startPgBouncer() (*PgBouncerServer, error) {
	pg, err := postgres()
	if err != nil {
		return nil, err
	}
	bouncer, err := program("pgbouncer", "/usr/sbin/pgbouncer")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, attr, err := unprivileged("postgres")
	if err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	serverHost, serverPort, _ := net.SplitHostPort(pg.Addr)
	server := fmt.Sprintf("host=%s port=%s user=%s", serverHost, serverPort, pg.url.User.Username())
	if password, ok := pg.url.User.Password(); ok {
		server += " password=" + password
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	// Nobody but this user reads the file; a password may be in it.
	err = os.WriteFile(config, []byte(strings.Join([]string{
		"[databases]", "* = " + server,
		"[pgbouncer]", "listen_addr = " + host, "listen_port = " + port, "unix_socket_dir =",
		"auth_type = any", "pool_mode = transaction", "max_client_conn = 1000", "default_pool_size = 40",
		"server_idle_timeout = 2",                        // its databases come and go
		"ignore_startup_parameters = extra_float_digits", // of older drivers
		"",
	}, "\n")), 0o600)
	if err != nil {
		return nil, err
	}
	if attr != nil {
		if err := os.Chown(config, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(bouncer, config)
	cmd.SysProcAttr = attr
	db, err := sql.Open("pgx", pg.DSN("postgres", addr)+"&default_query_exec_mode=exec")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return &PgBouncerServer{Addr: addr}, start(cmd, dir, syscall.SIGINT, func() error { return db.PingContext(context.Background()) })
}

// unprivileged makes a temporary folder for a program that refuses to run as
// root: root gives the folder to the named user, whom it becomes with attr.
func unprivileged(name string) (dir string, attr *syscall.SysProcAttr, err error) {
	if dir, err = tempDir(name); err != nil || os.Geteuid() != 0 {
		return dir, nil, err
	}
	u, err := user.Lookup(name)
	if err != nil {
		return "", nil, fmt.Errorf("the user %s, whom root must become, %w", name, errMissing)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return dir, attr, os.Chown(dir, uid, gid)
}

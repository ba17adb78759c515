package servers

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql" // and the driver "mysql"
)

// MariaDBServer is a MariaDB or MySQL server.
type MariaDBServer struct {
	Addr   string // host:port
	config *mysql.Config
	admin  *sql.DB
}

var mariaDB = sync.OnceValues(startMariaDB)

// MariaDB is the MariaDB server of this test binary: the one that TEST_MYSQL_DSN
// names (user:password@tcp(host:port)/, of a user that may create databases and see
// who waits for a lock), or one that is started from the machine's programs. As
// servers do unless told otherwise, that one compares text without regard to case and
// trailing spaces, and shows a transaction what was there when it began, so that what
// forgets either is noticed. It does not outlive a power cut.
func MariaDB(t testing.TB) *MariaDBServer {
	t.Helper()
	s, err := mariaDB()
	return got(t, s, err)
}

func startMariaDB() (*MariaDBServer, error) {
	if dsn := os.Getenv("TEST_MYSQL_DSN"); dsn != "" {
		config, err := mysql.ParseDSN(dsn)
		if err != nil || config.Net != "tcp" {
			return nil, fmt.Errorf("TEST_MYSQL_DSN is not like user:password@tcp(host:port)/")
		}
		return newMariaDB(config)
	}
	install, err := program("mariadb-install-db")
	if err != nil {
		return nil, err
	}
	server, err := program("mariadbd", "/usr/sbin/mariadbd")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, attr, err := unprivileged("mysql")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	cmd.Dir, cmd.SysProcAttr = dir, attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}

	host, port, _ := net.SplitHostPort(addr)
	// In tmpdir a server that starts removes the temporary tables of all others, which
	// then crash: each needs one of its own.
	cmd = exec.Command(server, "--no-defaults", "--tmpdir="+dir, "--datadir="+data, "--bind-address="+host, "--port="+port,
		"--socket="+filepath.Join(dir, "socket"), "--pid-file="+filepath.Join(dir, "pid"), "--skip-name-resolve",
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci", "--transaction-isolation=REPEATABLE-READ",
		"--max-connections=300", "--loose-innodb-flush-method=nosync", "--loose-innodb-file-per-table=OFF")
	cmd.SysProcAttr = attr
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "tcp", addr
	s, err := newMariaDB(config)
	if err != nil {
		return nil, err
	}
	return s, start(cmd, dir, syscall.SIGKILL, s.admin.Ping)
}

func newMariaDB(config *mysql.Config) (*MariaDBServer, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return &MariaDBServer{Addr: config.Addr, config: config, admin: sql.OpenDB(connector)}, nil
}

// IsMariaDB reports whether it is not MySQL.
func (s *MariaDBServer) IsMariaDB(t testing.TB) bool {
	t.Helper()
	var version string
	if err := s.admin.QueryRow("SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(version, "MariaDB")
}

// NewDatabase makes an empty database, which is dropped when the test has ended,
// and returns its name.
func (s *MariaDBServer) NewDatabase(t testing.TB) string {
	t.Helper()
	return newDatabase(t, s.admin, "DROP DATABASE %s")
}

// DSN is the data source name of a database, which may be added to with "&". addr is
// the server's Addr, or that of whatever stands before it.
func (s *MariaDBServer) DSN(database, addr string) string {
	config := s.config.Clone()
	config.DBName, config.Addr = database, addr
	dsn := config.FormatDSN()
	if !strings.Contains(dsn, "?") {
		dsn += "?timeout=30s"
	}
	return dsn
}

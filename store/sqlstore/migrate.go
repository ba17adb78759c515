package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed migrations/*/*.sql
var files embed.FS

// Migration is one numbered step from an empty database to the schema.
type Migration struct {
	Version int    // from 1, without a gap
	Name    string // of the file, such as "0001_records"
	SQL     string // statements, each ending with ";" at the end of a line
}

// Migrations returns the steps to the schema that this version of the package
// needs, with the tables' prefix put in (empty: DefaultPrefix): for reading, and
// for those who apply them with a tool of their own instead of [Store.Migrate].
// A step that has been released never changes.
func Migrations(d *Dialect, prefix string) ([]Migration, error) {
	if d == nil {
		return nil, fmt.Errorf("sqlstore: migrations: Dialect is required")
	}
	prefix, err := prefixOf(prefix)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: migrations: %w", err)
	}
	return migrations(d, prefix)
}

func migrations(d *Dialect, prefix string) ([]Migration, error) {
	names, err := fs.Glob(files, path.Join("migrations", d.name, "*.sql")) // sorted
	if err != nil {
		return nil, err
	}
	var list []Migration
	for i, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		base := strings.TrimSuffix(path.Base(name), ".sql")
		number, _, _ := strings.Cut(base, "_")
		if v, err := strconv.Atoi(number); err != nil || v != i+1 {
			return nil, fmt.Errorf("migration %s: its number should be %d", name, i+1)
		}
		list = append(list, Migration{
			Version: i + 1,
			Name:    base,
			SQL:     strings.ReplaceAll(string(raw), "{prefix}", prefix),
		})
	}
	return list, nil
}

// Migrate brings the schema up to date, and does nothing when it is. Call it
// when the program starts: any number of processes may do so at once, since
// they take turns under a lock of the database's. It refuses a schema that is
// newer than this program. On SQLite and PostgreSQL, either all of the steps that
// were missing are done or none; elsewhere a Migrate that is cut short is completed
// by the next.
//
// The table "migrations" (with the prefix) keeps which steps are done. A schema
// that was made with another tool has no such table; don't mix the two ways.
func (s *Store) Migrate(ctx context.Context) (err error) {
	defer annotate(ctx, "migrate", &err)
	steps, err := migrations(s.dialect, s.prefix)
	if err != nil {
		return err
	}
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := s.check(ctx, c); err != nil {
		return err
	}
	end, err := s.dialect.lockSchema(ctx, c, s.prefix)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		// Also when ctx has ended: the connection goes back to the pool.
		if eerr := end(context.WithoutCancel(ctx), done); eerr != nil && err == nil {
			err = eerr
		}
	}()
	if err := s.migrate(ctx, c, steps); err != nil {
		return err
	}
	done = true
	return nil
}

// connect pins a connection.
func (s *Store) connect(ctx context.Context) (*sql.Conn, error) {
	const maxTries, longest = 40, 100 * time.Millisecond // some 3 seconds
	for try, pause := 1, firstPause; ; try, pause = try+1, min(2*pause, longest) {
		c, err := s.db.Conn(ctx)
		if err == nil || try == maxTries || s.dialect.notYet == nil || !s.dialect.notYet(err) || !sleep(ctx, pause) {
			return c, err
		}
	}
}

func (s *Store) migrate(ctx context.Context, c conn, steps []Migration) error {
	w := writer{s.schema, c}
	if _, err := w.exec(ctx, w.createMigrations); err != nil {
		return err
	}
	var version int64
	if err := queryRow(ctx, c, w.lastMigration, nil, number{&version}); err != nil {
		return err
	}
	if version > int64(len(steps)) {
		return fmt.Errorf("the schema is at version %d and this program knows only up to %d: deploy a newer program", version, len(steps))
	}
	for _, m := range steps[version:] {
		for _, statement := range statements(m.SQL) {
			if _, err := w.exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
		if _, err := w.exec(ctx, w.insertMigration, m.Version, m.Name); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// statements splits at each ";" that ends a line, since not every driver takes
// several statements at once.
func statements(script string) []string {
	var list []string
	for _, part := range strings.SplitAfter(script+"\n", ";\n") {
		if strings.TrimSpace(part) != "" {
			list = append(list, strings.TrimSpace(part))
		}
	}
	return list
}

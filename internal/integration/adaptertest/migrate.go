package adaptertest

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carevia/stripebooking/internal/integration/role"
)

// Migrator is a store that makes its tables, or whatever it keeps records in.
type Migrator interface {
	Migrate(ctx context.Context) error
}

// migrate is the role of a process that migrates once its input ends, so that all
// start at once.
const migrate = "migrate"

// Child must be called by the TestMain of a package that calls MigrateAtOnce, before
// all else. open gets the place.
func Child[S Migrator](open func(place []string) (S, error)) {
	role.Play(migrate, func(place []string) error {
		s, err := open(place)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
		return s.Migrate(context.Background())
	})
}

// MigrateAtOnce lets ten processes and ten stores of this one, which open opens, start
// on the database in a place.
func MigrateAtOnce[S Migrator](t *testing.T, open func() S, place ...string) {
	t.Helper()
	const n = 10
	var children []*role.Child
	for range n {
		c, err := role.Start(t, migrate, place...)
		require.NoError(t, err)
		require.True(t, c.Out.Scan(), "the process is ready")
		children = append(children, c)
	}
	gun, errs := make(chan struct{}), make(chan error, n)
	for range n {
		s := open()
		go func() {
			<-gun
			errs <- s.Migrate(context.Background())
		}()
	}
	close(gun)
	for _, c := range children {
		require.NoError(t, c.In.Close())
	}
	for range n {
		assert.NoError(t, <-errs)
	}
	for _, c := range children {
		assert.NoError(t, c.Wait())
	}
}

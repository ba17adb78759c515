package storetest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write CASES.md anew")

// TestCasesPage keeps the page true to the table.
func TestCasesPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("# The cases of storetest\n\n" +
		"Written by `go test ./storetest -run TestCasesPage -update`. Mutants are the stores with one thing wrong that the case must notice.\n\n" +
		"| case | reason | mutants |\n|---|---|---|\n")
	caught := map[string]int{}
	for _, m := range mutants() {
		for _, name := range strings.Fields(m.caught) {
			caught[name]++
		}
	}
	for _, c := range cases() {
		require.NotEmpty(t, c.reason, c.name)
		require.NotContains(t, c.reason, "|", c.name)
		name := c.name
		if c.join {
			name += " (with Join)"
		}
		fmt.Fprintf(&page, "| %s | %s | %d |\n", name, c.reason, caught[c.name])
	}
	if *update {
		require.NoError(t, os.WriteFile("CASES.md", []byte(page.String()), 0o644))
	}
	got, err := os.ReadFile("CASES.md")
	require.NoError(t, err)
	require.Equal(t, page.String(), string(got), "run it with -update")
}

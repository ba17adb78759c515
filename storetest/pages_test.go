package storetest

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write CASES.md anew")

// TestCasesPage keeps the page true to the tables of cases and of mutants, whose
// names TestMutants holds against each other.
func TestCasesPage(t *testing.T) {
	page := casesPage(t)
	if *update {
		require.NoError(t, os.WriteFile("CASES.md", []byte(page), 0o644))
	}
	got, err := os.ReadFile("CASES.md")
	require.NoError(t, err)
	require.True(t, page == string(got), "CASES.md is not what the tables say: run this test with -update")
}

func casesPage(t *testing.T) string {
	all := mutants()
	caught := map[string][]string{}
	for _, m := range all {
		for _, name := range strings.Fields(m.caught) {
			caught[name] = append(caught[name], m.name)
		}
	}
	var page strings.Builder
	fmt.Fprintf(&page, `# The cases of storetest

Written by `+"`go test ./storetest -run TestCasesPage -update`"+`.

Beside each of the %d cases stands why it matters, and which mutants it is known to notice: stores with one thing
wrong each, %d in all, on which the suite's own test runs it. In brackets are the variants of a mutant, each a store of
its own. Cases with Join run when the Harness has it.

| case | reason | the stores that it notices |
|---|---|---|
`, len(cases()), len(all))
	for _, c := range cases() {
		name := c.name
		if c.join {
			name += " (with Join)"
		}
		require.NotEmpty(t, c.reason, c.name)
		fmt.Fprintf(&page, "| %s | %s | %s |\n", cell(name), cell(c.reason), cell(strings.Join(grouped(caught[c.name]), "; ")))
	}
	return page.String()
}

// grouped makes one of the names that differ only in their brackets.
func grouped(names []string) []string {
	var heads []string
	variants := map[string][]string{}
	for _, name := range names {
		head, variant, _ := strings.Cut(strings.TrimSuffix(name, ")"), " (")
		if !slices.Contains(heads, head) {
			heads = append(heads, head)
		}
		if variant != "" {
			variants[head] = append(variants[head], variant)
		}
	}
	for i, head := range heads {
		if of := variants[head]; of != nil {
			heads[i] += " (" + strings.Join(of, ", ") + ")"
		}
	}
	return heads
}

// cell is text within a table of Markdown.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "_", `\_`, "*", `\*`).Replace(text)
}

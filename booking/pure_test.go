package booking_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The rules do no input or output, ask no clock and count no money in floats.
func TestPure(t *testing.T) {
	allowed := map[string]bool{
		"crypto/sha256": true, "encoding/base32": true, "encoding/binary": true, "errors": true, "fmt": true,
		"maps": true, "math": true, "slices": true, "strconv": true, "strings": true, "time": true, "unicode/utf8": true,
		"github.com/carevia/stripebooking/store": true,
	}
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	checked := 0
	for _, file := range files {
		name := file.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		checked++
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			assert.True(t, allowed[strings.Trim(spec.Path.Value, `"`)], "%s imports %s", name, spec.Path.Value)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				assert.NotContains(t, []string{"float64", "float32", "ParseFloat"}, n.Name, name)
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				clock := ok && pkg.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "Until")
				assert.False(t, clock, "%s asks the clock", name)
			}
			return true
		})
	}
	assert.Positive(t, checked)
}

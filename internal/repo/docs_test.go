package repo

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range list(t) {
		if !p.released() {
			continue
		}
		var files []*ast.File
		fset := token.NewFileSet()
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, f)
		}
		for _, problem := range problems(fset, files) {
			t.Errorf("%s: %s", p.path(), problem)
		}
	}
}

// problems says which exported names of a package have no comment, which mention
// a type of stripe-go, and whether the package has no comment or several.
func problems(fset *token.FileSet, files []*ast.File) (found []string) {
	packageComments := 0
	for _, f := range files {
		if f.Doc != nil {
			packageComments++
		}
		complain := func(n ast.Node, format string, args ...any) {
			pos := fset.Position(n.Pos())
			found = append(found, fmt.Sprintf("%s:%d: ", filepath.Base(pos.Filename), pos.Line)+fmt.Sprintf(format, args...))
		}
		stripeNames := importedFrom(f, stripe)
		for _, d := range f.Decls {
			for _, e := range exported(d) {
				if !e.documented {
					complain(e.node, "%s has no comment", e.name)
				}
				for _, part := range e.signature {
					ast.Inspect(part, func(n ast.Node) bool {
						if s, ok := n.(*ast.SelectorExpr); ok {
							if x, ok := s.X.(*ast.Ident); ok && stripeNames[x.Name] {
								complain(n, "%s mentions %s.%s", e.name, x.Name, s.Sel.Name)
							}
						}
						return true
					})
				}
			}
		}
	}
	if packageComments != 1 {
		found = append(found, fmt.Sprintf("%d package comments instead of one", packageComments))
	}
	return found
}

// name is an exported name: what it is called, whether a comment stands by it,
// and the types that its users see.
type name struct {
	node       ast.Node
	name       string
	documented bool
	signature  []ast.Node
}

// exported returns the exported names that a declaration makes, methods and an
// interface's methods included.
func exported(d ast.Decl) (names []name) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		full := d.Name.Name
		if d.Recv != nil {
			recv := receiver(d.Recv.List[0].Type)
			if !ast.IsExported(recv) {
				return nil
			}
			full = recv + "." + full
		}
		if d.Name.IsExported() {
			names = append(names, name{d, full, d.Doc != nil, []ast.Node{d.Type}})
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if !s.Name.IsExported() {
					continue
				}
				names = append(names, name{s, s.Name.Name, d.Doc != nil || s.Doc != nil || s.Comment != nil, visible(s.Type)})
				if i, ok := s.Type.(*ast.InterfaceType); ok {
					for _, m := range i.Methods.List {
						if len(m.Names) == 1 && m.Names[0].IsExported() {
							full := s.Name.Name + "." + m.Names[0].Name
							only := len(i.Methods.List) == 1 // the interface's own comment tells
							names = append(names, name{m, full, only || m.Doc != nil || m.Comment != nil, nil})
						}
					}
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() {
						var types []ast.Node
						if s.Type != nil {
							types = append(types, s.Type)
						}
						names = append(names, name{n, n.Name, d.Doc != nil || s.Doc != nil || s.Comment != nil, types})
					}
				}
			}
		}
	}
	return names
}

// visible returns the parts of a type that its users see: not the unexported
// fields of a struct.
func visible(e ast.Expr) (parts []ast.Node) {
	s, ok := e.(*ast.StructType)
	if !ok {
		return []ast.Node{e}
	}
	for _, f := range s.Fields.List {
		if len(f.Names) == 0 || f.Names[0].IsExported() {
			parts = append(parts, f.Type)
		}
	}
	return parts
}

func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// importedFrom returns the names under which f knows packages of a module.
func importedFrom(f *ast.File, module string) map[string]bool {
	names := map[string]bool{}
	for _, i := range f.Imports {
		path, _ := strconv.Unquote(i.Path.Value)
		switch {
		case path != module && !strings.HasPrefix(path, module+"/"):
		case i.Name != nil:
			names[i.Name.Name] = true
		case path == stripe:
			names["stripe"] = true
		default:
			names[path[strings.LastIndex(path, "/")+1:]] = true
		}
	}
	return names
}

func TestProblemsAreSeen(t *testing.T) {
	const head = "// Package p is there for this test.\npackage p\n"
	const withStripe = head + "import \"" + stripe + "\"\n"
	for name, c := range map[string]struct{ source, want string }{
		"no package comment": {"package p", "0 package comments"},
		"a function":         {head + "func F() {}", "F has no comment"},
		"a method":           {head + "// T is.\ntype T int\nfunc (*T) M() {}", "T.M has no comment"},
		"a type":             {head + "type T int", "T has no comment"},
		"a constant":         {head + "const C = 1", "C has no comment"},
		"a variable":         {head + "var (\n// A is.\nA, a int\nB int)", "B has no comment"},
		"an interface":       {head + "// I is.\ntype I interface {\n// F is.\nF()\nG()\n}", "I.G has no comment"},
		"an argument":        {withStripe + "// F is.\nfunc F(*stripe.Event) {}", "F mentions stripe.Event"},
		"a field":            {withStripe + "// T is.\ntype T struct{ E []stripe.Event }", "T mentions stripe.Event"},
		"an embedded field":  {withStripe + "// T is.\ntype T struct{ stripe.Event }", "T mentions stripe.Event"},
		"under another name": {head + "import s \"" + stripe + "\"\n// V is.\nvar V s.Event", "V mentions s.Event"},
	} {
		found := parsed(t, c.source)
		if assert.Len(t, found, 1, name) {
			assert.Contains(t, found[0], c.want, name)
		}
	}
	assert.Empty(t, parsed(t, withStripe+"// T is.\ntype T struct{ e stripe.Event }\ntype u int\nfunc (u) M() {}\n"+
		"// The kinds.\nconst (\nA = 1\nB = 2\n)\nfunc f(stripe.Event) {}"))
}

func parsed(t *testing.T, source string) []string {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", source, parser.ParseComments)
	require.NoError(t, err)
	return problems(fset, []*ast.File{f})
}

// Package repo holds tests about the repository itself: that imports go one way
// (layers_test.go), and that every exported name of a released package is
// documented and free of stripe-go's types (docs_test.go).
package repo

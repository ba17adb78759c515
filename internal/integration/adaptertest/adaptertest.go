// Package adaptertest is what the tests of all adapters have in common, whatever the
// database: the records they write, every call, and tests in several processes.
package adaptertest

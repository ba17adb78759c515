// Package adaptertest is what the tests of all adapters have in common, whatever the
// database: every call that there is, and what takes several processes.
package adaptertest

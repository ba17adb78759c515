package faults

import (
	"database/sql/driver"
	"errors"
	"sync"
)

// A Kind is one way in which a command can go wrong.
type Kind int

// The kinds of faults.
const (
	LostRequest Kind = iota // the connection breaks before the database gets the command
	LostAnswer              // it breaks when the database has carried it out
	Standstill              // the command waits until it is let go
)

func (k Kind) String() string {
	return [...]string{"lost request", "lost answer", "standstill"}[k]
}

// A Line is what lies between a driver and its database. It carries commands, and
// lets one of them meet a fault. A [Proxy] stands in it for servers, and
// [Line.Statement] in a driver for databases without one.
type Line struct {
	mu      sync.Mutex
	armed   bool
	kind    Kind
	at, n   int
	reached chan struct{} // closed when the command has met its fault
	release chan struct{} // closed when a command at a standstill may go on
}

// arm lets the at-th command from now on, counted from 1, meet a fault, once.
func (l *Line) arm(kind Kind, at int) (reached <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.kind, l.at, l.n = true, kind, at, 0
	l.reached, l.release = make(chan struct{}), make(chan struct{})
	return l.reached
}

// disarm lets everything pass again, also what stands still. met says whether the
// fault was met.
func (l *Line) disarm() (met bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed {
		l.armed = false
		close(l.release)
	}
	return l.n >= l.at
}

// next is called for each command, and says which fault it meets. It returns when
// a standstill is over.
func (l *Line) next() (kind Kind, broken bool) {
	l.mu.Lock()
	if !l.armed {
		l.mu.Unlock()
		return 0, false
	}
	l.n++
	if l.n != l.at {
		l.mu.Unlock()
		return 0, false
	}
	kind, release := l.kind, l.release
	close(l.reached)
	l.mu.Unlock()
	if kind == Standstill {
		<-release
		return 0, false
	}
	return kind, true
}

// ErrBroken is what a statement of a broken Line fails with.
var ErrBroken = errors.New("the connection broke")

// Statement is the Line within a driver: it stands around the run of a statement.
func (l *Line) Statement(_ string, _ []driver.NamedValue, run func() error) error {
	kind, broken := l.next()
	if broken && kind == LostRequest {
		return ErrBroken
	}
	err := run()
	if broken && err == nil {
		return ErrBroken
	}
	return err
}

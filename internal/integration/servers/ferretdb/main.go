// Command ferretdb is a server that speaks MongoDB's protocol, FerretDB on SQLite,
// for the tests. It listens on the address that is its first argument and keeps its
// databases in the folder that is its second.
//
// It is a program of its own so that no test has it in its binary: the race detector
// would look at it, and slow it down.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	// It reads whole collections, and keeps nothing of them: garbage is most of its work.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: os.Args[1]},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[2] + "/",
	})
	if err == nil {
		err = f.Run(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

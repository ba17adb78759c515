package mongo

import (
	"context"
	"errors"
	"fmt"
	"log"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/carevia/stripebooking/internal/integration/sample"
	"github.com/carevia/stripebooking/internal/integration/servers"
	"github.com/carevia/stripebooking/store"
	"github.com/carevia/stripebooking/store/mongostore"
)

// A store on a database of MongoDB's.
func Example() {
	ctx := context.Background()
	server, err := servers.MongoDBExample() // yours has an address: mongodb://localhost:27017
	if err != nil {
		log.Fatal(err)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI(server.Addr)))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Disconnect(ctx)
	db := client.Database("stripebooking_example")
	defer db.Drop(ctx)

	st, err := mongostore.New(mongostore.Config{Database: db})
	if err != nil {
		log.Fatal(err)
	}
	if err := st.Migrate(ctx); err != nil {
		log.Fatal(err)
	}

	event := sample.Paid("a") // booking, payment, ledger row and history line of one event
	for range 3 {             // Stripe delivers it three times
		res, err := st.Apply(ctx, event)
		fmt.Println(res.Applied, res.Booking.State, res.Booking.Version, err)
	}
	event.Key = "evt_other" // another event that brings the same booking
	res, err := st.Apply(ctx, event)
	fmt.Println(errors.Is(err, store.ErrConflict), res.Conflict, res.Booking.ID)
	// Output:
	// true confirmed 1 <nil>
	// false confirmed 1 <nil>
	// false confirmed 1 <nil>
	// true version bk_a
}

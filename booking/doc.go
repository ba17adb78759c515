// Package booking holds the rules: what a booking costs, what Stripe's news mean
// for it, and which state may follow which. All of it is pure: no input or
// output, no clock, no random number. The same arguments always give the same
// answer, so that every rule can be checked in a table.
//
// # Money
//
// An amount is an int64 in the minor unit that Stripe counts a currency in, and
// never a floating-point number. Stripe's units are its own: ISK and UGX have
// two decimals that are always 0, and the last of KWD's three is. [ParseAmount]
// and [FormatAmount] go from and to decimal text in major units, "12.50".
//
// [NewQuote] makes a price, on the server: all of it at checkout, or half of it
// as a deposit and the balance later. It refuses what Stripe would refuse, and
// says all that is wrong at once. [QuoteOf] works out the quote of a stored
// booking again.
//
// # Metadata
//
// What was agreed, an [Order], travels through Stripe in the metadata of the
// checkout session and its payment intent, and a [Codec] writes and reads it.
// [Marked] is for checkouts that this library makes. [Plain] reads the metadata
// of sites that make their own with the keys userId, serviceId, serviceName,
// amountToPay and paymentOption; their bookings get an id that [DeriveID] makes
// from the payment intent. Metadata with no key of the codec's is [ErrNotOurs]
// and none of our business; metadata that is ours but makes no order is
// [ErrMetadata], and a person must look.
//
// # From news to a Change
//
// [Facts] is what Stripe says about one checkout session or payment intent, in
// our own words, and [Facts.Standing] what it comes to. [Settle] takes what is
// stored, the order and the facts, and plans the one store.Change that follows
// from them, or finds that there is nothing to do. Whoever applies the plan and
// loses a race plans again from what is stored then: the news may come late,
// twice and in any order, and the outcome is the same. [Hold], [Attach] and
// [Renew] plan what comes before: a booking that waits for its payment, the
// checkout session that it waits for, and another try.
//
// # States
//
// [CanMove] is the table of a booking's states:
//
//	held → confirmed | expired | cancelled | conflicted
//	expired → confirmed | conflicted
//	confirmed → cancelled | refunded
//	cancelled → conflicted
//	conflicted → confirmed | refunded
//
// A conflicted booking is paid, but not as agreed (another amount, another
// currency, no seat left, called off before), and a rule or a person settles it;
// the payment is recorded all the same. [PaymentStatus] derives the status of a
// payment from facts that only accumulate, so that late or repeated news never
// undoes a newer fact.
package booking

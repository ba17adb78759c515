-- Bookings, payments and the ledger of events.
--
-- Times are milliseconds since 1970-01-01 UTC (NULL: none), amounts are in
-- Stripe's minor unit, details, claims, seats, refunds and metadata are JSON
-- (NULL: empty). Text is compared byte for byte: SQLite's BINARY collation.

-- What was done: one row for each Change that applied.
CREATE TABLE {prefix}changes (
    change_key  TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    booking_id  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE {prefix}bookings (
    id                TEXT    NOT NULL PRIMARY KEY,
    user_id           TEXT    NOT NULL,
    service_id        TEXT    NOT NULL,
    service_name      TEXT    NOT NULL,
    payment_option    TEXT    NOT NULL,
    total             INTEGER NOT NULL,
    paid              INTEGER NOT NULL,
    due               INTEGER NOT NULL,
    currency          TEXT    NOT NULL,
    state             TEXT    NOT NULL,
    reason            TEXT    NOT NULL,
    version           INTEGER NOT NULL,
    payment_intent_id TEXT    NOT NULL,
    session_id        TEXT    NOT NULL,
    details           TEXT,
    claims            TEXT,
    seats             TEXT,
    hold_until        INTEGER,
    livemode          INTEGER NOT NULL,
    account           TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX {prefix}bookings_by_user ON {prefix}bookings (user_id, created_at, id);
CREATE INDEX {prefix}bookings_by_session ON {prefix}bookings (session_id, created_at, id);

-- One line for each version of a booking. Its key lets one Change win.
CREATE TABLE {prefix}history (
    booking_id TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    from_state TEXT    NOT NULL,
    to_state   TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    cause_by   TEXT    NOT NULL,
    cause_id   TEXT    NOT NULL,
    at         INTEGER,
    PRIMARY KEY (booking_id, version)
) STRICT, WITHOUT ROWID;

-- Its key gives a payment intent to one booking, for ever.
CREATE TABLE {prefix}payments (
    payment_intent_id TEXT    NOT NULL PRIMARY KEY,
    id                TEXT    NOT NULL,
    booking_id        TEXT    NOT NULL,
    user_id           TEXT    NOT NULL,
    session_id        TEXT    NOT NULL,
    amount            INTEGER NOT NULL,
    subtotal          INTEGER NOT NULL,
    tax               INTEGER NOT NULL,
    shipping          INTEGER NOT NULL,
    discount          INTEGER NOT NULL,
    currency          TEXT    NOT NULL,
    status            TEXT    NOT NULL,
    captured_at       INTEGER,
    failure_code      TEXT    NOT NULL,
    payment_method    TEXT    NOT NULL,
    purpose           TEXT    NOT NULL,
    refunds           TEXT,
    refunded          INTEGER NOT NULL,
    dispute           TEXT    NOT NULL,
    metadata          TEXT,
    livemode          INTEGER NOT NULL,
    account           TEXT    NOT NULL,
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX {prefix}payments_by_booking ON {prefix}payments (booking_id, created_at, id);
CREATE INDEX {prefix}payments_by_user ON {prefix}payments (user_id, created_at, id);
CREATE INDEX {prefix}payments_by_session ON {prefix}payments (session_id, created_at, id);

-- The seats that are taken. Its key gives a seat to one booking at a time.
CREATE TABLE {prefix}seats (
    slot        TEXT    NOT NULL,
    seat_number INTEGER NOT NULL,
    booking_id  TEXT    NOT NULL,
    PRIMARY KEY (slot, seat_number)
) STRICT, WITHOUT ROWID;

-- The ledger: one row for each event of Stripe's.
CREATE TABLE {prefix}events (
    id          TEXT    NOT NULL PRIMARY KEY,
    type        TEXT    NOT NULL,
    object_id   TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    livemode    INTEGER NOT NULL,
    api_version TEXT    NOT NULL,
    created     INTEGER,
    received_at INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    booking_id  TEXT    NOT NULL,
    updated_at  INTEGER,
    payload     BLOB
) STRICT;
CREATE INDEX {prefix}events_by_time ON {prefix}events (received_at, id);
CREATE INDEX {prefix}events_by_state ON {prefix}events (state, received_at, id);
CREATE INDEX {prefix}events_by_type ON {prefix}events (type, received_at, id);
CREATE INDEX {prefix}events_by_state_type ON {prefix}events (state, type, received_at, id);

-- The user's handlers that succeeded for an event. Rows are only added.
CREATE TABLE {prefix}event_handlers (
    event_id TEXT NOT NULL,
    handler  TEXT NOT NULL,
    PRIMARY KEY (event_id, handler)
) STRICT, WITHOUT ROWID;

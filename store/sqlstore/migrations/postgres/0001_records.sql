-- Bookings, payments and the ledger of events.
--
-- Times are milliseconds since 1970-01-01 UTC (NULL: none), amounts are in
-- Stripe's minor unit, details, claims, seats, refunds and metadata are JSON
-- (NULL: empty). Ids and keys are compared byte for byte,
-- whatever the database's collation: COLLATE "C".

-- What was done: one row for each Change that applied.
CREATE TABLE {prefix}changes (
    change_key  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    fingerprint TEXT COLLATE "C" NOT NULL,
    booking_id  TEXT COLLATE "C" NOT NULL
);

CREATE TABLE {prefix}bookings (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id           TEXT COLLATE "C" NOT NULL,
    service_id        TEXT COLLATE "C" NOT NULL,
    service_name      TEXT NOT NULL,
    payment_option    TEXT NOT NULL,
    total             BIGINT NOT NULL,
    paid              BIGINT NOT NULL,
    due               BIGINT NOT NULL,
    currency          TEXT NOT NULL,
    state             TEXT COLLATE "C" NOT NULL,
    reason            TEXT NOT NULL,
    version           BIGINT NOT NULL,
    payment_intent_id TEXT COLLATE "C" NOT NULL,
    session_id        TEXT COLLATE "C" NOT NULL,
    details           TEXT,
    claims            TEXT,
    seats             TEXT,
    hold_until        BIGINT,
    livemode          BOOLEAN NOT NULL,
    account           TEXT COLLATE "C" NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE INDEX {prefix}bookings_by_user ON {prefix}bookings (user_id, created_at, id);
CREATE INDEX {prefix}bookings_by_session ON {prefix}bookings (session_id, created_at, id);

-- One line for each version of a booking. Its key lets one Change win.
CREATE TABLE {prefix}history (
    booking_id TEXT COLLATE "C" NOT NULL,
    version    BIGINT NOT NULL,
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    reason     TEXT NOT NULL,
    cause_by   TEXT NOT NULL,
    cause_id   TEXT COLLATE "C" NOT NULL,
    at         BIGINT,
    PRIMARY KEY (booking_id, version)
);

-- Its key gives a payment intent to one booking, for ever.
CREATE TABLE {prefix}payments (
    payment_intent_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    id                TEXT COLLATE "C" NOT NULL,
    booking_id        TEXT COLLATE "C" NOT NULL,
    user_id           TEXT COLLATE "C" NOT NULL,
    session_id        TEXT COLLATE "C" NOT NULL,
    amount            BIGINT NOT NULL,
    subtotal          BIGINT NOT NULL,
    tax               BIGINT NOT NULL,
    shipping          BIGINT NOT NULL,
    discount          BIGINT NOT NULL,
    currency          TEXT NOT NULL,
    status            TEXT NOT NULL,
    captured_at       BIGINT,
    failure_code      TEXT NOT NULL,
    payment_method    TEXT NOT NULL,
    purpose           TEXT NOT NULL,
    refunds           TEXT,
    refunded          BIGINT NOT NULL,
    dispute           TEXT NOT NULL,
    metadata          TEXT,
    livemode          BOOLEAN NOT NULL,
    account           TEXT COLLATE "C" NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE INDEX {prefix}payments_by_booking ON {prefix}payments (booking_id, created_at, id);
CREATE INDEX {prefix}payments_by_user ON {prefix}payments (user_id, created_at, id);
CREATE INDEX {prefix}payments_by_session ON {prefix}payments (session_id, created_at, id);

-- The seats that are taken. Its key gives a seat to one booking at a time.
CREATE TABLE {prefix}seats (
    slot        TEXT COLLATE "C" NOT NULL,
    seat_number BIGINT NOT NULL,
    booking_id  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (slot, seat_number)
);

-- The ledger: one row for each event of Stripe's.
CREATE TABLE {prefix}events (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    type        TEXT COLLATE "C" NOT NULL,
    object_id   TEXT COLLATE "C" NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    livemode    BOOLEAN NOT NULL,
    api_version TEXT NOT NULL,
    created     BIGINT,
    received_at BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    reason      TEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    booking_id  TEXT COLLATE "C" NOT NULL,
    updated_at  BIGINT,
    payload     BYTEA
);
CREATE INDEX {prefix}events_by_time ON {prefix}events (received_at, id);
CREATE INDEX {prefix}events_by_state ON {prefix}events (state, received_at, id);
CREATE INDEX {prefix}events_by_type ON {prefix}events (type, received_at, id);
CREATE INDEX {prefix}events_by_state_type ON {prefix}events (state, type, received_at, id);

-- The user's handlers that succeeded for an event. Rows are only added.
CREATE TABLE {prefix}event_handlers (
    event_id TEXT COLLATE "C" NOT NULL,
    handler  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (event_id, handler)
);

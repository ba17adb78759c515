-- Bookings, payments and the ledger of events.
--
-- Times are milliseconds since 1970-01-01 UTC (NULL: none), amounts are in
-- Stripe's minor unit, details, claims, seats, refunds and metadata are JSON
-- (NULL: empty). Text is compared byte for byte, trailing spaces included, by
-- utf8mb4_nopad_bin on MariaDB and utf8mb4_0900_bin on MySQL: each server reads
-- the one of the two comments that is for it. VARBINARY would do for both, but
-- many tools don't show it as text.
--
-- Each statement is final by itself, and does nothing when it has been done.

-- What was done: one row for each Change that applied.
CREATE TABLE IF NOT EXISTS {prefix}changes (
    change_key  VARCHAR(255) NOT NULL PRIMARY KEY,
    fingerprint VARCHAR(255) NOT NULL,
    booking_id  VARCHAR(255) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

CREATE TABLE IF NOT EXISTS {prefix}bookings (
    id                VARCHAR(255) NOT NULL PRIMARY KEY,
    user_id           VARCHAR(255) NOT NULL,
    service_id        VARCHAR(255) NOT NULL,
    service_name      LONGTEXT NOT NULL,
    payment_option    VARCHAR(255) NOT NULL,
    total             BIGINT NOT NULL,
    paid              BIGINT NOT NULL,
    due               BIGINT NOT NULL,
    currency          VARCHAR(255) NOT NULL,
    state             VARCHAR(255) NOT NULL,
    reason            LONGTEXT NOT NULL,
    version           BIGINT NOT NULL,
    payment_intent_id VARCHAR(255) NOT NULL,
    session_id        VARCHAR(255) NOT NULL,
    details           LONGTEXT,
    claims            LONGTEXT,
    seats             LONGTEXT,
    hold_until        BIGINT,
    livemode          BOOLEAN NOT NULL,
    account           VARCHAR(255) NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    INDEX {prefix}bookings_by_user (user_id, created_at, id),
    INDEX {prefix}bookings_by_session (session_id, created_at, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

-- One line for each version of a booking. Its key lets one Change win.
CREATE TABLE IF NOT EXISTS {prefix}history (
    booking_id VARCHAR(255) NOT NULL,
    version    BIGINT NOT NULL,
    from_state VARCHAR(255) NOT NULL,
    to_state   VARCHAR(255) NOT NULL,
    reason     LONGTEXT NOT NULL,
    cause_by   VARCHAR(255) NOT NULL,
    cause_id   VARCHAR(255) NOT NULL,
    at         BIGINT,
    PRIMARY KEY (booking_id, version)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

-- Its key gives a payment intent to one booking, for ever.
CREATE TABLE IF NOT EXISTS {prefix}payments (
    payment_intent_id VARCHAR(255) NOT NULL PRIMARY KEY,
    id                VARCHAR(255) NOT NULL,
    booking_id        VARCHAR(255) NOT NULL,
    user_id           VARCHAR(255) NOT NULL,
    session_id        VARCHAR(255) NOT NULL,
    amount            BIGINT NOT NULL,
    subtotal          BIGINT NOT NULL,
    tax               BIGINT NOT NULL,
    shipping          BIGINT NOT NULL,
    discount          BIGINT NOT NULL,
    currency          VARCHAR(255) NOT NULL,
    status            VARCHAR(255) NOT NULL,
    captured_at       BIGINT,
    failure_code      VARCHAR(255) NOT NULL,
    payment_method    VARCHAR(255) NOT NULL,
    purpose           VARCHAR(255) NOT NULL,
    refunds           LONGTEXT,
    refunded          BIGINT NOT NULL,
    dispute           VARCHAR(255) NOT NULL,
    metadata          LONGTEXT,
    livemode          BOOLEAN NOT NULL,
    account           VARCHAR(255) NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    INDEX {prefix}payments_by_booking (booking_id, created_at, id),
    INDEX {prefix}payments_by_user (user_id, created_at, id),
    INDEX {prefix}payments_by_session (session_id, created_at, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

-- The seats that are taken. Its key gives a seat to one booking at a time.
CREATE TABLE IF NOT EXISTS {prefix}seats (
    slot        VARCHAR(255) NOT NULL,
    seat_number BIGINT NOT NULL,
    booking_id  VARCHAR(255) NOT NULL,
    PRIMARY KEY (slot, seat_number)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

-- The ledger: one row for each event of Stripe's.
CREATE TABLE IF NOT EXISTS {prefix}events (
    id          VARCHAR(255) NOT NULL PRIMARY KEY,
    type        VARCHAR(255) NOT NULL,
    object_id   VARCHAR(255) NOT NULL,
    account     VARCHAR(255) NOT NULL,
    livemode    BOOLEAN NOT NULL,
    api_version VARCHAR(255) NOT NULL,
    created     BIGINT,
    received_at BIGINT NOT NULL,
    state       VARCHAR(255) NOT NULL,
    reason      LONGTEXT NOT NULL,
    attempts    BIGINT NOT NULL,
    booking_id  VARCHAR(255) NOT NULL,
    updated_at  BIGINT,
    payload     LONGBLOB,
    INDEX {prefix}events_by_time (received_at, id),
    INDEX {prefix}events_by_state (state, received_at, id),
    INDEX {prefix}events_by_type (type, received_at, id),
    INDEX {prefix}events_by_state_type (state, type, received_at, id)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

-- The user's handlers that succeeded for an event. Rows are only added.
CREATE TABLE IF NOT EXISTS {prefix}event_handlers (
    event_id VARCHAR(255) NOT NULL,
    handler  VARCHAR(255) NOT NULL,
    PRIMARY KEY (event_id, handler)
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4
  COLLATE=/*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */;

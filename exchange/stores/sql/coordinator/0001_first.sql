-- What a coordinator keeps. It holds no key that opens anything stored here.

-- The community's signed documents, in the order in which they were accepted.
CREATE TABLE document (
    idx INTEGER PRIMARY KEY,          -- 0, 1, 2, ... without gaps
    id BLOB NOT NULL UNIQUE,          -- hash of the document's body
    data BLOB NOT NULL,
    added_ms INTEGER NOT NULL
) STRICT;

-- Every statement about an envelope, in the order of the ledger to come: idx is its leaf index.
-- The sequencer will read from its last committed size on, and keep its checkpoints in tables of
-- its own; no row here is ever changed or removed.
CREATE TABLE statement (
    idx INTEGER PRIMARY KEY,          -- 0, 1, 2, ... without gaps
    id BLOB NOT NULL UNIQUE,          -- hash of the statement's body
    envelope BLOB NOT NULL,           -- id of the envelope it speaks of
    party TEXT NOT NULL,
    kind INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,           -- the signer's time
    received_ms INTEGER NOT NULL,     -- this coordinator's time
    data BLOB NOT NULL                -- the signed statement, byte for byte
) STRICT;

CREATE INDEX statement_about ON statement (envelope, party);

-- Each envelope once. A delivery is cut from it for each recipient.
CREATE TABLE envelope (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,          -- hash of the manifest
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,         -- codes in the order of the wraps, separated by one space
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    relayed INTEGER NOT NULL REFERENCES statement (idx),
    manifest BLOB NOT NULL,
    proof BLOB NOT NULL,
    wraps BLOB NOT NULL,              -- 1208 bytes for each recipient
    payload BLOB NOT NULL
) STRICT;

-- One append-only list of items per recipient; how far it goes stands in cursor.head.
CREATE TABLE mailbox (
    recipient TEXT NOT NULL,
    sequence INTEGER NOT NULL,        -- 1, 2, 3, ... without gaps, in the order of commits
    envelope INTEGER REFERENCES envelope (number),
    position INTEGER,                 -- which wrap of the envelope is this recipient's
    statement INTEGER REFERENCES statement (idx),
    PRIMARY KEY (recipient, sequence),
    CHECK ((envelope IS NULL) <> (statement IS NULL)),
    CHECK ((envelope IS NULL) = (position IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (
    recipient TEXT PRIMARY KEY,
    head INTEGER NOT NULL,            -- sequence of the newest item
    collected INTEGER NOT NULL,       -- every item up to here is dealt with by the recipient
    CHECK (0 <= collected AND collected <= head)
) STRICT, WITHOUT ROWID;

-- Items that a recipient reported as unusable; they stay where they are.
CREATE TABLE unusable (
    recipient TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    code TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (recipient, sequence)
) STRICT, WITHOUT ROWID;

-- Items that expired before they were collected, with the statement that says so.
CREATE TABLE undelivered (
    recipient TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    statement INTEGER NOT NULL REFERENCES statement (idx),
    PRIMARY KEY (recipient, sequence)
) STRICT, WITHOUT ROWID;

-- The last statement of each of the coordinator's own statement keys.
CREATE TABLE chain (
    key_id BLOB PRIMARY KEY,
    sequence INTEGER NOT NULL,
    previous BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- /readyz proves that the disk takes writes by changing this one row.
CREATE TABLE readiness (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    written_ms INTEGER NOT NULL
) STRICT;

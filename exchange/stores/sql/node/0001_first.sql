-- The node's store. Everything a node has accepted, received, said and still has to send.
-- Columns named "locked" hold items of keys.vault; the store alone reveals no content.

-- Small facts by name: how far the mailbox is collected, how far the documents are mirrored.
CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Every trusted document, in the order in which it was accepted.
CREATE TABLE document (
    position INTEGER PRIMARY KEY,
    hash     BLOB NOT NULL UNIQUE,
    body     BLOB NOT NULL
) STRICT;

-- Notices in both directions. The sealed payload is not kept: content key, salt and body
-- give it back byte for byte.
CREATE TABLE notice (
    id               BLOB PRIMARY KEY,
    direction        TEXT NOT NULL CHECK (direction IN ('sent', 'received')),
    sender           TEXT NOT NULL,
    notice           BLOB NOT NULL,
    manifest         BLOB NOT NULL,
    proof            BLOB NOT NULL,
    salt             BLOB NOT NULL,
    created_ms       INTEGER NOT NULL,
    stored_ms        INTEGER NOT NULL,
    priority         INTEGER NOT NULL,
    state            TEXT NOT NULL,
    locked_summary   BLOB NOT NULL,
    locked_key       BLOB NOT NULL,
    request_id       TEXT UNIQUE,
    request_digest   BLOB,
    pair_sequence    INTEGER,
    pair_previous    BLOB
) STRICT;
CREATE INDEX notice_listed ON notice (direction, priority, stored_ms);
CREATE UNIQUE INDEX notice_shown_once ON notice (sender, notice) WHERE direction = 'received';
CREATE INDEX notice_pair ON notice (sender, pair_sequence) WHERE direction = 'received';

-- The bodies apart: lists and receipts never read them.
CREATE TABLE content (
    envelope    BLOB PRIMARY KEY REFERENCES notice (id),
    locked_body BLOB NOT NULL
) STRICT;

-- One row per recipient of a sent notice.
CREATE TABLE delivery (
    envelope  BLOB NOT NULL REFERENCES notice (id),
    recipient TEXT NOT NULL,
    state     TEXT NOT NULL,
    since_ms  INTEGER NOT NULL,
    code      TEXT,
    tail      INTEGER NOT NULL,
    PRIMARY KEY (envelope, recipient)
) STRICT, WITHOUT ROWID;

-- Statements about notices in this store, ours and others', as signed.
CREATE TABLE statement (
    id          BLOB PRIMARY KEY,
    envelope    BLOB NOT NULL,
    party       TEXT NOT NULL,
    kind        INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    officer     TEXT,
    code        TEXT,
    recorded    INTEGER NOT NULL,
    locked_note BLOB,
    body        BLOB NOT NULL
) STRICT;
CREATE INDEX statement_about ON statement (envelope, at_ms);

-- The last statement of each of our keys: the next one continues from here.
CREATE TABLE chain (
    key_id   BLOB PRIMARY KEY,
    sequence INTEGER NOT NULL,
    previous BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The last notice to each recipient: the next one continues from here.
CREATE TABLE pair (
    recipient TEXT PRIMARY KEY,
    sequence  INTEGER NOT NULL,
    previous  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What the coordinator must still be given, most urgent first. A row goes when it is answered.
CREATE TABLE outgoing (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL CHECK (kind IN ('submit', 'attest', 'publish')),
    priority INTEGER NOT NULL,
    subject  BLOB NOT NULL,
    content  BLOB NOT NULL
) STRICT;
CREATE INDEX outgoing_order ON outgoing (priority, number);

-- The secret halves of the daily keys; a row is deleted when its time is over.
CREATE TABLE prekey (
    id            BLOB PRIMARY KEY,
    keep_until_ms INTEGER NOT NULL,
    locked_seed   BLOB NOT NULL
) STRICT;

-- What was delivered and could not be used, kept as evidence.
CREATE TABLE refused (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER NOT NULL,
    envelope BLOB,
    code     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    evidence BLOB NOT NULL
) STRICT;

-- What people and scripts watch; numbers rise and are never reused.
CREATE TABLE event (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms    INTEGER NOT NULL,
    event    TEXT NOT NULL,
    envelope BLOB,
    state    TEXT,
    code     TEXT,
    detail   TEXT NOT NULL
) STRICT;

-- What a person must know until it is put right.
CREATE TABLE alarm (
    code     TEXT NOT NULL,
    about    TEXT NOT NULL,
    message  TEXT NOT NULL,
    next     TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (code, about)
) STRICT, WITHOUT ROWID;

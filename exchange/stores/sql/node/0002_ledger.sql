-- What this node knows of its coordinator's ledger, and what it holds as its witness.

-- The checkpoint of each log that this node cosigned last. It never goes back.
CREATE TABLE witness (
    log   TEXT PRIMARY KEY,
    size  INTEGER NOT NULL,
    root  BLOB NOT NULL,
    note  BLOB NOT NULL,              -- as the log signed it: evidence, if another one turns up
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sizes and roots that the log has signed; of each log the newest ones are kept.
CREATE TABLE tree_head (
    log  TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note BLOB NOT NULL,               -- with the log's signatures alone
    PRIMARY KEY (log, size)
) STRICT;

-- Checkpoints that a quorum has cosigned: the newest of each log, and those that places stand under.
CREATE TABLE checkpoint (
    log          TEXT NOT NULL,
    size         INTEGER NOT NULL,
    note         BLOB NOT NULL,
    witnessed_ms INTEGER NOT NULL,    -- when the quorum was full, by the witnesses' clocks
    documents    INTEGER NOT NULL,    -- how many trusted documents judged it
    PRIMARY KEY (log, size)
) STRICT;

-- Statements that the coordinator has recorded, and that are not yet seen under a quorum's checkpoint.
CREATE TABLE promise (
    statement BLOB PRIMARY KEY REFERENCES statement (id),
    since_ms  INTEGER NOT NULL,       -- by this node's clock
    logged_ms INTEGER                 -- when it was first seen under a checkpoint that the log signed
) STRICT, WITHOUT ROWID;
CREATE INDEX promise_since ON promise (since_ms);

-- Where statements stand in the log, each proved under a quorum's checkpoint of that size.
CREATE TABLE place (
    statement BLOB PRIMARY KEY REFERENCES statement (id),
    idx       INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,       -- the time in the leaf
    path      BLOB NOT NULL,          -- the inclusion path: hashes of 32 bytes, lowest first
    size      INTEGER NOT NULL,
    delay_ms  INTEGER NOT NULL        -- from recorded to seen in the log
) STRICT, WITHOUT ROWID;
CREATE INDEX place_under ON place (size);

-- Checkpoints that other parties have seen, by their own signed word, and that were not yet compared.
CREATE TABLE gossip (
    origin    TEXT NOT NULL,
    size      INTEGER NOT NULL,
    root      BLOB NOT NULL,
    party     TEXT NOT NULL,
    statement BLOB NOT NULL,
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (origin, size, root)
) STRICT, WITHOUT ROWID;

-- Which statement each key has signed under which number: two under one number prove a fork.
CREATE TABLE signed (
    key_id    BLOB NOT NULL,
    sequence  INTEGER NOT NULL,
    previous  BLOB NOT NULL,
    statement BLOB NOT NULL,
    PRIMARY KEY (key_id, sequence)
) STRICT, WITHOUT ROWID;

-- What proves that somebody lied; each is written out as a file of this name too.
CREATE TABLE evidence (
    name  TEXT PRIMARY KEY,
    code  TEXT NOT NULL,
    about TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    text  BLOB NOT NULL,
    UNIQUE (code, about)
) STRICT, WITHOUT ROWID;

-- What was relayed and not yet received: somebody may be withholding it.
CREATE INDEX delivery_relayed ON delivery (since_ms) WHERE state = 'relayed';

-- What was recorded before there was a ledger has a leaf in it like everything else.
INSERT INTO promise SELECT id, at_ms, NULL FROM statement WHERE recorded = 1;

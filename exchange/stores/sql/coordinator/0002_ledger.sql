-- The two logs: 'ack' over the rows of statement, 'dir' over those of document. A row's idx is its
-- leaf's index; leaves are made from the rows, and are not kept.

-- The newest checkpoint that was signed. It may be replaced only by one that extends it, compared
-- with it in one transaction; nobody is told of it before it stands here and in the anchor.
CREATE TABLE ledger_signed (
    log TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    checkpoint BLOB NOT NULL          -- the note, with the log's own two signatures
) STRICT, WITHOUT ROWID;

-- Every size that was signed and is laid out in tiles. The largest of a log is what is published.
CREATE TABLE ledger_published (
    log TEXT NOT NULL,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    PRIMARY KEY (log, size)
) STRICT, WITHOUT ROWID;

-- Hashes in tiles of up to 256 of 32 bytes; the rightmost tile of a level grows.
CREATE TABLE ledger_tile (
    log TEXT NOT NULL,
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (log, level, number)
) STRICT;

-- The newest checkpoint with the cosignatures of a quorum.
CREATE TABLE ledger_witnessed (
    log TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,           -- when the quorum was full, by the witnesses' clocks
    checkpoint BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Some of the witnessed checkpoints are kept for ever: between the times of two of them lies every
-- leaf that only the larger one covers.
CREATE TABLE ledger_milestone (
    log TEXT NOT NULL,
    size INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    checkpoint BLOB NOT NULL,
    PRIMARY KEY (log, size)
) STRICT;

-- Where the coordinator last said which documents count (statements of the kind DIRECTORY).
CREATE INDEX statement_directory ON statement (idx) WHERE kind = 48;

-- What the processes of one coordinator keep together. It holds no key that opens anything stored here.
-- Codes are compared byte by byte, whatever language the server was set up in: COLLATE "C".

-- The turn: whoever holds this row's lock adds to the ledger. How many rows there are stands in it.
CREATE TABLE turn (
    one boolean PRIMARY KEY CHECK (one),
    statements bigint NOT NULL,
    documents bigint NOT NULL
) WITH (fillfactor = 10);

INSERT INTO turn VALUES (true, 0, 0);

-- The community's signed documents, in the order in which they were accepted.
CREATE TABLE document (
    idx bigint PRIMARY KEY,           -- 0, 1, 2, ... without gaps
    id bytea NOT NULL UNIQUE,         -- hash of the document's body
    data bytea NOT NULL,
    added_ms bigint NOT NULL
);

-- Every statement about an envelope, in the order of the ledger: idx is its leaf's index.
-- No row here is ever changed or removed.
CREATE TABLE statement (
    idx bigint PRIMARY KEY,           -- 0, 1, 2, ... without gaps
    id bytea NOT NULL UNIQUE,         -- hash of the statement's body
    envelope bytea NOT NULL,          -- id of the envelope it speaks of
    party text COLLATE "C" NOT NULL,
    kind integer NOT NULL,
    at_ms bigint NOT NULL,            -- the signer's time
    received_ms bigint NOT NULL,      -- this coordinator's time
    data bytea NOT NULL               -- the signed statement, byte for byte
);

CREATE INDEX statement_about ON statement (envelope, party);

-- Where the coordinator last said which documents count (statements of the kind DIRECTORY).
CREATE INDEX statement_directory ON statement (idx) WHERE kind = 48;

-- The evidence of each envelope, for ever. Its number is the index of its RELAYED statement.
CREATE TABLE envelope (
    number bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE,         -- hash of the manifest
    sender text COLLATE "C" NOT NULL,
    recipients text[] COLLATE "C" NOT NULL,  -- codes in the order of the wraps
    created_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    received_ms bigint NOT NULL,
    manifest bytea NOT NULL,
    proof bytea NOT NULL
);

-- Its content, until it has expired: one partition for each day on which something expires, made ahead
-- and dropped as a whole. Encrypted bytes are not compressed, so that one wrap can be cut out.
CREATE TABLE content (
    day integer NOT NULL,             -- days since 1970 until it expires
    number bigint NOT NULL,           -- the envelope's
    wraps bytea NOT NULL,             -- 1208 bytes for each recipient
    payload bytea NOT NULL,
    PRIMARY KEY (day, number)
) PARTITION BY RANGE (day);

ALTER TABLE content ALTER wraps SET STORAGE EXTERNAL, ALTER payload SET STORAGE EXTERNAL;

-- Content of days before this one is gone.
CREATE TABLE content_from (one boolean PRIMARY KEY CHECK (one), day integer NOT NULL);

INSERT INTO content_from VALUES (true, 0);

-- One append-only list of items per recipient; how far it goes stands in mailbox_head.
CREATE TABLE mailbox (
    recipient text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,         -- 1, 2, 3, ... without gaps, in the order of commits
    envelope bigint,
    position smallint,                -- which wrap of the envelope is this recipient's
    day integer,                      -- when the envelope expires
    statement bigint,
    size integer NOT NULL,            -- bytes of what is sent, but for some dozens
    PRIMARY KEY (recipient, sequence),
    CHECK ((envelope IS NULL) <> (statement IS NULL)),
    CHECK ((envelope IS NULL) = (position IS NULL) AND (envelope IS NULL) = (day IS NULL))
);

CREATE INDEX mailbox_day ON mailbox (day) WHERE day IS NOT NULL;

-- Written in the turn alone; cursors are written outside of it, so that neither waits for the other.
CREATE TABLE mailbox_head (
    recipient text COLLATE "C" PRIMARY KEY,
    head bigint NOT NULL              -- sequence of the newest item
) WITH (fillfactor = 50);

CREATE TABLE cursor (
    recipient text COLLATE "C" PRIMARY KEY,
    collected bigint NOT NULL CHECK (0 <= collected)  -- everything up to here is dealt with
) WITH (fillfactor = 50);

-- Items that a recipient reported as unusable; they stay where they are.
CREATE TABLE unusable (
    recipient text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    code text NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (recipient, sequence)
);

-- Items that expired before they were collected, with the statement that says so.
CREATE TABLE undelivered (
    recipient text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL,
    statement bigint NOT NULL UNIQUE,
    PRIMARY KEY (recipient, sequence)
);

-- The last statement of each of the coordinator's own statement keys.
CREATE TABLE chain (
    key_id bytea PRIMARY KEY,
    sequence bigint NOT NULL,
    previous bytea NOT NULL
) WITH (fillfactor = 50);

-- What each process commits to learn that all it has read is on the standby; /readyz writes here too.
CREATE TABLE marker (
    owner text PRIMARY KEY,
    count bigint NOT NULL,
    at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Who does what; see exchange/stores/sharing_contract.py. Times are this server's.
CREATE TABLE session (
    state text COLLATE "C" PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE lease (
    name text PRIMARY KEY,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The two logs: 'ack' over the rows of statement, 'dir' over those of document.
CREATE TABLE ledger_signed (
    log text PRIMARY KEY,
    size bigint NOT NULL,
    root bytea NOT NULL,
    checkpoint bytea NOT NULL         -- the note, with the log's own two signatures
) WITH (fillfactor = 50);

-- Every size that was signed and is laid out in tiles. The largest of a log is what is published.
CREATE TABLE ledger_published (
    log text NOT NULL,
    size bigint NOT NULL,
    root bytea NOT NULL,
    PRIMARY KEY (log, size)
);

-- Hashes in tiles of up to 256 of 32 bytes; the rightmost tile of a level grows.
CREATE TABLE ledger_tile (
    log text NOT NULL,
    level integer NOT NULL,
    number bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (log, level, number)
);

ALTER TABLE ledger_tile ALTER hashes SET STORAGE EXTERNAL;

-- The newest checkpoint with the cosignatures of a quorum.
CREATE TABLE ledger_witnessed (
    log text PRIMARY KEY,
    size bigint NOT NULL,
    at_ms bigint NOT NULL,            -- when the quorum was full, by the witnesses' clocks
    checkpoint bytea NOT NULL
);

-- Some of the witnessed checkpoints are kept for ever.
CREATE TABLE ledger_milestone (
    log text NOT NULL,
    size bigint NOT NULL,
    at_ms bigint NOT NULL,
    checkpoint bytea NOT NULL,
    PRIMARY KEY (log, size)
);

-- The checkpoint about which the witnesses of a log are asked now.
CREATE TABLE question (
    log text PRIMARY KEY,
    number bigint NOT NULL,           -- rises with each question
    checkpoint bytea NOT NULL
) WITH (fillfactor = 50);

-- Which processes are there, with what each says of itself.
CREATE TABLE process (
    owner text PRIMARY KEY,
    facts bytea NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Cosignatures that whichever process got, until something else is asked or a larger checkpoint witnessed.
CREATE TABLE cosignature (
    log text NOT NULL,
    size bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (log, size, state)
);

-- Why nothing further is signed for a log.
CREATE TABLE halt (log text PRIMARY KEY, reason text NOT NULL);

-- What happens while a recipient has no key that can be used, and after it could not open an envelope.

-- A sent notice may be sealed more than once. Each further envelope is a row of its own that names the
-- first; what lists show, and what people call the notice, is the first. The body is kept once, with it.
ALTER TABLE notice ADD COLUMN first BLOB REFERENCES notice (id);
-- Until when the sender wants it delivered; NULL: until every recipient has it.
ALTER TABLE notice ADD COLUMN until_ms INTEGER;
CREATE INDEX notice_again ON notice (first) WHERE first IS NOT NULL;

-- To which daily key each recipient's copy was sealed, and which key had signed for that one: when it is
-- revoked before the notice was received, the notice is sealed again. Forgotten once that was done.
ALTER TABLE delivery ADD COLUMN prekey BLOB;
ALTER TABLE delivery ADD COLUMN prekey_signer BLOB;

-- Recipients for whom a notice must still be sealed, or sealed again.
CREATE TABLE waiting (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    notice        BLOB NOT NULL REFERENCES notice (id),
    recipient     TEXT NOT NULL,
    priority      INTEGER NOT NULL,
    created_ms    INTEGER NOT NULL,    -- of the notice: the oldest goes first among equals
    since_ms      INTEGER NOT NULL,
    cause         TEXT NOT NULL,       -- what made it wait
    not_before_ms INTEGER NOT NULL,    -- tries follow each other ever more slowly
    UNIQUE (notice, recipient)
) STRICT;
CREATE INDEX waiting_order ON waiting (priority, created_ms, number);

-- Genuine envelopes to this node that were answered and are not shown as notices: their places in
-- their sender's series are no gaps. The number is NULL where the envelope could not be opened.
CREATE TABLE answered (
    envelope      BLOB PRIMARY KEY,
    sender        TEXT NOT NULL,
    pair_sequence INTEGER
) STRICT, WITHOUT ROWID;

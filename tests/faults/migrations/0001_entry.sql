CREATE TABLE entry (
    number INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX entry_size ON entry (length(body));

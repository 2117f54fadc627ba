CREATE TABLE remark (
    number INTEGER PRIMARY KEY REFERENCES entry (number),
    text TEXT NOT NULL
) STRICT;
INSERT INTO entry (number, body) VALUES (-1, x'00');

-- The secret half of a daily key is locked under the key of its day, which lies outside this database.
-- A row without a day was written by an earlier version, and opens no longer.
ALTER TABLE prekey ADD COLUMN day TEXT NOT NULL DEFAULT '';

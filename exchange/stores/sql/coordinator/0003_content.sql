-- Content that is still here, by the time at which it expires: it is let go of a day later, and what is left
-- of the envelope is its evidence. An empty payload is one that was let go of.
CREATE INDEX envelope_content ON envelope (expires_ms) WHERE payload <> x'';

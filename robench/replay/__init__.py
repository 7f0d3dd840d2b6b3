"""A record again: rebuilt, verified, audited, exported."""

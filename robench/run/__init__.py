"""From configuration to record: stages, attacks, audits, keys, the cache."""

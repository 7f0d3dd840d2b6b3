"""What knows nothing of robench: errors, seeds, progress, hashes, statistics, the machine."""

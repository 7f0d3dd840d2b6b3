"""Records on disk: written whole, read with every check, compared."""

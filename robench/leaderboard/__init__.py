"""Records to a static page that opens from disk, without a server and without a network."""

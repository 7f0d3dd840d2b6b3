"""The page's table: rows, columns, ranks, words."""

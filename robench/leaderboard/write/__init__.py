"""The page's files: index, rows, charts, pictures, downloads."""

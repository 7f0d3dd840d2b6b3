"""Records taken in: checked, refused, merged."""

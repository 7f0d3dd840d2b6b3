"""Certified smoothing with integers: noise, vote counts, certifiers and radius tables."""

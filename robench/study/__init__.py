"""Reproductions of papers: ours beside the paper's cells, and each claim with its verdict."""

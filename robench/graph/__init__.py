"""A foreign file's network: one table of operators and quantisers, and twins made of it."""

__all__: list[str] = []

"""A file that ships, opened in its runtime: the deployed model, its twins, how far they agree."""

__all__: list[str] = []

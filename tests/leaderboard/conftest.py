"""Shares the made records with this folder's tests."""

from tests.leaderboard.made import page, records

__all__ = ["page", "records"]

"""Feedback learning (Song et al., 2021)."""

from robench_defenses.feedback.learning import FeedbackLearning

__all__ = ["FeedbackLearning"]

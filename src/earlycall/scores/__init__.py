"""Scores: functions from prefixes to a number per run, larger is better, registered by name.

A score is written for one curve and registered by `score`, or for all prefixes of a group at once
and registered by `group_score`. Third parties do either in a module that they name under the
entry-point group ``earlycall.scores``.
"""

from earlycall.scores.registry import Score, Scored, get, group_score, names, score

__all__ = ["Score", "Scored", "get", "group_score", "names", "score"]

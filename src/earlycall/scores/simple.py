"""The simple scores that everything must be compared with."""

from __future__ import annotations

import numpy as np

from earlycall.curves import Prefixes, Ragged
from earlycall.curves.columns import direction, is_validation, validation_loss
from earlycall.scores.registry import Scored, group_score


@group_score("last_loss")
def last_loss(prefixes: Prefixes) -> Scored:
    """The last loss of the prefix: what successive halving and median stopping use.

    Raw: ℓ_n, in the units of the loss. Score: −ℓ_n. Source: Jamieson and Talwalkar, *Non-stochastic
    Best Arm Identification and Hyperparameter Optimization*, AISTATS 2016.
    """
    return Scored.smaller_is_better(prefixes.loss.last(), sign=prefixes.sign)


@group_score("min_loss")
def min_loss(prefixes: Prefixes) -> Scored:
    """The smallest loss of the prefix.

    Raw: min_i ℓ_i, in the units of the loss. Score: its negative.
    """
    return Scored.smaller_is_better(prefixes.loss.reduce(np.fmin), sign=prefixes.sign)


@group_score("last_val_loss", needs="val_loss")
def last_val_loss(prefixes: Prefixes) -> Scored:
    """The last validation loss within the prefix.

    Raw: the last recorded validation loss (``val_loss``, ``eval_loss``, ``dev_loss`` …), in its
    units. Score: its negative.
    """
    name = validation_loss(prefixes.columns)[0] or "val_loss"
    recorded = _recorded(prefixes, name)
    return Scored.smaller_is_better(recorded.last(), reasons=_where_missing(recorded, name))


@group_score("best_val_metric", needs="val")
def best_val_metric(prefixes: Prefixes) -> Scored:
    """The best validation metric within the prefix: an accuracy if there is one, else the loss.

    Raw: the maximum of ``val_accuracy`` (or of the first validation metric of which more is
    better), else the minimum of the validation loss. Score: oriented so that larger is better.
    """
    metric = _validation_metric(prefixes)
    recorded = _recorded(prefixes, metric)
    more = direction(metric) == "max"
    raw = recorded.reduce(np.fmax if more else np.fmin)
    reasons = _where_missing(recorded, metric)
    return Scored.smaller_is_better(raw, score=raw if more else -raw, reasons=reasons)


def _validation_metric(prefixes: Prefixes) -> str:
    """The first of which more is better, else the validation loss; none of unknown direction."""
    up = [c for c in prefixes.columns if is_validation(c) and direction(c) == "max"]
    up.sort(key=lambda c: c != "val_accuracy")
    return up[0] if up else validation_loss(prefixes.columns)[0] or "validation metric"


def _recorded(prefixes: Prefixes, metric: str) -> Ragged:
    if metric not in prefixes.frame.columns:
        return Ragged.of([[]] * len(prefixes))
    return prefixes.ragged(metric)


def _where_missing(recorded: Ragged, metric: str) -> tuple[str | None, ...]:
    return tuple(None if n else f"no {metric} within the prefix" for n in recorded.lengths)

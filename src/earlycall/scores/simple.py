"""The simple scores that everything must be compared with."""

from __future__ import annotations

import numpy as np

from earlycall.curves import Prefixes, Ragged, higher_is_better
from earlycall.scores.registry import Scored, group_score


@group_score("last_loss")
def last_loss(prefixes: Prefixes) -> Scored:
    """The last loss of the prefix: what successive halving and median stopping use.

    Raw: ℓ_n, in the units of the loss. Score: −ℓ_n. Source: Jamieson and Talwalkar, *Non-stochastic
    Best Arm Identification and Hyperparameter Optimization*, AISTATS 2016.
    """
    return Scored.smaller_is_better(prefixes.loss.last())


@group_score("min_loss")
def min_loss(prefixes: Prefixes) -> Scored:
    """The smallest loss of the prefix.

    Raw: min_i ℓ_i, in the units of the loss. Score: its negative.
    """
    return Scored.smaller_is_better(prefixes.loss.reduce(np.fmin))


@group_score("last_val_loss", needs="val_loss")
def last_val_loss(prefixes: Prefixes) -> Scored:
    """The last validation loss within the prefix.

    Raw: the last recorded ``val_loss``, in its units. Score: its negative.
    """
    recorded = _recorded(prefixes, "val_loss")
    return Scored.smaller_is_better(recorded.last(), reasons=_where_missing(recorded, "val_loss"))


@group_score("best_val_metric", needs="val")
def best_val_metric(prefixes: Prefixes) -> Scored:
    """The best validation metric within the prefix: an accuracy if there is one, else the loss.

    Raw: the maximum of ``val_accuracy`` (or of the first validation metric of which more is
    better), else the minimum of the validation loss. Score: oriented so that larger is better.
    """
    metric = _validation_metric(prefixes)
    recorded = _recorded(prefixes, metric or "val_loss")
    more = metric is not None and higher_is_better(metric)
    raw = recorded.reduce(np.fmax if more else np.fmin)
    reasons = _where_missing(recorded, metric or "validation metric")
    return Scored.smaller_is_better(raw, score=raw if more else -raw, reasons=reasons)


def _validation_metric(prefixes: Prefixes) -> str | None:
    found = [c for c in prefixes.columns if c.lower().startswith(("val", "valid", "eval"))]
    found.sort(key=lambda c: (not higher_is_better(c), c != "val_accuracy"))
    return found[0] if found else None


def _recorded(prefixes: Prefixes, metric: str) -> Ragged:
    if metric not in prefixes.frame.columns:
        return Ragged.of([[]] * len(prefixes))
    return prefixes.ragged(metric)


def _where_missing(recorded: Ragged, metric: str) -> tuple[str | None, ...]:
    return tuple(None if n else f"no {metric} within the prefix" for n in recorded.lengths)

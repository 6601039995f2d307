"""The scores by name, and what a score returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves.columns import is_validation, validation_loss
from earlycall.errors import InputError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earlycall.curves import Curve, Prefixes

_FAMILIES = ("outlook", "simple", "tse", "lcga")
_registry: dict[str, Score] = {}


@dataclass(frozen=True)
class Scored:
    """What a score says of the m runs of a group.

    Attributes:
        score: shape (m,), larger is better; NaN where the score cannot tell.
        raw: shape (m,), the value before it is oriented.
        se: shape (m,), the standard error of the score, NaN where unknown.
        reasons: why a score cannot tell, a sentence per run or None.
        rank_stability: the part of its standing that a run of this group keeps over a doubling of
            training, where the score tells it.
        agreement: the correlation of its standing at the horizon with that of the outcome.
    """

    score: NDArray[np.float64]
    raw: NDArray[np.float64]
    se: NDArray[np.float64]
    reasons: tuple[str | None, ...]
    rank_stability: float | None = None
    agreement: float = 1.0

    @classmethod
    def smaller_is_better(
        cls,
        raw: NDArray[np.float64],
        *,
        score: NDArray[np.float64] | None = None,
        reasons: tuple[str | None, ...] | None = None,
        sign: int = 1,
    ) -> Scored:
        """A score from raw values of which the smaller is better, by default their negatives.

        Args:
            raw: shape (m,).
            score: shape (m,), where it is not the negative of ``raw``.
            reasons: why a score cannot tell, a sentence per run or None.
            sign: that of the prefixes; −1 turns raw values of a negated metric back to its own.

        Examples:
            >>> Scored.smaller_is_better(np.array([0.5, 2.0])).score.tolist()
            [-0.5, -2.0]
        """
        blank = np.full(len(raw), np.nan)
        return cls(
            -raw if score is None else score, sign * raw, blank, reasons or (None,) * len(raw)
        )


@dataclass(frozen=True)
class Score:
    """A registered score.

    Attributes:
        name: the name under which it is asked for.
        compute: from the prefixes of a group to what the score says of each run.
        needs: a metric without which it cannot tell; ``"val_loss"`` stands for the validation loss
            by any of its names, ``"val"`` for any validation metric.
        shortest: how many observations it needs.
        burn_in: the epochs that it ignores, None where a score has no burn-in.
    """

    name: str
    compute: Callable[..., Scored]
    needs: str | None = None
    shortest: int = 1
    burn_in: int | None = None

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return (self.compute.__doc__ or "").strip().split("\n")[0]

    def able(self, prefixes: Prefixes) -> bool:
        """Whether what the score needs was logged in the group."""
        if self.needs == "val":
            return any(is_validation(metric) for metric in prefixes.columns)
        if self.needs == "val_loss":
            return validation_loss(prefixes.columns)[0] is not None
        return self.needs is None or prefixes.has(self.needs)

    def __call__(self, prefixes: Prefixes) -> Scored:
        """What the score says of each run of a group, all of finite losses."""
        if self.burn_in is None:
            return self.compute(prefixes)
        return self.compute(prefixes, self.burn_in)


def group_score(
    name: str, *, needs: str | None = None, shortest: int = 1, burn_in: int | None = None
) -> Callable[[Callable[..., Scored]], Callable[..., Scored]]:
    """Register a function that scores all prefixes of a group at once.

    The function is given runs with finite losses only, and with ``shortest`` of them at least.

    Args:
        name: the name under which it is asked for.
        needs: a metric without which the score cannot tell.
        shortest: how many observations the score needs.
        burn_in: the epochs that it ignores unless told otherwise; the function is then given them
            as its second argument.

    Examples:
        >>> @group_score("first_loss")
        ... def first_loss(prefixes):
        ...     return Scored.smaller_is_better(prefixes.loss.first())
        >>> get("first_loss").name
        'first_loss'
    """

    def register(compute: Callable[..., Scored]) -> Callable[..., Scored]:
        _registry[name] = Score(name, compute, needs, shortest, burn_in)
        return compute

    return register


def score(name: str) -> Callable[[Callable[[Curve], float]], Callable[[Curve], float]]:
    """Register a function from one `Curve` to a number, larger is better.

    Examples:
        >>> @score("total_drop")
        ... def total_drop(curve):
        ...     return curve.loss[0] - curve.loss[-1]
        >>> "total_drop" in names()
        True
    """

    def register(one: Callable[[Curve], float]) -> Callable[[Curve], float]:
        def compute(prefixes: Prefixes) -> Scored:
            values = np.array([one(c) if len(c) else np.nan for c in prefixes], dtype=np.float64)
            blank = np.full(len(values), np.nan)
            return Scored(values, values, blank, (None,) * len(values))

        compute.__doc__ = one.__doc__
        _registry[name] = Score(name, compute)
        return one

    return register


def names() -> list[str]:
    """The names of all scores, the built-in ones first."""
    _load()
    return list(_registry)


def get(name: str, burn_in: int | None = None) -> Score:
    """The score of a name.

    Args:
        name: as `names` gives it.
        burn_in: the epochs that it ignores, by default as registered.

    Raises:
        InputError: if there is none; the sentence suggests the nearest. If it has no burn-in, or
            ``burn_in`` is negative.

    Examples:
        >>> get("lcga_d1").burn_in, get("lcga_d1", burn_in=0).burn_in
        (2, 0)
    """
    _load()
    if name in _registry:
        found = _registry[name]
        if burn_in is None:
            return found
        if burn_in < 0:
            raise InputError(f"burn_in={burn_in} must be 0 or more")
        if found.burn_in is None:
            those = ", ".join(s.name for s in _registry.values() if s.burn_in is not None)
            raise InputError(f"{name} has no burn-in; leave it out, or take one of {those}")
        return replace(found, burn_in=burn_in)
    hint = nearest(name, _registry, cutoff=0.4)
    raise InputError(f"unknown score {name!r}{hint} Known scores: {', '.join(_registry)}")


@cache
def _load() -> None:
    modules = [import_module(f"earlycall.scores.{family}").__name__ for family in _FAMILIES]
    place = {name: i for i, name in enumerate(modules)}
    for score in sorted(  # in one order, whichever family was imported first
        _registry.values(), key=lambda s: place.get(s.compute.__module__, len(place))
    ):
        _registry[score.name] = _registry.pop(score.name)
    for point in entry_points(group="earlycall.scores"):
        point.load()

"""The cost of training an architecture, predicted from the costs of collected runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from earlycall.errors import InputError
from earlycall.nas.predictor import Predictor

if TYPE_CHECKING:
    from earlycall.curves import CurveSet
    from earlycall.nas.spaces import Candidate

MIN_RUNS = 3


def predicted_cost(curves: CurveSet, column: str = "joules") -> Callable[[Candidate], float]:
    """A function that predicts a candidate's cost per step, for `earlycall.nas.search.search`.

    Args:
        curves: collected runs with a cumulative cost column and ``arch.*`` columns.
        column: ``joules``, ``seconds`` or ``usd``.

    Raises:
        InputError: if fewer than 3 runs have such a cost.

    Examples:
        >>> from earlycall.curves import CurveSet
        >>> from earlycall.nas.spaces import Candidate
        >>> frame = pl.DataFrame([{"run": str(r), "step": s, "loss": 1.0, "joules": s * 10.0**r}
        ...                       for r in range(8) for s in (1, 2)])
        >>> runs = pl.DataFrame([{"run": str(r), "arch.params": 10**r} for r in range(8)])
        >>> cost = predicted_cost(CurveSet.from_frame(frame, runs))
        >>> small, large = (Candidate("c", {"arch.params": n}) for n in (10, 10**6))
        >>> cost(small) < cost(large)
        True
    """
    if column not in curves.observations.columns:
        raise InputError(f"{curves.name or 'the curve set'} has no column {column!r}")
    ends = (
        curves.observations.filter(pl.col(column).is_not_null())
        .group_by("run_id")
        .agg(pl.col(column).max().alias("cost"), pl.col("step").max())
        .filter((pl.col("cost") > 0) & (pl.col("step") > 0))
        .sort("run_id")
    )
    if ends.height < MIN_RUNS:
        raise InputError(
            f"{curves.name or 'the curve set'}: {ends.height} runs have {column!r}; at least "
            f"{MIN_RUNS} are needed"
        )
    cost = np.log10((ends["cost"] / ends["step"]).to_numpy())
    predictor = Predictor(assess=False).fit(curves.runs[ends["run_id"].to_list()], cost)
    return lambda candidate: float(10 ** predictor.predict([candidate.row])[0])

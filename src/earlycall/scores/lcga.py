"""LCGA as scores: a curve that still falls faster ranks higher."""

from __future__ import annotations

import numpy as np

from earlycall.approximation.fit import MIN_OBSERVATIONS, fit_many
from earlycall.approximation.gradient import BURN_IN, GAMMA, averages
from earlycall.approximation.training_speed import WeightedSum
from earlycall.curves import Prefixes
from earlycall.scores.registry import Scored, group_score


def _scored(prefixes: Prefixes, which: str, burn_in: int) -> Scored:
    found = []
    for part in prefixes.parts():
        fits = fit_many(part)
        values = fits.slopes(part.x) if which.startswith("d1") else fits.normed_slopes(part.x)
        found.append(averages(values, part.epoch, burn_in, GAMMA))
    value = np.concatenate([mean for mean, _ in found])
    score = -value
    if which.endswith("ema"):
        value = np.concatenate([ema.value for _, ema in found])
        score = WeightedSum(value, np.concatenate([ema.weight for _, ema in found])).score
    reasons = tuple(
        f"no epoch after the burn-in of {burn_in}" if np.isnan(v) else None for v in value
    )
    return Scored.smaller_is_better(value, score=score, reasons=reasons, sign=prefixes.sign)


@group_score("lcga_d1", shortest=MIN_OBSERVATIONS, burn_in=BURN_IN)
def lcga_d1(prefixes: Prefixes, burn_in: int = BURN_IN) -> Scored:
    """The mean slope f' of the fitted curve, after 2 epochs of burn-in.

    Raw: mean of f', in loss per unit of x. Score: −raw. Source: Zhao et al., IPDPSW 2022.
    """
    return _scored(prefixes, "d1", burn_in)


@group_score("lcga_norm", shortest=MIN_OBSERVATIONS, burn_in=BURN_IN)
def lcga_norm(prefixes: Prefixes, burn_in: int = BURN_IN) -> Scored:
    """The mean of f'/√f'' of the fitted curve, after 2 epochs of burn-in.

    Raw: mean of f'/√f''. Score: −raw. Source: Zhao et al., IPDPSW 2022.
    """
    return _scored(prefixes, "norm", burn_in)


@group_score("lcga_d1_ema", shortest=MIN_OBSERVATIONS, burn_in=BURN_IN)
def lcga_d1_ema(prefixes: Prefixes, burn_in: int = BURN_IN) -> Scored:
    """The epochs' mean slopes f', summed with weights γ^(T−t), γ = 0.999, after the burn-in.

    Raw: Σ_{t=1..T−B} γ^(T−t) · mean of f' over epoch B+t. Score: −raw. Source: Zhao et al., 2022.
    """
    return _scored(prefixes, "d1_ema", burn_in)


@group_score("lcga_norm_ema", shortest=MIN_OBSERVATIONS, burn_in=BURN_IN)
def lcga_norm_ema(prefixes: Prefixes, burn_in: int = BURN_IN) -> Scored:
    """The epochs' means of f'/√f'', summed with weights γ^(T−t), γ = 0.999, after the burn-in.

    Raw: Σ_{t=1..T−B} γ^(T−t) · mean of f'/√f'' over epoch B+t. Score: −raw. Source: Zhao et al.,
    IPDPSW 2022 (as in the paper, not as in its released code).
    """
    return _scored(prefixes, "norm_ema", burn_in)

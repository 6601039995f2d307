"""The default score, `outlook`: level, history and speed of all runs of a group, in ranks.

No single number of a loss curve ranks runs best everywhere. Where curves are smooth, a run that has
just fallen faster than others of its level will go on doing so, and its speed says more than its
level; where they are noisy, speed is noise, and the whole history says more than the last loss.
Which of the two a group is, its own past tells, without any outcome.

Everything is in ranks within the group, so that diverging losses and odd scales do no harm: R(v) is
the rank of v, centred and scaled to [−1, 1], 1 for the best. The order does not change when all
losses are scaled or shifted. See ``docs/outlook.md`` for what was measured, and what was not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from earlycall.curves import Prefixes, Ragged
from earlycall.curves.columns import is_validation, validation_loss
from earlycall.scores.ranks import mean_ranks
from earlycall.scores.registry import Scored, group_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOWEST = 0.5  # weight of the lowest loss so far beside the last one
HISTORY = 0.4
SPEED = 0.5
PRIOR_RUNS = 10.0  # runs that a group needs before half of what its past tells is believed
PRIOR_RUNS_SPEED = 20.0  # the same of what it tells of speed
RELIABILITY = 0.99  # of an averaged observation: the part of its spread that is not noise
MAX_AVERAGED = 1 / 10  # of a prefix: more would blur its course
SPLITS = ((1 / 4, 1 / 2), (1 / 3, 2 / 3), (1 / 2, 3 / 4))
PARTS = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4)  # of a prefix, at which its loss is read
AGREEMENT = 0.965  # of a final standing in training loss with that of the outcome, at best
EXHAUSTION = 1 / 12  # how fast that fades as training losses go to 0
FADING = 1 / 3  # of the last doubling's change of standing, what each later one should bring
FEW_RUNS = 2.5  # what groups of few runs agree less
MIN_STABILITY = 0.5  # standing kept over a doubling of training: less is noise of short prefixes
TYPICAL_STABILITY = 0.9
NEIGHBOURS = 20  # late observations from which their noise is told
UNKNOWN_END = 2  # times the largest step logged: where training ends if nothing tells
REFERENCES = 64  # steps at which runs of different lengths are compared


def centred_rank(values: Floats) -> Floats:
    """Ranks in [−1, 1] along the last axis, larger for larger values; ties share their mean rank.

    Examples:
        >>> centred_rank(np.array([3.0, 1.0, 3.0])).round(3).tolist()
        [0.333, -0.667, 0.333]
    """
    n = values.shape[-1]
    return np.asarray((mean_ranks(values) - (n + 1) / 2) * (2 / max(n, 1)))


@dataclass(frozen=True)
class Standing:
    """Where the m runs of a group stand, each of shape (m,), read off their prefixes.

    An observation speaks for the steps since the one before, so that the clock of a run starts half
    a gap before its first observation. Differences that rounding could make count as ties.

    Attributes:
        loss: the losses of each run.
        step: their steps.
    """

    loss: Ragged
    step: Ragged

    @cached_property
    def clock(self) -> Ragged:
        """Steps since half a gap before the first observation."""
        first, last = self.step.first(), self.step.last()
        gap = (last - first) / np.maximum(self.step.lengths - 1, 1)
        start = np.where(gap > 0, gap, 1.0) / 2 - first
        return Ragged(self.step.values + start[self.step.row], self.step.offsets)

    @cached_property
    def _key(self) -> tuple[Floats, float]:
        """The clock with the runs laid end to end, and how far apart they are laid."""
        span = 2.0 * float(self.clock.values.max(initial=1.0))
        return self.clock.values + span * self.clock.row, span

    @cached_property
    def last(self) -> Floats:
        """The last loss."""
        return self.loss.last()

    @cached_property
    def unit(self) -> float:
        """Differences of losses below this are rounding."""
        spread = float(np.median(np.abs(self.last - np.median(self.last))))
        return 1e-9 * (spread if spread > 0 else float(np.ptp(self.last)))

    def at(self, clock: Floats | float) -> Floats:
        """The loss at a time of each run, linear between observations, the nearest beyond them.

        Args:
            clock: one time, or of shape (m,) or (k, m).
        """
        key, span = self._key
        time = np.broadcast_to(np.asarray(clock, dtype=np.float64), np.broadcast_shapes(
            np.shape(clock), (len(self.loss),)
        )) + span * np.arange(len(self.loss))  # fmt: skip
        first, end = self.loss.offsets[:-1], self.loss.offsets[1:] - 1
        right = np.minimum(np.maximum(np.searchsorted(key, time), first), end)
        left = np.maximum(right - 1, first)
        width = key[right] - key[left]
        apart = width > 0
        part = np.where(apart, time - key[left], 0.0) / np.where(apart, width, 1.0)
        part = np.minimum(np.maximum(part, 0), 1)
        y = self.loss.values
        return np.asarray(y[left] + part * (y[right] - y[left]))

    @cached_property
    def _at_parts(self) -> dict[float, Floats]:
        losses = self.at(np.array(PARTS)[:, None] * self.clock.last())
        return dict(zip(PARTS, losses, strict=True))

    def at_part(self, part: float) -> Floats:
        """The loss at a part of each run's own prefix, one of `PARTS`."""
        return self._at_parts[part]

    def rounded(self, values: Floats) -> Floats:
        """Values in units of rounding, so that what differs by rounding ties."""
        with np.errstate(over="ignore"):
            return np.round(values / self.unit) if self.unit > 0 else values

    def fall(self, early: Floats, late: Floats) -> Floats:
        """R of how far losses fell."""
        return centred_rank(self.rounded(early - late))

    def now(self) -> Floats:
        """R of the last loss among the runs at the same step.

        Where the prefixes end together, R(−last). Where they do not, each run is compared with what
        the others had at the step where it stands, so that a run of 3 % and one of 12 % of training
        can stand in one ranking.
        """
        end = self.step.last()
        steps = np.unique(end)
        if len(steps) == 1:
            return centred_rank(-self.last)
        if len(steps) > REFERENCES:
            at = np.linspace(0, len(steps) - 1, REFERENCES).astype(np.int64)
            steps = steps[at]
        offset = self.clock.first() - self.step.first()
        standing = np.empty(len(end))
        until = np.append(steps[1:], np.inf)
        for step, following in zip(steps, until, strict=True):
            here = np.flatnonzero(end >= step)
            rank = centred_rank(-self.at(step + offset)[here])
            stop = end[here] < following
            standing[here[stop]] = rank[stop]
        return centred_rank(standing)

    def after_first(self) -> tuple[Floats, Floats]:
        """The lowest and the mean loss, without the first observation where there is another."""
        offsets, y = self.loss.offsets, np.append(self.loss.values, 0.0)
        first = offsets[:-1] + (self.loss.lengths > 1)
        bounds = np.stack([first, offsets[1:]], axis=1).ravel()
        count = offsets[1:] - first
        return np.minimum.reduceat(y, bounds)[::2], np.add.reduceat(y, bounds)[::2] / count

    def persistence(self) -> float:
        """How far falling faster than others of the same level lasts in this group, in [0, 1].

        The partial rank correlation of an earlier fall with the next one, given the level between,
        over three splits of the prefix; shrunk to 0 in small groups. With two observations both
        falls would lie on one line: it counts from three on.
        """
        n = len(self.loss)
        if n < 3 or np.median(self.loss.lengths) < 3:
            return 0.0
        early, middle = (np.array([self.at_part(s[i]) for s in SPLITS]) for i in (0, 1))
        before, after = self.fall(early, middle), self.fall(middle, self.last)
        found = map(_partial, before, after, centred_rank(-middle))
        return max(0.0, float(np.mean(list(found)))) * n / (n + PRIOR_RUNS_SPEED)

    def rank_stability(self) -> float:
        """The part of its standing that a run keeps over a doubling of training, in [0.5, 1)."""
        n = len(self.loss)
        r = _correlation(centred_rank(self.at_part(0.5)), centred_rank(self.last))
        return float(
            np.clip(
                (n * r + PRIOR_RUNS * TYPICAL_STABILITY) / (n + PRIOR_RUNS), MIN_STABILITY, 0.995
            )
        )

    def agreement(self, horizon: float) -> float:
        """How far the standing in training loss at the horizon should agree with the outcome.

        0.965·u^(1/12)·n/(n + 2.5). u is the part of the first loss left at the horizon if the
        loss goes on falling by as much a doubling: a training loss that is nearly gone says little
        of an outcome on other data. Groups of few runs agree less than large ones.
        """
        n, first, last = len(self.loss), np.median(self.loss.first()), np.median(self.last)
        start, end = np.median(self.clock.first()), np.median(self.clock.last())
        if not first > 0 or not end > 0 < start:
            left = 1.0
        else:
            doublings = max(np.log2(end / start), 1.0)
            more = max(np.log2(horizon / end), 0.0) if horizon > 0 else 0.0
            left = np.clip(last / first, 1e-3, 1.0) ** ((doublings + more) / doublings)
        return float(AGREEMENT * left**EXHAUSTION * n / (n + FEW_RUNS))


def averaged(loss: Ragged, step: Ragged) -> Standing:
    """Standing on moving averages of w observations, w the least that makes one reliable.

    With r the mean rank correlation, across runs, of neighbouring observations in the second half
    of the prefixes, the mean of w has the reliability w·r/(1 + (w − 1)·r) (Spearman and Brown), so
    that w = 0.99·(1 − r)/(0.01·r), at most a tenth of the prefix: 1 where curves are smooth or
    have fewer than 20 observations.
    """
    typical = int(np.median(loss.lengths))
    most = int(typical * MAX_AVERAGED)
    if most < 2 or len(loss) < 3:
        return Standing(loss, step)
    ends = loss.offsets[1:][loss.lengths >= typical // 2]
    late = [centred_rank(loss.values[ends - 1 - i]) for i in range(min(typical // 4, NEIGHBOURS))]
    r = max(float(np.mean([_correlation(a, b) for a, b in pairwise(late)])), 1e-3)
    w = min(round(RELIABILITY / (1 - RELIABILITY) * (1 - r) / r), most)
    if w < 2:
        return Standing(loss, step)
    far = 1e15 * Standing(loss, step).unit  # beyond it a sum would lose what follows
    middle = float(np.median(loss.last()))
    values = np.clip(loss.values, middle - far, middle + far) if far > 0 else loss.values
    return Standing(
        Ragged(_moving_mean(Ragged(values, loss.offsets), w), loss.offsets),
        Ragged(_moving_mean(step, w), loss.offsets),
    )


def _moving_mean(rows: Ragged, w: int) -> Floats:
    """The mean of each value and the w − 1 before it in its row, of fewer at its start."""
    means = []
    for row in rows:
        total = np.cumsum(row)
        total[w:] -= total[:-w].copy()
        means.append(total / np.minimum(np.arange(1, len(row) + 1), w))
    return np.concatenate([*means, np.empty(0)])


def _correlation(a: Floats, b: Floats) -> float:
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def _partial(a: Floats, b: Floats, given: Floats) -> float:
    """The correlation of a and b given a third, all of mean 0; 0 where it is undefined."""
    ab, ac, bc = _correlation(a, b), _correlation(a, given), _correlation(b, given)
    rest = (1 - ac * ac) * (1 - bc * bc)
    return float(np.clip((ab - ac * bc) / np.sqrt(rest), -1, 1)) if rest > 1e-9 else 0.0


@group_score("outlook")
def outlook(prefixes: Prefixes) -> Scored:
    """Level, history and speed in ranks, weighted by what the group's own past tells: the default.

    Raw: L + 0.4·(1 − a)·H + 0.5·a·D, with L = ½ R(−last loss) + ½ R(−lowest loss), H = R(−mean
    loss), D = R(f(x/2) − f(x)) what the last doubling of training removed, and a in [0, 1] the
    group's persistence; all but H from curves that are averaged just enough (`averaged`). Score:
    ρ·R(raw), the expected standing at the horizon, in [−1, 1]; its standard error is √((1 − ρ²)/3),
    with ρ = (`Standing.agreement`)·r^(doublings of training left / 3) and r the rank correlation of
    the losses at x/2 and x; where the end of training is unknown, one doubling is left to the run
    that was logged longest. Source: this project, ``docs/outlook.md``.
    """
    here = averaged(prefixes.loss, prefixes.step)
    low, _ = here.after_first()
    _, mean = Standing(prefixes.loss, prefixes.step).after_first()
    a = here.persistence()
    level = (1 - LOWEST) * here.now() + LOWEST * centred_rank(-low)
    level = _with_validation(prefixes, level)
    history = centred_rank(here.rounded(-mean))
    speed = here.fall(here.at_part(0.5), here.last)
    raw = level + HISTORY * (1 - a) * history + SPEED * a * speed
    horizon = prefixes.horizon * (1 if prefixes.horizon_from else UNKNOWN_END)
    stability, agreement = here.rank_stability() ** FADING, here.agreement(horizon)
    end = np.maximum(here.clock.last(), 1e-300)
    left = np.maximum(np.log2(max(horizon, 1e-300)) - np.log2(end), 0.0)
    rho = agreement * stability**left
    standing = centred_rank(np.round(raw, 12))
    return Scored(
        score=float(np.median(rho)) * standing,
        raw=raw,
        se=np.sqrt((1 - rho**2) / 3),
        reasons=(None,) * len(raw),
        rank_stability=stability,
        agreement=agreement,
    )


def _with_validation(prefixes: Prefixes, level: Floats) -> Floats:
    """The level, halfway to that of the validation metric where every run has logged one."""
    if is_validation(prefixes.metric):
        return level
    for metric, sign in ((validation_loss(prefixes.columns)[0], 1), ("val_accuracy", -1)):
        if metric is not None and prefixes.has(metric):
            recorded = prefixes.ragged(metric)
            if recorded.lengths.min() > 0 and recorded.all_finite().all():
                return (level + centred_rank(-sign * recorded.last())) / 2
    return level

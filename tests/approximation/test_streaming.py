"""A growing curve's fit is that of the whole curve, from bins alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earlycall import InputError, StreamingFit, fit, fit_many


def curve(n: int, seed: int = 0, noise: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 2 / (1 + rng.uniform(0.001, 0.3) * np.arange(1, n + 1)) + 0.5 + rng.normal(0, noise, n)


def same(stream: StreamingFit, losses: np.ndarray) -> None:
    one, whole = stream.fit(), fit(losses)
    assert (one.status, one.n) == (whole.status, whole.n)
    np.testing.assert_allclose([one.scale, one.shift], [whole.scale, whole.shift], rtol=1e-12)
    x = np.array([1, len(losses) / 2, len(losses), 3 * len(losses)])
    np.testing.assert_allclose(one(x), whole(x), rtol=1e-6)
    np.testing.assert_allclose(one.slope(x), whole.slope(x), rtol=1e-5)
    assert one.sse == pytest.approx(whole.sse, rel=1e-3, abs=1e-6 * len(losses))


@pytest.mark.parametrize("n", [3, 4, 31, 32, 33, 39, 40, 63, 64, 65, 100, 129, 1000, 12_345])
def test_one_by_one_is_the_batch_fit(n):
    losses, stream = curve(n), StreamingFit()
    for loss in losses.tolist():
        stream.update(loss)
    same(stream, losses)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 3000), st.integers(0, 1000), st.lists(st.integers(0, 3000), max_size=5))
def test_pieces_of_any_length_and_restores_in_between_change_nothing(n, seed, cuts):
    losses, stream = curve(n, seed), StreamingFit()
    for part in np.split(losses, sorted(min(c, n) for c in cuts)):
        stream.extend(part)
        stream = StreamingFit.from_state(json.loads(json.dumps(stream.state_dict())))
    assert len(stream) == n
    same(stream, losses)


def test_a_restored_stream_goes_on_exactly():
    losses = curve(500).tolist()
    whole, first = StreamingFit(), StreamingFit()
    for loss in losses:
        whole.update(loss)
    for loss in losses[:237]:
        first.update(loss)
    second = StreamingFit.from_state(json.loads(json.dumps(first.state_dict())))
    for loss in losses[237:]:
        second.update(loss)
    assert second.state_dict() == whole.state_dict()
    assert second.fit() == whole.fit()


def test_ten_million_losses_are_kept_in_64_kilobytes():
    stream, losses = StreamingFit(), curve(10_000_000)
    stream.extend(losses)
    for loss in losses[:100_000].tolist():
        stream.update(loss)
    assert len(json.dumps(stream.state_dict())) < 64_000
    same(stream, np.concatenate([losses, losses[:100_000]]))


@pytest.mark.parametrize(
    "losses",
    [[], [1.0], [2.0, 1.0], [1.0, np.nan, 2.0], [1.0, np.inf, 2.0], [2.0] * 50, list(range(100)),
     [0.0] * 40, [-5.0 - k / 10 for k in range(100)], [1e-12 / (k + 1) for k in range(200)]],
)  # fmt: skip
def test_limits_are_those_of_the_batch_fit(losses):
    stream = StreamingFit()
    stream.extend(losses)
    assert stream.fit().status == fit(losses).status
    x = np.array([1.0, 100.0])
    np.testing.assert_allclose(stream.fit()(x), fit(losses)(x), rtol=1e-9)


NASTY = {
    "falling": lambda k, rng: 2 / (1 + 0.1 * k) + 0.5,
    "noisy": lambda k, rng: 2 / (1 + 0.1 * k) + 0.5 + rng.normal(0, 0.05, len(k)),
    "constant": lambda k, rng: np.full(len(k), 0.1),
    "constant below 0": lambda k, rng: np.full(len(k), -0.3),
    "constant but for rounding": lambda k, rng: 2.5 * (1 + 1e-15 * rng.normal(size=len(k))),
    "zeros": lambda k, rng: 0.0 * k,
    "zeros after the first": lambda k, rng: np.where(k == 1, 1.0, 0.0),
    "rising": lambda k, rng: 0.5 + 0.01 * k,
    "negative": lambda k, rng: -5 - 0.1 * k,
    "negative, in a narrow range": lambda k, rng: 1e-3 / k - 1,
    "about 0": lambda k, rng: 1 / k - 0.3,
    "of two signs": lambda k, rng: np.where(k % 2, 1.0, -1.0),
    "a spike": lambda k, rng: np.where(k == len(k) // 2 + 1, 1e3, 1 / k),
    "a cliff": lambda k, rng: np.where(k < len(k) / 2, 2.0, 1.0),
    "a line": lambda k, rng: 5 - 4 * k / len(k),
    "the pole": lambda k, rng: 1 / k,
    "a NaN": lambda k, rng: np.where(k == len(k), np.nan, 2 / k),
    "infinity": lambda k, rng: np.where(k == 1, np.inf, 2 / k),
    "less infinity": lambda k, rng: np.where(k == 2, -np.inf, 2 / k),
}


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(list(NASTY)),
    n=st.one_of(st.integers(1, 140), st.sampled_from([257, 1000])),
    exponent=st.one_of(st.integers(-300, 300), st.sampled_from([-323, -318, -310, 0])),
    cut=st.integers(0, 140),
)
def test_nasty_curves_of_any_size_are_the_batch_fit(kind, n, exponent, cut):
    rng, k = np.random.default_rng(n), np.arange(1.0, n + 1)
    losses = NASTY[kind](k, rng) * 10.0**exponent
    by_one, pieces = StreamingFit(), StreamingFit()
    for loss in losses.tolist():
        by_one.update(loss)
    for part in np.split(losses, [min(cut, n)]):
        pieces.extend(part)
    whole, copies = fit(losses), fit_many(np.stack([losses] * 9))
    others = [1 + 1 / np.arange(1.0, length) for length in range(20, 10, -1)]
    for one in (by_one.fit(), pieces.fit(), copies[4], fit_many([*others, losses])[10]):
        assert (one.status, one.n) == (whole.status, n)
        if whole.status in ("short", "diverged"):
            assert np.isnan([one.b1, one.b2, one.b3, one.sse, one.scale, one.shift]).all()
            continue
        assert one.scale == pytest.approx(whole.scale, rel=1e-12, abs=0)
        assert one.shift == pytest.approx(whole.shift, rel=1e-12, abs=0)
        x = np.array([1, n / 2, n, 3 * n])
        np.testing.assert_allclose(
            one(x) / whole.scale, whole(x) / whole.scale, rtol=0, atol=1e-6 * (1 + abs(whole.shift))
        )
        squares = np.sum(((losses - whole.shift) / whole.scale) ** 2)
        assert one.sse == pytest.approx(whole.sse, rel=1e-9, abs=5e-5 * squares)
        if kind.startswith(("constant", "zeros")) and len(set(losses)) == 1:
            assert (one.status, one.b2, one.b3, one.sse) == ("flat", 0, 0, 0)
            assert (one.b1, float(one(7))) == (whole.b1, losses[0])


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_a_million_losses_of_extreme_size(scale):
    losses, stream = curve(1_000_000) * scale, StreamingFit()
    stream.extend(losses)
    one, whole, usual = stream.fit(), fit(losses), fit(curve(1_000_000))
    assert one.status == whole.status == usual.status
    parameters = np.array([[f.b1, f.b2, f.b3, f.sse] for f in (one, whole, usual)])
    np.testing.assert_allclose(parameters[:, :3], parameters[[2, 2, 2], :3], rtol=1e-6)
    np.testing.assert_allclose(parameters[:, 3], usual.sse, rtol=1e-3)


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e300])
def test_an_axis_of_its_own_and_losses_of_extreme_size(scale):
    losses, x, stream = curve(700), np.arange(700) * 0.5, StreamingFit()
    losses[0] = 0  # the unit changes with the second
    for loss, at in zip((losses * scale).tolist(), x.tolist(), strict=True):
        stream.update(loss, at)
    whole, usual = fit(losses * scale, x), fit(losses, x)
    np.testing.assert_allclose(stream.fit()(x) / scale, whole(x) / scale, rtol=1e-4)
    assert stream.fit().sse == pytest.approx(whole.sse, rel=1e-2)
    assert whole.scale / scale == pytest.approx(usual.scale)


def test_workers_of_different_size_are_merged():
    losses = [curve(100) * 1e200, curve(100, 1), np.full(100, 1e300)]
    streams = [StreamingFit() for _ in losses]
    for stream, own in zip(streams, losses, strict=True):
        stream.extend(own)
    first, second = streams[0].merge(streams[1]).fit(), fit(losses[0])
    assert [first.b1, first.b2] == pytest.approx([second.b1, second.b2])
    assert first.scale == pytest.approx(second.scale / 2)
    assert streams[1].merge(streams[2]).fit().scale == pytest.approx(5e299)


def test_merged_workers_are_the_fit_of_their_mean():
    each = [curve(777, seed) for seed in range(4)]
    streams = [StreamingFit() for _ in each]
    for stream, losses in zip(streams, each, strict=True):
        stream.extend(losses)
    merged = streams[0].merge(streams[1]).merge(streams[2].merge(streams[3]))
    whole, x = fit(np.mean(each, axis=0)), np.array([1, 100, 777])
    np.testing.assert_allclose(merged.fit()(x), whole(x), rtol=1e-6)
    assert len(merged) == 777
    merged.extend(np.mean(each, axis=0)[:5])
    assert len(merged) == 782
    with pytest.raises(InputError, match="777 and 1 losses cannot be merged"):
        short = StreamingFit()
        short.update(1.0)
        streams[0].merge(short)


@pytest.mark.parametrize("n", [3, 10, 100, 5000])
@pytest.mark.parametrize("kind", ["even", "from zero", "uneven", "repeated", "logarithmic"])
def test_an_axis_of_its_own(n, kind):
    rng = np.random.default_rng(n)
    x = {
        "even": np.arange(1, n + 1) * 7.0,
        "from zero": np.arange(n) * 0.5,
        "uneven": np.cumsum(rng.exponential(1, n)),
        "repeated": np.repeat(np.arange(n), 2)[:n] + 1.0,
        "logarithmic": np.geomspace(1, 1e6, n),
    }[kind]
    losses = 2 / (1 + 0.01 * x) + 0.5 + rng.normal(0, 0.01, n)
    stream = StreamingFit()
    for i, (loss, at) in enumerate(zip(losses.tolist(), x.tolist(), strict=True)):
        stream.update(loss, at)
        if i == n // 2:
            stream = StreamingFit.from_state(json.loads(json.dumps(stream.state_dict())))
    whole = fit(losses, x)
    assert stream.fit().status == whole.status
    np.testing.assert_allclose(stream.fit()(x), whole(x), rtol=2e-4 if n < 20 else 1e-4)
    assert len(json.dumps(stream.state_dict())) < 64_000
    assert stream.fit().sse == pytest.approx(whole.sse, rel=1e-2, abs=1e-5 * n)


def test_an_axis_that_falls_or_comes_and_goes_is_refused():
    stream = StreamingFit()
    stream.update(1.0, 5.0)
    with pytest.raises(InputError, match="must not fall along a curve; 4 came after 5"):
        stream.update(1.0, 4.0)
    for call in (lambda: stream.update(1.0), lambda: stream.extend([1.0])):
        with pytest.raises(InputError, match="with every loss of a stream or with none"):
            call()
    with pytest.raises(InputError, match="at least 0"):
        StreamingFit().update(1.0, -1.0)


def test_what_is_no_state_is_refused():
    with pytest.raises(InputError, match="not the state of a StreamingFit"):
        StreamingFit.from_state({"version": 1})
    state = StreamingFit().state_dict() | {"n": 5}
    with pytest.raises(InputError, match="bins missing"):
        StreamingFit.from_state(state)
    with pytest.raises(InputError, match="version 2"):
        StreamingFit.from_state({"version": 2})
    with pytest.raises(InputError, match="must be flat"):
        StreamingFit().extend(np.ones((2, 2)))

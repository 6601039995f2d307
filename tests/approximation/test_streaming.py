"""A growing curve's fit is that of the whole curve, from bins alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earlycall import InputError, StreamingFit, fit


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

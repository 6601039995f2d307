"""Joules while something runs: CodeCarbon where it is installed, else the GPUs' own counters."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal, Self

from earlycall.errors import InputError
from earlycall.extras import MissingExtraError, needed_for
from earlycall.readers.power.trace import KWH

Scope = Literal["process", "machine"]
CODECARBON_PERIOD = 1.0  # seconds between CodeCarbon's own measurements
_COUNTED = ("rapl", "emi", "powermetrics", "power gadget")  # ways to read a CPU that are no guess


class Meter:
    """Measures energy and time from when it is set up, which may take seconds that do not count.

    Args:
        scope: ``machine`` for all that the machine draws, ``process`` for the share of this process
            and its children (of the CPU and memory; a GPU is always counted whole). Where several
            runs share a machine, ``process`` keeps their sum right.
        before: joules of earlier sessions of the same run, which are added.

    Attributes:
        source: where the joules come from, or why there are none.
        estimated: whether a part is estimated rather than counted by the hardware.

    Raises:
        InputError: if the scope is unknown.

    Examples:
        >>> with Meter() as meter:
        ...     joules = meter.joules()
        >>> joules is None or joules >= 0
        True
    """

    def __init__(self, scope: Scope = "machine", before: float = 0.0) -> None:
        if scope not in ("machine", "process"):
            raise InputError(f"scope {scope!r} is unknown; use machine or process")
        self.estimated, self.before = False, before
        self._last: float | None = None
        self._stop: Callable[[], object] = lambda: None
        self._read = self._from_codecarbon(scope) or self._from_nvml()
        self._begun = time.perf_counter()

    def joules(self) -> float | None:
        """The energy so far, which never falls; None if nothing measures it.

        CodeCarbon reads the hardware at most every 0.05 s and repeats its last value in between.
        """
        if self._read is None:
            return None
        now = self._read()
        if now is not None:
            self._last = max(now, self._last or 0.0)
        return None if self._last is None else self.before + self._last

    def seconds(self) -> float:
        """The time so far."""
        return time.perf_counter() - self._begun

    def close(self) -> None:
        """Take a last measurement and stop."""
        self.joules()
        self._read = None if self._last is None else (lambda: self._last)
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _from_codecarbon(self, scope: Scope) -> Callable[[], float | None] | None:
        """A reader of a running tracker that asks nothing of the network and writes no file."""
        try:
            with needed_for("a meter", "energy"):
                from codecarbon import OfflineEmissionsTracker
                from codecarbon.output_methods.base_output import BaseOutput
        except MissingExtraError as error:
            self.source = str(error)
            return None
        except ImportError as error:
            self.source = f"CodeCarbon is installed, but cannot be imported ({error})"
            return None
        # It talks before it takes its log level.
        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)

        class Latest(BaseOutput):
            kwh: float | None = None

            def out(self, total: Any, delta: Any) -> None:
                self.kwh = float(total.energy_consumed)

        latest = Latest()
        tracker = OfflineEmissionsTracker(
            measure_power_secs=CODECARBON_PERIOD,
            output_methods=[],
            output_handlers=[latest],
            emissions_endpoint=None,
            electricitymaps_api_token=None,
            force_carbon_intensity_g_co2e_kwh=0,
            allow_multiple_runs=True,
            tracking_mode=scope,
            log_level="critical",
        )
        tracker.start()

        def total() -> float | None:
            tracker.flush()
            return None if latest.kwh is None else latest.kwh * KWH

        first = total()  # of the set-up
        if first is None:
            self.source = "CodeCarbon cannot measure this machine"
            return None
        parts = [str(part.description()) for part in getattr(tracker, "_hardware", [])]
        self.estimated = not any(word in " ".join(parts).lower() for word in _COUNTED)
        how = "; the CPU by its load and rated power: an estimate" if self.estimated else ""
        self.source = f"CodeCarbon ({', '.join(parts)}{how})"
        self._stop = tracker.stop

        def read() -> float | None:
            now = total()
            return None if now is None else now - first

        return read

    def _from_nvml(self) -> Callable[[], float | None] | None:
        """A reader of the energy counters of NVIDIA's GPUs (Volta and newer)."""
        try:
            import pynvml
        except ImportError:
            return None
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
            first = [pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) for gpu in gpus]
        except pynvml.NVMLError as error:
            self.source = f"{self.source}; no GPU counts its energy ({error})"
            return None
        if not gpus:
            return None
        self.source = f"NVML ({count} GPU{'s' if count > 1 else ''}, without CPU and memory)"
        self._stop = pynvml.nvmlShutdown

        def read() -> float:
            now = [pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) for gpu in gpus]
            return float(sum(now) - sum(first)) / 1000  # the counters are in millijoules

        return read


meter = Meter  # `with meter() as energy:` reads as `measure` does

"""Verdicts and figures where people already look: MLflow, TensorBoard, Weights & Biases."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.readers.as_curve_set import as_curve_set

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from earlycall.report import Report

FOLDER = "earlycall"
WIDTH, HEIGHT = 900, 520
MAX_RANKED = 40  # runs in the picture of the ranking


class Tracker(ABC):
    """A run of an experiment tracker, to which pictures, pages and texts can be logged."""

    @abstractmethod
    def picture(self, name: str, png: bytes, step: int) -> None:
        """Log a PNG."""

    @abstractmethod
    def text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in Markdown."""

    def page(self, name: str, html: str, step: int) -> None:  # noqa: B027  # not all show pages
        """Log a page, if the tracker shows pages."""


class MLflow(Tracker):
    """A run of MLflow: artifacts in its folder ``earlycall``.

    Args:
        run_id: by default the active run's.
        client: by default one of the tracking server in use.

    Raises:
        InputError: if no run is active.
    """

    def __init__(self, run_id: str | None = None, client: Any = None) -> None:
        with needed_for("an MLflow run", "mlflow"):
            import mlflow

        if run_id is None:
            active = mlflow.active_run()
            if active is None:
                raise InputError("no MLflow run is active: start one by mlflow.start_run()")
            run_id = active.info.run_id
        self.run_id = run_id
        self.client = client or mlflow.MlflowClient()

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Log a PNG as an artifact."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.png")
            path.write_bytes(png)
            self.client.log_artifact(self.run_id, str(path), FOLDER)

    def text(self, name: str, markdown: str, step: int) -> None:
        """Log a text as an artifact."""
        self.client.log_text(self.run_id, markdown, f"{FOLDER}/{name}.md")

    def page(self, name: str, html: str, step: int) -> None:
        """Log a page as an artifact, which MLflow shows."""
        self.client.log_text(self.run_id, html, f"{FOLDER}/{name}.html")


class TensorBoard(Tracker):
    """A writer of TensorBoard's logs: its pictures and texts, under ``earlycall/``.

    Args:
        writer: a ``SummaryWriter`` of torch or tensorboardX.
    """

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Log a PNG as an image."""
        self.writer.add_image(f"{FOLDER}/{name}", _pixels(png), step, dataformats="HWC")
        self.writer.flush()

    def text(self, name: str, markdown: str, step: int) -> None:
        """Log a text."""
        self.writer.add_text(f"{FOLDER}/{name}", markdown, step)
        self.writer.flush()


class WeightsAndBiases(Tracker):
    """A run of Weights & Biases, online or offline: its images and pages, under ``earlycall/``.

    Nothing is logged at a step of its own: pictures go with the next values that are logged.

    Args:
        run: by default the active one.

    Raises:
        InputError: if no run is active.
    """

    def __init__(self, run: Any = None) -> None:
        with needed_for("a W&B run", "wandb"):
            import wandb

        self.run: Any = run if run is not None else wandb.run
        if self.run is None:
            raise InputError("no W&B run is active: start one by wandb.init()")

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Log a PNG as an image."""
        import wandb

        self.run.log({f"{FOLDER}/{name}": wandb.Image(_pixels(png), caption=f"step {step}")})

    def text(self, name: str, markdown: str, step: int) -> None:
        """Log a text in the run's summary."""
        self.run.summary[f"{FOLDER}/{name}"] = markdown

    def page(self, name: str, html: str, step: int) -> None:
        """Log a page."""
        import wandb

        self.run.log({f"{FOLDER}/{name}": wandb.Html(html, inject=False)})


def trackers(to: Any) -> list[Tracker]:
    """The trackers that an object or name stands for.

    Args:
        to: a ``SummaryWriter``, a wandb run, an MLflow run, a Lightning logger, a `Tracker`,
            ``"mlflow"`` or ``"wandb"`` for the active run, or several of these in a list.

    Raises:
        InputError: if it is none of these.
    """
    if isinstance(to, list | tuple):
        return [tracker for item in to for tracker in trackers(item)]
    made_by = type(to).__module__.partition(".")[0]
    if made_by in ("lightning", "pytorch_lightning"):
        return trackers_of_loggers([to])
    if isinstance(to, Tracker):
        return [to]
    if hasattr(to, "add_image") and hasattr(to, "add_text"):
        return [TensorBoard(to)]
    if made_by == "wandb" or to == "wandb":
        return [WeightsAndBiases(None if to == "wandb" else to)]
    if to == "mlflow" or (made_by == "mlflow" and hasattr(to, "info")):
        return [MLflow(None if to == "mlflow" else to.info.run_id)]
    raise InputError(
        f"{to!r:.100} is no tracker that pictures go to; give a SummaryWriter, a wandb run, an "
        "MLflow run, a Lightning logger, or 'mlflow' or 'wandb' for the active run"
    )


def log_figure(figure: Figure, to: Any, name: str = "figure", *, step: int = 0) -> None:
    """Log a figure of `earlycall.plots` as a picture.

    Args:
        figure: any plotly figure.
        to: as `trackers` takes it.
        name: what to call it.
        step: the step that it belongs to.

    Raises:
        InputError: if the tracker is none, or there is no browser to draw the picture.
    """
    from earlycall.plots.write import picture

    found = trackers(to)
    png = picture(figure, "png", width=WIDTH, height=HEIGHT)
    for tracker in found:
        tracker.picture(name, png, step)


def log_verdict(curves: Any, to: Any, *, step: int = 0, **options: Any) -> Report:
    """Log what curves say: the verdict as text, curves and ranking as pictures, the report.

    Args:
        curves: whatever `earlycall.rank` takes.
        to: as `trackers` takes it.
        step: the step that it belongs to.
        options: as `earlycall.report.report` takes them: score, metric, direction, budget, …

    Returns:
        The report. MLflow and W&B get it as a page; all get the text and the pictures.

    Raises:
        InputError: if the curves, an option or the tracker cannot be used, or there is no browser
            to draw the pictures.
    """
    from earlycall import plots
    from earlycall.report import report

    found = trackers(to)
    curve_set = as_curve_set(curves)
    result = report(curve_set, **options)
    metric = curve_set.metric(options.get("metric"))
    curve_set = curve_set.directed(metric, options.get("direction"))
    figures = {"curves": plots.curves(curve_set, metric=metric, ranking=result.ranking)}
    if result.ranking is not None and result.ranking.best() is not None:
        figures["ranking"] = plots.ranking(result.ranking, top=MAX_RANKED)
    for name, figure in figures.items():
        log_figure(figure, found, name, step=step)
    verdict = "\n\n".join(s for verdict in result.verdicts for s in verdict.sentences)
    for tracker in found:
        tracker.text("verdict", verdict or result.problem or "", step)
        tracker.page("report", result.html(), step)
    return result


def trackers_of_loggers(loggers: Sequence[Any]) -> list[Tracker]:
    """The trackers behind loggers of Lightning, those that keep pictures."""
    found: list[Tracker] = []
    for logger in loggers:
        match type(logger).__name__:
            case "MLFlowLogger":
                found.append(MLflow(logger.run_id, logger.experiment))
            case "WandbLogger":
                found.append(WeightsAndBiases(logger.experiment))
            case "TensorBoardLogger":
                found.append(TensorBoard(logger.experiment))
    return found


def _pixels(png: bytes) -> Any:
    """A PNG as an array, shape (height, width, 3)."""
    import io

    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))

"""``earlycall nas fit``: a predictor from collected runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from earlycall.cli import options, output


def command(
    paths: options.Paths,
    out: Annotated[Path, typer.Option("--output", "-o", help="Output file for the predictor.")],
    target: Annotated[
        str,
        typer.Option(
            help="What to predict: final (the outcome), a score of the first epochs such as "
            "outlook, tse, lcga_d1 or last_loss, or auto: the outcome where runs have one."
        ),
    ] = "auto",
    epochs: Annotated[
        int | None, typer.Option(help="Epochs that an early score sees (default: 5).", min=1)
    ] = None,
    outcome: options.Outcome = None,
    metric: options.Metric = None,
    maximize: options.Maximize = None,
    force: Annotated[
        bool, typer.Option(help="Write it even if it is no better than the parameter count.")
    ] = False,
    pattern: options.Pattern = None,
    fmt: options.Output = options.Format.table,
) -> None:
    """Fit a predictor to collected runs, for architectures that were never trained.

    The runs need arch.* columns (arch.graph, arch.name, arch.params …) in the runs table beside
    their logs. The predictor is assessed on unseen architectures; one that is no better than the
    parameter count is not written (exit 2).

    Examples:
      earlycall nas fit study/ -o model

      earlycall nas fit study/ --target lcga_d1 --epochs 5 -o model
    """
    from earlycall.nas.model_file import save
    from earlycall.nas.predictor import fit_predictor

    curves = output.read(paths, pattern)
    with output.working("learning"):
        predictor = fit_predictor(
            curves,
            target=target,
            epochs=epochs,
            metric=metric,
            outcome=outcome,
            direction=options.direction(maximize),
            force=force,
        )
    save(predictor, out)
    quality, chosen = predictor.quality_, predictor.regressor_.model_
    if not quality.useful:
        output.note("the predictor was not found to be better than the parameter count")
    if fmt is not options.Format.table:
        features = len(predictor.features_.names_)
        facts = {"target": predictor.target_, "model": chosen, "features": features}
        output.print_json(facts | asdict(quality))
        return
    screen = output.console()
    screen.print(f"learnt {predictor.target_} from {quality}", markup=False, soft_wrap=True)
    tried = ", ".join(f"{name} {rho:.2f}" for name, rho in quality.by_model.items())
    screen.print(f"model: {chosen}" + (f" (tried: {tried})" if tried else ""), markup=False)
    screen.print(f"written to {out}", style="dim", markup=False)

"""``earlycall demo``: the bundled runs, the verdict on them, and where to go on."""

from __future__ import annotations

from earlycall.cli import output

BUDGET = 0.1
WIDTH = 80
ONWARD = (
    ("earlycall rank demo --budget 20%", "the same, from twice as much of the logs"),
    ("earlycall elasticity demo", "is more training still worth its cost?"),
    ("earlycall evaluate demo", "how well do scores agree with the outcomes?"),
)
REPORT = "earlycall report demo -o report.html"


def command() -> None:
    """Rank the runs that come with earlycall.

    The verdict, the table, and where to go on. They are sixteen small networks that were trained on
    handwritten digits.

    Examples:
      earlycall demo
    """
    from rich.table import Table
    from rich.text import Text

    from earlycall.cli.rank import run_grid
    from earlycall.demo import demo
    from earlycall.ranking.rank import rank
    from earlycall.report.run_table import run_table
    from earlycall.report.verdict import verdicts

    curves = demo()
    ranking = rank(curves, budget=BUDGET)
    out = output.console()
    out.width = min(out.width, WIDTH)
    out.print("Sixteen small networks, trained on handwritten digits, and their first 10 %:\n")
    for line in output.words("\n".join(verdicts(ranking, curves)[0].sentences)):
        out.print(line)
    out.print(run_grid(run_table(ranking), ranking.prefixes[0], ranking.stop("all")))
    out.print("\nGo on, or put a folder of your own logs, of any tracker, in the place of demo:\n")
    onward = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    for line, what in ONWARD:
        onward.add_row(Text(line, style="bold"), what)
    out.print(onward)
    out.print("\nAll of it as one page, after pip install 'earlycall[plots]':\n", markup=False)
    out.print(f"  {REPORT}", style="bold")

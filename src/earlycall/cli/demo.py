"""``earlycall demo``: the bundled runs, the verdict on them, and where to go on."""

from __future__ import annotations

from earlycall.cli import output

BUDGET = 0.1
ONWARD = (
    ("earlycall rank runs/ --budget 10%", "rank your own logs, of any tracker"),
    ("earlycall elasticity runs/", "is more training still worth its cost?"),
    ("earlycall report runs/ -o report.html", "all of it as one page"),
)


def command() -> None:
    """Rank the runs that come with earlycall.

    The verdict, the table, and where to go on. They are sixteen small networks that were trained on
    handwritten digits.

    Examples:
      earlycall demo
    """
    from rich.table import Table
    from rich.text import Text

    from earlycall.cli.rank import run_table
    from earlycall.demo import FOLDER, runs
    from earlycall.ranking import rank
    from earlycall.report.verdict import verdicts

    curves = runs()
    ranking = rank(curves, budget=BUDGET)
    out = output.console()
    out.print("Sixteen small networks, trained on handwritten digits, and their first 10 %:\n")
    for sentence in verdicts(ranking, curves)[0].sentences:
        out.print(sentence, markup=False)
    out.print()
    out.print(run_table(ranking, ranking.prefixes[0], ranking.table))
    out.print("\nGo on with a folder of your own:\n")
    onward = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for line, what in ONWARD:
        onward.add_row(Text(line, style="bold"), what)
    out.print(onward)
    out.print("\nThe report needs more packages: pip install 'earlycall[plots]'", markup=False)
    out.print(f"These runs are in {FOLDER}", markup=False, soft_wrap=True, style="dim")

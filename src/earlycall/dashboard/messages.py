"""What the page says in words: who leads, how sure that is, who should stop."""

from __future__ import annotations

from typing import Any

from dash import html

from earlycall.dashboard.cache import Answer
from earlycall.dashboard.live import Snapshot

SHOWN = 3  # warnings; the others are counted
LONGEST = 120  # characters of a name


def verdict(answer: Answer) -> Any:
    """Who leads, how sure that is, and what stopping the unlikely runs would save."""
    if answer.ranking is None:
        return [html.P(_waiting(answer), className="lead")]
    sentences = [sentence for said in answer.verdicts for sentence in said.sentences]
    return [html.P(s, className="" if i else "lead") for i, s in enumerate(sentences)]


def messages(answer: Answer) -> Any:
    """What went wrong, and what makes the runs hard to compare."""
    out = [_broken(answer.snapshot)] if answer.snapshot.broken else []
    if answer.problem is not None:
        out.append(html.P(answer.problem, className="message wrong"))
    if answer.ranking is not None and answer.ranking.warnings:
        out.append(_warnings(answer.ranking.warnings))
    return out


def _broken(snapshot: Snapshot) -> Any:
    count = len(snapshot.broken)
    title = "1 log cannot be read" if count == 1 else f"{count} logs cannot be read"
    items = [html.Li(why[:500]) for why in list(snapshot.broken.values())[:20]]
    more = [html.Li(f"… and {count - 20} more")] if count > 20 else []
    return html.Div(
        [html.Strong(f"{title}; the others go on:"), html.Ul([*items, *more])],
        className="message wrong",
    )


def _warnings(sentences: tuple[str, ...]) -> Any:
    more = f", and {len(sentences) - 1} more" if len(sentences) > 1 else ""
    return html.Details(
        [html.Summary(f"{sentences[0]}{more}"), html.Ul([html.Li(s) for s in sentences[1:]])]
        if more
        else [html.Summary(sentences[0])],
        className="message",
    )


def _waiting(answer: Answer) -> str:
    if answer.snapshot.curves is None:
        return "No log has an observation yet. This page shows the runs as soon as one has."
    return "There is no ranking of these runs."


def short(name: str) -> str:
    """A name that fits a line."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"

"""Reports: what curves say, in words and figures, as one page, as Markdown, in a notebook."""

from earlycall.report.report import Report, report

__all__ = ["Report", "report"]

"""The real command, and a real browser that looks at its page."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from conftest import PATIENCE

SEEN = 120  # seconds: what a page shows later is broken, on a slow machine too
expect.set_options(timeout=1000 * SEEN)

LOOPBACK = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])[:/]|data:|blob:|about:")


class Served:
    """A running ``earlycall serve``."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "earlycall", "serve", *map(str, arguments), "--every", "0.2"],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.said = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if "Ctrl-C" in line:
                break
        found = re.search(r"http://(\S+?):(\d+)/(\S*)", self.said)
        assert found, self.said
        self.port = int(found[2])
        self.url = f"http://127.0.0.1:{self.port}/"
        self.query = found[3]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stderr or ():
            self.said += line

    def end(self, number: int = signal.SIGINT) -> int:
        """The exit code after a Ctrl-C."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


@pytest.fixture
def serve() -> Iterator[Any]:
    """``serve(PATH…)``: the page over some logs, ended with the test."""
    running: list[Served] = []

    def start(*arguments: object) -> Served:
        running.append(Served(*arguments))
        return running[-1]

    yield start
    for served in running:
        if served.process.poll() is None:
            served.end()


@pytest.fixture(scope="session")
def of_digits() -> Iterator[Served]:
    """The page over the bundled logs, for tests that change nothing."""
    served = Served(Path(__file__).parents[2] / "examples" / "digits")
    yield served
    served.end()


@pytest.fixture
def look(browser) -> Iterator[Any]:
    """``look(URL)``: a page of its own; afterwards, nothing was asked of others, nor amiss."""
    amiss: list[str] = []
    with contextlib.ExitStack() as ends:

        def open_page(url: str, **options: Any) -> Page:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
            ends.callback(context.close)
            context.route(
                lambda asked: not LOOPBACK.match(asked),
                lambda route: (amiss.append(f"asked for {route.request.url}"), route.abort()),
            )
            context.set_default_timeout(1000 * SEEN)
            page = context.new_page()
            page.on(
                "console",  # a link that cannot be used has the status 400
                lambda m: (
                    m.type == "error"
                    and "status of 400" not in m.text
                    and amiss.append(f"console: {m.text}")
                ),
            )
            page.on("pageerror", lambda error: amiss.append(f"error: {error}"))
            page.on("dialog", lambda d: (amiss.append(f"dialog: {d.message}"), d.dismiss()))
            page.goto(url)
            return page

        yield open_page
    assert not amiss, amiss

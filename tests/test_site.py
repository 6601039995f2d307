"""The documentation as a reader meets it: built, every link followed, searched in a browser."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copy, copytree
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent

QUESTIONS = {
    "which run will win": "sweep",
    "stop early without losing the best": "stop",
    "compare W&B and TensorBoard runs": "compare",
    "how much energy would stopping save": "energy",
    "rank architectures before training": "nas",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The pages, built as ``make docs`` builds them: a link to no page or heading is an error."""
    folder = tmp_path_factory.mktemp("docs")
    copy(ROOT / "mkdocs.yml", folder)
    copytree(ROOT / "docs", folder / "docs")
    (folder / "src").symlink_to(ROOT / "src")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


class Links(HTMLParser):
    """What a page links to or shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}


def test_every_page_is_built_and_every_link_and_picture_leads_somewhere(site):
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages == {page.parent.name for page in site.glob("*/index.html")}
    broken = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links are of the site's address
            continue
        for link in Links(page.read_text()).found:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            target = page.parent / unquote(parts.path)
            if not (target / "index.html" if target.is_dir() else target).exists():
                broken.append(f"{page.relative_to(site)}: {link}")
    assert not broken


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("question", "page"), QUESTIONS.items())
def test_a_first_question_finds_the_page_that_answers_it(question, page, address, browser):
    with browser.new_context() as context:
        opened = context.new_page()
        opened.goto(address, wait_until="networkidle")
        opened.get_by_role("button", name="Search").click()
        opened.get_by_role("combobox").fill(question)
        first = opened.locator("a[href*='?h=']").first
        first.wait_for()
        assert urlsplit(first.get_attribute("href")).path == f"/{page}/"

"""Who may look: this machine's own browsers, or whoever holds the token."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from earlycall.report.templating import template

PAGES = Path(__file__).parent / "pages"
LOOPBACK = "127.0.0.1"
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address.

    Examples:
        >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
        (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Guard:
    """Answers requests of those who may look, and of nobody else.

    A page of this machine is only shown under this machine's own names, so that no other site can
    have a browser read it under a name of its own (DNS rebinding). A page that others can reach
    asks for a token, once in a link and then in a cookie.

    Attributes:
        host: the address that is listened to.
        token: what is asked for; None on this machine's own addresses.
    """

    host: str
    token: str | None = field(repr=False)

    @classmethod
    def of(cls, host: str) -> Guard:
        """The guard of an address, with a token of its own where others can reach it."""
        return cls(host, None if is_loopback(host) else secrets.token_urlsafe(24))

    def secured(self, response: Response) -> Response:
        """A response that no other site can frame, script or guess the type of."""
        response.headers.update(_HEADERS)
        return response

    def refusal(self, request: Request) -> Response | None:
        """Why a request is not answered, None if it is."""
        if request.method not in ("GET", "HEAD", "POST"):
            return _page(405, "This page can only be looked at.")
        if self.token is None:
            name = re.sub(r":\d*$", "", request.headers.get("Host", "")).lower()
            if name not in {*_OWN_NAMES, self.host.lower(), f"[{self.host.lower()}]"}:
                return _page(
                    403,
                    "This page is shown under the address that earlycall printed, and under no "
                    "other name of this machine. To reach it from elsewhere, start it with --host.",
                )
            return None
        return self._ask_for_token(request, self.token)

    def _ask_for_token(self, request: Request, token: str) -> Response | None:
        cookie = f"earlycall_{request.environ.get('SERVER_PORT', '')}"
        given = request.args.get("token")
        rest = [(k, v) for k, v in request.args.items(multi=True) if k != "token"]
        if given is not None and _same(given, token):
            page = redirect(request.path + (f"?{urlencode(rest)}" if rest else ""), 303)
            page.set_cookie(cookie, token, httponly=True, samesite="Lax", path="/")
            return page
        if given is None and _same(request.cookies.get(cookie, ""), token):
            return None
        wrong = "" if given is None else "This token is not the right one. "
        sentence = f"{wrong}Open the address that earlycall printed, or give its token:"
        return _page(403, sentence, rest)


def _same(given: str, token: str) -> bool:
    """Compared in a time that does not tell where they differ."""
    return secrets.compare_digest(given.encode(), token.encode())


def _page(status: int, sentence: str, fields: Sequence[tuple[str, str]] | None = None) -> Response:
    """A page that says why, and asks for the token where there are fields to keep."""
    page = template("refusal.html.j2", PAGES).render(sentence=sentence, fields=fields)
    return Response(page, status, mimetype="text/html")

"""Who may look: this machine's own browsers, or whoever holds the token."""

from __future__ import annotations

import gzip
import html
import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask, Response

LOOPBACK = "127.0.0.1"
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_WORTH_PACKING = 2000  # bytes
_TEXT = ("text/", "application/json", "application/javascript", "image/svg")


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

    def attach(self, server: Flask, scripts: Sequence[str]) -> None:
        """Guard a server.

        Args:
            server: the Flask server of a dash app.
            scripts: the hashes of the page's own inline scripts; no others are run.
        """
        server.before_request(self._refusal)
        policy = _policy(scripts)

        @server.after_request
        def _finish(response: Response) -> Response:
            response.headers["Content-Security-Policy"] = policy
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Referrer-Policy"] = "no-referrer"
            return _packed(response)

    def _refusal(self) -> Response | None:
        """Why a request is not answered, None if it is."""
        from flask import request

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
        return self._ask_for_token(self.token)

    def _ask_for_token(self, token: str) -> Response | None:
        from flask import make_response, redirect, request

        cookie = f"earlycall_{request.environ.get('SERVER_PORT', '')}"
        given = request.args.get("token")
        if given is not None and _same(given, token):
            kept = [(k, v) for k, v in request.args.items(multi=True) if k != "token"]
            from urllib.parse import urlencode

            query = urlencode(kept)
            there = make_response(redirect(request.path + (f"?{query}" if query else ""), 303))
            there.set_cookie(cookie, token, httponly=True, samesite="Lax", path="/")
            return there
        if given is None and _same(request.cookies.get(cookie, ""), token):
            return None
        rest = [(k, v) for k, v in request.args.items(multi=True) if k != "token"]
        said = "This token is not the right one." if given is not None else ""
        return _page(403, f"{said} Open the address that earlycall printed, or give its token:",
                     form=rest)  # fmt: skip


def _same(given: str, token: str) -> bool:
    """Compared in a time that does not tell where they differ."""
    return secrets.compare_digest(given.encode(), token.encode())


def _policy(scripts: Sequence[str]) -> str:
    own = " ".join(["'self'", *scripts])
    return (
        f"default-src 'self'; script-src {own}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


def _page(status: int, sentence: str, form: Sequence[tuple[str, str]] | None = None) -> Response:
    from flask import make_response

    fields = "".join(
        f'<input type="hidden" name="{html.escape(k)}" value="{html.escape(v)}">'
        for k, v in form or ()
    )
    asked = "" if form is None else (
        f'<form method="get">{fields}<label>Token <input name="token" type="password" '
        'autocomplete="off" required></label> <button>Open</button></form>'
    )  # fmt: skip
    response = make_response(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>earlycall</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        'content="light dark"><body style="font:16px/1.5 system-ui,sans-serif;margin:4rem auto;'
        f'max-width:34rem;padding:0 1rem"><main><h1>earlycall</h1><p>{sentence}</p>{asked}</main>'
    )
    response.status_code = status
    return response


def _packed(response: Response) -> Response:
    """A response in fewer bytes, for those who look from afar or through a tunnel."""
    from flask import request

    kind = response.mimetype or ""
    if (
        response.status_code != 200
        or "gzip" not in request.headers.get("Accept-Encoding", "")
        or "Content-Encoding" in response.headers
        or not kind.startswith(_TEXT)
        or (response.content_length or 0) < _WORTH_PACKING
    ):
        return response
    response.direct_passthrough = False
    lasting = request.path.startswith(("/_dash-component-suites/", "/assets/"))
    content = response.get_data()
    response.set_data(_pack_once(content) if lasting else gzip.compress(content, 1))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.add("Vary", "Accept-Encoding")
    response.headers.pop("ETag", None)  # it was of the unpacked bytes
    return response


@lru_cache(maxsize=64)
def _pack_once(content: bytes) -> bytes:
    return gzip.compress(content, 6)

"""Requests that no browser sends: each is answered with 4xx, and nothing is printed."""

import socket

from conftest import PATIENCE

pytest_plugins = ["served"]
HOST = b"Host: localhost\r\nConnection: close\r\n"
BODY = b"Content-Length: %d\r\n\r\n%s"


def post(query: bytes, path: bytes = b"/_view") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + BODY % (len(query), query)


BAD = {
    "no host": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "a host that is none": b"GET / HTTP/1.1\r\nHost: \xff\x00[:::\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: evil.example\r\n" + HOST + b"\r\n",
    "a query of 1 MB": b"GET /?find=" + b"a" * (1 << 20) + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a query of 50 KB": b"GET /_view?drawn=" + b"a" * 50_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header of 1 MB": b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "a thousand headers": b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 1000 + b"\r\n",
    "a body of 2 MB": post(b"find=" + b"a" * (2 << 20)),
    "a body without end": b"POST /_view HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 99999999999\r\n\r\n",
    "many parts": post(b"&".join([b"stop=a"] * 20_000)),
    "a length below 0": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
    "a wrong method": b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n",
    "PUT": b"PUT /_view HTTP/1.1\r\n" + HOST + b"\r\n",
    "POST to the page": post(b"a=1", b"/"),
    "no such page": b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "bad percents": b"GET /%zz%00%ff%c0%af HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown tab": post(b"tab=zzz"),
    "a budget below 0": post(b"budget=-5"),
    "a budget of NaN": post(b"budget=nan"),
    "a horizon below 0": post(b"horizon=-1"),
    "an endless horizon": post(b"horizon=1e999"),
    "bytes as a tab": post(b"tab=%ff%ed%a0%80"),
    "an unknown tab of the page": b"GET /?tab=zzz HTTP/1.1\r\n" + HOST + b"\r\n",
    "a view below 0": b"GET /_view?horizon=-1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "junk": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET / extra words here\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.9\r\n" + HOST + b"\r\n",
}
ODD = {
    "bytes as a name": post(b"find=%ff%ed%a0%80&focus=%00&sort=%ff.up&rows=x&score=zzz&cost=zz"),
    "an unknown group": post(b"group=zz&hp.zz=1"),
    "a range that is none": post(b"hp.lr=--..e"),
}


def answer_to(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # answered before all was sent
        answer = b""
        try:
            while part := connection.recv(1 << 16):
                answer += part
        except ConnectionResetError:
            pass  # so the rest of what was sent is refused
        return answer


def test_what_no_browser_sends_is_answered_with_4xx_and_without_a_word(of_digits):
    before = of_digits.said
    for name, request in {**BAD, **ODD}.items():
        answer = answer_to(of_digits.port, request)
        first = answer.split(b"\r\n", 1)[0]
        status = first.split(b" ")[1:2] if first.startswith(b"HTTP/1.") else [b"400"]
        good = status[0].startswith(b"4") if name in BAD else status[0] == b"200"
        assert good, (name, answer[:300])
        assert b"Traceback" not in answer, name
    assert b"HTTP/1.1 200" in answer_to(of_digits.port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
    assert "Traceback" not in of_digits.said[len(before) :]

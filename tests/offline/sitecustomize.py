"""No test reaches a network: Python imports this file at the start of each process of the tests.

`conftest.py` puts this folder on PYTHONPATH. Whoever connects to another machine, or asks for its
address, is told what a machine without a network tells. This machine is reached as ever, by any of
its own addresses. Only Python's sockets are watched: a program in another language has to be told
to stay offline.
"""

import sys

CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
LOOKING_UP = ("socket.getaddrinfo", "socket.gethostbyname")


def _number(host: str) -> object:
    """The IP address that a text is; None if it is a name."""
    import ipaddress

    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_own(host: str) -> bool:
    """Whether an address or a name is this machine's."""
    import socket

    number = _number(host)
    if number is None:
        return host in ("", "localhost", "localhost.localdomain", socket.gethostname())
    if number.is_loopback or number.is_unspecified:
        return True
    family = socket.AF_INET if number.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(number), 0))  # the system lets only its own addresses be bound
    except OSError:
        return False
    return True


def _text(host: object) -> str:
    return host.decode() if isinstance(host, bytes) else str(host or "")


def refuse(event: str, arguments: tuple) -> None:
    """An audit hook that fails as a machine without a network does."""
    if event in CONNECTING:
        address = arguments[1]
        if not isinstance(address, tuple) or not isinstance(address[0], str | bytes):
            return  # a socket that is a file, or one of the kernel's own
        host = _text(address[0])
        if not _is_own(host):
            import errno

            raise OSError(errno.ENETUNREACH, f"no test reaches a network (asked for {host})")
    elif event in LOOKING_UP:
        host = _text(arguments[0])
        if _number(host) is None and not _is_own(host):
            import socket

            raise socket.gaierror(socket.EAI_NONAME, f"no test reaches a network ({host})")


sys.addaudithook(refuse)

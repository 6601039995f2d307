"""No test reaches a network, nor does any process that one starts."""

import errno
import socket
import subprocess
import sys

import pytest

ELSEWHERE = "192.0.2.1"  # kept for examples (RFC 5737): nobody has it

REACHING = {
    "connect": f"socket.create_connection(('{ELSEWHERE}', 80), timeout=1)",
    "send": f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('{ELSEWHERE}', 80))",
    "look up": "socket.getaddrinfo('example.org', 80)",
    "ask the web": "urllib.request.urlopen('http://example.org')",
}


@pytest.mark.parametrize("how", REACHING)
def test_no_process_of_a_test_reaches_another_machine(how):
    code = "import socket, urllib.request\n" + REACHING[how]
    with pytest.raises(OSError, match="no test reaches a network"):
        exec(code, {})
    parent = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {code!r}]))"
    for program in (code, parent):  # a child, and a child's child
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "no test reaches a network" in done.stderr


def test_this_machine_is_reached_by_its_own_addresses():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        for host in ("localhost", "127.0.0.1", socket.gethostname()):
            with socket.create_connection((host, port), timeout=20):
                server.accept()[0].close()


def test_what_a_machine_without_a_network_says():
    with pytest.raises(OSError) as caught:
        socket.create_connection((ELSEWHERE, 80))
    assert caught.value.errno == errno.ENETUNREACH

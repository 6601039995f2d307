"""Who may look, ports, and the end of the command."""

import http.client
import json
import shutil
import signal
import socket
import subprocess

import polars as pl
import pytest

from conftest import PATIENCE, earlycall, wait_until
from earlycall import CurveSet, read
from earlycall.dashboard.command import stop_command
from earlycall.dashboard.view import View

pytest_plugins = ["served"]


def get(port: int, path: str = "/", host: str | None = None, **headers: str):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}", **headers})
    answer = connection.getresponse()
    return answer, answer.read()


def test_only_names_of_this_machine_are_answered(of_digits):
    for name in ("localhost", "127.0.0.1", "[::1]"):
        assert get(of_digits.port, host=f"{name}:{of_digits.port}")[0].status == 200
    for name in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        for path in ("/", "/_live", "/_view", "/assets/live.css"):
            answer, page = get(of_digits.port, path, host=name or " ")
            assert answer.status == 403, (name, path)
            assert b"linear" not in page


def test_another_site_may_not_frame_script_or_send(of_digits):
    answer, page = get(of_digits.port)
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    scripts = [line for line in page.decode().splitlines() if "<script src=" in line]
    assert scripts
    assert not [line for line in scripts if "//" in line.split('src="')[1]]
    connection = http.client.HTTPConnection("127.0.0.1", of_digits.port, timeout=PATIENCE)
    connection.request("DELETE", "/", headers={"Host": "localhost"})
    assert connection.getresponse().status == 405


def test_a_host_needs_a_token_once(serve, digits):
    served = serve(digits, "--host", "0.0.0.0")
    assert "warning" in served.said
    assert "can be reached from other machines" in served.said
    token = served.query.removeprefix("?token=")
    assert len(token) >= 32
    for path in ("/", "/?token=wrong", "/_live", "/_view", "/assets/live.css"):
        assert get(served.port, path, host="workstation")[0].status == 403, path
    page = get(served.port, "/?token=x&budget=10&find=%22%3E%3Cscript%3E", host="w")[1]
    assert b"<script>" not in page
    answer, _ = get(served.port, f"/?budget=10&token={token}", host="workstation")
    assert answer.status == 303
    assert answer.headers["Location"] == "/?budget=10"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    kept = cookie.split(";")[0]
    assert get(served.port, "/_live", host="workstation", Cookie=kept)[0].status == 200
    wrong = kept[:-1] + ("A" if kept[-1] != "A" else "B")
    assert get(served.port, "/_live", host="workstation", Cookie=wrong)[0].status == 403


def test_the_page_learns_from_finished_runs_by_the_score_that_does(serve, digits, tmp_path):
    past = read(digits)
    renamed = past.runs.with_columns(run=pl.format("old-{}", "run"))
    CurveSet(past.observations, renamed).write(tmp_path / "past")
    served = serve(digits, "--finished", tmp_path / "past")
    view = {"Content-Type": "text/plain"}
    for query, learned in (("budget=10", True), ("budget=10&score=tse", False)):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
        connection.request("POST", "/_view", body=query, headers=view | {"Host": "localhost"})
        html = json.loads(connection.getresponse().read())["html"]
        assert ("and from 16 finished runs" in html) == learned
        assert "leads 16 runs" in html
        assert "message wrong" not in html


def test_answers_are_packed_for_those_who_take_it(of_digits):
    plain, page = get(of_digits.port, "/_view")
    packed, small = get(of_digits.port, "/_view", **{"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(small) < len(page)


def test_a_port_that_is_taken(serve, digits):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = earlycall("serve", digits, "--port", port)
    assert done.code == 2
    assert f"port {port} is taken" in done.err
    first, second = serve(digits), serve(digits)
    assert first.port != second.port
    assert get(second.port, "/_live")[0].status == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("no/such/folder",), "no such file or folder"),
        ((".", "--every", "0"), "--every 0"),
        ((".", "--port", "99999"), "port 99999 is no port"),
        ((".", "--host", "203.0.113.7"), "host '203.0.113.7' cannot be listened to"),
        ((".", "--stop-command", "kill all"), "names no run"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(arguments, said):
    done = earlycall("serve", *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly(serve, digits, number):
    served = serve(digits)
    assert get(served.port, "/_live")[0].status == 200
    assert served.end(number) == 0
    assert "Traceback" not in served.said
    with pytest.raises(OSError):
        get(served.port)


def test_nothing_is_written(serve, tmp_path, digits):
    logs = shutil.copytree(digits, tmp_path / "logs")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in logs.rglob("*")}
    served = serve(logs)
    get(served.port, "/_live")
    served.end()
    assert {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in logs.rglob("*")} == before


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell")
def test_the_command_makes_the_stop_files_and_does_nothing_else(tmp_path):
    names = ["a b.csv", "'; touch hacked; '.csv", "$(touch hacked).csv", "-rf.csv", "new\nline.csv"]
    for name in names:
        (tmp_path / name).write_text("step,train_loss\n1,2\n")
    command = stop_command(names, [tmp_path], None)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [*names, *(f"{n}.stop" for n in names)]
    )
    template = stop_command(names, [tmp_path], "printf '%s|%s\\n' {run} {path}")
    said = subprocess.run(["bash", "-c", template], capture_output=True, text=True, check=True)
    assert said.stdout == "".join(f"{n}|{tmp_path / n}\n" for n in names)


def test_a_view_and_its_link_say_the_same():
    view = View(
        tab="rules", group="a&b", score="tse", budget=0.07, horizon=1e6, find="<x>",
        settings={"hp.lr": ("0.1", "1e-3"), "hp.wd": ("0.1..",)}, focus="ü", stop=("a", "b"),
        sort="se.up",
    )  # fmt: skip
    assert View.from_query(view.query()) == view
    assert View.from_query("") == View()


def test_a_command_is_told_of_the_verdict_and_named_if_it_fails(serve, digits, tmp_path):
    shutil.copytree(digits, tmp_path / "runs")
    command = f"sh -c 'cat >> {tmp_path / 'told'}; echo no mail server; exit 3'"
    served = serve(tmp_path / "runs", "--on-verdict", command)
    wait_until(lambda: "failed with exit code 3: no mail server" in served.said)
    [line] = (tmp_path / "told").read_text().splitlines()
    assert json.loads(line) == earlycall("rank", tmp_path / "runs", "--format", "json").json
    assert get(served.port)[0].status == 200
    for log in (tmp_path / "runs").glob("cnn-16-32-bn*"):
        log.unlink()  # the leader is gone
    wait_until(lambda: served.said.count("failed with exit code 3") == 2)
    assert len((tmp_path / "told").read_text().splitlines()) == 2
    refused = earlycall("serve", digits, "--on-verdict", "no-such-program")
    assert refused.code == 2
    assert "'no-such-program' is no program" in refused.err

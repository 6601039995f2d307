"""Break real logs in every way and read them: run by `test_fuzz`, in a process of its own.

Arguments: the folder with the log of each tool, and a folder to work in. Prints JSON: how many
cases there were, how many gave curves, what went wrong, and the peak of memory in MB.
"""

import gzip
import io
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

from earlycall import InputError, read
from earlycall.curves import CurveSet

WRITTEN, WORK = Path(sys.argv[1]), Path(sys.argv[2])
LOGS = {
    "tensorboard": "*.tfevents.*", "tensorboard_tensors": "*.tfevents.*", "mlflow_sqlite": "*.db",
    "mlflow_files": "*/*/*/metrics/train_loss", "wandb": "*/*/*.wandb", "wandb_export": "*.csv",
    "trackio": "*.db", "lightning_csv": "metrics.csv", "keras_csv": "training.log",
    "keras_history": "history.json", "trainer_state": "checkpoint-120/*.json",
    "timm": "summary.csv", "ultralytics": "results.csv", "dvclive": "*/plots/*/train/loss.tsv",
    "optuna_sqlite": "study.db", "optuna_journal": "journal.log", "ray_tune": "*/*/result.json",
    "json_lines": "log.jsonl", "csv": "log.csv",
}  # fmt: skip
SETTINGS = {
    "lightning_csv": "hparams.yaml", "timm": "args.yaml", "dvclive": "*/params.yaml",
    "ray_tune": "*/*/params.json", "mlflow_files": "*/*/*/meta.yaml",
}  # fmt: skip
STEP, FLIPS, LARGE = 97, 220, 1 << 15
NO_NUMBERS = (
    "nan", "inf", "-1e999", "9" * 400, "1" + "0" * 5000, "0x10", "1_000", "1,5", "-", "é", '"',
    "null", "true", "{}", "[]", "[" * 5000, '{"a":' * 5000, "\0", "\x1b[2J", "=cmd()",
    "!!python/object/apply:os.system [id]", "&a [*a]",
)  # fmt: skip
AWKWARD = (
    "a\nb", "a\rb", "\x1b[31mred", "<script>alert(1)<script>", "'; DROP TABLE runs; --", "{0}",
    "%s%n", "$(id)", "*", "?", "[", "~", "-o", "é", "\u202etxt", "e\u0301", " ", "\t", "a" * 200,
    "\udcff", "con", "a\x7f", "__init__", "...",
)  # fmt: skip
MEMORY = 3 << 30  # bytes of address space beyond what the libraries take
SECRET = "secret_loss"
random.seed(20261124)
reading: list[Path] = []  # what is read right now


class Forbidden(BaseException):
    """Something that reading a log must never do; not to be caught as an error of the log."""


def watch(event: str, arguments: tuple) -> None:
    """Forbid unpickling, processes, code, and whatever lies outside the folder that is read."""
    if not reading:
        return
    if event in ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "socket.connect"):
        raise Forbidden(event)
    if event in ("open", "sqlite3.connect") and isinstance(arguments[0], str | bytes):
        path = os.path.realpath(os.fsdecode(arguments[0]).removeprefix("file:").split("?")[0])
        if "/outside/" in path:
            raise Forbidden(f"{event} {path}")


def damaged(content: bytes, flips: int = FLIPS) -> Iterator[tuple[str, bytes]]:
    """A file, broken in many ways."""
    every = STEP * max(1, len(content) // LARGE)  # a database has far more pages than rows
    for size in range(0, len(content), every):
        yield f"cut at {size}", content[:size]
    for i in range(flips if len(content) < LARGE else flips // 2):
        broken = bytearray(content)
        for _ in range(random.choice((1, 1, 2, 8, 64))):
            # Databases are empty for the most part: half of the flips hit their first pages.
            end = len(broken) if random.random() < 0.5 else min(len(broken), 1 << 13)
            broken[random.randrange(end)] ^= 1 << random.randrange(8)
        yield f"flip {i}", bytes(broken)
    for i in range(flips // 6):
        a, b, c = (random.randrange(len(content) + 1) for _ in range(3))
        yield f"piece {i} moved", content[: min(a, b)] + content[c:] + content[min(a, b) :]
        yield f"garbage {i}", content[:a] + random.randbytes(random.randrange(200)) + content[a:]
        yield f"zeros {i}", content[:a] + bytes(random.choice((1, 7, 4096))) + content[a:]
    yield "nothing but zeros", bytes(5000)
    yield "twice", content + content
    if b"\0" not in content[:200]:
        yield from rewritten(content.decode())


def rewritten(text: str) -> Iterator[tuple[str, bytes]]:
    """A text, as other programs and other people write it."""
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp037"):
        yield encoding, text.encode(encoding)
    yield "latin-1", (text + "\né;ß,ü\n").encode("latin-1")
    yield "latin-1 within", text.encode().replace(b"1", "é".encode("latin-1"), 3)
    for old, new in (
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("\n", "\n\n"),
        (",", ";"),
        (",", "\t"),
        (" ", ""),
    ):
        yield f"{old!r} as {new!r}", text.replace(old, new).encode()
    for number in NO_NUMBERS:
        for old in ("2.5", "12", "0", "1"):
            yield f"{old} as {number[:20]!r}", text.replace(old, number, 1).encode()
            yield f"each {old} as {number[:20]!r}", text.replace(old, number).encode()[: 1 << 20]
    lines = text.splitlines(keepends=True)
    for i in range(20):
        random.shuffle(lines)
        yield f"lines in disorder {i}", "".join(lines).encode()


def cases() -> Iterator[tuple[str, Path]]:
    """Each case: what it is, and the path to read."""
    for tool, pattern in LOGS.items():
        home = Path(shutil.copytree(WRITTEN / tool, WORK / tool, symlinks=True))
        for name in filter(None, (pattern, SETTINGS.get(tool))):
            log = next(home.glob(name))
            content = log.read_bytes()
            flips = FLIPS if name == pattern else FLIPS // 4
            for what, broken in damaged(content, flips):
                log.write_bytes(broken)
                yield f"{tool}: {name} {what}", home
            log.write_bytes(content)
        yield f"{tool}: whole again", home
    yield from wide()
    yield from tricks()
    yield from names()


def wide() -> Iterator[tuple[str, Path]]:
    """A million columns, in each format that could have them."""
    million = 1_000_000
    home = WORK / "wide"
    home.mkdir()
    header = ",".join(["step", "train_loss", *(f"m{i}" for i in range(million))])
    (home / "a.csv").write_text(f"{header}\n1,2{',1' * million}\n")
    yield "a million columns of CSV", home / "a.csv"
    row = json.dumps({"step": 1, "loss": 2.0} | {f"m{i}": 1 for i in range(million)})
    (home / "a.jsonl").write_text(row + "\n" + '{"step": 2, "loss": 1.0}\n' * 1000)
    yield "a million keys of JSON", home / "a.jsonl"
    with (home / "b.jsonl").open("w") as file:
        file.writelines(f'{{"step": {i}, "loss": 1, "m{i}": 2}}\n' for i in range(30_000))
    yield "a metric a step of JSON", home / "b.jsonl"
    (home / "a.csv").write_text("step,loss," + "x" * (20 << 20))
    yield "an endless header", home / "a.csv"
    (home / "c.jsonl").write_text('{"a":' * million)
    yield "a million brackets", home / "c.jsonl"
    (home / "c.json").write_text('{"loss": ' + "[" * million)
    yield "a million lists", home / "c.json"
    shutil.rmtree(home)


def tricks() -> Iterator[tuple[str, Path]]:
    """Links out of the folder and round in it, and archives that unpack to a thousand times."""
    outside = WORK / "outside"
    outside.mkdir()
    (outside / "a.csv").write_text(f"step,{SECRET}\n1,2\n2,1\n")
    (outside / "a.yaml").write_text(f"{SECRET}: 1\n")
    for tool, pattern in LOGS.items():
        shutil.copytree(WRITTEN / tool, outside / tool, symlinks=True)
        for name in filter(None, (pattern, SETTINGS.get(tool))):
            for depth in range(4):  # the log itself, and each folder above it, is a link out
                home = Path(shutil.copytree(WRITTEN / tool, WORK / f"linked {tool}", symlinks=True))
                log = min(p for p in home.glob(name) if p.resolve() == home / p.relative_to(home))
                victim = [log, *log.parents][depth]
                if victim.is_relative_to(home) and victim != home:
                    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
                    victim.symlink_to(outside / tool / victim.relative_to(home))
                    yield f"{tool}: {victim.name} is a link out", home
                shutil.rmtree(home)
    home = WORK / "links"
    home.mkdir()
    (home / "a.csv").write_text("step,train_loss\n1,2\n2,1\n")
    (home / "self").symlink_to("self")
    (home / "up").symlink_to("..")
    (home / "round").symlink_to(home)
    (home / "gone").symlink_to("nowhere.csv")
    (home / "root").symlink_to("/")
    (home / "runs.csv").symlink_to(outside / "a.csv")
    (home / "secret.csv").symlink_to(outside / "a.csv")
    (home / "hparams.yaml").symlink_to(outside / "a.yaml")
    (home / "metrics.csv").write_text("step,train_loss\n1,2\n2,1\n")
    os.mkfifo(home / "pipe.csv")
    yield "links", home
    yield "a link to itself", home / "self"
    yield "a pipe", home / "pipe.csv"
    yield "a folder that is a link", home / "round"
    (home / "curves.parquet").symlink_to(outside / "curves.parquet")
    yield "a curve set that is a link", home
    yield from bombs()


def bombs() -> Iterator[tuple[str, Path]]:
    home = WORK / "bombs"
    home.mkdir()
    zeros = bytes(256 << 20)
    packed = gzip.compress(b"step,train_loss\n" + zeros, 1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("../../outside/a.csv", zeros)
    del zeros
    for name in ("a.csv", "a.csv.gz", "a.jsonl", "a.log", "events.out.tfevents.1.x", "run-a.wandb",
                 "mlflow.db", "history.json", "trainer_state.json", "curves.parquet"):  # fmt: skip
        for kind, content in (("gz", packed), ("zip", archive.getvalue())):
            (home / name).write_bytes(content)
            yield f"a {kind} bomb called {name}", home / name
            yield f"a folder with a {kind} bomb called {name}", home
            (home / name).unlink()


def names() -> Iterator[tuple[str, Path]]:
    """Names of files and of metrics that nobody should use."""
    for i, name in enumerate(AWKWARD):
        home = WORK / "names" / str(i)
        home.mkdir(parents=True)
        for suffix in (".csv", ".jsonl", ".txt"):
            (home / (name + suffix)).write_text("step,train_loss\n1,2\n2,1\n")
        yield f"files called {name!a}", home
        yield f"a file called {name!a}", home / f"{name}.csv"
        folder = home / f"{name} folder"
        shutil.copytree(WRITTEN / "mlflow_files", folder / "m")
        yield f"a folder called {name!a}", folder
        header = json.dumps({"step": 1, name: 1.0, "loss": 2.0})
        (folder / "metrics.jsonl").write_text(header + "\n")
        yield f"a metric called {name!a}", folder / "metrics.jsonl"
    shutil.rmtree(WORK / "names")


def complaint(path: Path) -> tuple[bool, str | None]:
    """Whether reading gave curves, and what is wrong with how it ended."""
    reading.append(path)
    try:
        curves = read(path)
    except InputError as error:
        said = str(error)
        kept = said.replace(str(path), "")
        good = len(said) < 1000 and "Traceback" not in said and kept.strip()
        return False, None if good else f"no good sentence: {said!a:.500}"
    except (Exception, Forbidden, MemoryError):
        return False, traceback.format_exc(limit=-4)
    finally:
        reading.clear()
    if not isinstance(curves, CurveSet) or not len(curves):
        return False, "no curves"
    if any(SECRET in name for name in (*curves.metrics, *curves.runs.columns)):
        return False, "something outside was read"
    return True, None


def main() -> None:
    warnings.simplefilter("ignore")
    for tool in LOGS:
        read(WRITTEN / tool)  # so that libraries are loaded before memory is bounded
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    sys.addaudithook(watch)
    began, done, good, bad = time.monotonic(), 0, 0, []
    slow = (0.0, "")
    for what, path in cases():
        start = time.monotonic()
        ended_well, wrong = complaint(path)
        slow = max(slow, (time.monotonic() - start, what))
        done += 1
        good += ended_well
        if wrong is not None:
            bad.append(f"{what}: {wrong}"[:2000])
            if len(bad) > 200:
                break
    # Of this program alone: ru_maxrss would count the process that started it, too.
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    print(json.dumps({"cases": done, "curves": good, "wrong": bad, "megabytes": peak,
                      "seconds": time.monotonic() - began, "slowest": slow}))  # fmt: skip


main()

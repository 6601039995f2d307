"""Broken, hostile and huge logs: each ends in curves or in one sentence, and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import writers

from conftest import PATIENCE

FUZZ = Path(__file__).parent / "programs" / "fuzz.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does it")
def test_ten_thousand_broken_logs_end_in_curves_or_in_one_sentence(written, tmp_path):
    """Cut at every 97th byte, bits flipped, other encodings, a million columns, links and bombs.

    The program forbids unpickling, processes, connections and files outside of the folder that is
    read; it may take 3 GB of address space.
    """
    for tool in writers.WRITERS:
        written(tool)
    done = subprocess.run(
        [sys.executable, FUZZ, written.root, tmp_path],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        env=os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert told["cases"] >= 10_000
    assert told["curves"] >= 3_000  # most of a broken log is still there
    assert told["megabytes"] < 1_000

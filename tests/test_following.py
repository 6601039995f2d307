"""Logs that appear, grow, break, are replaced and vanish."""

import pytest

from earlycall import Follower, InputError

HEAD = "step,train_loss\n"


def test_a_folder_that_is_empty_at_first_then_grows_breaks_and_recovers(tmp_path):
    follower = Follower(tmp_path)
    assert len(follower.update()) == 0
    assert not follower.broken
    log = tmp_path / "a.csv"
    log.write_text(HEAD + "1,2.5\n2,1.5\n")
    first = follower.update()
    assert first.curve("a.csv").loss.tolist() == [2.5, 1.5]
    assert follower.changed == {"a.csv"}
    assert follower.update() is first
    assert not follower.changed
    (tmp_path / "b.csv").write_text(HEAD + "1,3\n")
    with log.open("a") as file:
        file.write("3,oops\n")
    broken = follower.update()
    assert follower.changed == {"b.csv"}
    assert "line 4" in follower.broken[log]
    assert broken.curve("a.csv").loss.tolist() == [2.5, 1.5]  # what was read stands
    log.write_text(HEAD + "1,2.5\n2,1.5\n3,1\n")
    assert follower.update().curve("a.csv").loss.tolist() == [2.5, 1.5, 1.0]
    assert not follower.broken
    log.unlink()
    assert follower.update().runs["run"].to_list() == ["b.csv"]
    assert follower.changed == {"a.csv"}


def test_a_log_that_begins_anew_is_read_anew(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text(HEAD + "1,2.5\n2,1.5\n")
    follower = Follower(log)
    follower.update()
    log.write_text(HEAD + "1,9\n")
    assert follower.update().curve("a.csv").loss.tolist() == [9.0]


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Follower(tmp_path / "nothing")

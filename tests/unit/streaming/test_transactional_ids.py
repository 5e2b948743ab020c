"""A worker works under a new transactional id each time, and keeps the last one to end its own orphan."""

from pathlib import Path

import pytest

from atp_stream.streaming.transactional_ids import KeptIds, SharedId


def test_given_a_new_data_directory_then_there_is_no_last_id(tmp_path: Path) -> None:
    assert KeptIds(tmp_path / "w1", "group").last() is None


def test_given_ids_in_turn_then_each_is_new_begins_with_the_group_and_is_the_last_after_a_restart(
    tmp_path: Path,
) -> None:
    ids = KeptIds(tmp_path / "w1", "group")
    first, second = ids.next(), ids.next()
    assert first != second
    assert second.startswith("group-")
    assert KeptIds(tmp_path / "w1", "group").last() == second


def test_given_a_shared_id_then_it_stays_and_nothing_else_has_to_be_settled() -> None:
    ids = SharedId("group-origins")
    assert (ids.last(), ids.next(), ids.next()) == (None, "group-origins", "group-origins")


@pytest.mark.parametrize("content", ["", "\0\0\0\0", "group-without-a-dash"[:3]])
def test_given_a_file_that_a_crash_of_the_machine_left_then_there_is_no_last_id(tmp_path: Path, content: str) -> None:
    ids = KeptIds(tmp_path, "group")
    ids.next()
    (tmp_path / "transactional-id").write_text(content)
    assert ids.last() is None

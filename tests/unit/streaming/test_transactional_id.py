"""A worker keeps its transactional id, so that it can end its own orphaned transaction when it comes back."""

from pathlib import Path

from atp_stream.streaming.worker import transactional_id


def test_given_a_data_directory_when_asked_again_then_the_id_is_the_same_and_begins_with_the_group(
    tmp_path: Path,
) -> None:
    first = transactional_id(tmp_path / "w1", "group")
    assert first.startswith("group-")
    assert transactional_id(tmp_path / "w1", "group") == first


def test_given_two_data_directories_then_their_ids_differ(tmp_path: Path) -> None:
    assert transactional_id(tmp_path / "w1", "group") != transactional_id(tmp_path / "w2", "group")

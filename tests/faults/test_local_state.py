"""The checker reads a worker's store as it is: all of it, or the word that it is damaged."""

import gc
from pathlib import Path

import pytest
import rocksdict

from .local_state import read_stores

ENTRIES = {b"key-%04d" % number: b"value" * 10 for number in range(400)}


def sst_file(store: Path) -> Path:
    """A store whose entries lie in an SST file."""
    database = rocksdict.Rdict(str(store), rocksdict.Options(raw_mode=True))
    for key, value in ENTRIES.items():
        database[key] = value
    database.flush()
    database.close()
    del database
    gc.collect()
    (file,) = store.glob("*.sst")
    return file


@pytest.mark.parametrize("part", range(20))
def test_given_a_bit_flipped_anywhere_in_a_file_then_nothing_is_missing_without_a_word(
    tmp_path: Path, part: int
) -> None:
    file = sst_file(tmp_path / "state-1" / "state-0.rocksdb")
    content = bytearray(file.read_bytes())
    content[len(content) * part // 20] ^= 1
    file.write_bytes(content)
    (stored,) = read_stores({"w1": tmp_path})
    assert stored.is_damaged or stored.entries == ENTRIES

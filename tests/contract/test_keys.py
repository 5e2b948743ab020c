"""Keys: one item, one key, and readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atp_stream.contracts.keys import item_key, reservation_key, split_item_key

ids = st.text(st.characters(exclude_categories=["Cs"])) | st.text("/%25F")


def test_keys_read_as_tenant_item_and_reservation() -> None:
    key = item_key("tenant-1", "item-001")
    assert key == b"tenant-1/item-001"
    assert reservation_key(key, "r-1") == b"tenant-1/item-001/r-1"


def test_only_the_separator_and_the_escape_are_escaped() -> None:
    assert item_key("a/b", "100% Köln") == "a%2Fb/100%25 Köln".encode()
    assert reservation_key(b"t/i", "r/1") == b"t/i/r%2F1"


@given(ids, ids)
def test_a_key_gives_back_the_ids_it_was_made_of(tenant_id: str, item_id: str) -> None:
    assert split_item_key(item_key(tenant_id, item_id)) == (tenant_id, item_id)


@given(ids, ids, ids, ids)
def test_different_ids_give_different_keys(tenant_a: str, item_a: str, tenant_b: str, item_b: str) -> None:
    same = (tenant_a, item_a) == (tenant_b, item_b)
    assert (item_key(tenant_a, item_a) == item_key(tenant_b, item_b)) == same


@given(ids, ids, ids)
def test_a_reservation_key_is_no_item_key_and_leads_back_to_its_item(tenant: str, item: str, reservation: str) -> None:
    key = reservation_key(item_key(tenant, item), reservation)
    with pytest.raises(ValueError, match="not an item key"):
        split_item_key(key)
    assert split_item_key(key.rpartition(b"/")[0]) == (tenant, item)


@pytest.mark.parametrize("key", [b"", b"one", b"a/b/c", b"a%/b", b"a%2f/b", b"a/%41", b"\xff/b"])
def test_what_cannot_be_an_item_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - three kinds of message
        split_item_key(key)

"""The membership, in the form that fences a former owner."""

import struct

from atp_stream.streaming.membership import NO_MEMBER, Membership, group_metadata


def test_given_a_generation_and_a_member_id_then_the_broker_would_check_the_membership() -> None:
    assert Membership(0, "m").is_valid
    assert Membership(17, "m").is_valid


def test_given_no_generation_or_no_member_id_then_the_membership_is_not_valid() -> None:
    assert not Membership(-1, "m").is_valid
    assert not Membership(3, "").is_valid
    assert not NO_MEMBER.is_valid


def test_given_a_membership_when_written_then_the_bytes_are_those_of_librdkafka() -> None:
    expected = b"CGMDv2:" + struct.pack("=i", 258) + b"a group\0member-1\0\x01"
    assert group_metadata("a group", Membership(258, "member-1")) == expected


def test_given_names_outside_ascii_when_written_then_they_are_utf_8() -> None:
    assert "grüße".encode() + b"\0" in group_metadata("grüße", Membership(1, "m"))

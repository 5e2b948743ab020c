"""Deterministic ids: the same inputs give the same ids, on any worker and in any replay (design section 2.3)."""

import hashlib
from typing import Final
from uuid import UUID

NAMESPACE: Final = UUID("5d0c7c8e-4c0b-5c5e-9d5f-6c3f1b1e7a42")
"""The namespace of all ids that atp-stream gives. Never change it: consumers remember ids."""

_SHA1: Final = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def uuid5(name: str) -> str:
    """Return ``str(uuid.uuid5(NAMESPACE, name))``, at a fraction of its cost."""
    sha1 = _SHA1.copy()
    sha1.update(name.encode())
    digest = sha1.hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


# Names are unambiguous whatever characters the ids hold: a part is preceded by its length unless nothing comes after.


def allocation_id(tenant_id: str, item_id: str, reservation_id: str) -> str:
    """Name the allocation of a reservation: it has at most one in its life."""
    return uuid5(f"allocation:{len(tenant_id)}:{tenant_id}{len(item_id)}:{item_id}{reservation_id}")


def output_event_id(tenant_id: str, item_id: str, causation_id: str, kind: str, sequence: int) -> str:
    """Name an output by its item, the event id of its cause, its kind and its number."""
    return uuid5(
        f"event:{len(tenant_id)}:{tenant_id}{len(item_id)}:{item_id}{len(causation_id)}:{causation_id}{kind}:{sequence}"
    )

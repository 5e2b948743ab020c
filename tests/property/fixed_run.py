"""Prints a digest of all outputs and states of one long fixed history; run under several hash seeds."""

import hashlib

from atp_stream.domain.policy import ChannelPolicy, Policy
from tests.property.histories import CONFIGURED, Item, inputs

POLICY = Policy("1", CONFIGURED, 5, {"POS": ChannelPolicy(protected=20), "ECOM": ChannelPolicy(limit=90)})


def digest() -> str:
    """Everything in the order in which it comes out, mappings and sets included."""
    items: dict[str, Item] = {}
    sha256 = hashlib.sha256()
    for event in inputs(seed=20, length=2000):
        item = items.setdefault(event.item_id, Item())
        sha256.update(repr(item.apply(event, POLICY)).encode())
    sha256.update(repr(items).encode())
    return f"{sum(len(item.outputs) for item in items.values())} {sha256.hexdigest()}"


if __name__ == "__main__":
    print(digest())

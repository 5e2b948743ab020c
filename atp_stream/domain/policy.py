"""The policy in force: safety stock and the pools of the channels (design sections 1 and 3)."""

from collections.abc import Mapping
from dataclasses import dataclass

from atp_stream.domain.quantity import Quantity


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """The pool of one channel, in hundredths.

    ``protected``: shared quantity ring-fenced for the channel; ``limit``: the most that it may have reserved, or None.
    Raises ``ValueError`` on a negative quantity.
    """

    protected: Quantity = 0
    limit: Quantity | None = None

    def __post_init__(self) -> None:
        if self.protected < 0:
            raise ValueError(f"protected is negative: {self.protected}")
        if self.limit is not None and self.limit < 0:
            raise ValueError(f"limit is negative: {self.limit}")


@dataclass(frozen=True, slots=True)
class Policy:
    """What is promised of the stock, and to whom.

    ``version`` goes out as ``rules-version``; ``channels`` are the configured codes; ``safety_stock`` is the shared
    quantity (hundredths) that no allocation may consume. Raises ``ValueError`` on a negative quantity.
    """

    version: str
    channels: tuple[str, ...]
    safety_stock: Quantity
    by_channel: Mapping[str, ChannelPolicy]

    def __post_init__(self) -> None:
        if self.safety_stock < 0:
            raise ValueError(f"safety stock is negative: {self.safety_stock}")

"""The items that the feed makes up, and where they lie. The same in every run: only what happens to them is chance."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from atp_stream.domain.quantity import Quantity

TENANTS: Final = ("north", "south", "west")
_LOCATIONS: Final = ("DC-1", "DC-2", "STORE-7")
_GOODS: Final = ("BOLT-M8/40", "CABLE-3M", "DRILL", "FILTER", "GLOVES-L", "LAMP", "PAINT-5L", "ROPE", "SAW", "TAPE")
_SEED: Final = 1
_OVERSOLD: Final = 7
"""Index of the item that is always oversold; there is none in a smaller catalogue."""


@dataclass(slots=True)
class Place:
    """Where some of an item lies, for one channel or (None) shared by all.

    on_hand: hundredths, as last published at `as_of` (epoch ms; None: never yet). usual: a good stock, in sales units.
    """

    item: "Item"
    location: str
    channel: str | None
    usual: int
    on_hand: Quantity = 0
    as_of: int | None = None


@dataclass(slots=True)
class Item:
    """An item of one tenant. step: its sales unit in hundredths; channels: those that it is sold in."""

    tenant_id: str
    item_id: str
    step: Quantity
    oversold: bool
    channels: tuple[str, ...]
    places: list[Place] = field(default_factory=list)

    def sold_in(self) -> tuple[str, ...]:
        """Return the channels for which stock has been announced."""
        known = {place.channel for place in self.places if place.as_of is not None}
        return self.channels if None in known else tuple(channel for channel in self.channels if channel in known)


def make_items(count: int, channels: Sequence[str]) -> list[Item]:
    """Return that many items, the most wanted first. Tenants share item ids, which mean something else to each."""
    chance = random.Random(_SEED)  # made-up items, not secrets  # noqa: S311  # nosec B311
    return [_item(index, tuple(channels), chance) for index in range(count)]


def _item(index: int, channels: tuple[str, ...], chance: random.Random) -> Item:
    number, tenant = divmod(index, len(TENANTS))
    series, good = divmod(number, len(_GOODS))
    name = _GOODS[good] + (f"-{series + 1}" if series else "")
    kind = chance.choices(("dedicated", "shared", "both"), (60, 15, 25))[0]
    own = tuple(sorted(chance.sample(channels, chance.randint(1, len(channels)))))
    item = Item(
        TENANTS[tenant],
        name,
        step=25 if chance.random() < 0.1 else 100,  # a few are sold by weight
        oversold=index == _OVERSOLD,
        channels=own if kind == "dedicated" else channels,
    )
    # What is wanted more is also kept in greater quantity.
    usual = 20 + 300 // (index + 3)
    if kind != "dedicated":
        item.places.append(Place(item, _LOCATIONS[0], None, usual))
    if kind != "shared":
        for channel in own:
            for location in chance.sample(_LOCATIONS, chance.randint(1, 2)):
                item.places.append(Place(item, location, channel, usual))
    return item

"""An item as it is answered: all that is known of it, or one channel of it as a row of a list."""

from atp_stream.contracts.keys import split_item_key
from atp_stream.domain.policy import Policy
from atp_stream.domain.pools import channels_of, pools
from atp_stream.domain.state import SHARED, ItemState
from atp_stream.web.models import Cause, ChannelPool, HeldBack, ItemRow, Place, Pools, quantity
from atp_stream.web.rows import Row


def shown(row: Row, policy: Policy) -> ItemRow:
    """Return a row as it is shown."""
    tenant_id, item_id = split_item_key(row.key)
    pool = pools(row.item, policy, [row.channel])[row.channel]
    return ItemRow(
        tenant_id=tenant_id,
        item_id=item_id,
        channel=row.channel,
        on_hand=quantity(pool.on_hand),
        available=quantity(pool.available),
        reserved=quantity(pool.reserved),
        held_back=quantity(pool.held_back.total),
        held_back_for=HeldBack(*map(quantity, pool.held_back)),
        status=row.status,
        sequence=row.item.sequence,
        changed=_cause(row.item),
    )


def pools_of(tenant_id: str, item_id: str, item: ItemState, policy: Policy) -> Pools:
    """Return all that is known of an item, as it is shown."""
    places = [
        Place(location, None if channel == SHARED else channel, quantity(stock.on_hand), stock.as_of)
        for location, by_channel in sorted(item.on_hand.items())
        for channel, stock in sorted(by_channel.items())
    ]
    found = pools(item, policy, channels_of(item, policy))
    channels = [
        ChannelPool(
            channel=channel,
            protected=quantity(pool.protected),
            limit=None if pool.limit is None else quantity(pool.limit),
            on_hand=quantity(pool.on_hand),
            dedicated=quantity(pool.dedicated),
            reserved=quantity(pool.reserved),
            available=quantity(pool.available),
            held_back=quantity(pool.held_back.total),
            held_back_for=HeldBack(*map(quantity, pool.held_back)),
        )
        for channel, pool in found.items()
    ]
    return Pools(
        tenant_id=tenant_id,
        item_id=item_id,
        sequence=item.sequence,
        rules_version=policy.version,
        safety_stock=quantity(policy.safety_stock),
        on_hand=places,
        channels=channels,
        changed=_cause(item),
    )


def _cause(item: ItemState) -> Cause | None:
    """Return the input that last changed an item, as it is shown."""
    changed = item.changed
    return None if changed is None else Cause(changed.event_id, changed.kind, changed.timestamp)

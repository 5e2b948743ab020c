"""From facts to events: numbering, naming and, where asked for, thinning out (design sections 2.3 and 3)."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from atp_stream.domain.events import AvailabilityCalculated, Fact, Input, OutputEvent
from atp_stream.domain.ids import output_event_id
from atp_stream.domain.policy import Policy
from atp_stream.domain.state import ItemState

Decided: TypeAlias = tuple[Input, tuple[Fact, ...]]
"""An input and the facts decided on it."""


def emit(
    item: ItemState, event: Input, facts: Sequence[Fact], policy: Policy
) -> tuple[ItemState, tuple[OutputEvent, ...]]:
    """Number the facts of one input, gapless per item and from 1, and put them into their envelopes.

    Returns the item with its sequence advanced, and the events in the order of the facts.
    """
    if not facts:
        return item, ()
    tenant_id, item_id, cause = event.tenant_id, event.item_id, event.event_id
    outputs = tuple(
        [
            OutputEvent(
                output_event_id(tenant_id, item_id, cause, fact.kind, sequence),
                event.timestamp,
                tenant_id,
                item_id,
                sequence,
                cause,
                policy.version,
                fact,
            )
            for sequence, fact in enumerate(facts, item.sequence + 1)
        ]
    )
    return ItemState(item.on_hand, item.reserved, item.emitted, item.sequence + len(outputs), item.changed), outputs


def latest_only(decided: Iterable[Decided]) -> list[Decided]:
    """Keep, of the availability of each channel, only the newest: the emit mode ``latest_per_batch``.

    Takes the inputs of ONE item in one batch, with their facts, in the order of the log; returns them in that order,
    every other fact kept. Comes before ``emit``, so that sequences stay gapless.
    """
    seen: set[str] = set()
    newest_first: list[Decided] = []
    for event, facts in reversed(list(decided)):
        kept: list[Fact] = []
        for fact in reversed(facts):
            if isinstance(fact, AvailabilityCalculated):
                if fact.channel in seen:
                    continue
                seen.add(fact.channel)
            kept.append(fact)
        newest_first.append((event, tuple(reversed(kept))))
    newest_first.reverse()
    return newest_first

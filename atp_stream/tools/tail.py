"""atp-stream tail: the events that come out, one line each, as they are committed."""

import json
import sys
from collections.abc import Sequence
from typing import Final

import click

from atp_stream.contracts.catalogue import OUTPUT_TOPICS
from atp_stream.errors import EXIT_OK
from atp_stream.observability import set_up_logging
from atp_stream.settings import Settings
from atp_stream.tools.event_line import as_line
from atp_stream.tools.output_consumer import OutputConsumer
from atp_stream.tools.stopping import Stop, stop_signals
from atp_stream.tools.terminal import drop_output, is_fancy, note

_POLL_SECONDS: Final = 0.2

_EVENTS: Final = {
    "availability": ("AvailabilityCalculatedEvent",),
    "allocations": ("AllocationCommittedEvent", "AllocationReleasedEvent"),
    "denials": ("ReservationDeniedEvent", "AllocationBackorderedEvent"),
}


def run_tail(settings: Settings, topics: Sequence[str], from_beginning: bool, count: int | None, as_json: bool) -> int:
    """Print events until there are `count`, a signal comes, or nobody reads on; return 0.

    topics: of availability, allocations, denials, dead-letters, all. as_json: one JSON object a line.
    AppError: Kafka or the registry cannot be reached, or topics are missing.
    """
    set_up_logging("warning", "text")
    with stop_signals() as stop:
        consumer = OutputConsumer(settings, topic_names(settings, topics), from_beginning=from_beginning)
        try:
            _print_all(consumer, stop, count, as_json)
        except BrokenPipeError:
            drop_output()
        finally:
            consumer.close()
    return EXIT_OK


def topic_names(settings: Settings, topics: Sequence[str]) -> list[str]:
    """Return the names of the topics that the words of the command line stand for."""
    wanted = {*_EVENTS, "dead-letters"} if "all" in topics else set(topics)
    names = [OUTPUT_TOPICS[event][0] for word, events in _EVENTS.items() if word in wanted for event in events]
    return [*names, settings.topics.dead_letters] if "dead-letters" in wanted else names


def _print_all(consumer: OutputConsumer, stop: Stop, count: int | None, as_json: bool) -> None:
    fancy, printed, told = is_fancy(sys.stdout), 0, False
    while not stop.asked:
        for received in consumer.receive(_POLL_SECONDS):
            if as_json:
                print(json.dumps(received.document(), ensure_ascii=False))
            else:
                text, color = as_line(received)
                print(click.style(text, fg=color) if fancy and color else text)
            printed += 1
            if printed == count:
                sys.stdout.flush()
                return
        sys.stdout.flush()
        if consumer.away and not told:
            note(f"waiting for Kafka: {consumer.away}")
        told = consumer.away is not None

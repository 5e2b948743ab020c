"""A target with a bug planted in it, as a careless decoder has it: quantities of more than 53 bits through a float."""

from dataclasses import replace
from typing import Any

from atp_stream.contracts.inputs import InputDecoder
from atp_stream.domain.events import StockAvailabilityChanged

from .events import AVRO, run_of
from .stages import Stages


def _plant(decoder: InputDecoder) -> None:
    decode = decoder.decode

    def careless(*arguments: Any) -> Any:
        event = decode(*arguments)
        if isinstance(event, StockAvailabilityChanged):
            return replace(event, on_hand=int(float(event.on_hand)))
        return event

    decoder.decode = careless  # type: ignore[method-assign, assignment]


TARGETS = {"avro": replace(AVRO, run=run_of("avro", lambda: Stages(_plant)))}

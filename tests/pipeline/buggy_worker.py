"""A worker with a bug: what is decided about one item raises. Called as `atp-stream worker` is."""

import importlib
import sys
from typing import Any

from atp_stream.cli import main

ITEM = "item-with-a-bug"
MESSAGE = "a bug that was put in for the test"

_stage: Any = importlib.import_module("atp_stream.stages.decide")
_decide = _stage.decide


def _raise_for_item(item: Any, reservation: Any, event: Any, policy: Any) -> Any:
    if event.item_id == ITEM:
        raise ZeroDivisionError(MESSAGE)
    return _decide(item, reservation, event, policy)


if __name__ == "__main__":
    _stage.decide = _raise_for_item
    sys.exit(main(["worker", *sys.argv[1:]]))

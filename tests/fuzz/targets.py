"""Every way in from outside."""

from typing import Final

from .answers import ANSWERS
from .configuration import SETTINGS
from .events import AVRO, JSON
from .history import HISTORY
from .records import HEADERS
from .small import DEAD_LETTERS, KEYS, STATE

TARGETS: Final = {
    target.name: target for target in (AVRO, JSON, HEADERS, ANSWERS, SETTINGS, KEYS, STATE, DEAD_LETTERS, HISTORY)
}
assert sum(target.share for target in TARGETS.values()) == 100

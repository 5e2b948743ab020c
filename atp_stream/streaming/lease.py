"""For how long the group cannot have given this worker's partitions to another: what a true answer rests on.

A worker that was paused longer than its session does not know, when it goes on, that it has been put out of the
group, and would tell of stock as it was. The coordinator puts a member out one session after the last sign of life at
the earliest. So whoever has heard "you belong to it" in answer to a question of less than a session ago has not been
put out. A rebalance that is under way is not such an answer; the gate is shut for it before anything moves. Who leaves
by itself is out at once: then nothing holds from the moment on at which that is sent.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from .reach import Send


@dataclass
class Lease:
    """The group's word that this worker is a member. `session` is the session time-out in seconds."""

    session: float
    clock: Callable[[], float] = time.monotonic
    _asked: float = -math.inf
    _left: float = -math.inf

    @property
    def holds(self) -> bool:
        """Whether no other worker can own this one's partitions yet. May be asked in any thread."""
        asked = self._asked
        return self._left < asked and self.clock() < asked + self.session

    def watched(self, send: Send) -> Send:
        """Return the client's `send`, with an eye on what the coordinator answers to signs of life."""

        async def watching(node: Any, request: Any, **options: Any) -> Any:
            if isinstance(request, LeaveGroupRequest):
                self._left = self.clock()  # whether it is answered or not: the group may know already
            if not isinstance(request, HeartbeatRequest | SyncGroupRequest):
                return await send(node, request, **options)
            asked = self.clock()  # before: the coordinator counts from when it arrives
            answer = await send(node, request, **options)
            if answer.error_code == 0:
                self._asked = asked
            return answer

        return watching

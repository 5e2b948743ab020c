"""The independent checker of the fault campaign. It shares no code with the package, only the schema files.

It works out from the inputs, in the order of the changes log, what must come out, and holds against that: what became
of each source record, the outputs byte by byte, the changelog folded into tables, the watermark records, the local
state of the workers, and the group's offsets; and that no transaction is open.

Topics that are keyed by item are decided where they lie, so the logs do not say in what order an item's events of two
such topics, or of one of them and the changes log, were decided. Here those of the topic come first: publish to it,
check, and go on, or let the items of these topics be others than those of the changes log.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import KafkaException

from tests.pipeline.item import Policy

from .deployed import names_of
from .difference import Difference, Unsettled
from .judge import Judge
from .observation import Names
from .observer import Observer

if TYPE_CHECKING:  # the harness uses the package, which the checker does not
    from tests.pipeline.deployment import Deployment

__all__ = ["Checker", "Difference", "Unsettled"]

_PAUSE_SECONDS = 0.1
#: How long a transaction of a worker that is gone may stay open: its time-out, and the broker's rounds.
PATIENCE_SECONDS = 30.0


class Checker:
    """Checks a deployment as often as is asked for; each record is read and decoded once. For one thread."""

    def __init__(
        self,
        servers: str,
        names: Names,
        policy: Policy,
        schemas: Mapping[int, Any],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """`schemas`: every schema that an input may have, by id. `patience` in seconds."""
        self._observer = Observer(servers, names)
        self._judge = Judge(names, policy, schemas)
        self._patience = patience

    @classmethod
    def of(cls, deployment: "Deployment", patience: float = PATIENCE_SECONDS) -> Self:
        """Return the checker of a deployment, from its first event on."""
        return cls(deployment.servers, names_of(deployment), deployment.policy, deployment.schemas, patience)

    def settle(
        self,
        tend: Callable[[], object] = lambda: None,
        context: Callable[[], str] = lambda: "",
        seconds: float = 120.0,
    ) -> None:
        """Wait until every source is read to its end and committed. Nothing may be published meanwhile.

        `tend` is called over and over. Raises `Unsettled`, with `context`, when it takes longer than `seconds`.
        """
        until = time.monotonic() + seconds
        while True:
            tend()
            left = self._left()
            if not left:
                return
            if time.monotonic() > until:
                raise Unsettled(f"not settled {seconds:.0f} s later: has and should have: {left}\n{context()}")
            time.sleep(_PAUSE_SECONDS)

    def _left(self) -> object:
        try:
            return self._observer.left()
        except (KafkaException, AssertionError) as failure:  # a broker that is away, or has just come back
            return failure

    def check(self, stores: Mapping[str, Path] | None = None, *, partial: bool = False) -> list[Difference]:
        """Return everything that is not as it must be. Call when it has settled.

        `stores`: by its name, the data directory of every worker that runs, and of any that does not. `partial`: work
        goes on, so only what is there is judged: no output but those that are due, in their order, none twice.
        """
        seen = self._observer.glance() if partial else self._observer.look(stores or {}, self._patience)
        return self._judge.judge(seen, partial=partial)

    def counts(self) -> dict[str, int]:
        """How many records have been judged so far."""
        return dict(self._judge.counts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._observer.__exit__(kind, error, trace)

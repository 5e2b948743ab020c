"""A worker that can be told to die, pause or dawdle at a step of its cycle, and that can lack a guard.

Called as `atp-stream worker` is. What it is told lies in the file named by `FAULT_ORDER`, see `Order`; the guards that
it lacks are named, separated by commas, in `FAULT_MUTATIONS`, see mutations.py; `FAULT_NAME` is its client id in the
group.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from .replacing import replace

#: The steps of a cycle, in their order.
Step = Literal["fetched", "decided", "produced", "offsets sent", "ending", "committed", "half written", "written"]
STEPS: Sequence[Step] = get_args(Step)

ORDER, MUTATIONS, NAME = "FAULT_ORDER", "FAULT_MUTATIONS", "FAULT_NAME"


@dataclass(frozen=True)
class Order:
    """What to do when the step is reached. seconds: how long to dawdle, or how long after `ending` began."""

    step: Step
    what: Literal["kill", "pause", "dawdle"]
    seconds: float = 0.0
    times: int = 1

    def give(self, path: Path) -> None:
        """Give the order to the worker that looks at this path."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)))
        new.replace(path)


def _obey(step: Step) -> None:
    path = Path(os.environ[ORDER])
    if not path.exists():
        return
    order = Order(**json.loads(path.read_text()))
    if order.step != step:
        return
    if order.times > 1:
        Order(order.step, order.what, order.seconds, order.times - 1).give(path)
    else:
        path.unlink()
    if order.what == "dawdle":
        time.sleep(order.seconds)
    elif step == "ending":
        threading.Timer(order.seconds, _signal, [order.what]).start()
    else:
        _signal(order.what)


def _signal(what: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL if what == "kill" else signal.SIGSTOP)


def install_steps() -> None:
    """Have the worker look for orders at each step."""
    from atp_stream.streaming import producer as producing
    from atp_stream.streaming.engine import Engine
    from atp_stream.streaming.partition_state import PartitionState
    from atp_stream.streaming.producer import TransactionalProducer
    from atp_stream.streaming.transaction import Transaction

    real: Any = vars(producing)["Producer"]

    class Producer(real):  # type: ignore[misc]
        def send_offsets_to_transaction(self, *arguments: Any) -> None:
            super().send_offsets_to_transaction(*arguments)
            _obey("offsets sent")

        def commit_transaction(self, *arguments: Any) -> None:
            _obey("ending")
            super().commit_transaction(*arguments)

    process, write_changelog = Engine.process, Transaction.write_changelog
    commit, write_all, write_one = TransactionalProducer.commit, Engine._write, PartitionState.write

    def fetched(self: Engine, fetches: Any) -> Any:
        _obey("fetched")
        return process(self, fetches)

    def decided(self: Transaction, *arguments: Any) -> None:
        _obey("decided")
        write_changelog(self, *arguments)

    def committing(self: TransactionalProducer, *arguments: Any) -> Any:
        if self._producer is not None:
            if Path(os.environ[ORDER]).exists():
                self._producer.flush(2.0)  # so that what was produced lies in the log
            _obey("produced")
        outcome = commit(self, *arguments)
        _obey("committed")
        return outcome

    def write_transaction(self: Engine, transaction: Transaction) -> None:
        write_all(self, transaction)
        _obey("written")

    def write_partition(self: PartitionState, *arguments: Any) -> None:
        write_one(self, *arguments)
        _obey("half written")

    replace(producing, Producer=Producer)
    replace(Engine, process=fetched, _write=write_transaction)
    replace(Transaction, write_changelog=decided)
    replace(TransactionalProducer, commit=committing)
    replace(PartitionState, write=write_partition)


def install_name() -> None:
    """Give the member of the group a client id of its own, by which `evict` finds it."""
    import aiokafka

    consumer = aiokafka.AIOKafkaConsumer.__init__

    def named(self: Any, *topics: Any, **options: Any) -> None:
        consumer(self, *topics, **{**options, "client_id": os.environ[NAME]})

    replace(aiokafka.AIOKafkaConsumer, __init__=named)


def main() -> int:
    from atp_stream.cli import main as run

    from .mutations import MUTATIONS as KNOWN

    install_steps()
    install_name()
    for name in filter(None, os.environ.get(MUTATIONS, "").split(",")):
        KNOWN[name].install()
    return run(["worker", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

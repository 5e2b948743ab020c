"""A process that asks a worker at a steady rate, whether it answers or not, as many shops do."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import aiohttp

from .latencies import Latencies

_PATH = "/api/v1/inventory/atp/availability"
_CHANNELS = ("POS", "ECOM", "WHOLESALE", "MARKETPLACE")
_TIMEOUT_SECONDS = 5.0
_CONNECTIONS = 64


@dataclass(frozen=True)
class Questions:
    """What to ask whom. headers: credentials and tenant. rate: questions a second, for `seconds`."""

    url: str
    headers: Mapping[str, str]
    items: int
    rate: float
    seconds: float


@dataclass
class _Answers:
    seconds: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)


def run(questions: Questions, told: Connection) -> None:
    """Ask, and send the `Latencies` and what failed how often."""
    answers = asyncio.run(_ask(questions))
    told.send((Latencies.of(answers.seconds or [0.0], sum(answers.failed.values())), dict(answers.failed)))


async def _ask(questions: Questions) -> _Answers:
    answers, choose = _Answers(), random.Random(1)
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=questions.headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        began, count = time.monotonic(), 0
        while (now := time.monotonic()) < began + questions.seconds:
            while count < (now - began) * questions.rate:
                item, channel = choose.randrange(questions.items), choose.choice(_CHANNELS)
                url = f"{questions.url}{_PATH}?itemId=item-{item}&channel={channel}"
                tasks.create_task(_one(session, url, began + count / questions.rate, answers))
                count += 1
            await asyncio.sleep(0.001)
    return answers


async def _one(session: aiohttp.ClientSession, url: str, due: float, answers: _Answers) -> None:
    """Ask one question. The time counts from when it was due: one that waits behind slow ones is slow itself."""
    try:
        async with session.get(url) as answer:
            body = await answer.read()
            if answer.status != 200 or b'"available"' not in body:
                answers.failed[f"{answer.status} {body[:80]!r}"] += 1
                return
    except (aiohttp.ClientError, TimeoutError) as error:
        answers.failed[type(error).__name__] += 1
        return
    answers.seconds.append(time.monotonic() - due)

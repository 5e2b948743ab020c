"""A TCP proxy that knows Kafka's frames: between clients and brokers, and between brokers.

A lane is the way of one client (or of the brokers among themselves) to all brokers: one port for each. Unless a fault
is on, bytes pass as they come. All connections live in one thread; the methods here may be called from any other.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from .actions import Action, Rule
from .connection import Connection, accept
from .door import Door

HOST = "127.0.0.1"
_SECONDS = 30.0

T = TypeVar("T")


def reserved_port() -> socket.socket:
    """Return a socket that holds a free port: nobody else is given it, and a server may still listen on it."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, 0))
    return holder


def port_of(holder: socket.socket) -> int:
    """Return the port that a socket holds."""
    port: int = holder.getsockname()[1]
    return port


class Lane:
    """One way to all brokers. `ports`: by broker. Conditions hold for one broker, or for all if none is named."""

    def __init__(self, name: str, targets: Mapping[int, int], loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self._loop = loop
        self._rules: dict[tuple[int, bool], list[Rule]] = {}
        self._all_rules: list[Rule] = []
        self._holders = {broker: reserved_port() for broker in targets}
        self._doors = {broker: Door(broker, target, self._rules) for broker, target in targets.items()}
        self._servers: dict[int, asyncio.Server] = {}
        self.ports = {broker: port_of(holder) for broker, holder in self._holders.items()}
        self._in_loop(self._open(self._doors.values()))

    @property
    def servers(self) -> str:
        """The brokers as clients of this lane name them (bootstrap.servers)."""
        return ",".join(f"{HOST}:{port}" for port in self.ports.values())

    def on(
        self, api_key: int, action: Action, *, response: bool, times: int | None = 1, broker: int | None = None
    ) -> Rule:
        """Do something with requests of one kind, or with the answers to them.

        times: how often, None without end. Of several rules for a frame the latest takes it.
        """
        rule = Rule(api_key, action, response=response, times=times, broker=broker, in_loop=self._do)

        def add() -> None:
            self._rules.setdefault((api_key, response), []).insert(0, rule)
            self._all_rules.append(rule)

        self._do(add)
        return rule

    def delay(self, seconds: float, *, broker: int | None = None) -> None:
        """Let bytes arrive this much later, in both directions; 0: at once."""
        self._each(broker, lambda door: _slow(door, seconds, door.bytes_per_second))

    def throttle(self, bytes_per_second: int, *, broker: int | None = None) -> None:
        """Pass no more than this in each direction of each connection; 0: no limit."""
        self._each(broker, lambda door: _slow(door, door.delay, bytes_per_second))

    def black_hole(self, *, responses: bool, broker: int | None = None) -> None:
        """Swallow the frames of one direction, while connections stay open: a one-way partition, until `clear`."""

        def swallow(door: Door) -> None:
            door.black_hole[responses] = True

        self._each(broker, swallow)

    def cut(self, *, broker: int | None = None) -> None:
        """Reset all connections there are."""
        self._each(broker, lambda door: _cut(door.connections))

    def refuse(self, refused: bool, *, broker: int | None = None) -> None:
        """Refuse connections and break those there are, or take them again."""
        doors = self._chosen(broker)
        self._in_loop(self._close(doors) if refused else self._open(doors))

    def clear(self) -> None:
        """Take away every rule and condition; what is held is released.

        Connections that a black hole has swallowed bytes of are reset, as TCP never goes on with a gap. Raises what
        went wrong in an action.
        """

        def end() -> None:
            for rule in self._all_rules:
                rule.end()
            self._rules.clear()
            for door in self._doors.values():
                door.black_hole[:] = [False, False]
                _slow(door, 0.0, 0)
                _cut(each for each in door.connections if each.lost_bytes)

        self._do(end)
        self._in_loop(self._open(self._doors.values()))
        rules, self._all_rules = self._all_rules, []
        for rule in rules:
            rule.check()

    def close(self) -> None:
        """Take no more connections, and end those there are."""
        self._in_loop(self._close(self._doors.values()))
        for holder in self._holders.values():
            holder.close()

    def _chosen(self, broker: int | None) -> list[Door]:
        return list(self._doors.values()) if broker is None else [self._doors[broker]]

    def _each(self, broker: int | None, change: Callable[[Door], object]) -> None:
        def work() -> None:
            for door in self._chosen(broker):
                change(door)

        self._do(work)

    async def _open(self, doors: Iterable[Door]) -> None:
        for door in doors:
            door.refused = False
            if door.broker not in self._servers:
                listener = socket.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((HOST, self.ports[door.broker]))
                self._servers[door.broker] = await self._loop.create_server(
                    lambda door=door: accept(door),  # type: ignore[misc]
                    sock=listener,
                )

    async def _close(self, doors: Iterable[Door]) -> None:
        for door in doors:
            door.refused = True
            server = self._servers.pop(door.broker, None)
            if server is not None:
                server.close()
            _cut(door.connections)

    def _do(self, work: Callable[[], T]) -> T:
        async def in_loop() -> T:
            return work()

        return self._in_loop(in_loop())

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)


class KafkaProxy:
    """Lanes to brokers that listen on this machine: for each lane the brokers' ports, by broker."""

    def __init__(self, lanes: Mapping[str, Mapping[int, int]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka proxy", daemon=True)
        self._thread.start()
        self._lanes = {name: Lane(name, targets, self._loop) for name, targets in lanes.items()}

    def lane(self, name: str) -> Lane:
        """Return the lane of that name."""
        return self._lanes[name]

    @property
    def lanes(self) -> Sequence[Lane]:
        """All of them."""
        return list(self._lanes.values())

    def close(self) -> None:
        """End all connections and the thread."""
        for lane in self._lanes.values():
            lane.close()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    @staticmethod
    async def _end() -> None:
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:  # connections being accepted or made
            await asyncio.wait(tasks, timeout=_SECONDS)
        for _ in range(3):
            await asyncio.sleep(0)  # closed transports say so in the next round

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _slow(door: Door, delay: float, bytes_per_second: int) -> None:
    door.delay, door.bytes_per_second = delay, bytes_per_second
    if not delay and not bytes_per_second:
        for connection in door.connections:
            connection.to_server.outlet.flush()
            connection.to_client.outlet.flush()


def _cut(connections: Iterable[Connection]) -> None:
    for connection in list(connections):
        connection.cut()

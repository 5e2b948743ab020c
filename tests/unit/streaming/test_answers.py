"""A lost connection is heard of in librdkafka's log, however it words it."""

import logging

import pytest

from atp_stream.streaming.answers import ConnectionWatch

CLIENT = "[rdkafka#producer-1] [thrd:TxnCoordinator]"


@pytest.mark.parametrize(
    ("facility", "message", "lost"),
    [
        ("FAIL", "TxnCoordinator: Disconnected: connection reset by peer (after 21ms in state UP)", True),
        ("FAIL", "TxnCoordinator: Disconnected (after 21ms in state UP, 1 identical error(s) suppressed)", True),
        ("FAIL", "TxnCoordinator: Disconnected (after 3ms in state REAUTH)", True),
        ("FAIL", "127.0.0.1:9092/1: Connect to ipv4 failed: Connection refused (after 0ms in state CONNECT)", False),
        ("REQTMOUT", "TxnCoordinator/1: Timed out 1 in-flight, 0 retry-queued requests in state UP)", False),
    ],
)
def test_given_a_message_of_librdkafka_then_a_connection_counts_as_lost_if_it_was_in_use(
    facility: str, message: str, lost: bool
) -> None:
    watch = ConnectionWatch(logging.getLogger("librdkafka of a test"))
    watch.log(logging.INFO, "%s %s %s", facility, CLIENT, message)
    assert watch.lost is lost

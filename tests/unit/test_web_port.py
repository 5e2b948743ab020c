"""The port of the web view: as set, or a free one where only the default is taken."""

import socket

import pytest

from atp_stream.admin.web_port import free_port, is_free
from atp_stream.errors import ConfigurationError, TemporaryError

HOST = "127.0.0.1"


def test_a_free_port_is_taken_as_it_is() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    assert free_port(HOST, port, explicit=True) == port


def test_where_the_default_is_taken_a_free_one_is_chosen() -> None:
    with socket.create_server((HOST, 0)) as server:
        taken = server.getsockname()[1]
        chosen = free_port(HOST, taken, explicit=False)
    assert chosen != taken
    assert is_free(HOST, chosen)


def test_an_explicit_port_that_is_taken_is_an_error() -> None:
    with socket.create_server((HOST, 0)) as server, pytest.raises(TemporaryError):
        free_port(HOST, server.getsockname()[1], explicit=True)


def test_zero_asks_for_any_free_port() -> None:
    assert free_port(HOST, 0, explicit=True) > 0


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError) as caught:
        free_port("192.0.2.1", 6066, explicit=False)
    assert caught.value.setting == "web.host"

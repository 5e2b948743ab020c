"""Records that are made to be dangerous to a Faust application: what they would bring about there does not happen."""

import base64
import inspect
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import faust
from confluent_kafka.admin import AdminClient
from faust.agents.agent import Agent
from faust.serializers import codecs

from atp_stream.local import LocalCluster
from tests.cluster import create_topic
from tests.pipeline.core import STOCK
from tests.pipeline.log import read
from tests.pipeline.worker import WorkerProcess
from tests.secure.certificates import Certificates
from tests.secure.codec_worker import SAID
from tests.secure.door import RegistryDoor

from .conftest import Deploy

WATCHED = ("-m", "tests.secure.codec_worker")
#: What Faust's agents take for an order to answer: headers, or a value of this form.
REPLY_TO, CORRELATION = "Faust-Ag-ReplyTo", "Faust-Ag-CorrelationId"


#: Schema ids that no registry has given, and how often each of them comes: fewer than stop a worker.
UNKNOWN, ROUNDS = 200, 3
#: Members of a group tell each other in JSON what they have; records do not come there.
BETWEEN_WORKERS = {"Codec.dumps", "Codec.loads", "json._dumps", "json._loads"}


def used(worker: WorkerProcess) -> set[str]:
    """What the watched worker has used of codecs and pickles."""
    return {line.partition(": ")[2] for line in worker.log().splitlines() if line.startswith(SAID)}


def request(topic: str, value: Any) -> bytes:
    """A value that Faust takes for a request that wants an answer in the topic."""
    fields = {"value": value, "reply_to": topic, "correlation_id": "c-1"}
    return json.dumps({**fields, "__faust": {"ns": "@ReqRepRequest"}}).encode()


def test_given_records_that_ask_for_a_reply_when_they_are_processed_then_nothing_is_written_outside_our_topics(
    deploy: Deploy, cluster: LocalCluster, unique: str
) -> None:
    deployment = deploy()
    reply = f"{unique}-reply"
    create_topic(cluster.bootstrap_servers, reply)
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    headers = {REPLY_TO: reply.encode(), CORRELATION: b"c-1"}
    worker = deployment.worker("w1", WATCHED).start().ready()
    deployment.publish(deployment.core.stock("item-1", "10.00"))
    deployment.verify()
    before = set(admin.list_topics(timeout=30).topics)
    # when
    deployment.publish(deployment.core.created("item-1", "r-1", "1.00"), headers=headers)
    stock = deployment.source(STOCK)
    deployment.raw(stock, request(reply, {"itemId": "item-1"}), b"key", 0, headers)
    deployment.raw(stock, b"broken", b"key", 0, {REPLY_TO: f"{unique}-another".encode()})
    deployment.flush()
    # then they are processed like any others
    deployment.verify()
    assert len(deployment.log(deployment.dead_letters)) == 2
    assert read(cluster.bootstrap_servers, [reply]) == []
    assert set(admin.list_topics(timeout=30).topics) == before
    assert worker.stop() == 0
    assert used(worker) <= BETWEEN_WORKERS


def test_given_a_flood_of_unknown_schema_ids_when_it_is_processed_then_the_registry_is_asked_once_for_each(
    deploy: Deploy, cluster: LocalCluster, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    with RegistryDoor(cluster.registry_url, certificates.server(), "user", "password") as door:
        settings = {"URL": door.url, "CA_LOCATION": str(certificates.ca), "USERNAME": "user", "PASSWORD": "password"}
        deployment = deploy(settings={f"ATP_REGISTRY__{name}": value for name, value in settings.items()})
        deployment.worker().start().ready()
        deployment.publish(deployment.core.stock("item-1", "10.00"))
        deployment.verify()
        before = door.passed
        for _ in range(ROUNDS):
            for number in range(UNKNOWN):
                header = b"\x00" + (2**31 - 1 - number).to_bytes(4, "big")
                deployment.raw(deployment.source(STOCK), header + b"\x00", b"key", number % 3)
            deployment.publish(deployment.core.stock("item-1", "11.00"))
            deployment.verify()
        assert len(deployment.log(deployment.dead_letters)) == ROUNDS * UNKNOWN
        # What the latest output needs may be asked once more; nothing that depends on how many records there were.
        assert UNKNOWN <= door.passed - before <= UNKNOWN + 5


class Dangerous:
    """Unpickled, it runs a command."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._witness,)


def test_given_pickles_in_values_keys_and_headers_when_they_are_processed_then_none_is_opened(
    deploy: Deploy, tmp_path: Path
) -> None:
    deployment = deploy()
    witness = tmp_path / "witness"
    pickled = pickle.dumps(Dangerous(witness))
    pickle.loads(pickled)
    assert witness.exists()  # given pickles that work
    witness.unlink()
    worker = deployment.worker("w1", WATCHED).start().ready()
    forms = (pickled, base64.b64encode(pickled))
    for topic in deployment.sources:
        for form in forms:
            deployment.raw(topic, form, form, 0, {"serializer": form, "pickle": form})
    for form in forms:
        deployment.raw(deployment.changes, form, form, 0)
    deployment.publish(deployment.core.stock("item-1", "10.00"))
    deployment.flush()
    # then each of them is a dead letter, and none was opened on the way
    count = len(forms) * (len(deployment.sources) + 1)
    assert deployment.settled()  # and not verified: the oracle reads no changes log with what is no event
    assert len(deployment.log(deployment.dead_letters)) == count
    assert [entry.key for entry in deployment.outputs()] == [f"{deployment.core.tenant}/item-1".encode()] * 4
    assert worker.stop() == 0
    assert not witness.exists()
    assert used(worker) <= BETWEEN_WORKERS


def test_given_the_watched_worker_when_a_codec_or_a_pickle_is_used_then_it_says_so(tmp_path: Path) -> None:
    """The tests above see what they are there for."""
    code = (
        "import pickle; from tests.secure.codec_worker import watch; from faust.serializers import codecs; watch();"
        f"pickle.loads({pickle.dumps(Dangerous(tmp_path / 'w'))!r}); codecs.loads('json', b'1')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    said = set(done.stderr.splitlines())
    assert f"{SAID}: pickle" in said
    assert f"{SAID}: json._loads" in said


def test_given_fausts_codecs_and_agents_when_they_change_then_what_is_relied_on_here_is_looked_at_again() -> None:
    # These could be named as a serializer; we name "raw" alone, and hand messages on before any is asked.
    assert set(codecs.codecs) == {"json", "pickle", "pickle_restricted", "pickle_fickling", "binary", "raw", "yaml"}
    # Only an agent that yields replies, and ours does not.
    source = inspect.getsource(Agent)
    assert source.count("self._reply(") == 1
    assert "self._reply(" in inspect.getsource(Agent._slurp)
    app = faust.App("codecs-of-the-defaults")
    assert (app.conf.key_serializer, app.conf.value_serializer) == ("raw", "json")

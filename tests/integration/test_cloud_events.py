"""Outputs of a real worker as CloudEvents: read by CloudEvents' own SDK, and no matter to anything else."""

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

from atp_stream.tools.verify.run import Scope, verify
from atp_stream.tools.verify.shown import Silent

from .conftest import Deploy


def test_given_cloud_events_when_events_pass_then_outputs_are_such_and_all_else_holds(deploy: Deploy) -> None:
    deployment = deploy(settings={"ATP_WORKER__CLOUD_EVENTS": "true"})
    core, tenant = deployment.core, deployment.core.tenant
    worker = deployment.worker().start().ready()
    deployment.publish(core.stock("item-001", "150.00", "ECOM"), core.created("item-001", "r-1", "30.00"))
    deployment.settled()
    worker.stop()
    outputs = deployment.outputs()
    assert len(outputs) >= 2
    for entry in outputs:
        headers = {name: value or b"" for name, value in entry.headers}
        event = from_binary(KafkaMessage(headers, None, entry.value or b""), JSONFormat())
        kind = headers["event-type"].decode()
        assert event.get_type() == f"com.erp.inventory.atp.events.{kind}"
        assert (event.get_source(), event.get_subject()) == (f"/atp-stream/{deployment.name}", f"{tenant}/item-001")
    report = verify(deployment.settings, Scope(f"{tenant}/".encode(), limit=10, patience=60.0), Silent())
    assert report.differences == []
    assert report.exit_code == 0

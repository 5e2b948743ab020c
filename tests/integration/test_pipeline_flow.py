"""What goes in and what comes out: the contract's example, keying anew, the short cut, thinned output."""

from confluent_kafka import TopicPartition
from aiokafka.partitioner import murmur2

from tests.pipeline.core import CREATED, RELEASED, STOCK
from tests.pipeline.deployment import Deployment, Source
from tests.pipeline.oracle import AVAILABILITY, COMMITTED, OUTPUTS, by_item

from .conftest import Deploy


def test_given_150_on_hand_when_30_are_reserved_then_120_are_available(deploy: Deploy) -> None:
    deployment = deploy()
    core = deployment.core
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    deployment.publish_changes(core.stock("item-001", "150.00", "ECOM"))
    deployment.worker().start().ready()
    deployment.settled()
    deployment.publish(core.created("item-001", "r-1", "30.00"), headers={"traceparent": trace})
    deployment.verify()
    (events,) = by_item(deployment.outputs()).values()
    for each in events:
        print(each)

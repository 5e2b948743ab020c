"""What the checker has to know of a deployment of the tests."""

from typing import TYPE_CHECKING

from tests.cluster import register
from tests.pipeline.core import schema_named
from tests.pipeline.item import AVAILABILITY, COMMITTED, DENIED, GIVEN_BACK
from tests.pipeline.log import Log

from .observation import Names

if TYPE_CHECKING:  # the harness uses the package, which the checker does not
    from tests.pipeline.deployment import Deployment

#: By output topic; the last carries nothing yet, and must not.
_OUTPUTS = {
    "inventory.atp.availability.calculated": AVAILABILITY,
    "inventory.atp.allocation.committed": COMMITTED,
    "inventory.atp.allocation.released": GIVEN_BACK,
    "inventory.atp.reservation.denied": DENIED,
    "inventory.atp.allocation.backordered": "AllocationBackorderedEvent",
}


def names_of(deployment: "Deployment") -> Names:
    """Of a deployment whose topics and schemas are there. In topics that it shares, its records begin at `began`."""
    with Log(deployment.servers, _OUTPUTS) as log:
        places = log.ends()
    outputs = {}
    for topic, kind in _OUTPUTS.items():
        schema_id = register(deployment.registry_url, f"{topic}-value", schema_named(kind))
        outputs[topic] = (schema_id, sum(name == topic for name, _ in places))
    return Names(
        group=deployment.name,
        tenant=deployment.core.tenant,
        sources=deployment.sources,
        changes=deployment.changes,
        dead_letters=deployment.dead_letters,
        changelog=deployment.changelog,
        origins=deployment.origins,
        partitions=deployment.partitions,
        outputs=outputs,
        starts=deployment.began,
    )

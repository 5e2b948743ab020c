"""The query API on a worker's web server."""

import ssl
from pathlib import Path

from atp_stream.domain.policy import Policy
from atp_stream.errors import ConfigurationError
from atp_stream.streaming.worker import Worker
from atp_stream.web.auth import Access
from atp_stream.web.cluster import Cluster
from atp_stream.web.forwarding import Forwarding
from atp_stream.web.listing import Listing
from atp_stream.web.operations import OPERATIONS
from atp_stream.web.queries import Queries
from atp_stream.web.scan import Scan
from atp_stream.web.server import Handler, Web


def open_forwarding(worker: Worker, authority: Path | None) -> Forwarding:
    """Return what asks the other workers. authority: signed their certificates; None: whom the system trusts.

    ConfigurationError: its file is none of certificates.
    """
    try:
        tls = None if authority is None else ssl.create_default_context(cafile=str(authority))
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigurationError(
            f"{authority} holds no certificates",
            cause=str(getattr(error, "reason", None) or error).lower(),
            setting="client.ca_location",
            fix="give the certificate of the authority that signed those of the workers, as a PEM file",
        ) from None
    return Forwarding(worker.inspection, worker.options.group, tls)


def add_api(web: Web, worker: Worker, policy: Policy, forwarding: Forwarding) -> None:
    """Serve the query API under the policy in force."""
    inspection = worker.inspection
    queries = Queries(inspection, policy, forwarding)
    worker.engine.observers.append(queries.commits.observe)
    listing = Listing(inspection, Scan(inspection, policy), forwarding)
    handlers: dict[str, Handler] = {
        "availability": queries.availability,
        "pools": queries.pools,
        "reservation": queries.reservation,
        "items": listing.items,
        "workers": Cluster(worker, forwarding).workers,
    }
    for operation in OPERATIONS:
        web.add(operation.path, handlers[operation.name], Access.READ)
    web.web_app.on_cleanup.append(forwarding.close)
    web.web_app.on_cleanup.append(listing.close)

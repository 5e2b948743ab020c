"""Which Kafka and which registry are meant: the configured ones, else those running on this machine."""

from atp_stream.errors import UnavailableError
from atp_stream.settings import Settings


def with_cluster(settings: Settings, *, kafka: bool = True, registry: bool = True) -> Settings:
    """Return the settings with the addresses of the local cluster where none are set.

    kafka, registry: which of the two are needed. UnavailableError: one is not set, and no local cluster is running.
    """
    missing = []
    if kafka and not settings.kafka.bootstrap_servers:
        missing.append(("Kafka", "kafka.bootstrap_servers", "ATP_KAFKA__BOOTSTRAP_SERVERS"))
    if registry and settings.registry.url is None:
        missing.append(("schema registry", "registry.url", "ATP_REGISTRY__URL"))
    if not missing:
        return settings
    from atp_stream.local import LocalCluster

    local = LocalCluster.running()
    if local is None:
        what, setting, variable = missing[0]
        raise UnavailableError(
            f"there is no {what} to use",
            cause=f"{setting} is not set, and no local cluster is running",
            setting=setting,
            fix=f"run `atp-stream local up`, or set {setting} ({variable})",
        )
    found = {
        "kafka.bootstrap_servers": tuple(local.bootstrap_servers.split(",")),
        "registry.url": local.registry_url,
    }
    return settings.replaced({setting: found[setting] for _, setting, _ in missing})

"""The ids that the service gives, worked out anew: uuid5 of names in which each part is preceded by its length."""

from uuid import UUID, uuid5

#: Never changes: consumers remember ids.
NAMESPACE = UUID("5d0c7c8e-4c0b-5c5e-9d5f-6c3f1b1e7a42")


def _sized(*parts: str) -> str:
    return "".join(f"{len(part)}:{part}" for part in parts)


def allocation_id(tenant: str, item: str, reservation: str) -> str:
    """The id of a reservation's allocation."""
    return str(uuid5(NAMESPACE, f"allocation:{_sized(tenant, item)}{reservation}"))


def event_id(tenant: str, item: str, cause: str, kind: str, sequence: int) -> str:
    """The id of an output, by the event id of its cause."""
    return str(uuid5(NAMESPACE, f"event:{_sized(tenant, item, cause)}{kind}:{sequence}"))

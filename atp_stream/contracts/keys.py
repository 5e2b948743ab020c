"""Record and table keys: readable in a Kafka UI, and unambiguous whatever characters the ids hold (design section 2.3).

An item key is ``tenant/item``, a reservation key ``tenant/item/reservation``, in UTF-8. Within an id, ``/`` is written
``%2F`` and ``%`` is written ``%25``; nothing else is escaped.
"""


def _escape(text: str) -> str:
    if "%" in text or "/" in text:
        return text.replace("%", "%25").replace("/", "%2F")
    return text


def _unescape(text: str) -> str:
    unescaped = text.replace("%2F", "/").replace("%25", "%")
    if _escape(unescaped) != text:
        raise ValueError(f"not escaped as in an item key: {text!a}")
    return unescaped


def item_key(tenant_id: str, item_id: str) -> bytes:
    """Return the key of an item: ``b"tenant/item"``."""
    return f"{_escape(tenant_id)}/{_escape(item_id)}".encode()


def split_item_key(key: bytes) -> tuple[str, str]:
    """Return (tenant id, item id) of an item key. Raises ``ValueError`` when ``item_key`` cannot have made it."""
    parts = key.decode().split("/")
    if len(parts) != 2:
        raise ValueError(f"not an item key: {key!r}")
    return _unescape(parts[0]), _unescape(parts[1])


def reservation_key(item_key: bytes, reservation_id: str) -> bytes:
    """Return the key of a reservation of an item, given the key of the item: ``b"tenant/item/reservation"``."""
    return item_key + b"/" + _escape(reservation_id).encode()

"""The OpenAPI 3.1 document, made from what runs: the table of routes, the parameters they read, the models they write.

A copy of it is docs/openapi.json; a test holds them equal. `python -m atp_stream.web.openapi` prints it.
"""

import json
import sys
from importlib.metadata import version
from typing import Any, Final

import msgspec

from atp_stream.web.auth import TENANT_HEADER
from atp_stream.web.errors import CODES
from atp_stream.web.operations import OPERATIONS, Operation
from atp_stream.web.parameters import Asked
from atp_stream.web.stream import PATH as STREAM_PATH
from atp_stream.web.stream import StreamAsked

_REFERENCE: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
#: Errors that any route may answer, before it is asked.
_EVERYWHERE: Final = (401, 403, 414, 421, 429, 431, 503)

_ERROR: Final = {
    "title": "Error",
    "description": "Why a request is refused: the same on every route and with every status.",
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "A code for programs.", "pattern": "^[A-Z_]+$"},
        "message": {"type": "string", "description": "For people."},
        "details": {"type": "object", "description": "What a program may need besides."},
        "timestamp": {"type": "string", "format": "date-time", "description": "UTC, with milliseconds."},
        "traceId": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Finds the request in the log."},
    },
    "required": ["error", "message", "details", "timestamp", "traceId"],
}
_ERROR_EXAMPLE: Final = {
    "message": "what is wrong, in words",
    "details": {},
    "timestamp": "2026-01-02T03:04:05.678Z",
    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
}
_STATUSES: Final = {
    400: "The request is wrong.",
    401: "No token where one is needed, or one that is not valid (any more).",
    403: "The token's role or tenant does not allow it, or the page that asks is of another origin.",
    404: "There is no such thing, for this tenant.",
    414: "The URI is too long.",
    421: "Not a host that is served here; only where authentication is off.",
    429: "Too many requests.",
    431: "The headers are too large.",
    503: "Not now: ask again after Retry-After seconds. Never a stale or partial answer instead.",
}
_HEADERS: Final = {
    "Atp-Worker": ("The address of the worker that answered: the item's owner.", {"type": "string"}),
    "Atp-Position": ("The number of the item's last event; 0: it has none.", {"type": "integer", "minimum": 0}),
    "Atp-As-Of": (
        "When the last input of the item's partition was published, epoch ms. After a take-over, until the next input: "
        "the timestamp of the event that last changed the item. Missing: neither is known.",
        {"type": "integer"},
    ),
    "Atp-Age": ("Seconds since then, with three places.", {"type": "number", "minimum": 0}),
    "Retry-After": ("Seconds.", {"type": "integer", "minimum": 1}),
    "Atp-Trace-Id": ("The trace id of the request.", {"type": "string"}),
    "WWW-Authenticate": ("How to prove who asks.", {"type": "string"}),
}
#: Routes beside the table: (path, name, summary, media type, statuses besides 200).
_OTHERS: Final = (
    ("/api/v1/openapi.json", "openapi", "This document", _JSON, (401, 403, 429)),
    ("/api/v1/asyncapi.json", "asyncapi", "The AsyncAPI document of all topics", _JSON, (401, 403, 429)),
    (
        STREAM_PATH,
        "stream",
        "Changes of items, allocations, denials and workers as they happen, as server-sent events (docs/board.md)",
        "text/event-stream",
        (400, 401, 403, 429, 503),
    ),
    ("/health/live", "live", "Whether the worker does its work, or will end by itself", _JSON, (503,)),
    ("/health/ready", "ready", "Whether events are processed, and what they wait for", _JSON, (503,)),
    ("/worker", "worker", "What this worker has done since it started (principals of all tenants)", _JSON, _EVERYWHERE),
    ("/metrics", "metrics", "Metrics for Prometheus (principals of all tenants)", "text/plain", _EVERYWHERE),
)
_HEALTH: Final = {
    "title": "Health",
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["live", "stuck", "ready", "waiting"]},
        "state": {"type": "string"},
    },
    "required": ["status"],
}


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    _, schemas = msgspec.json.schema_components([each.answers for each in OPERATIONS], ref_template=_REFERENCE)
    paths = {each.path: {"get": _operation(each)} for each in OPERATIONS}
    paths |= {path: {"get": _other(path, *rest)} for path, *rest in _OTHERS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "atp-stream",
            "version": version("atp-stream"),
            "summary": "What every sales channel may still promise",
            "description": "Ask any worker: it passes on what another has. Quantities are exact numbers with two "
            "places, times epoch milliseconds. Every GET may be asked as HEAD. An unknown parameter is an error. "
            'Without authentication (`web.auth = "off"`) no token is needed.',
            "license": {"name": "Proprietary", "url": "about:blank"},
        },
        "servers": [{"url": "/", "description": "any worker"}],
        "security": [{"bearer": []}, {}],
        "tags": [
            {"name": "atp", "description": "Availability, pools, reservations, items"},
            {"name": "cluster", "description": "Workers, health, metrics"},
            {"name": "documents", "description": "What can be asked and consumed"},
        ],
        "paths": paths,
        "components": {
            "schemas": _numbers({**schemas, "Error": _ERROR, "Health": _HEALTH}),
            "headers": {name: {"description": about, "schema": schema} for name, (about, schema) in _HEADERS.items()},
            "parameters": {
                "tenant": {
                    "name": TENANT_HEADER,
                    "in": "header",
                    "description": "The tenant: needed from principals of all tenants where it is about one item.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 256},
                    "example": "north",
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token with a tenant and a role."}
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    headers = ["Atp-Worker", *(("Atp-Position", "Atp-As-Of", "Atp-Age") if operation.of_item else ())]
    media = {
        "schema": {"$ref": _REFERENCE.format(name=operation.answers.__name__)},
        "example": operation.example,
    }
    answers = {"200": {"description": "The answer.", "headers": _headers(*headers), "content": {_JSON: media}}}
    codes: dict[int, tuple[str, ...]] = {status: (CODES[status],) for status in _EVERYWHERE} | operation.errors
    for status, named in sorted(codes.items()):
        answers[str(status)] = _refusal(status, named)
    parameters = _parameters(operation.asks, operation.path)
    if any(each["name"] == "tenantId" for each in parameters):
        parameters.append({"$ref": "#/components/parameters/tenant"})
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": ["cluster" if operation.name == "workers" else "atp"],
        "parameters": parameters,
        "responses": answers,
    }


def _parameters(asks: type[Asked], path: str) -> list[dict[str, Any]]:
    _, schemas = msgspec.json.schema_components([asks])
    schema = schemas[asks.__name__]
    found = []
    for name, its in schema.get("properties", {}).items():
        its = dict(its)
        examples = its.pop("examples", [])
        about = its.pop("description")
        inside = f"{{{name}}}" in path
        parameter = {
            "name": name,
            "in": "path" if inside else "query",
            "required": inside or name in schema.get("required", ()),
            "description": about,
            "schema": its,
        }
        found.append(parameter | ({"example": examples[0]} if examples else {}))
    return found


def _refusal(status: int, codes: tuple[str, ...]) -> dict[str, Any]:
    more = {401: ("WWW-Authenticate",), 503: ("Retry-After",), 429: ("Retry-After",)}.get(status, ())
    return {
        "description": f"{_STATUSES[status]} Codes: {', '.join(codes)}.",
        "headers": _headers("Atp-Trace-Id", *more),
        "content": {
            _JSON: {
                "schema": {"$ref": _REFERENCE.format(name="Error")},
                "examples": {code: {"value": {"error": code, **_ERROR_EXAMPLE}} for code in codes},
            }
        },
    }


def _other(path: str, name: str, summary: str, media: str, statuses: tuple[int, ...]) -> dict[str, Any]:
    is_health = path.startswith("/health")
    schema: dict[str, Any] = {"type": "object"} if media == _JSON else {"type": "string"}
    content = {media: {"schema": {"$ref": _REFERENCE.format(name="Health")} if is_health else schema}}
    answers: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    for status in statuses:
        answers[str(status)] = _refusal(status, (CODES[status],))
    if is_health:
        answers["503"] = {"description": "It does not.", "headers": _headers("Retry-After"), "content": content}
    found: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": ["documents" if name.endswith("api") else "atp" if name == "stream" else "cluster"],
        "responses": answers,
    }
    if is_health:
        found["security"] = []
    if path == STREAM_PATH:
        found["parameters"] = [*_parameters(StreamAsked, path), {"$ref": "#/components/parameters/tenant"}]
    return found


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _numbers(schema: Any) -> Any:
    """Say of quantities what they are on the wire (`models.encode`): numbers, where msgspec takes them for text."""
    if isinstance(schema, list):
        return [_numbers(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _numbers(list(each) if isinstance(each, tuple) else each) for name, each in schema.items()}
    if found.get("format") == "decimal":
        found["type"] = "number"
    return found


if __name__ == "__main__":
    json.dump(openapi_document(), sys.stdout, indent=2)
    sys.stdout.write("\n")

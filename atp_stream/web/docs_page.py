"""The pages of the OpenAPI and the AsyncAPI document: made here, so that they need neither a network nor a script."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from atp_stream.web.docs_schema import about_of, avro_rows, name_of, refers, rows, type_of

Document = Mapping[str, Any]

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


def openapi_page(document: Document) -> str:
    """Return the page of an OpenAPI 3 document: each path with its parameters and answers, and the schemas."""
    operations = [
        {**operation, "method": method.upper(), "path": path, "parameters": _parameters(document, item, operation)}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    for operation in operations:
        operation["responses"] = {
            status: _answer(document, _resolved(document, answer)) for status, answer in operation["responses"].items()
        }
    return _template("openapi.html").render(
        document=document, operations=operations, schemas=document.get("components", {}).get("schemas", {})
    )


def asyncapi_page(document: Document) -> str:
    """Return the page of our AsyncAPI 3 document: each topic with its messages."""
    channels = [
        {
            **channel,
            "role": channel["tags"][0]["name"],
            "messages": [_message(document, _resolved(document, each)) for each in channel["messages"].values()],
        }
        for channel in document["channels"].values()
    ]
    return _template("asyncapi.html").render(document=document, channels=channels)


def _parameters(document: Document, *places: Document) -> list[Document]:
    found = [_resolved(document, each) for place in places for each in place.get("parameters", ())]
    return list({(each["name"], each["in"]): each for each in found}.values())


def _answer(document: Document, answer: Document) -> dict[str, Any]:
    headers = {name: _resolved(document, header) for name, header in answer.get("headers", {}).items()}
    return {"description": answer["description"], "headers": headers, "content": answer.get("content", {})}


def _message(document: Document, message: Document) -> dict[str, Any]:
    payload = _resolved(document, message["payload"])
    return {**message, "payload": payload, "key": message["bindings"]["kafka"]["key"]}


def _resolved(document: Document, part: Document) -> Document:
    """Follow references within the document to what they lead to."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name.replace("~1", "/").replace("~0", "~")]
        part = found
    return part


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("atp_stream.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "rows": lambda schema: list(rows(schema)),
        "avro_rows": lambda schema: list(avro_rows(schema)),
        "about": about_of,
        "type_of": type_of,
        "refers": lambda schema: list(refers(schema)),
        "name_of": name_of,
        "json": lambda value: json.dumps(value, indent=2, ensure_ascii=False, default=str),
    }
    return environment.get_template(name)

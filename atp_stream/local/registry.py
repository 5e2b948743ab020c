"""Apicurio Registry, spoken to by its Confluent-compatible API."""

from collections.abc import Sequence
from pathlib import Path

import httpx

from atp_stream.local.ports import HOST
from atp_stream.local.service import Service
from atp_stream.local.software import Software

_ANSWER_SECONDS = 2


class Registry(Service):
    """The schema registry. Schemas and their ids survive a restart: they lie in a database file, each write at once."""

    name = "registry"
    heap = "256m"

    @property
    def url(self) -> str:
        """The Confluent-compatible API."""
        return f"http://{HOST}:{self.port}/apis/ccompat/v7"

    def _command(self, software: Software, java: Sequence[str | Path]) -> Sequence[str | Path]:
        settings = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": str(self.port),
            "quarkus.banner.enabled": "false",
            "quarkus.log.level": "WARN",
            'quarkus.log.category."io.apicurio".level': "WARN",
            "quarkus.datasource.jdbc.url": "jdbc:h2:file:./schemas;WRITE_DELAY=0",
            "quarkus.datasource.jdbc.initial-size": "1",
            "quarkus.datasource.jdbc.min-size": "1",
        }
        return [*java, *(f"-D{key}={value}" for key, value in settings.items()), "-jar", software.registry_jar]

    def _answers(self) -> bool:
        try:
            # A proxy named in the environment is not asked for this machine.
            return httpx.get(f"{self.url}/subjects", timeout=_ANSWER_SECONDS, trust_env=False).is_success
        except httpx.TransportError:
            return False

"""The schemas of the catalogue in the configured registry, for the command line: registered, or compared."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from atp_stream.admin.topics import specs
from atp_stream.contracts.errors import IncompatibleSchema, RegistryError, RegistryRefused, RegistryUntrusted
from atp_stream.contracts.registry import Registered, SchemaDifference, SchemaRegistry
from atp_stream.errors import AppError, ConfigurationError, DataError, PermissionDeniedError, UnavailableError
from atp_stream.settings import RegistrySettings, Settings

_T = TypeVar("_T")


def open_registry(registry: RegistrySettings) -> SchemaRegistry:
    """Return the registry these settings name. ValueError: they name none. ConfigurationError: a file of no use."""
    if registry.url is None:
        raise ValueError("registry.url is not set")
    try:
        return SchemaRegistry(
            registry.url,
            username=registry.username,
            password=registry.password.get_secret_value() if registry.password else None,
            ca_location=str(registry.ca_location) if registry.ca_location else None,
            timeout_seconds=registry.timeout_seconds,
        )
    except ssl.SSLError as error:
        raise ConfigurationError(
            "the certificates to trust cannot be read",
            cause=f"{registry.ca_location}: {error}",
            setting="registry.ca_location",
            fix="set registry.ca_location to a file of certificates in PEM format",
        ) from None


def register(settings: Settings) -> list[Registered]:
    """Register what is missing. Errors: UnavailableError, PermissionDeniedError, DataError (not compatible)."""
    return run(settings, lambda registry: registry.register(specs(settings)))


def check(settings: Settings) -> list[SchemaDifference]:
    """Return the subjects that differ from the catalogue. Errors: UnavailableError, PermissionDeniedError."""
    return run(settings, lambda registry: registry.check(specs(settings)))


def run(settings: Settings, work: Callable[[SchemaRegistry], Awaitable[_T]]) -> _T:
    """Return what `work` gets from the configured registry. Errors: UnavailableError, PermissionDeniedError, DataError.

    ValueError: no registry is configured.
    """

    async def work_with_it() -> _T:
        async with open_registry(settings.registry) as registry:
            return await work(registry)

    try:
        return asyncio.run(work_with_it())
    except RegistryError as error:
        raise described(error, settings.registry) from None


def described(error: RegistryError, registry: RegistrySettings) -> AppError:
    """Return the error that says what to do about a registry that did not do what was asked."""
    if isinstance(error, RegistryRefused):
        return PermissionDeniedError(
            "the schema registry refuses the request",
            cause=str(error),
            setting="registry.username",
            fix="correct registry.username and registry.password, or give this user the right",
        )
    if isinstance(error, RegistryUntrusted):
        return ConfigurationError(
            "the schema registry's certificate cannot be trusted",
            cause=str(error),
            setting="registry.ca_location",
            fix="set registry.ca_location to the certificate of the authority that signed the registry's, and see that "
            "this is valid now and for the host in registry.url",
        )
    if isinstance(error, IncompatibleSchema):
        return DataError(
            "a schema is not compatible with the registered one",
            cause=str(error),
            fix="run `atp-stream schemas check` for the differences; change the schema here, not the registry",
        )
    return UnavailableError(
        f"the schema registry cannot be reached at {registry.url}",
        cause=str(error),
        setting="registry.url",
        fix="start the registry, or correct registry.url (ATP_REGISTRY__URL)",
    )

"""The demo asks its worker how far it is, by whatever the worker is set to speak."""

import asyncio
from pathlib import Path

import trustme
from aiohttp import web as aioweb

from atp_stream.local.ports import free_port
from atp_stream.settings import Settings, WebSettings
from atp_stream.tools.demo_worker import DemoWorker
from atp_stream.web.auth import Access
from atp_stream.web.server import Web
from tests.unit.web.serving import served


def ready(web: Web) -> None:
    async def answer(_: aioweb.Request) -> aioweb.Response:
        return aioweb.Response()

    web.add("/health/ready", answer, Access.PROBE)


async def test_given_a_worker_with_tls_when_it_is_asked_then_by_tls_and_only_that_certificate_is_trusted(
    tmp_path: Path,
) -> None:
    authority = trustme.CA()
    for name in ("ours", "other"):
        made = authority.issue_cert("worker.example.com")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    ours, other = (
        WebSettings(port=free_port(), tls_certificate=tmp_path / f"{name}.pem", tls_key=tmp_path / f"{name}.key")
        for name in ("ours", "other")
    )
    worker = DemoWorker(Settings(web=ours), tmp_path)
    assert worker.url == f"https://127.0.0.1:{ours.port}/"
    assert await asyncio.to_thread(worker.state) == "starting"
    async with served(ready, **ours.model_dump(exclude_defaults=True)):
        assert await asyncio.to_thread(worker.state) == "ready"
    async with served(ready, **{**other.model_dump(exclude_defaults=True), "port": ours.port}):
        assert await asyncio.to_thread(worker.state) == "starting"

"""Faust's web server with nothing on it but our own routes, each with a rule, behind one guard.

A route exists only with the rule that says who may call it: `Web.add`. What every request goes through before its
handler: web/guard.py; what a connection may do: web/connections.py.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeAlias

import faust
from aiohttp import web
from faust.web import View
from faust.web.drivers import aiohttp as driver
from typing_extensions import override

from atp_stream.web.auth import Access
from atp_stream.web.connections import Runner, Site
from atp_stream.web.guard import MOST_BODY_BYTES, Guard, Rule
from atp_stream.web.headers import add_headers

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Web(driver.Web):
    """Faust's web server. Its own routes, which show tables and settings to anybody, are off."""

    mundane_level = "debug"

    default_blueprints: ClassVar[Any] = []
    production_blueprints: ClassVar[Any] = []
    debug_blueprints: ClassVar[Any] = []
    optional_blueprints: ClassVar[Any] = []

    def __init__(self, app: faust.App, guard: Guard, most_connections: int) -> None:
        super().__init__(app)
        self.guard = guard
        self.web_app = web.Application(middlewares=[guard.middleware], client_max_size=MOST_BODY_BYTES)
        self.web_app.on_response_prepare.append(add_headers)
        self._runner = Runner(self.web_app, most_connections)

    @override
    def _new_transport_tcp(self) -> web.BaseSite:
        conf = self.app.conf
        return Site(self._runner, conf.web_bind, conf.web_port, ssl_context=conf.web_ssl_context)

    @property
    def connections_refused(self) -> int:
        """How many connections were refused, as all others were busy."""
        assert isinstance(self._runner, Runner)
        return self._runner.refused

    def add(self, pattern: str, handler: Handler, access: Access, *, stream: bool = False) -> None:
        """Serve GET and HEAD of a route by a Faust view.

        access: who may call it. stream: it answers for as long as the client listens, so that the time limit of a
        request is not for it, but the most streams are.
        """

        class Page(View):
            @override
            async def get(self, request: Any, **_: Any) -> Any:
                return await handler(request)

        self.app.page(pattern, name=pattern)(Page)
        *_, resource = self.web_app.router.resources()
        self.guard.rules[resource.canonical] = Rule(access, stream)

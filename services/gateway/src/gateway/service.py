"""The gateway's front door."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from common.db.leases import Lease
from common.loops import Loop
from common.service import Platform, Service
from common.web.app import create_app
from gateway import api
from gateway.context import Context
from gateway.dataplane.owner import Owner
from gateway.dataplane.serve import DataPlane
from gateway.dataplane.table import RouteTable
from gateway.domain.routing import GATEWAY
from gateway.domain.throttle import Limit, Throttle
from gateway.front import Front, GatewayApp
from gateway.identity.authenticator import Authenticator
from gateway.identity.passwords import Passwords
from gateway.identity.tokens import LoginTokens
from gateway.identity.watch import LOOK_SECONDS, Watch
from gateway.live import Live
from gateway.reactions import broadcasts, reactions, recall_routes
from gateway.settings import Settings
from gateway.tracing import trace_of
from gateway.upstreams import Remote, Upstream
from gateway.usecases.login import make_first_admin

RECALL_SECONDS = 30.0
"""How often routes are looked up that no broadcast told of, because the broker was away."""


def build(platform: Platform, settings: Settings | None, upstreams: Mapping[str, Upstream]) -> Service:
    """The gateway before these services (name to ASGI app: the service's own, or a `Remote`).

    Settings come from the environment unless given.
    """
    settings = settings or Settings()
    context = _context(platform, settings, upstreams)
    owner = Owner(context.kit.calls, context.routes)
    data_plane = DataPlane(context.routes, owner, context.authenticator, settings, trace_of)
    own = create_app(GATEWAY, "Modelyard", platform.keyring, *api.ROUTERS)
    own.include_router(api.ROOT)
    own.state.context = context
    app = GatewayApp(own, Front(own, upstreams, context.authenticator, data_plane))
    watch = Watch(context.kit.store, context.authenticator)
    routes = Loop("routes", partial(_recall, context), every=RECALL_SECONDS, leased=False)
    among_others = platform.bus.capabilities.across_processes
    remotes = [upstream.close for upstream in upstreams.values() if isinstance(upstream, Remote)]
    return Service(
        context.kit,
        app,
        reactions(context),
        broadcasts(context, routes.wake),
        [routes, Loop("identity", watch.look, every=LOOK_SECONDS, leased=False)] if among_others else [],
        migrations=Path(__file__).parent / "migrations" / "versions",
        on_start=[partial(make_first_admin, context), partial(recall_routes, context), watch.begin, data_plane.open],
        on_drain=[context.live.close],
        on_stop=[context.live.close, data_plane.close, *remotes],
    )


async def _recall(context: Context, _lease: Lease | None) -> None:
    await recall_routes(context)


def _context(platform: Platform, settings: Settings, upstreams: Mapping[str, Upstream]) -> Context:
    kit = platform.kit(GATEWAY)
    window = settings.failed_login_window
    tokens = LoginTokens(kit.signer.key, platform.clock, settings.login_hours)
    authenticator = Authenticator(kit.store, tokens, kit.signer, settings.verified_seconds)
    live = Live(buffer=settings.stream_buffer, ping_seconds=settings.stream_ping_seconds)
    authenticator.on_forgotten_user.append(live.end_of)
    return Context(
        kit=kit,
        settings=settings,
        upstreams=upstreams,
        passwords=Passwords(memory=settings.password_memory, rounds=settings.password_rounds),
        tokens=tokens,
        authenticator=authenticator,
        by_name=Throttle(Limit(settings.failed_logins, window)),
        by_address=Throttle(Limit(settings.failed_logins_address, window)),
        routes=RouteTable(),
        live=live,
    )

"""Nodes, their devices and what is free of them; administrators cordon, drain and fence them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from common.kernel.errors import BadRequest
from common.ports.inventory import problems_of
from common.web.access import Permission, may_see, permits
from common.web.identity import Caller, Principal
from train_svc import nodes
from train_svc.context import Context, Ctx
from train_svc.domain.allocation import Allocation
from train_svc.domain.node import KnownNode, NodeState
from train_svc.known import the
from train_svc.ledger import granted_now
from train_svc.schemas.nodes import Draining, Marking, NodeOut, NodesOut

router = APIRouter(tags=["capacity"])

Label = Annotated[list[str] | None, Query(description="`key=value`, as often as needed: nodes that have all of them")]


@router.get("/nodes", **permits(Permission.USER))
async def list_nodes(
    context: Ctx,
    who: Caller,
    cluster: str | None = None,
    state: Annotated[list[NodeState] | None, Query()] = None,
    label: Label = None,
) -> NodesOut:
    """Nodes with their devices, and what is free of them."""
    wanted = _labels(label or [])
    async with context.kit.store.reading() as connection:
        known = await context.nodes.read(connection)
        holding = await granted_now(connection)
    found = [
        one
        for one in known.values()
        if cluster in (None, one.node.cluster)
        and (not state or one.state in state)
        and wanted.items() <= dict(one.node.labels).items()
    ]
    problems = list(problems_of(context.kit.platform.inventory)) if who.is_admin else []
    there = _by_node(holding)
    items = [_told(context, who, one, there.get(one.name, [])) for one in found]
    return NodesOut(items=items, problems=problems)


def _by_node(holding: list[Allocation]) -> dict[str, list[Allocation]]:
    """Those that hold something, by each node where they do."""
    found: dict[str, list[Allocation]] = {}
    for one in holding:
        for name in {place.node for place in one.placements}:
            found.setdefault(name, []).append(one)
    return found


def _labels(label: list[str]) -> dict[str, str]:
    wrong = [one for one in label if "=" not in one]
    if wrong:
        raise BadRequest("bad_label", f"{wrong[0]!r} is no label; write it as key=value.")
    return dict(one.split("=", 1) for one in label)


def _told(context: Context, who: Principal, node: KnownNode, holding: list[Allocation]) -> NodeOut:
    cores = node.node.cpu * context.settings.cpu_overcommit
    return NodeOut.of(node, cores, holding, lambda one: may_see(who, one.owner, shared=False))


async def _one(context: Context, who: Principal, name: str) -> NodeOut:
    async with context.kit.store.reading() as connection:
        known, holding = await context.nodes.read(connection), await granted_now(connection)
    return _told(context, who, the(known, name), holding)


@router.get("/nodes/{name}", **permits(Permission.USER))
async def get_node(context: Ctx, who: Caller, name: str) -> NodeOut:
    """One node."""
    return await _one(context, who, name)


@router.post("/nodes/{name}/cordon", **permits(Permission.ADMIN))
async def cordon_node(context: Ctx, who: Caller, name: str, body: Marking | None = None) -> NodeOut:
    """Let it take nothing new; what runs there goes on."""
    await nodes.cordon(context, name, (body or Marking()).reason, who.name or who.id)
    return await _one(context, who, name)


@router.post("/nodes/{name}/drain", **permits(Permission.ADMIN))
async def drain_node(context: Ctx, who: Caller, name: str, body: Draining | None = None) -> NodeOut:
    """Let it take nothing new, and ask what runs there to end: jobs begin again elsewhere with their checkpoints."""
    body = body or Draining()
    await nodes.drain(context, name, body.reason, who.name or who.id, body.grace_seconds)
    return await _one(context, who, name)


@router.post("/nodes/{name}/uncordon", **permits(Permission.ADMIN))
async def uncordon_node(context: Ctx, who: Caller, name: str) -> NodeOut:
    """Let it take work again."""
    await nodes.uncordon(context, name, who.name or who.id)
    return await _one(context, who, name)


@router.post("/nodes/{name}/fence", **permits(Permission.ADMIN))
async def fence_node(context: Ctx, who: Caller, name: str) -> NodeOut:
    """Confirm that a lost node is dead, so that nothing can run there any more: what was revoked on it is free."""
    await nodes.fence(context, name)
    return await _one(context, who, name)

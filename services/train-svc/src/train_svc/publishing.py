"""What one can do with a model: edit, publish, delete (seed 002 §2.4, rows M1, M4)."""

from __future__ import annotations

from dataclasses import replace

from common.contracts.model import ModelDeleted, ModelPublished
from common.db.aggregates import missing
from common.db.uow import UnitOfWork
from common.kernel.ids import new_id
from common.kernel.names import description_faults, name_faults, raise_faults
from common.web.access import require_change, require_see
from common.web.identity import Principal
from train_svc.attempts import facts_of
from train_svc.context import Context
from train_svc.domain.model import Model, ModelState
from train_svc.storage import models


async def publish(
    uow: UnitOfWork, who: Principal, model_id: str, service_name: str, description: str
) -> tuple[Model, str]:
    """Let it become a service; gives the id that the service will have. Publishing twice gives two services.

    Raises NoInferencePart (`no_inference_part`), Invalid (`invalid_service`).
    """
    model = await owned(uow, who, model_id)
    raise_faults("service", [*name_faults(service_name, "service_name"), *description_faults(description)])
    service = new_id("svc")
    published, inference = model.published(service)
    saved = await models.save(uow.connection, published, now=uow.clock.now())
    event = ModelPublished(
        **facts_of(saved),
        service_id=service,
        service_name=service_name,
        description=description,
        inference=inference,
    )
    uow.emit(event, subject=saved.id, owner=saved.owner)
    return saved, service


async def edit(uow: UnitOfWork, who: Principal, model_id: str, name: str | None, description: str | None) -> Model:
    """Change name and description. Raises Invalid (`invalid_model`)."""
    model = await owned(uow, who, model_id)
    changed = replace(
        model,
        name=model.name if name is None else name,
        description=model.description if description is None else description,
    )
    raise_faults("model", [*name_faults(changed.name), *description_faults(changed.description)])
    return await models.save(uow.connection, changed, now=uow.clock.now())


async def delete(uow: UnitOfWork, who: Principal, model_id: str) -> None:
    """Delete it; services made of it go on, and its lineage stays."""
    model = await owned(uow, who, model_id)
    await models.save(uow.connection, model.removed(), now=uow.clock.now())
    uow.emit(ModelDeleted(id=model.id), subject=model.id, owner=model.owner)


async def owned(uow: UnitOfWork, who: Principal, model_id: str) -> Model:
    """A model that the caller may change. Raises NotFound, Forbidden."""
    model = await existing(uow, model_id)
    require_change(who, "model", model_id, model.owner, model.shared)
    return model


async def existing(uow: UnitOfWork, model_id: str) -> Model:
    """A model that is not deleted. Raises NotFound (`model_not_found`)."""
    model = await models.get(uow.connection, model_id)
    if model.state == ModelState.DELETED:
        raise missing("model", model_id)
    return model


async def seen(context: Context, who: Principal, model_id: str) -> Model:
    """A model that the caller may see. Raises NotFound."""
    async with context.kit.store.reading() as connection:
        model = await models.get(connection, model_id)
    require_see(who, "model", model_id, model.owner, model.shared)
    if model.state == ModelState.DELETED:
        raise missing("model", model_id)
    return model

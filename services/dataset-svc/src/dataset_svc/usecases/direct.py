"""Links by which the parts of an upload go straight to the file store, and no service has to carry them (row D2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from common.kernel.errors import Conflict
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.uploads import PartLink, PartLinks
from dataset_svc.usecases.arriving import alive, linking
from dataset_svc.usecases.uploads import find_open


async def part_links(
    context: Context, who: Principal, dataset_id: str, upload_id: str, numbers: Sequence[int]
) -> PartLinks:
    """Links for these parts. Asking counts as activity of the upload.

    Raises Conflict (`upload_closed`, `upload_not_direct`), Invalid (`bad_part_number`).
    """
    upload, _ = await find_open(context, who, dataset_id, upload_id)
    if not upload.direct:
        detail = f"The upload {upload_id} comes through the platform: PUT its parts to /uploads/{upload_id}/parts/…"
        raise Conflict("upload_not_direct", detail)
    sizes = {number: upload.size_of(number) for number in numbers}
    handle, seconds, now = await alive(context, upload), context.settings.link_seconds, context.store.clock.now()
    store = linking(context)
    links = [
        PartLink(number, size, await store.presign_part(upload.archive, handle, number, size, seconds))
        for number, size in sizes.items()
    ]
    async with context.store.work() as uow:
        await storage.note_activity(uow.connection, upload_id, now)
    return PartLinks(links, now + timedelta(seconds=seconds))

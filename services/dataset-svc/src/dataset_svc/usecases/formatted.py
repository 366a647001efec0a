"""Formatted sets: ordering one with its complement, looking at it, its files, deleting it (row D9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncConnection

from common import manifests
from common.contracts.dataset import FormattedSetFacts
from common.contracts.shared import ManifestRef
from common.db.aggregates import Page, PageRequest
from common.db.holds import take_hold
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Fault
from common.kernel.ids import new_id
from common.kernel.names import name_faults, raise_faults
from common.manifests import Entry
from common.web.access import require_change, require_see, visible
from common.web.downloads import Place
from common.web.identity import Principal
from dataset_svc import set_storage, storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.errors import DatasetEmpty, SetNotReady
from dataset_svc.domain.formatted import Cut, FormattedSet, Origin, SetState, Side, default_name
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.versions import Version
from dataset_svc.formats import get_format
from dataset_svc.sets import ANNOTATED, NAMES, RAW
from dataset_svc.storage import DATASETS, SETS, formatted_sets
from dataset_svc.usecases.access import to_see
from dataset_svc.usecases.samples import manifest_of


@dataclass(frozen=True)
class NewSet:
    """What a person asks for, unchecked."""

    dataset_id: str
    format: str
    version: int | None = None
    part: Part = Part.TRAIN
    ratio: float | None = None
    side: Side | None = None
    seed: int = 0
    name: str | None = None
    complement: bool = False


@dataclass(frozen=True)
class SetFilters:
    """Which sets of a list are wanted; None is no matter. `q` is a part of the name."""

    q: str | None = None
    dataset_id: str | None = None
    format: str | None = None
    state: SetState | None = None


async def order_set(uow: UnitOfWork, context: Context, who: Principal, new: NewSet) -> FormattedSet:
    """A set that will be built, and its complement where that is wanted too.

    Raises NotFound (`dataset_not_found`, `version_not_found`, `part_not_found`), Conflict (`dataset_empty`), Invalid
    (`invalid_formatted_set`) with all faults.
    """
    dataset = await to_see(uow.connection, who, new.dataset_id)
    version = await _version(uow, dataset, new.version)
    origin = _origin(dataset, version, new.part)
    cut = Cut(new.side or (Side.TRAIN if new.ratio is not None else Side.ALL), new.ratio, new.seed)
    raise_faults("formatted set", _faults(new, dataset, cut))
    name = new.name or default_name(dataset.name, new.format, cut)
    first = await _add(uow, context, who.id, name, new.format, origin, cut)
    return await _complete(uow, context, first) if new.complement and cut.complement else first


async def order_complement(uow: UnitOfWork, context: Context, who: Principal, set_id: str) -> FormattedSet:
    """The rest of its version as a set; the one that there is where it was made before.

    Raises NotFound (`formatted_set_not_found`), Conflict (`no_complement`) where it has all of its version, or that
    has lost its files, or is losing them.
    """
    item = await _to_change(uow, who, set_id)
    if item.complement_id is not None:
        other = await SETS.find(uow.connection, item.complement_id)
        if other is not None and not other.deleted:
            return other
    if item.cut.complement is None:
        raise Conflict("no_complement", f"{set_id} has all files of its version: there is no rest.")
    if await storage.files_state(uow.connection, item.origin.dataset_id) != storage.KEPT:
        raise Conflict("no_complement", f"{item.origin.dataset_name} was deleted with its files: there is no rest.")
    whole = await _complete(uow, context, item)
    return await SETS.get(uow.connection, whole.complement_id or "")


async def _complete(uow: UnitOfWork, context: Context, item: FormattedSet) -> FormattedSet:
    """Make the rest; both know each other then."""
    cut = item.cut.complement
    assert cut is not None
    name = default_name(item.origin.dataset_name, item.format, cut)
    other = await _add(uow, context, item.owner, name, item.format, item.origin, cut, complement_id=item.id)
    return await SETS.save(uow.connection, replace(item, complement_id=other.id), now=uow.clock.now())


async def _add(
    uow: UnitOfWork,
    context: Context,
    owner: str,
    name: str,
    format: str,
    origin: Origin,
    cut: Cut,
    complement_id: str | None = None,
) -> FormattedSet:
    """A queued set, which holds its dataset's files from now on."""
    now = uow.clock.now()
    item = FormattedSet(new_id("set"), name, owner, format, origin, cut, now, now, complement_id=complement_id)
    await SETS.add(uow.connection, item)
    await take_hold(uow.connection, origin.dataset_id, item.id, now)
    uow.after_commit(context.ring_sets)
    return item


async def _version(uow: UnitOfWork, dataset: Dataset, number: int | None) -> Version:
    if number is not None:
        return await storage.version_numbered(uow.connection, dataset.id, number)
    if dataset.current is None:
        raise DatasetEmpty(dataset.id, [str(part) for part in dataset.missing_parts()])
    return dataset.current


def _origin(dataset: Dataset, version: Version, part: Part) -> Origin:
    content = version.train if part == Part.TRAIN else version.test
    manifest = manifest_of(version, part)
    classes = dict(content.classes) if content is not None else {}
    media = dataset.purpose.partition("/")[0]
    names, noted = dataset.describing, content.split_by if content is not None else None
    return Origin(
        dataset.id,
        dataset.name,
        version.number,
        version.digest,
        part,
        media,
        classes,
        manifest,
        names,
        noted,
        dataset.held_as,
        dataset.format,
    )


def _faults(new: NewSet, dataset: Dataset, cut: Cut) -> Sequence[Fault]:
    """Everything that is wrong with what was asked for."""
    faults = name_faults(new.name) if new.name is not None else []
    if new.format not in NAMES:
        faults.append(Fault("format", f"{new.format[:80]!r} is none of: {', '.join(NAMES)}."))
    elif (reason := _why_no_records(dataset, new.format)) is not None:
        faults.append(Fault("format", reason))
    if cut.ratio is not None and not 0 < cut.ratio < 1:
        faults.append(Fault("ratio", "The part for training is a number between 0 and 1, such as 0.8."))
    if (cut.ratio is None) != (cut.side == Side.ALL):
        faults.append(Fault("side", "train and held_out go with a ratio, and all goes without."))
    if new.complement and cut.side == Side.ALL:
        faults.append(Fault("complement", "A set of all files has no complement: give a ratio."))
    return faults


def _why_no_records(dataset: Dataset, format: str) -> str | None:
    """Why its samples can't be the records of such a set; None where they can: its format knows what they are."""
    if format == RAW:
        return None
    recorded = get_format(dataset.format).recorded(dataset.held_as)
    what, others = f"A {dataset.purpose} dataset in format {dataset.format!r}", ", ".join(ANNOTATED)
    if recorded.refusal:
        return f"{what} has raw sets only: {recorded.refusal}"
    if recorded.rows and format not in ANNOTATED:
        return f"{what} has its samples in rows of text, and a record of {format} is a whole file: choose {others}."
    if not dataset.held_as.endswith("/classification") and format not in ANNOTATED:
        return f"{what} has no class for each file, which is all that {format} holds: choose {others}."
    return None


async def find_set(context: Context, who: Principal, set_id: str) -> tuple[FormattedSet, float]:
    """One set and how far it is. Raises NotFound (`formatted_set_not_found`)."""
    async with context.store.reading() as connection:
        item = await set_storage.living_set(connection, set_id)
        require_see(who, "formatted_set", set_id, item.owner, await _shared(connection, item))
        progress = await set_storage.set_progress(connection, [set_id])
    return item, progress.get(set_id, 0.0)


async def list_sets(
    context: Context, who: Principal, page: PageRequest, filters: SetFilters
) -> tuple[Page[FormattedSet], dict[str, float]]:
    """The caller's sets and those that all see (for an administrator all that there are), and how far they are."""
    table = formatted_sets
    wanted = [or_(visible(who, table), set_storage.set_shared()), table.c.state != str(SetState.DELETED)]
    wanted += [table.c.name.icontains(filters.q, autoescape=True)] if filters.q else []
    wanted += [table.c.dataset_id == filters.dataset_id] if filters.dataset_id else []
    wanted += [table.c.state == str(filters.state)] if filters.state else []
    wanted += [table.c.format == filters.format] if filters.format else []
    async with context.store.reading() as connection:
        found = await SETS.page(connection, page, *wanted)
        return found, await set_storage.set_progress(connection, [item.id for item in found.items])


async def delete_set(context: Context, who: Principal, set_id: str) -> None:
    """Leave only a tombstone; the files go when nobody holds them any more."""
    async with context.store.work(actor=who.id) as uow:
        item = await _to_change(uow, who, set_id)
        await SETS.save(uow.connection, item.buried(), now=uow.clock.now())
        other = await SETS.find(uow.connection, item.complement_id or "")
        if other is not None and other.complement_id == set_id:
            await SETS.save(uow.connection, replace(other, complement_id=None), now=uow.clock.now())
        uow.after_commit(context.ring_sets)


async def _to_change(uow: UnitOfWork, who: Principal, set_id: str) -> FormattedSet:
    """The set; who changes it is alone with it and with its dataset, whose files can't be taken away meanwhile."""
    dataset = await storage.its_dataset(uow.connection, storage.formatted_sets, set_id)
    item = await set_storage.living_set(uow.connection, set_id)
    shared = dataset is not None and item.shared_with(dataset)
    require_change(who, "formatted_set", set_id, item.owner, shared)
    return item


async def _shared(connection: AsyncConnection, item: FormattedSet) -> bool:
    dataset = await DATASETS.find(connection, item.origin.dataset_id)
    return dataset is not None and item.shared_with(dataset)


async def list_set_files(
    context: Context, who: Principal, set_id: str, after: str, limit: int
) -> tuple[list[Entry], bool]:
    """The files of a set in the order of their paths, and whether there are more. Raises Conflict (`set_not_ready`)."""
    manifest = await _manifest(context, who, set_id)
    found: list[Entry] = []
    async for entry in manifests.entries_from(context.files, manifest, after):
        if len(found) == limit:
            return found, True
        if entry.path != after or not after:
            found.append(entry)
    return found, False


async def place_of_set_file(context: Context, who: Principal, set_id: str, path: str) -> Place:
    """Where one file of a set is. Raises NotFound (`file_not_found`), Conflict (`set_not_ready`)."""
    manifest = await _manifest(context, who, set_id)
    return Place(context.files, manifest, await manifests.find(context.files, manifest, path))


async def _manifest(context: Context, who: Principal, set_id: str) -> ManifestRef:
    item, _ = await find_set(context, who, set_id)
    if item.manifest is None:
        raise SetNotReady(item.id, item.state, item.reason, item.owner)
    return item.manifest


async def set_facts(context: Context, set_id: str) -> FormattedSetFacts:
    """A set as other services need it. Raises NotFound (`formatted_set_not_found`), Conflict (`set_not_ready`)."""
    async with context.store.reading() as connection:
        item = await set_storage.living_set(connection, set_id)
        origin, cut = item.origin, item.cut
        dataset = await DATASETS.get(connection, origin.dataset_id)
        version = await storage.version_numbered(connection, dataset.id, origin.number)
    if item.manifest is None:
        raise SetNotReady(item.id, item.state, item.reason, item.owner)
    return FormattedSetFacts(
        id=item.id,
        name=item.name,
        owner=item.owner,
        format=item.format,
        dataset_id=origin.dataset_id,
        dataset_version=origin.number,
        dataset_digest=origin.digest,
        share=cut.share,
        manifest=item.manifest,
        classes=tuple(origin.classes),
        dataset=replace(dataset, current=version).snapshot(),
        part=origin.part,
        side=cut.side,
        ratio=cut.ratio,
        seed=cut.seed,
        complement_id=item.complement_id,
        shared=item.shared_with(dataset),
        cut_by=origin.annotations.digest if origin.annotations is not None else "",
        annotations=item.annotations,
    )

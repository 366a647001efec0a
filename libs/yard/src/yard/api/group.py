"""What collections can do: list, find by name, show, edit, delete."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from yard.errors import Fault, YardError
from yard.http import Http, joined

R = TypeVar("R")
_ULID = re.compile(r"([a-z]+-)+[0-9a-hjkmnp-tv-z]{26}")
_PAGE = 200


class Listing(Generic[R]):
    """A collection under `/api/v1` that can be listed. Every method raises YardError."""

    collection = ""
    noun = ""

    def __init__(self, http: Http) -> None:
        self._http = http

    def _at(self, *pieces: str) -> str:
        return "/".join(filter(None, [self.collection, joined(pieces)]))

    def each(self, **filters: Any) -> Iterator[R]:
        """Every one that may be seen and passes the filters (`q` is a part of the name), newest first."""
        return cast(Iterator[R], self._http.pages(self.collection, {"limit": _PAGE, **filters}))

    def list(self, limit: int = 50, **filters: Any) -> list[R]:
        """The first `limit` of them."""
        found: list[R] = []
        filters = {"limit": max(1, min(limit, _PAGE)), **filters}
        for one in self._http.pages(self.collection, filters):
            if len(found) >= limit:
                break
            found.append(one)
        return found

    def _verb(
        self,
        id: str,
        verb: str,
        body: Mapping[str, Any] | None = None,
        *,
        repeat: bool = True,
        leads_to: Collection[str] = (),
    ) -> R:
        """Do a verb. Where its answer was lost, and the platform says when it is sent again that it can't be done in
        one of the states that it `leads_to`, it was done the first time."""
        try:
            return cast(R, self._http.act(self._at(id, verb), body, repeat=repeat))
        except YardError as error:
            if error.again and error.code == "illegal_state" and error.extra.get("state") in leads_to:
                return cast(R, self._http.get(self._at(id)))
            raise

    def id_of(self, name_or_id: str) -> str:
        """The id of what is called so. Raises YardError (`not_found`, `ambiguous_name`)."""
        if _ULID.fullmatch(name_or_id):
            return name_or_id
        named = self._named(name_or_id)
        if len(named) == 1:
            return str(named[0]["id"])
        if not named:
            raise YardError("not_found", f"There is no {self.noun} called {name_or_id!r} that you may see.", status=404)
        several = tuple(Fault(str(one["id"]), _told_apart(one)) for one in named)
        raise YardError(
            "ambiguous_name", f"{len(named)} {self.noun}s are called {name_or_id!r}. Give the id of one.", several
        )

    def _named(self, name: str) -> Sequence[Mapping[str, Any]]:
        every = cast(Iterator[Mapping[str, Any]], self.each(q=name))
        return [one for one in every if name in (one.get("name"), one.get("id"))]


class Shown(Listing[R]):
    """A collection whose members can be looked at one by one."""

    def show(self, id: str) -> R:
        """One of them."""
        return cast(R, self._http.get(self._at(id)))


class Group(Shown[R]):
    """A collection whose members can be edited and deleted as well."""

    def delete(self, id: str) -> None:
        """Remove it for good."""
        self._http.delete(self._at(id))

    def _edit(self, id: str, changes: Mapping[str, Any]) -> R:
        """Set what is given; None leaves a field as it is."""
        given = {name: value for name, value in changes.items() if value is not None}
        return cast(R, self._http.change(self._at(id), given))


def _told_apart(one: Mapping[str, Any]) -> str:
    told = [str(one[field]) for field in ("state", "owner", "created_at") if one.get(field)]
    return ", ".join(told)

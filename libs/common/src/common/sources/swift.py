"""A container of OpenStack Swift as a source: authentication v1 (Swift's own) or v3 (Keystone), then plain HTTP.

Object Storage API v1 and Identity API v3; the catalogue of v3 names the store, whose address must be one that may be
reached, like the one that the person gave.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from pydantic import BaseModel, TypeAdapter, ValidationError
from yarl import URL

from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources.egress import Egress
from common.sources.port import BARREN, Found

PAGE = 1000
"""Objects in a page of a list."""

_T = TypeVar("_T")
_CHUNK = 1 << 20
_LONGEST = 16 << 20
"""Bytes that a list or a catalogue may have: several times what a page of the longest names has."""

_LATER = (408, 429, 498)
"""What is answered, besides 500 and above, to who may ask again: too slow, too often, and Swift's own 498 for that."""

_SECONDS = aiohttp.ClientTimeout(total=None, connect=10, sock_read=60)


class _Object(BaseModel):
    """A row of a container's list."""

    name: str
    bytes: int
    hash: str | None = None
    last_modified: str = ""


class _Endpoint(BaseModel):
    interface: str = ""
    region: str | None = None
    url: str = ""


class _Service(BaseModel):
    type: str = ""
    endpoints: list[_Endpoint] = []


class _Token(BaseModel):
    catalog: list[_Service] = []


class _Entered(BaseModel):
    """What Keystone answers to who is let in."""

    token: _Token


_LIST = TypeAdapter(list[_Object])
_ENTERED = TypeAdapter(_Entered)


class SwiftSource:
    """The objects of a container below a prefix."""

    def __init__(
        self,
        auth_url: str,
        container: str,
        prefix: str,
        user: str,
        password: str,
        egress: Egress,
        *,
        region: str | None = None,
        domain: str | None = None,
        project: str | None = None,
    ) -> None:
        self._auth_url, self._container = auth_url.rstrip("/"), container
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._user, self._password, self._egress = user, password, egress
        self._region, self._domain, self._project = region, domain, project
        self._session: aiohttp.ClientSession | None = None
        self._store, self._token = URL(), ""

    async def files(self) -> AsyncGenerator[Found, None]:
        """Every object, in the order of names, page by page."""
        marker, barren = "", 0
        while True:
            page = await self._page(marker)
            files = [row for row in page if not row.name.endswith("/")]
            for row in files:
                yield Found(row.name.removeprefix(self._prefix), row.bytes, row.hash or row.last_modified)
            if len(page) < PAGE:
                return
            barren = 0 if files else barren + 1
            if page[-1].name <= marker or barren > BARREN:
                raise Invalid("source_refused", f"{self._auth_url} is no Swift, or a broken one: its list has no end.")
            marker = page[-1].name

    async def _page(self, marker: str) -> list[_Object]:
        """The objects behind the marker, no more than a page of them."""
        query = {"format": "json", "prefix": self._prefix, "limit": str(PAGE), "marker": marker}
        async with self._ask("GET", quote(self._container, safe=""), query) as answer:
            return await self._read(answer, _LIST, "a list of objects") if answer.status != 204 else []

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one object."""
        at = f"{quote(self._container, safe='')}/{quote(self._prefix + path)}"
        async with self._ask("GET", at) as answer:
            async for chunk in answer.content.iter_chunked(_CHUNK):
                yield chunk

    async def close(self) -> None:
        """Give connections back."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request to the store; logs in before the first, and once more where the token has run out."""
        if not self._token:
            await self._log_in()
        async with self._send(method, self._at(path, query), headers={"X-Auth-Token": self._token}) as answer:
            if answer.status != 401:
                yield self._checked(answer, path)
                return
        await self._log_in()
        async with self._send(method, self._at(path, query), headers={"X-Auth-Token": self._token}) as answer:
            yield self._checked(answer, path)

    def _at(self, path: str, query: Mapping[str, str] | None) -> URL:
        """An address in the store. It is final: in names, `..` and `.` are no steps but letters like others."""
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return URL(f"{self._store}/{path}{asked}", encoded=True)

    def _checked(self, answer: aiohttp.ClientResponse, what: str) -> aiohttp.ClientResponse:
        if answer.status >= 500 or answer.status in _LATER:
            raise Unavailable("source_unavailable", f"{self._auth_url} answered {answer.status} to {what[:200]}.")
        if answer.status >= 300:
            why = {401: "it lets nobody in with these credentials", 403: "these credentials may not read it"}
            reason = why.get(answer.status, f"it answered {answer.status}")
            raise Invalid("source_refused", f"{what[:200]} at {self._auth_url}: {reason}.")
        return answer

    async def _read(self, answer: aiohttp.ClientResponse, shape: TypeAdapter[_T], what: str) -> _T:
        """A JSON body of that shape. Raises Invalid (`source_refused`) where it is something else."""
        body = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > _LONGEST:
                raise self._no_swift(answer, what)
        try:
            return shape.validate_json(bytes(body))
        except ValidationError as error:
            raise self._no_swift(answer, what) from error

    def _no_swift(self, answer: aiohttp.ClientResponse, what: str) -> Invalid:
        said = f"{answer.status} ({answer.content_type}) without {what}"
        detail = f"{self._auth_url} is no Swift, or a broken one: {answer.url.origin()} answered {said}."
        return Invalid("source_refused", f"{detail} Correct auth_url, and project_id, which only Keystone takes.")

    @asynccontextmanager
    async def _send(self, method: str, url: str | URL, **how: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            connector = aiohttp.TCPConnector(**self._egress.connector())
            as_stored = {"Accept-Encoding": "identity"}
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=_SECONDS, headers=as_stored, auto_decompress=False
            )
        try:
            async with self._session.request(method, url, allow_redirects=False, **how) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> Problem:
        """What a request met instead of an answer. One that can't even be written is a ValueError, and so is a bad
        certificate, which a server may mend."""
        if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientConnectionError):
            detail = f"{self._auth_url} can't be asked ({error}). Correct auth_url and the credentials."
            return Invalid("source_refused", detail)
        return Unavailable("source_unavailable", f"{self._auth_url} does not answer: {error}.")

    async def _log_in(self) -> None:
        """Get a token, and where the store is. Raises AddressRefused where that is inside the platform."""
        store, token = await (self._v3() if self._project is not None else self._v1())
        await self._egress.check(store)
        self._store, self._token = self._address(store), token

    def _address(self, store: str) -> URL:
        """Raises Invalid (`source_refused`) for what is none."""
        try:
            return URL(store.rstrip("/"))
        except ValueError as error:
            detail = f"{self._auth_url} is no Swift, or a broken one: its store has no address ({error})."
            raise Invalid("source_refused", f"{detail} Correct auth_url.") from error

    async def _v1(self) -> tuple[str, str]:
        headers = {"X-Auth-User": self._user, "X-Auth-Key": self._password}
        async with self._send("GET", self._auth_url, headers=headers) as answer:
            self._checked(answer, "Logging in")
            return self._header(answer, "X-Storage-Url"), self._header(answer, "X-Auth-Token")

    async def _v3(self) -> tuple[str, str]:
        user = {"name": self._user, "password": self._password, "domain": {"name": self._domain or "Default"}}
        scope = {"project": {"id": self._project}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        url = self._auth_url if self._auth_url.endswith("/v3") else f"{self._auth_url}/v3"
        async with self._send("POST", f"{url}/auth/tokens", json=body) as answer:
            self._checked(answer, "Logging in")
            entered = await self._read(answer, _ENTERED, "a token of Keystone v3")
            return self._public(entered.token.catalog), self._header(answer, "X-Subject-Token")

    def _header(self, answer: aiohttp.ClientResponse, name: str) -> str:
        if not (value := answer.headers.get(name)):
            raise self._no_swift(answer, f"the header {name}")
        return value

    def _public(self, catalogue: list[_Service]) -> str:
        """The public address of the object store in the wanted region."""
        for service in catalogue:
            for endpoint in service.endpoints if service.type == "object-store" else []:
                if endpoint.interface == "public" and self._region in (None, endpoint.region):
                    return endpoint.url
        where = f" in region {self._region}" if self._region else ""
        raise Invalid("source_refused", f"{self._auth_url} knows of no object store{where}.")

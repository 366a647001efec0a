"""External sources: where data lies that is imported, or mounted as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from yard.api.group import Group
from yard.shapes import File, Import, Source

SECRETS: Mapping[str, tuple[str, ...]] = {
    "s3": ("access_key_id", "secret_access_key"),
    "swift": ("user_name", "password"),
    "bluemix_objectstore": ("user_name", "password"),
    "path": (),
}
"""Kind → the secrets that go with it."""


class Sources(Group[Source]):
    """`/sources`. Secrets go in and never come out again."""

    collection, noun = "sources", "source"

    def create(
        self,
        name: str,
        connection: Mapping[str, Any],
        credentials: Mapping[str, str] | None = None,
        *,
        description: str = "",
        key: str | None = None,
    ) -> Source:
        """Describe a source; nothing is asked of it yet. `connection` has a `type`: `s3` (endpoint_url, bucket,
        region), `swift` (auth_url, container, and for Keystone project_id, domain_name, region) or `path` (root); each
        may have a `prefix`."""
        body = {
            "name": name,
            "description": description,
            "connection": dict(connection),
            "credentials": dict(credentials or {}),
        }
        return cast(Source, self._http.create(self.collection, body, key=key))

    def check(self, id: str, *, prefix: str = "", limit: int = 100) -> list[File]:
        """The first files that lie there. Raises YardError (`source_refused`, `address_refused` …) where it does not
        let the platform in."""
        found = self._http.get(self._at(id, "files"), {"prefix": prefix, "limit": limit})
        return cast("list[File]", found["items"])

    def credentials(self, id: str, credentials: Mapping[str, str]) -> Source:
        """Other secrets in place of the old ones."""
        return cast(Source, self._http.put(self._at(id, "credentials"), {"credentials": dict(credentials)}))

    def import_(
        self, id: str, dataset_id: str, *, part: str = "train", prefix: str = "", key: str | None = None
    ) -> Import:
        """Begin to import what lies there now (below `prefix`) into a dataset."""
        body = {"source_id": id, "part": part, "prefix": prefix}
        return cast(Import, self._http.create(f"datasets/{dataset_id}/imports", body, key=key))

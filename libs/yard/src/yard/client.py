"""The client: one platform, one identity, the collections as groups of methods."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx2

from yard.api.algorithms import Algorithms, Engines
from yard.api.cluster import Allocations
from yard.api.datasets import Datasets
from yard.api.events import Events
from yard.api.jobs import Jobs
from yard.api.models import Models
from yard.api.nodes import Nodes, ResourceSpecs
from yard.api.people import ApiKeys, Users, login
from yard.api.queues import Queues
from yard.api.services import Services
from yard.api.sets import FormattedSets
from yard.api.sources import Sources
from yard.http import Http
from yard.pace import Time
from yard.shapes import Import, Job, Login, Service


class Client:
    """Speaks to the platform at `address` with a login `token` or an `api_key`.

    Lost connections are borne for `patience` seconds where a request can safely be repeated; an answer is waited for
    `timeout` seconds. Every failure is a `yard.YardError`. Safe to share between threads; close it, or use `with`.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8765",
        token: str | None = None,
        *,
        api_key: str | None = None,
        patience: float = 10.0,
        timeout: float = 60.0,
        hour: Time | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._how: dict[str, Any] = {"patience": patience, "timeout": timeout, "hour": hour, "transport": transport}
        self.http = Http(address, token or api_key, **self._how)
        self.datasets = Datasets(self.http)
        self.algorithms = Algorithms(self.http)
        self.engines = Engines(self.http)
        self.jobs = Jobs(self.http)
        self.models = Models(self.http)
        self.services = Services(self.http)
        self.sets = FormattedSets(self.http)
        self.sources = Sources(self.http)
        self.users = Users(self.http)
        self.api_keys = ApiKeys(self.http)
        self.nodes = Nodes(self.http)
        self.specs = ResourceSpecs(self.http)
        self.allocations = Allocations(self.http)
        self.queues = Queues(self.http)
        self.events = Events(self.http)

    @property
    def address(self) -> str:
        """Where the platform is."""
        return self.http.address

    def login(self, name: str, password: str) -> Login:
        """Log in, and act as that user from now on. Raises YardError (status 401) where that name and password are not
        known."""
        answer = login(self.http, name, password)
        self.http.identify(answer["token"])
        return answer

    def acting(self, token: str | None = None, *, api_key: str | None = None) -> Client:
        """A client for the same platform with another identity."""
        return Client(self.address, token, api_key=api_key, **self._how)

    def wait_import(self, dataset_id: str, import_id: str, **how: Any) -> Import:
        """See `datasets.wait_import`."""
        return self.datasets.wait_import(dataset_id, import_id, **how)

    def wait_job(self, job_id: str, **how: Any) -> Job:
        """See `jobs.wait`."""
        return self.jobs.wait(job_id, **how)

    def wait_service(self, service_id: str, **how: Any) -> Service:
        """See `services.wait`."""
        return self.services.wait(service_id, **how)

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""LocalFiles against a dict: whatever is done in whatever order, the two agree."""

import asyncio
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from common.files import LocalFiles
from common.kernel.errors import Conflict, Invalid, NotFound

NAMES = st.sampled_from(["a", "b", "a-", "é", "数"])
KEYS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENT = st.binary(max_size=40)


class StoreAgainstDict(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.files = LocalFiles(self.folder, sync=False)
        self.model: dict[str, bytes] = {}
        self.parts: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.announced: dict[str, int | None] = {}

    def teardown(self):
        self.loop.run_until_complete(self.files.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def clashes(self, key):
        return any(other.startswith(f"{key}/") or key.startswith(f"{other}/") for other in self.model)

    @rule(key=KEYS, content=CONTENT, if_absent=st.booleans())
    def put(self, key, content, if_absent):
        try:
            self.run(self.files.put(key, content, if_absent=if_absent))
        except Conflict:
            assert self.clashes(key) or (if_absent and key in self.model)
        else:
            assert not self.clashes(key)
            assert not (if_absent and key in self.model)
            self.model[key] = content

    @rule(key=KEYS)
    def delete(self, key):
        self.run(self.files.delete(key))
        self.model.pop(key, None)

    @rule(key=KEYS, start=st.integers(0, 50), length=st.none() | st.integers(0, 50))
    def read(self, key, start, length):
        end = None if length is None else start + length
        try:
            assert self.run(self.files.read(key, start, end)) == self.model[key][start:end]
        except NotFound:
            assert key not in self.model

    @rule(target=uploads, key=KEYS, part_bytes=st.none() | st.integers(1, 60))
    def begin(self, key, part_bytes):
        upload = self.run(self.files.begin_upload(key, part_bytes=part_bytes))
        self.parts[upload] = (key, {})
        self.announced[upload] = part_bytes
        return upload

    @rule(upload=uploads, number=st.integers(1, 3), content=CONTENT)
    def put_part(self, upload, number, content):
        try:
            self.run(self.files.put_part(upload, number, content))
        except NotFound:
            assert upload not in self.parts
        except Invalid:
            assert len(content) > (self.announced[upload] or 0)
        else:
            self.parts[upload][1][number] = content

    @rule(upload=uploads, checked=st.booleans())
    def complete(self, upload, checked):
        key, parts = self.parts.get(upload, ("", {}))
        ready = bool(parts) and sorted(parts) == list(range(1, len(parts) + 1))
        try:
            whole = b"".join(parts[number] for number in sorted(parts))
            self.run(self.files.complete_upload(upload, sha256=sha256(whole).hexdigest() if checked else None))
        except NotFound:
            assert upload not in self.parts
        except Conflict:
            assert not ready or self.clashes(key)
        else:
            if upload in self.parts:
                assert ready
                self.model[key] = b"".join(parts[number] for number in sorted(parts))
                del self.parts[upload]

    @rule(upload=uploads)
    def abort(self, upload):
        self.run(self.files.abort_upload(upload))
        self.parts.pop(upload, None)

    @rule()
    def restart(self):
        self.run(self.files.close())
        self.files = LocalFiles(self.folder, sync=False)

    @invariant()
    def lists_agree(self):
        async def listed():
            return [(info.key, info.size) async for info in self.files.list()]

        assert self.run(listed()) == [(key, len(self.model[key])) for key in sorted(self.model, key=str.encode)]


StoreAgainstDict.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestStore = StoreAgainstDict.TestCase

"""What every runtime that is capable of gangs promises: its members meet, and each is a workload of its own."""

from __future__ import annotations

import pytest

from common.ports.runtime import WorkloadState

FIRST = """
import os, socket
s = socket.create_server(("", int(os.environ["MASTER_PORT"])))
print("up", flush=True)
one, _ = s.accept()
print(one.recv(100).decode())
"""
SECOND = """
import os, socket, time
for _ in range(2400):
    try:
        s = socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))
        break
    except OSError:
        time.sleep(0.05)
s.sendall(b"here is " + os.environ["NODE_RANK"].encode())
"""


@pytest.mark.row("T19")
async def test_the_members_of_a_gang_meet_at_the_first(bench):
    assert bench.runtime.capabilities.gangs
    first = bench.code(FIRST)
    address, _, port = (await bench.runtime.meeting(first.workload)).rpartition(":")
    meeting = {"MASTER_ADDR": address, "MASTER_PORT": port}
    handle = await bench.runtime.launch(bench.code(FIRST, workload=first.workload, environment=meeting))
    second = bench.code(SECOND, workload=f"{first.workload}-m1", environment={**meeting, "NODE_RANK": "1"})
    other = await bench.runtime.launch(second)
    assert (await bench.until(other, WorkloadState.EXITED)).exit_code == 0
    assert (await bench.until(handle, WorkloadState.EXITED)).exit_code == 0
    assert await bench.log(handle) == "up\nhere is 1\n"

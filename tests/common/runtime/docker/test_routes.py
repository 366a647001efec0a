"""What the kernel tells of its routes, read as what it means."""

from __future__ import annotations

from ipaddress import IPv4Network

from common.runtime.docker import routes

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROW = "eth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n"


def test_each_route_is_a_network(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.byteorder", "little")
    table = tmp_path / "route"
    table.write_text(HEAD + ROW.format("00000000", "00000000") + ROW.format("0001D50A", "C0FFFFFF"))
    assert routes.known(table) == [IPv4Network("0.0.0.0/0"), IPv4Network("10.213.1.0/26")]


def test_a_system_without_such_a_table_knows_none(tmp_path):
    assert routes.known(tmp_path / "route") == []

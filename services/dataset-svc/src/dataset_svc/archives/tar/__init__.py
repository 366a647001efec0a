"""Tar archives (POSIX.1-2017 pax and ustar, GNU's long names), plain or packed by gzip or Zstandard."""

from dataset_svc.archives.tar.archive import GzipTarArchive, TarArchive, ZstdTarArchive

__all__ = ["GzipTarArchive", "TarArchive", "ZstdTarArchive"]

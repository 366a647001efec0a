"""Zip archives (PKWARE APPNOTE 6.3.10), read defensively: the central directory is checked whole before anything is
unpacked, and every local header must agree with it."""

from dataset_svc.archives.zip.reader import ZipArchive

__all__ = ["ZipArchive"]

"""7z and rar, read by the system's libarchive. It is loaded only when such an archive comes, and where it is missing
every other kind of archive goes on being read."""

from dataset_svc.archives.native.archive import Rar5Archive, RarArchive, SevenZipArchive

__all__ = ["Rar5Archive", "RarArchive", "SevenZipArchive"]

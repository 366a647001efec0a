"""Archives that strangers send: opened as a stream of harmless members, or refused with a reason a person can act on.

Nothing here ever writes a file. An archive is checked before and while it is read (names, links, overlaps, bombs,
checksums), and memory stays flat however large it is. Each kind of archive is one module behind the port `Archive`.
"""

from dataset_svc.archives.kinds import open_archive, prepare, sniff
from dataset_svc.archives.limits import Limits
from dataset_svc.archives.port import Archive, ArchiveRefused, Finding, Member

__all__ = ["Archive", "ArchiveRefused", "Finding", "Limits", "Member", "open_archive", "prepare", "sniff"]

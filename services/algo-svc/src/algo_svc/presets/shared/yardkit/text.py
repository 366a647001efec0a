"""From a text to the character n-grams that the Bayes classifier counts.

Characters instead of words, because Chinese has no spaces; for other languages they do nearly as well.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from .data import Unreadable

LONGEST = 1_000_000


def read_text(path: Path) -> str:
    """A text file in UTF-8, UTF-16 (with its mark) or GB 18030 (which covers GBK); raises `Unreadable`."""
    try:
        data = path.read_bytes()
    except OSError as reason:
        raise Unreadable(reason.strerror or str(reason)) from None
    text = decode(data)
    if not text.strip():
        raise Unreadable("it is empty")
    return text[:LONGEST]


def decode(data: bytes) -> str:
    """Bytes of a text file as text; raises `Unreadable` for what is no text."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in data:
        raise Unreadable("it is binary, not text")
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable(f"its text is neither of {', '.join(encodings)}")


def normalise(text: str) -> str:
    """One form for what reads the same: full width as half width, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def ngrams(text: str, shortest: int, longest: int) -> Counter[str]:
    """How often each run of `shortest` to `longest` characters occurs; a lone space isn't counted."""
    plain = normalise(text)
    counts: Counter[str] = Counter()
    for length in range(shortest, longest + 1):
        counts.update(plain[start : start + length] for start in range(len(plain) - length + 1))
    counts.pop(" ", None)
    return counts


def vocabulary(documents: Iterable[Iterable[str]], most: int) -> list[str]:
    """The `most` n-grams that occur in the most documents, in a stable order."""
    seen: Counter[str] = Counter()
    for document in documents:
        seen.update(set(document))
    return [gram for gram, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:most]]

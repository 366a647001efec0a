"""A picture of a simulation: what was used by queue, how many waited, and how long by size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from train_svc.simulate.report import report
from train_svc.simulate.running import Outcome

WIDTH, HEIGHT = 1200, 900
LEFT, RIGHT = 90, 1000
INK, FAINT = (30, 30, 30), (215, 215, 215)
COLOURS = (
    *((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    *((140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207)),
)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw(outcome: Outcome, path: Path) -> None:
    """Write the picture as PNG."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    font, title = ImageFont.load_default(14), ImageFont.load_default(20)
    found = report(outcome)
    pen.text(
        (LEFT, 12),
        f"{outcome.trace.name}: {found.utilisation:.1%} used, Jain index {found.jain:.3f}, "
        f"{found.preemptions} preemptions, {found.lost_hours:,.1f} hours lost",
        INK,
        font=title,
    )
    unit = "accelerators" if any(node.devices for node in outcome.trace.nodes) else "cores"
    _used(pen, outcome, font, unit)
    _waiting(pen, outcome, font)
    _sizes(pen, outcome, font)
    image.save(path, "PNG")


def columns(outcome: Outcome, count: int) -> list[tuple[dict[str, float], float]]:
    """The points as means over time in that many columns: (in use by queue, waiting)."""
    end = outcome.makespan or 1.0
    sums: list[dict[str, float]] = [{} for _ in range(count)]
    waits = [0.0] * count
    points = outcome.points
    for (at, used, waiting), following in zip(points, [*(p[0] for p in points[1:]), end], strict=True):
        first, last = at / end * count, min(following / end * count, count)
        for column in range(int(first), min(int(last) + 1, count)):
            part = min(last, column + 1) - max(first, column)
            if part > 0:
                waits[column] += part * waiting
                for queue, n in used.items():
                    sums[column][queue] = sums[column].get(queue, 0.0) + part * n
    return list(zip(sums, waits, strict=True))


def _frame(pen: ImageDraw.ImageDraw, top: int, bottom: int, most: float, name: str, font: Font, end: float) -> None:
    pen.text((LEFT, top - 22), name, INK, font=font)
    for tick in range(5):
        y = bottom - (bottom - top) * tick / 4
        pen.line((LEFT, y, RIGHT, y), FAINT)
        pen.text((LEFT - 8, y), f"{most * tick / 4:,.0f}", INK, font=font, anchor="rm")
    divisor, unit = (3600, "h") if end >= 7200 else (1, "s")
    for tick in range(6):
        x = LEFT + (RIGHT - LEFT) * tick / 5
        pen.text((x, bottom + 6), f"{end / divisor * tick / 5:,.1f} {unit}", INK, font=font, anchor="ma")


def _used(pen: ImageDraw.ImageDraw, outcome: Outcome, font: Font, unit: str) -> None:
    top, bottom, count = 70, 350, RIGHT - LEFT
    scale = 1 if unit == "accelerators" else 1000
    found = columns(outcome, count)
    totals: dict[str, float] = {}
    for used, _ in found:
        for queue, n in used.items():
            totals[queue] = totals.get(queue, 0.0) + n
    named = sorted(totals, key=lambda queue: (-totals[queue], queue))[: len(COLOURS) - 1]
    names = [*sorted(named), *(["others"] if len(totals) > len(named) else [])]
    most = max((sum(used.values()) for used, _ in found), default=0.0) / scale or 1.0
    _frame(pen, top, bottom, most, f"{unit} in use, by queue", font, outcome.makespan)
    for x, (used, _) in enumerate(found):
        amounts = [used.get(queue, 0.0) for queue in sorted(named)]
        amounts.append(sum(used.values()) - sum(amounts))
        y = float(bottom)
        for colour, n in zip(COLOURS, amounts, strict=False):
            height = n / scale / most * (bottom - top)
            if height > 0:
                pen.line((LEFT + x, y, LEFT + x, y - height), colour)
            y -= height
    for n, name in enumerate(names):
        pen.rectangle((RIGHT + 16, top + 20 * n, RIGHT + 28, top + 20 * n + 12), COLOURS[n])
        pen.text((RIGHT + 34, top + 20 * n + 6), name[-20:], INK, font=font, anchor="lm")


def _waiting(pen: ImageDraw.ImageDraw, outcome: Outcome, font: Font) -> None:
    top, bottom = 420, 580
    found = [waiting for _, waiting in columns(outcome, RIGHT - LEFT)]
    most = max(found, default=0.0) or 1.0
    _frame(pen, top, bottom, most, "requests that wait", font, outcome.makespan)
    line: Sequence[tuple[float, float]] = [(LEFT + x, bottom - n / most * (bottom - top)) for x, n in enumerate(found)]
    pen.line(line, COLOURS[3], 2)


def _sizes(pen: ImageDraw.ImageDraw, outcome: Outcome, font: Font) -> None:
    top, bottom = 650, 850
    sizes = report(outcome).sizes
    most = max((waiting.p95 for waiting in sizes), default=0.0) or 1.0
    divisor, unit = (3600, "hours") if most >= 3600 else (1, "seconds")
    pen.text((LEFT, top - 22), f"waited, by size: mean (dark) and 95th percentile (light), {unit}", INK, font=font)
    for tick in range(5):
        y = bottom - (bottom - top) * tick / 4
        pen.line((LEFT, y, RIGHT, y), FAINT)
        pen.text((LEFT - 8, y), f"{most / divisor * tick / 4:,.1f}", INK, font=font, anchor="rm")
    wide = (RIGHT - LEFT) / max(1, len(sizes))
    for n, waiting in enumerate(sorted(sizes, key=lambda w: (int("".join(filter(str.isdigit, w.name)) or 0), w.name))):
        left = LEFT + wide * n
        for value, colour, inset in ((waiting.p95, (158, 202, 225), 0.15), (waiting.mean, COLOURS[0], 0.3)):
            y = bottom - value / most * (bottom - top)
            pen.rectangle((left + wide * inset, y, left + wide * (1 - inset), bottom), colour)
        label = f"{waiting.name} ({waiting.jobs:,})"
        pen.text((left + wide / 2, bottom + 6), label, INK, font=font, anchor="ma")

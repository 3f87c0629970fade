"""Pictures side by side, with the video's at the same moments above them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retarget.whole import written_whole

from .extras import needing

if TYPE_CHECKING:
    from PIL.Image import Image

LINE = 14
"""Height of the line of text under the pictures in px."""


def contact_sheet(rows: dict[str, Sequence[Path]], times: Sequence[float], out: Path,
                  video: Path | None = None) -> None:
    """Write one PNG: a column for each time in s, a row for each name, the video's frames of these times on top."""
    with needing("pose"):
        from PIL import Image, ImageDraw
    below = {name: [Image.open(path).convert("RGB") for path in paths] for name, paths in rows.items()}
    width, height = next(iter(below.values()))[0].size
    above = [picture.resize((width, round(picture.height * width / picture.width)))
             for picture in (_moments(video, times) if video else [])]
    top = max((picture.height for picture in above), default=0)
    sheet = Image.new("RGB", (width * len(times), top + height * len(below) + LINE), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (time, *pictures) in enumerate(zip(times, *below.values(), strict=True)):
        if above:
            sheet.paste(above[column], (column * width, 0))
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (column * width, top + row * height))
        draw.text((column * width + 4, sheet.height - LINE + 1), f"{time:.2f} s", fill="black")
    for row, name in enumerate(below):
        draw.text((4, top + row * height + 4), name, fill="black")
    with written_whole(out) as temporary:
        sheet.save(temporary)


def _moments(video: Path, times: Sequence[float]) -> list[Image]:
    """Return the video's frames nearest to rising times in s."""
    from PIL import Image

    from . import video as videos

    found: list[tuple[float, Image]] = []
    wanted = list(times)
    last = None
    for frame in videos.frames(videos.open_video(video)):
        while wanted and frame.time_s >= wanted[0]:
            nearer = last if last and wanted[0] - last.time_s < frame.time_s - wanted[0] else frame
            found.append((wanted.pop(0), Image.fromarray(nearer.rgb)))
        if not wanted:
            break
        last = frame
    if last is not None:
        found += [(time, Image.fromarray(last.rgb)) for time in wanted]
    return [picture for _, picture in found]

"""What retrieval finds, to look at: queries as each method enlarges them, and what comes first."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jsr.gallery import Gallery, Query

# Queries on the sheet, and pictures of the gallery beside each way that one is enlarged.
SHOWN, FIRST = 2, 5
PANEL, GAP, CAPTION = 72, 6, 18
# Of the right picture's frame.
GREEN = (0, 150, 60)


def make_sheet(
    rows: list[dict],
    gallery: Gallery,
    queries: list[Query],
    ways: dict[str, Callable | None],
) -> np.ndarray:
    """The sheet uint8 [H, W, 3] of `retrieval.retrieve`'s rows: of each query a block.

    A block has a line for each way: what is asked with, then the first of the gallery in order, the
    right one framed. ways: by the name of the row; None asks with HR.
    """
    blocks = [_block(index, rows, gallery, queries[index], ways) for index in chosen(rows)]
    across = sum(block.width for block in blocks) + GAP * (len(blocks) - 1) * 4
    sheet = Image.new("RGB", (across, max(block.height for block in blocks)), "white")
    left = 0
    for block in blocks:
        sheet.paste(block, (left, 0))
        left += block.width + 4 * GAP
    return np.asarray(sheet)


def chosen(rows: list[dict]) -> list[int]:
    """The indices of at most SHOWN queries: spread over those whose ranks differ between the rows.

    Where there are too few of these, over all.
    """
    ranks = [*zip(*([image["rank"] for image in row["images"]] for row in rows), strict=True)]
    differing = [index for index, places in enumerate(ranks) if len(set(places)) > 1]
    among = differing if len(differing) >= SHOWN else range(len(ranks))
    count = min(SHOWN, len(among))
    return [among[(2 * number + 1) * len(among) // (2 * count)] for number in range(count)]


def _block(index: int, rows, gallery: Gallery, query: Query, ways) -> Image.Image:
    """One query by every way, a line each."""
    places = {name: place for place, name in enumerate(gallery.photos.names)}
    target = gallery.photos.names[query.target]
    pitch = PANEL + GAP
    size = ((1 + FIRST) * pitch + 2 * GAP, len(rows) * (pitch + CAPTION))
    block = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(block), ImageFont.load_default(size=12)
    for line, row in enumerate(rows):
        top, image, enlarge = line * (pitch + CAPTION), row["images"][index], ways[row["name"]]
        asked = query.hr if enlarge is None else enlarge(query.lr, row["scale"])
        told = f"{row['name']} {asked.shape[1]}x{asked.shape[0]}, the right one comes"
        draw.text((0, top), f"{told} {_ordinal(image['rank'])}", fill="black", font=font)
        block.paste(_panel(asked), (0, top + CAPTION))
        for number, name in enumerate(image["first"], start=1):
            corner = (number * pitch + 2 * GAP, top + CAPTION)
            block.paste(_panel(gallery.photos[places[name]]), corner)
            if name == target:
                ends = (corner[0] + PANEL - 1, corner[1] + PANEL - 1)
                draw.rectangle((*corner, *ends), outline=GREEN, width=4)
    return block


def _panel(picture: np.ndarray) -> Image.Image:
    panel = Image.new("RGB", (PANEL, PANEL), "white")
    whole = Image.fromarray(np.ascontiguousarray(picture))
    whole.thumbnail((PANEL, PANEL), Image.Resampling.BICUBIC)
    panel.paste(whole, ((PANEL - whole.width) // 2, (PANEL - whole.height) // 2))
    return panel


def _ordinal(rank: int) -> str:
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{rank}{'th' if rank % 100 in (11, 12, 13) else ends.get(rank % 10, 'th')}"

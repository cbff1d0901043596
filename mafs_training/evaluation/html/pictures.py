"""Images inside a report: scaled down, compressed and embedded as data."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import cv2
from mafs_model.classes import ClassTable
from mafs_model.images.people_colors import for_people
from mafs_training.evaluation.html.page import legend
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
PANEL_WIDTH = 400
_QUALITY = 82


def embed(image: Picture, *, exact: bool = False) -> str:
    """
    Return a data URI of an image.

    Args:
        image: uint8 [H, W] or [H, W, 3] RGB.
        exact: for label colours: no blur between classes, lossless.

    """
    height, width = image.shape[:2]
    if width > PANEL_WIDTH:
        size = (PANEL_WIDTH, max(1, round(height * PANEL_WIDTH / width)))
        image = np.asarray(
            cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if exact else cv2.INTER_AREA)
        )
    stored = image[..., ::-1] if image.ndim == 3 else image
    if exact:
        kind, (good, data) = 'png', cv2.imencode('.png', stored)
    else:
        kind, (good, data) = (
            'jpeg',
            cv2.imencode('.jpg', stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]),
        )
    assert good, 'OpenCV encodes every 8-bit image'
    return f'data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}'


def panel(image: Picture, caption: str, *, exact: bool = False) -> str:
    """Return an image with its caption."""
    name = escape(caption, quote=True)
    height, width = image.shape[:2]
    return (
        f'<figure><img src="{embed(image, exact=exact)}" alt="{name}" loading="lazy" '
        f'width="{width}" height="{height}" style="height:auto">'
        f'<figcaption>{escape(caption)}</figcaption></figure>'
    )


def pair_panels(title: str, panels: Sequence[str]) -> str:
    """Return the panels of one pair below its title (plain text)."""
    return (
        f'<div class="pair"><h3>{escape(title)}</h3>'
        f'<div class="panels">{"".join(panels)}</div></div>'
    )


def colored(labels: NDArray[Any], classes: ClassTable) -> Picture:
    """Return a label image in colours for people, uint8 [H, W, 3]."""
    return np.asarray(for_people(classes).palette[np.asarray(labels, np.uint8)])


def class_legend(classes: ClassTable) -> str:
    """Return the colours for people of a class table."""
    shown = for_people(classes).classes
    return legend(classes.names, [f'rgb{c.color}' for c in shown])

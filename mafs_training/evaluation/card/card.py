"""A model card: prose by hand, numbers generated between markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
from typing import Any

from mafs_model.checkpoint import Checkpoint
from mafs_model.errors import DatasetError
from mafs_training.evaluation.card import blocks

BLOCKS = (
    'weights',
    'recipe',
    'fusion',
    'labels',
    'persons',
    'objects',
    'missing',
    'flicker',
    'precision',
    'commands',
)
_BLOCK = re.compile(r'<!-- generated: (\w+) -->\n.*?<!-- /generated -->', re.DOTALL)
_OPEN = re.compile(r'<!-- by hand: (.*?) -->', re.DOTALL)
_MAX_BYTES = 4 << 20

TEMPLATE = """\
# Model card: {variant}

Fuses a thermal and a visible image into one picture and labels every pixel, in real time, for
robots and vehicles. Architecture: docs/method.md; how the numbers below are defined:
docs/metrics.md. Everything between the markers of this file is written by `mafs-eval card`.

<!-- generated: weights -->
<!-- /generated -->

## Intended use

Research and development on thermal-visible perception: a fused picture for people, labels as one
input among several for a robot in streets, by day and by night, with registered cameras.

Not intended: as the only means to detect people where a miss can harm, for surveillance or
identification of people, for scenes far from streets (indoors, from the air, at sea), for
cameras that are not registered to each other, for measuring temperatures.

## Data and licences

- MSRS, train part (241 pairs), for fusion and labels: Tang et al., PIAFusion, Information Fusion
  2022, built on MFNet (Ha et al., IROS 2017). For research. The parts used here are of the
  official test set, so published test numbers of MSRS do not compare with those below.
- Silver labels of 64 of these pairs: predictions of LASNet (Li et al., TCSVT 2023), not made by
  people. Its errors are learnt, and scores against such labels are agreement with that network.
- RoadScene, train part (161 pairs), for fusion: Xu et al., U2Fusion, TPAMI 2020, from FLIR video.
  For research.
- Synthetic streets, for fusion and labels: rendered by this project (`mafs_synthetic`), with
  exact labels, under the project's licence.

No image of the first three is part of this repository. The validation parts (MSRS: 40 pairs, 8 of
them with silver labels; RoadScene: 30 pairs) are other stretches of the recordings than the
training parts. Hyper-parameters were chosen on that of MSRS; nothing was trained on either.

## Recipe

<!-- generated: recipe -->
<!-- /generated -->

<!-- by hand: hardware, time, and what the stages were -->

## Results

<!-- generated: fusion -->
<!-- /generated -->

<!-- generated: labels -->
<!-- /generated -->

<!-- generated: persons -->
<!-- /generated -->

<!-- generated: objects -->
<!-- /generated -->

<!-- generated: missing -->
<!-- /generated -->

<!-- generated: flicker -->
<!-- /generated -->

<!-- generated: precision -->
<!-- /generated -->

## Failure cases

<!-- by hand: what the panels of the worst pairs show, in words -->

## Reproduce

<!-- generated: commands -->
<!-- /generated -->
"""


def make_blocks(
    checkpoint: Checkpoint, size_bytes: int, documents: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """
    Return the generated parts.

    Args:
        checkpoint: the weights.
        size_bytes: size of their file.
        documents: results of `mafs-eval`.

    Raises:
        DatasetError: a result is of other weights.

    """
    for document in documents:
        found = _weights_of(document)
        if found is not None and found != checkpoint.weights_id:
            raise DatasetError(
                f'result of {found!r} ({document["inputs"].get("command", document["kind"])}), '
                f'expected one of {checkpoint.weights_id!r}'
            )
    return {
        'weights': blocks.weights_block(checkpoint, size_bytes),
        'recipe': blocks.recipe_block(checkpoint),
        'fusion': blocks.fusion_block(documents),
        'labels': blocks.labels_block(documents, checkpoint),
        'persons': blocks.persons_block(documents),
        'objects': blocks.objects_block(documents),
        'missing': blocks.missing_block(documents),
        'flicker': blocks.flicker_block(documents),
        'precision': blocks.precision_block(documents),
        'commands': blocks.commands_block(documents),
    }


def fill(text: str, parts: Mapping[str, str], where: str) -> str:
    """
    Replace what is between the markers of a card.

    Args:
        text: the card.
        parts: block name to Markdown.
        where: how messages call the card.

    Raises:
        DatasetError: a marker is unknown, missing or there twice.

    """
    found = [match.group(1) for match in _BLOCK.finditer(text)]
    opened = text.count('<!-- generated: ')
    if opened != len(found) or text.count('<!-- /generated -->') != opened:
        raise DatasetError(f'{where}: a marker of a generated part is not closed')
    for name in found:
        if name not in parts:
            raise DatasetError(
                f'{where}: generated part {name!r}, expected one of {", ".join(parts)}'
            )
    for name in parts:
        if found.count(name) != 1:
            raise DatasetError(
                f"{where}: expected one part '<!-- generated: {name} -->', found "
                f'{found.count(name)}'
            )
    # A comment inside a value must not end or begin a part.
    safe = {name: part.replace('<!--', '&lt;!--') for name, part in parts.items()}
    return _BLOCK.sub(
        lambda m: f'<!-- generated: {m.group(1)} -->\n{safe[m.group(1)]}\n<!-- /generated -->',
        text,
    )


def unwritten(text: str) -> list[str]:
    """Return what still waits for a human's words."""
    return [' '.join(match.split()) for match in _OPEN.findall(text)]


def read_card(path: Path, variant: str) -> str:
    """
    Return the text of a card, the template if there is none.

    Raises:
        DatasetError: it cannot be read.

    """
    if not path.exists():
        return TEMPLATE.format(variant=variant)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DatasetError(f'{path}: larger than {_MAX_BYTES >> 20} MiB')
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'cannot read {path}: {error}') from None


def _weights_of(document: Mapping[str, Any]) -> str | None:
    """Return the weights that a result is of; None where it names none."""
    model = document.get('model') or document.get('first')
    return model['weights_id'] if isinstance(model, Mapping) else None

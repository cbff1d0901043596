"""`mafs-eval card`: writes the numbers of a model card from results."""

from __future__ import annotations

from argparse import Namespace

from mafs_model.checkpoint import load_checkpoint
from mafs_model.errors import DatasetError
from mafs_model.files import write_text
from mafs_model.runtime.factory import find_weights
from mafs_training.evaluation.card.card import fill, make_blocks, read_card, unwritten
from mafs_training.evaluation.console import say, warn
from mafs_training.evaluation.results import read_document

KINDS = ('fusion', 'objects', 'model', 'flicker', 'agree')


def run(options: Namespace) -> int:
    """Run the command; returns the number of problems."""
    path = find_weights(options.weights)
    checkpoint = load_checkpoint(path)
    documents = [read_document(file, KINDS) for file in options.results]
    if options.check and not options.card.is_file():
        raise DatasetError(f'{options.card}: no such file')
    old = read_card(options.card, str(checkpoint.architecture.get('variant', 'mafs')))
    try:
        parts = make_blocks(checkpoint, path.stat().st_size, documents)
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f'a result lacks what this version expects ({error}), measure it again'
        ) from None
    new = fill(old, parts, str(options.card))
    if options.check:
        problems = [f'{options.card}: still to be written by hand: {t}' for t in unwritten(new)]
        if new != old:
            problems.append(f'{options.card}: its numbers are not those of the results')
        warn(problems)
        return len(problems)
    write_text(options.card, new)
    say(f'{options.card}: {checkpoint.weights_id}, {len(documents)} results')
    for text in unwritten(new):
        say(f'to be written by hand: {text}')
    return 0

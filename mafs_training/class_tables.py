"""Which class table a run has: that of its sources, unless another one is asked for."""

from __future__ import annotations

from mafs_model.classes import ClassTable
from mafs_model.errors import ConfigError
from mafs_training.datasets.layouts import layout_classes
from mafs_training.datasets.spec import parse_source
from mafs_training.options import MAEConfig, StageConfig

_DEFAULT = 'mfnet'  # where no source says what its labels mean


def choose_classes(config: StageConfig) -> ClassTable:
    """
    Return the class table of a run.

    Args:
        config: all options. The table of the sources' layouts is taken where ``model.classes`` is
            empty; a stage without labels does not look at it.

    Raises:
        ConfigError: the labels of two sources, or of a source and ``model.classes``, mean
            different classes; the message names both.

    """
    wanted = config.model.classes
    if isinstance(config, MAEConfig):
        return ClassTable.load(wanted or _DEFAULT)
    chosen, from_where = (ClassTable.load(wanted), 'model.classes') if wanted else (None, '')
    for text in (*config.data.train, *config.data.val):
        name = layout_classes(parse_source(text))
        if not name:
            continue
        table = ClassTable.load(name)
        if chosen is None:
            chosen, from_where = table, text
        elif chosen.names != table.names:
            raise ConfigError(
                f'{from_where} has the classes of {chosen.dataset} ({_shown(chosen)}), '
                f'{text} those of {table.dataset} ({_shown(table)}): expected one table; '
                '?map=... and ?ignore=... change labels, ?labels=none leaves them out'
            )
    return chosen or ClassTable.load(_DEFAULT)


def _shown(table: ClassTable) -> str:
    return ', '.join(list(table.names)[:4]) + (', ...' if len(table.names) > 4 else '')

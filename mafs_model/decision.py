"""How labels are decided from logits: what a calibration fits, and weights files carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError
from mafs_model.numeric import is_finite

# (class id, probability) of the classes that come as objects
Peaks = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Decision:
    """
    The numbers that are fitted after training.

    Attributes:
        temperature: divisor of the logits in the confidence, above 0 (Guo et al., 2017).
        peaks: classes of which a region counts only if it is this probable somewhere in it.
            Ascending ids, none of them 0.

    """

    temperature: float = 1.0
    peaks: Peaks = ()

    @property
    def identity(self) -> str:
        """Return what tells one decision from another, '' for that of plain weights."""
        parts = [] if self.temperature == 1.0 else [f'temperature|{self.temperature!r}']
        return '|'.join(parts + [f'peak|{class_id}|{peak!r}' for class_id, peak in self.peaks])

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Decision:
        """
        Return the decision in the metadata of weights.

        Args:
            metadata: ``classes``, a class table; ``temperature``, a number, and ``peaks``, class
                name -> probability, both of which may be absent.

        Raises:
            CheckpointError: a temperature that is no number above 0, a peak of a class that the
                weights do not have, or one that is no probability.

        """
        temperature = metadata.get('temperature', 1.0)
        if not is_finite(temperature) or temperature <= 0:
            raise CheckpointError(
                f"metadata 'temperature' is {temperature!r}, expected a number above 0"
            )
        peaks = metadata.get('peaks', {})
        if not isinstance(peaks, Mapping):
            raise CheckpointError(
                f"metadata 'peaks' is {peaks!r}, expected a mapping of classes to probabilities"
            )
        names = ClassTable.from_dict(metadata['classes'], 'classes').names
        for name, peak in peaks.items():
            if name not in names[1:]:
                raise CheckpointError(
                    f"metadata 'peaks' names {name!r}, expected classes of {', '.join(names[1:])}"
                )
            if not is_finite(peak) or not 0 < peak < 1:
                raise CheckpointError(
                    f"metadata 'peaks' of {name} is {peak!r}, expected a number between 0 and 1"
                )
        return cls(
            float(temperature),
            tuple(sorted((names.index(name), float(peak)) for name, peak in peaks.items())),
        )

"""The predictor that the options of a command ask for, and its name in tables."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mafs_model.classes import available, ClassTable
from mafs_model.errors import DatasetError
from mafs_model.images.thermal import ThermalScaler
from mafs_model.predictor import Predictor
from mafs_training.datasets.layouts import LAYOUTS


def create_predictor(options: Namespace, scaler: ThermalScaler | None = None) -> Predictor:
    """Return the predictor that the options ask for, with another thermal scaler if given."""
    dataset = getattr(options, 'dataset', None)
    classes = None
    if options.weights == 'classical' and dataset is not None:
        classes = dataset if dataset in available() or dataset not in LAYOUTS else None
    predictor = Predictor.create(
        options.weights,
        device=options.device,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        classes=classes,
        thermal_scaler=scaler,
    )
    if dataset is not None and not predictor.is_classical and dataset in available():
        table = ClassTable.load(dataset)
        if table.names != predictor.classes.names:
            raise DatasetError(
                f'the weights know {len(predictor.classes)} classes '
                f'({predictor.classes.dataset}), the data set {dataset!r} has {len(table)} '
                'others: label images cannot be compared'
            )
    return predictor


def method_name(weights: str, predictor: Predictor) -> str:
    """Return how the model is called in tables."""
    if predictor.is_classical:
        return 'classical'
    return predictor.weights_id if weights == 'default' else Path(weights).stem


def describe(predictor: Predictor, method: str) -> dict[str, Any]:
    """Return what was evaluated."""
    return {
        'name': method,
        'weights_id': predictor.weights_id,
        'device': predictor.device,
        'backend': predictor.backend,
        'classical': predictor.is_classical,
        'notices': list(predictor.notices),
        'classes': predictor.classes.to_dict(),
    }

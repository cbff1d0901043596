"""One training step after the other, with everything that `mafs-train` does in a step."""

from __future__ import annotations

from collections.abc import Iterator

from mafs_model.classes import ClassTable
from mafs_training.data_module import PairDataModule
from mafs_training.datasets.store import load_sources, PairStore
from mafs_training.lightning_module import prepare_batch, TrainingModule
from mafs_training.options import CONFIGS, SSVIFConfig
from mafs_training.stage import Batch
from mafs_training.trainer import create_network, create_stage
import torch
from torch import Tensor

_STEPS = 1000  # of the schedule, and until the loader begins anew
_PAIRS = 4


class TrainingStep:
    """
    Sets a stage up on rendered pairs and does a step per call.

    Args:
        stage: ``mae``, ``joint`` or ``ssvif``.
        variant: network.
        device: where it runs.
        threads: CPU threads.
        crop: side of the crops in px.
        batch: crops per step.

    """

    def __init__(
        self, stage: str, variant: str, device: str, threads: int, crop: int, batch: int
    ) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self._config = config = CONFIGS[stage]()
        config.model.variant = variant
        config.data.crop, config.data.batch = crop, batch
        if isinstance(config, SSVIFConfig):
            config.ssvif.stage1_steps = config.ssvif.ramp_steps = 0  # the dearer half of it
        self._device = torch.device(device)
        self._classes = classes = ClassTable.load(config.model.classes)
        side = max(64, crop + crop // 2)
        store = load_sources([f'synthetic:{_PAIRS}?size={side}x{side}'], len(classes))
        self._network = create_network(config, len(classes)).to(self._device).train()
        self._stage = create_stage(config, self._network, classes, None).to(self._device).train()
        if config.trainer.channels_last:
            self._network.to(memory_format=torch.channels_last)
        module = TrainingModule(self._network, self._stage, config, classes, _STEPS, {})
        self._ema = module.ema
        self._optimizer = module.configure_optimizers()['optimizer']
        self._parameters = [p for g in self._optimizer.param_groups for p in g['params']]
        self._data = PairDataModule(
            config.data, store, PairStore(), _STEPS, 0, classes.ignore_index
        )
        self._batches = self._endless()
        self._number = 0

    def __call__(self) -> None:
        """Do one step, loading of the crops included."""
        batch = prepare_batch(next(self._batches), self._config, self._classes.ignore_index)
        result = self._stage.training_step(self._network, batch, self._number)
        self._number += 1
        self._stage.after_step(result.tasks)
        self._optimizer.zero_grad(set_to_none=True)
        result.loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, self._config.optim.clip_norm)
        self._optimizer.step()
        self._ema.update(self._network)

    def _endless(self) -> Iterator[Batch]:
        """Yield batches on the device."""
        while True:
            for batch in self._data.train_dataloader():
                yield {
                    key: value.to(self._device) if isinstance(value, Tensor) else value
                    for key, value in batch.items()
                }

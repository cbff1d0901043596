"""The stages themselves: gradients, overfitting, teacher, dropout, averaged weights."""

from __future__ import annotations

from mafs_model.checkpoint import build_metadata, save_checkpoint
from mafs_model.classes import ClassTable, SemanticClass
from mafs_model.errors import CheckpointError, ConfigError
from mafs_model.network.mafs import MAFS
from mafs_training.augment import augment, AugmentOptions
from mafs_training.confusion import ConfusionMeter
from mafs_training.ema import AveragedNetwork
from mafs_training.initial import load_initial
from mafs_training.joint import JointStage
from mafs_training.lightning_module import parameter_groups
from mafs_training.losses import fusion_loss
from mafs_training.mae import MAEStage
from mafs_training.options import (
    DropoutOptions,
    FusionOptions,
    JointConfig,
    MAEConfig,
    SegmenterOptions,
    SSVIFConfig,
    SSVIFOptions,
)
from mafs_training.ssvif import SSVIFStage
from mafs_training.stage import draw_presence, fusion_sources
from mafs_training.supervision import enet_weights
from mafs_training.teacher import (
    create_segmenter,
    FrozenSegmenter,
    FusedImageSegmenter,
    gradient_share,
    MafsSegmenter,
)
import numpy as np
import pytest
import torch
from torch import nn


@pytest.fixture
def batch(pairs):
    samples = [pairs.make(seed) for seed in range(4)]
    visible, thermal, label = (np.stack(part) for part in zip(*samples, strict=True))
    return {
        'visible': torch.from_numpy(visible.transpose(0, 3, 1, 2) / 255.0).float(),
        'thermal': torch.from_numpy(thermal[:, None] / 255.0).float(),
        'label': torch.from_numpy(label).long(),
        'labelled': torch.ones(4, dtype=torch.bool),
    }


def create(kind, architecture, **ssvif):
    """Build a stage of the given kind with much dropout, so that every embedding is used."""
    dropout = DropoutOptions(0.4, 0.4)
    if kind == 'mae':
        return MAEStage(MAEConfig(dropout=dropout), architecture)
    segmenter = SegmenterOptions(width=8)
    if kind == 'joint':
        config = JointConfig(dropout=dropout, segmenter=segmenter)
        return JointStage(config, architecture)
    options = SSVIFOptions(
        mode=kind,
        stage1_steps=0,
        ramp_steps=0,
        confidence=0.0,
        prototypes=8,
        embedding=16,
        **ssvif,
    )
    return SSVIFStage(
        SSVIFConfig(dropout=dropout, segmenter=segmenter, ssvif=options), architecture
    )


def one_step(stage, network, batch, step=5, seed=0):
    torch.manual_seed(seed)
    return stage.training_step(network, augment(batch, AugmentOptions()), step)


@pytest.mark.parametrize('kind', ['mae', 'joint', 'classes', 'prototypes'])
def test_gradients_reach_every_trained_parameter(kind, tiny_architecture, batch):
    torch.manual_seed(0)
    network = MAFS(tiny_architecture).train()
    stage = create(kind, tiny_architecture).train()
    frozen = stage.frozen(network)
    for module in frozen:
        module.requires_grad_(False)
    for step in range(3):  # several draws of the absent modality
        one_step(stage, network, batch, seed=step).loss.backward()
    for owner, module in (('network', network), ('stage', stage)):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, f'{owner}.{name}'
                assert torch.isfinite(parameter.grad).all(), f'{owner}.{name}'
                assert parameter.grad.abs().max() > 0, f'{owner}.{name}'
            else:
                assert parameter.grad is None, f'{owner}.{name}'
    if kind in ('joint', 'classes'):
        assert not frozen  # the complete network is trained


def attainable_loss(sources, options):
    """Fusion loss of the best image whatsoever: its pixels are optimised directly."""
    image = torch.maximum(*sources).requires_grad_()
    optimizer = torch.optim.Adam([image], lr=1e-3)
    losses = []
    for _ in range(60):
        loss = fusion_loss(image, *sources, options)[0]
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return min(losses)


def test_fusion_loss_ignores_the_precision_of_the_network():
    """A smooth image of small contrast: its local variances vanish in half precision."""
    ramp = torch.linspace(0.7, 0.8, 64).expand(1, 1, 64, 64).contiguous()
    sources = (ramp, ramp.transpose(2, 3).contiguous())
    options = FusionOptions(structure_range=2 / 255, information=1, edges=1, complement=1)
    image = ((ramp + sources[1]) / 2).requires_grad_()
    expected, expected_terms = fusion_loss(image, *sources, options)
    with torch.autocast('cpu', torch.bfloat16):
        loss, terms = fusion_loss(image, *sources, options)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(terms, expected_terms)


def test_overfits_four_pairs(tiny_architecture, batch):
    """
    The fusion loss falls by more than 80 %, mIoU exceeds 0.9, both with averaged statistics.

    The fusion loss is measured from the least that any image can have: brightness of one source
    and gradients of the other cannot be met at once, so that the loss has no zero.
    """
    torch.manual_seed(0)
    network = MAFS(tiny_architecture).train()
    config = JointConfig(dropout=DropoutOptions(0, 0), segmenter=SegmenterOptions(width=8))
    config.weighting.kind = 'fixed'
    config.segmentation.region = 'dice'
    config.segmentation.ohem_min_kept = 0.25
    stage = JointStage(config, tiny_architecture).train()
    optimizer = torch.optim.AdamW([*network.parameters(), *stage.parameters()])
    # every level feeds the fusion decoder, beside which the classes want their time
    steps, first = 240, None
    for step in range(steps):
        for group in optimizer.param_groups:
            group['lr'] = 5e-3 * (1 - step / steps)
        result = stage.training_step(network, batch, step)
        first = result.logs['fusion'] if first is None else first
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        loss = stage.validate(network, batch, 0)['fusion']
        meter = ConfusionMeter(4)
        meter.add_images(stage.logits(network, batch).argmax(1), batch['label'])
    floor = attainable_loss(fusion_sources(batch), config.fusion)
    assert loss - floor < 0.2 * (first - floor)
    assert meter.mean_iou() > 0.9


class TestParts:
    def test_presence(self):
        torch.manual_seed(0)
        visible, thermal = draw_presence(20000, DropoutOptions(0.2, 0.1), torch.device('cpu'))
        assert (visible | thermal).all()
        assert (~visible).float().mean().item() == pytest.approx(0.2, abs=0.01)
        assert (~thermal).float().mean().item() == pytest.approx(0.1, abs=0.01)
        with pytest.raises(ValueError, match='a sum <= 1'):
            DropoutOptions(0.7, 0.7)

    def test_absent_source_is_replaced(self, batch):
        present = torch.tensor([True, False, True, True])
        other = torch.tensor([True, True, False, True])
        first, second = fusion_sources(batch, present, other)
        grey = (batch['visible'] * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
        assert torch.allclose(first[0, 0], grey[0], atol=1e-6)
        assert torch.equal(first[1], batch['thermal'][1])
        assert torch.allclose(second[2, 0], grey[2], atol=1e-6)
        assert torch.equal(second[3], batch['thermal'][3])

    def test_gradient_share(self):
        x = torch.ones(3, requires_grad=True)
        y = gradient_share(x, 0.25)
        assert torch.equal(y, x)
        y.sum().backward()
        assert x.grad.tolist() == [0.25] * 3

    def test_enet_weights(self):
        weights = enet_weights(np.array([900, 90, 10]))
        raw = 1 / np.log(1.1 + np.array([0.9, 0.09, 0.01]))
        expected = raw / (raw * [0.9, 0.09, 0.01]).sum()
        np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-5)
        assert enet_weights(np.zeros(3)).tolist() == [1, 1, 1]

    def test_confusion(self):
        metrics = pytest.importorskip('sklearn.metrics')
        rng = np.random.default_rng(0)
        truth, guess = rng.integers(0, 4, (2, 2, 9, 9))
        meter = ConfusionMeter(5)
        meter.add_images(torch.from_numpy(guess), torch.from_numpy(truth))
        expected = metrics.jaccard_score(truth.ravel(), guess.ravel(), average=None)
        np.testing.assert_allclose(meter.iou()[:4].numpy(), expected)
        assert torch.isnan(meter.iou()[4])
        assert meter.mean_iou() == pytest.approx(expected.mean())

    def test_weight_decay_spares_vectors(self):
        groups = parameter_groups([nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)], 0.1, 0.01)
        assert [p.ndim for p in groups[0]['params']] == [4]
        assert [p.ndim for p in groups[1]['params']] == [1, 1, 1]
        assert [g['weight_decay'] for g in groups] == [0.1, 0.0]

    def test_careful_part_learns_slower(self):
        network = nn.ModuleDict({'rest': nn.Linear(2, 2), 'blend': nn.Linear(2, 2)})
        groups = parameter_groups([network], 0.1, 0.01, network['blend'], 0.25)
        rates = {id(p): group['lr'] for group in groups for p in group['params']}
        assert len(rates) == 4
        assert all(rates[id(p)] == 0.01 for p in network['rest'].parameters())
        assert all(rates[id(p)] == 0.0025 for p in network['blend'].parameters())

    def test_average(self):
        network = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            network.weight.fill_(0.0)
        averaged = AveragedNetwork(network, 0.5)
        with torch.no_grad():
            network.weight.fill_(1.0)
        averaged.update(network)
        # the decay starts at 2/11
        assert averaged.module.weight.item() == pytest.approx(1 - 2 / 11)
        for _ in range(50):
            averaged.update(network)
        before = averaged.module.weight.item()
        with torch.no_grad():
            network.weight.fill_(3.0)
        averaged.update(network)
        assert averaged.module.weight.item() == pytest.approx(0.5 * before + 1.5)
        assert not averaged.module.weight.requires_grad


class TestTeacher:
    def test_consistency_does_not_reach_the_teacher(self, tiny_architecture, batch):
        """Without labels nothing trains the teacher, though the student learns from it."""
        network = MAFS(tiny_architecture).train()
        stage = create('joint', tiny_architecture).train()
        batch['label'] = torch.full_like(batch['label'], 255)
        stage.training_step(network, batch, 10_000).loss.backward()
        assert all(p.grad is None or not p.grad.any() for p in stage.teacher.parameters())
        assert network.segmentation_decoder.classify.weight.grad.abs().max() > 0

    def test_teacher_shapes_the_fusion(self, tiny_architecture, batch):
        """The teacher's loss alone gives the fusion decoder a gradient, share 0 takes it away."""
        for share, expected in ((1.0, True), (0.0, False)):
            torch.manual_seed(0)
            network = MAFS(tiny_architecture).train()
            config = JointConfig(dropout=DropoutOptions(0, 0), segmenter=SegmenterOptions(width=8))
            config.teacher.shape_fusion = share
            config.weighting.kind = 'fixed'
            config.weighting.fixed = {'fusion': 0.0, 'segmentation': 0.0}
            config.teacher.consistency = 0.0
            stage = JointStage(config, tiny_architecture).train()
            stage.training_step(network, batch, 0).loss.backward()
            gradients = [p.grad for p in network.fusion_decoder.parameters()]
            assert any(g is not None and g.abs().max() > 0 for g in gradients) == expected

    def test_mafs_checkpoint(self, tiny_architecture, tmp_path):
        table = ClassTable('test', tuple(SemanticClass(i, f'c{i}', (i, i, i)) for i in range(4)))
        network = MAFS(tiny_architecture)
        path = tmp_path / 'teacher.safetensors'
        save_checkpoint(
            path, network.state_dict(), build_metadata(tiny_architecture.to_dict(), table)
        )
        segmenter = create_segmenter(SegmenterOptions(kind='mafs', weights=str(path)), 4)
        assert isinstance(segmenter, FrozenSegmenter)
        segmenter.train()
        assert not any(m.training for m in segmenter.modules())
        rgb = torch.rand(2, 3, 64, 64, requires_grad=True)
        logits = segmenter(rgb).logits
        assert torch.allclose(logits, network.eval()(rgb, None, full_logits=False).logits)
        logits.sum().backward()
        assert rgb.grad.abs().max() > 0
        assert not any(p.requires_grad for p in segmenter.parameters())
        with pytest.raises(ConfigError, match='has 4 classes, expected 9'):
            create_segmenter(SegmenterOptions(kind='mafs', weights=str(path)), 9)
        trainable = create_segmenter(
            SegmenterOptions(kind='mafs', weights=str(path), trainable=True), 4
        )
        assert isinstance(trainable, MafsSegmenter)

    def test_torch_network(self, tmp_path, monkeypatch):
        (tmp_path / 'their_network.py').write_text(
            'from torch import nn\n\n\ndef build():\n    return nn.Conv2d(3, 5, 1)\n'
        )
        monkeypatch.syspath_prepend(tmp_path)
        network = nn.Conv2d(3, 5, 1)
        torch.save(network.state_dict(), tmp_path / 'weights.pth')
        options = SegmenterOptions(
            kind='torch',
            factory='their_network:build',
            weights=str(tmp_path / 'weights.pth'),
            class_map=[0, 2, 2, -1, 1],
        )
        segmenter = create_segmenter(options, 4)
        rgb = torch.rand(1, 3, 8, 8)
        logits = segmenter(rgb).logits
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (options.mean, options.std))
        raw = network((rgb - mean) / std)
        assert torch.allclose(logits[:, 0], raw[:, 0])
        assert torch.allclose(logits[:, 1], raw[:, 4])
        assert torch.allclose(logits[:, 2], raw[:, 1:3].logsumexp(1))
        assert (logits[:, 3] == -30).all()

    @pytest.mark.parametrize(
        ('options', 'error', 'message'),
        [
            ({'kind': 'magic'}, ConfigError, "kind is 'magic', expected one of"),
            ({'kind': 'mafs'}, ConfigError, 'expected a file for kind mafs'),
            ({'kind': 'torch', 'factory': 'nothing'}, ConfigError, 'expected module:callable'),
            ({'kind': 'torch', 'factory': 'no_such_module:x'}, ConfigError, 'no_such_module'),
            ({'kind': 'torch', 'factory': 'builtins:dict'}, ConfigError, 'gives dict'),
            (
                {'kind': 'torch', 'factory': 'torch.nn:Identity', 'weights': 'none.pth'},
                CheckpointError,
                'no readable state_dict',
            ),
            (
                {'kind': 'torch', 'factory': 'torch.nn:Identity', 'class_map': [9]},
                ConfigError,
                r'expected ids -1..3',
            ),
        ],
    )
    def test_errors(self, options, error, message):
        with pytest.raises(error, match=message):
            create_segmenter(SegmenterOptions(**options), 4)

    def test_shapes_of_odd_images(self):
        out = FusedImageSegmenter(4, 8).eval()(torch.rand(1, 3, 45, 71))
        assert out.logits.shape == (1, 4, 23, 36)
        assert out.features.shape == (1, 16, 12, 18)


class TestSSVIF:
    def test_stage_one_has_no_cross_term(self, tiny_architecture, batch):
        network = MAFS(tiny_architecture).train()
        stage = create('classes', tiny_architecture)
        stage.config.ssvif.stage1_steps = 10
        assert one_step(stage, network, batch, step=9).logs['cross_weight'] == 0
        assert one_step(stage, network, batch, step=10).logs['cross_weight'] > 0

    def test_maximum_zero_is_fusion_only(self, tiny_architecture, batch):
        """With weight 0 and no labels the loss is the fusion loss, to the last digit."""
        network = MAFS(tiny_architecture).train()
        stage = create('classes', tiny_architecture, maximum=0.0)
        batch['label'] = torch.full_like(batch['label'], 255)
        result = one_step(stage, network, batch)
        assert result.loss.item() == result.logs['fusion'].item()

    def test_each_branch_is_a_constant_for_the_other(self, tiny_architecture, batch):
        """Cross terms are symmetric; each direction trains one side only."""
        network = MAFS(tiny_architecture).train()
        stage = create('classes', tiny_architecture).train()
        out = network(batch['visible'], batch['thermal'], full_logits=False)
        pixel = stage.segmenter(out.fused_rgb.detach())
        _, cross, _ = stage._class_terms(out, pixel, 0)
        cross.backward()
        assert network.segmentation_decoder.classify.weight.grad.abs().max() > 0
        assert stage.segmenter.classify[0].weight.grad.abs().max() > 0

    def test_unlabelled_training_does_not_collapse(self, tiny_architecture, batch):
        """Prototypes stay in use and both branches come to agree, without any label."""
        torch.manual_seed(0)
        network = MAFS(tiny_architecture).train()
        stage = create('prototypes', tiny_architecture).train()
        for module in stage.frozen(network):
            module.requires_grad_(False)
        trained = [p for m in (network, stage) for p in m.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=3e-3)
        small = {
            key: value[..., :64, :64] if value.ndim > 1 else value for key, value in batch.items()
        }
        first = None
        for step in range(16):
            result = one_step(stage, network, small, step=step, seed=step)
            first = result.logs if first is None else first
            optimizer.zero_grad()
            result.loss.backward()
            optimizer.step()
        assert result.logs['usage_feature'] > 0.6
        assert result.logs['usage_pixel'] > 0.6
        assert result.logs['agreement'] > first['agreement'] + 0.1

    def test_errors(self, tiny_architecture):
        with pytest.raises(ConfigError, match=r"ssvif.mode is 'x', expected one of"):
            create('x', tiny_architecture)
        with pytest.raises(ConfigError, match='kind fresh, got'):
            SSVIFStage(
                SSVIFConfig(
                    segmenter=SegmenterOptions(kind='mafs'), ssvif=SSVIFOptions(mode='prototypes')
                ),
                tiny_architecture,
            )


class TestInitial:
    def test_other_number_of_classes(self, tiny_architecture, tmp_path):
        import dataclasses

        source = MAFS(tiny_architecture)
        path = tmp_path / 'first.ckpt'
        torch.save(
            {'state_dict': {f'ema.module.{k}': v for k, v in source.state_dict().items()}}, path
        )
        target = MAFS(dataclasses.replace(tiny_architecture, num_classes=6))
        skipped = load_initial(target, path)
        assert all('classify' in name or 'stage_heads' in name for name in skipped)
        assert skipped
        for name, value in target.encoder.state_dict().items():
            assert torch.equal(value, source.encoder.state_dict()[name])

    def test_another_fusion_decoder_starts_anew_on_the_same_features(
        self, tiny_architecture, tmp_path
    ):
        import dataclasses

        source = MAFS(dataclasses.replace(tiny_architecture, fusion_decoder='direct'))
        path = tmp_path / 'direct.ckpt'
        torch.save(
            {'state_dict': {f'network.{k}': v for k, v in source.state_dict().items()}}, path
        )
        target = MAFS(tiny_architecture)
        fresh = load_initial(target, path)
        assert set(fresh) == {k for k in target.state_dict() if k.startswith('fusion_decoder.')}
        for part in ('encoder', 'segmentation_decoder'):
            ours = getattr(source, part).state_dict()
            for name, value in getattr(target, part).state_dict().items():
                assert torch.equal(value, ours[name])

    def test_errors(self, tiny_architecture, tmp_path):
        network = MAFS(tiny_architecture)
        with pytest.raises(CheckpointError, match='no such file'):
            load_initial(network, tmp_path / 'none.ckpt')
        (tmp_path / 'bad.ckpt').write_bytes(b'garbage')
        with pytest.raises(CheckpointError, match='no checkpoint of mafs-train'):
            load_initial(network, tmp_path / 'bad.ckpt')
        torch.save({'state_dict': {'network.other': torch.zeros(1)}}, tmp_path / 'other.ckpt')
        with pytest.raises(CheckpointError, match='another architecture'):
            load_initial(network, tmp_path / 'other.ckpt')

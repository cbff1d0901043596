"""The predictor: sizes, missing cameras, outputs, statelessness and its errors."""

from __future__ import annotations

import logging

import cv2
from mafs_model.classes import ClassTable
from mafs_model.errors import CheckpointError, ConfigError, DeviceError, ImageError
from mafs_model.images.cameras import load_camera
from mafs_model.images.overlay import Annotator, DEFAULT_STYLE, OverlayStyle, paint
from mafs_model.images.registration import Registration
from mafs_model.images.thermal import ThermalScaler
from mafs_model.images.thermal_decoder import ThermalDecoder
from mafs_model.predictor import Outputs, Prediction, Predictor
from mafs_model.runtime.fallback import FallbackEngine
import numpy as np
import pytest

RNG = np.random.default_rng(5)


def visible_image(height=96, width=128):
    return cv2.GaussianBlur(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8), (9, 9), 3)


def thermal_image(height=96, width=128, dtype=np.uint8):
    image = cv2.GaussianBlur(RNG.integers(0, 256, (height, width), dtype=np.uint8), (9, 9), 3)
    return image if dtype == np.uint8 else (image.astype(dtype) * 20 + 28000).astype(dtype)


class RecordingEngine:
    """Returns what it was given, so that preparation can be checked from outside."""

    backend, device, weights_id, is_classical = 'test', 'cpu', 'test', False
    notices = ()

    def __init__(self):
        self.classes = ClassTable.load('mfnet')
        self.calls = []
        self.closed = 0

    def infer(self, visible, thermal, outputs):
        self.calls.append((visible, thermal, outputs))
        image = visible if visible is not None else thermal
        grey = image[..., 0] if image.ndim == 3 else image
        return Prediction(
            np.repeat(grey[..., None], 3, 2) if outputs.fused else None,
            (grey % 9).astype(np.uint8) if outputs.labels else None,
            grey.copy() if outputs.confidence else None,
        )

    def why_not(self, mode):
        return ''

    def close(self):
        self.closed += 1


@pytest.fixture
def classical():
    with Predictor.create('classical', device='cpu') as predictor:
        yield predictor


def test_without_weights_it_is_classical_and_says_so(caplog, monkeypatch, tmp_path):
    from mafs_model.runtime import factory

    monkeypatch.setattr(factory, 'DEFAULT_WEIGHTS', tmp_path / 'none.safetensors')
    with caplog.at_level(logging.WARNING, 'mafs_model'):
        for weights in (None, 'default', 'classical'):
            predictor = Predictor.create(weights, device='cpu')
            assert predictor.is_classical
            assert predictor.backend == 'opencv'
            assert 'classical' in predictor.weights_id
            assert any('labels are empty' in n for n in predictor.notices)
    assert 'no network weights' in caplog.text


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ('thermal_size', 'visible_size'),
    [
        ((120, 160), (1080, 1920)),
        ((96, 128), (96, 128)),
        ((97, 131), (241, 319)),
        ((480, 640), (120, 160)),
        ((24, 32), (480, 640)),
        ((33, 35), (35, 33)),
    ],
)
def test_sizes(classical, dtype, thermal_size, visible_size):
    result = classical.predict(visible_image(*visible_size), thermal_image(*thermal_size, dtype))
    assert result.fused.shape == (*visible_size, 3)
    assert result.labels.shape == result.confidence.shape == visible_size
    assert all(
        a.dtype == np.uint8 and a.flags.c_contiguous and a.flags.writeable
        for a in (result.fused, result.labels, result.confidence)
    )
    assert result.mode == 'classical'


def test_timings_name_the_three_stages(classical):
    timings = classical.predict(visible_image(), thermal_image()).timings_ms
    assert set(timings) == {'preprocess', 'inference', 'postprocess'}
    assert all(0 <= v < 10_000 for v in timings.values())


def test_output_size_sets_all_results():
    with Predictor.create('classical', device='cpu', output_size=(60, 80)) as predictor:
        for pair in (
            (visible_image(), thermal_image()),
            (visible_image(), None),
            (None, thermal_image()),
        ):
            result = predictor.predict(*pair)
            assert result.fused.shape == (60, 80, 3)
            assert result.labels.shape == (60, 80)


def test_inference_size_reaches_the_engine_and_results_are_full_size():
    engine = RecordingEngine()
    predictor = Predictor(engine, inference_size=(48, 64))
    result = predictor.predict(visible_image(96, 128), thermal_image(40, 50))
    visible, thermal, _ = engine.calls[0]
    assert visible.shape == (48, 64, 3)
    assert thermal.shape == (48, 64)
    assert result.fused.shape == (96, 128, 3)
    # Labels are repeated, never mixed.
    assert np.array_equal(result.labels[::2, ::2], (visible[..., 0] % 9))


@pytest.mark.parametrize('halved', [False, True])
def test_confidence_belongs_to_the_label_beneath_it_at_any_size(halved):
    # Labels are grey % 9 and the confidence is grey itself: repeated together, they stay so.
    engine = RecordingEngine()
    if halved:
        engine = FallbackEngine(engine, RecordingEngine)
        engine._step_down('out of memory')
    predictor = Predictor(engine, inference_size=None if halved else (48, 64))
    result = predictor.predict(visible_image(), thermal_image())
    assert result.labels.shape == result.confidence.shape == (96, 128)
    assert np.array_equal(result.labels, result.confidence % 9)
    assert len(np.unique(result.confidence)) > 50


@pytest.mark.parametrize('halved', [False, True])
@pytest.mark.parametrize('style', [OverlayStyle(0.3), OverlayStyle(0.8, True, 0.4)])
def test_overlay_is_painted_whatever_else_is_wanted(halved, style):
    engine = RecordingEngine()
    if halved:
        engine = FallbackEngine(engine, RecordingEngine)
        engine._step_down('out of memory')
    predictor = Predictor(engine)
    images = visible_image(), thermal_image()
    everything = predictor.predict(*images, Outputs(overlay=style))
    alone = predictor.predict(*images, Outputs(False, False, False, style))
    assert alone.fused is None
    assert alone.labels is None
    assert alone.confidence is None
    assert np.array_equal(alone.overlay, everything.overlay)
    expected = paint(
        everything.fused, everything.labels, predictor.classes, style, everything.confidence
    )
    Annotator(predictor.classes)(expected, style)
    assert np.array_equal(everything.overlay, expected)
    assert not np.array_equal(expected, everything.fused)


def test_classical_overlay_says_that_labels_are_empty(classical):
    result = classical.predict(visible_image(), thermal_image(), Outputs(overlay=DEFAULT_STYLE))
    changed = (result.overlay != result.fused).any(axis=(1, 2))
    assert changed[:10].all()
    assert not changed[40:].any()


@pytest.mark.parametrize(
    ('size', 'limit', 'work'),
    [
        ((96, 128), 96 * 128, (96, 128)),
        ((96, 128), 5000, (48, 80)),
        ((32, 300), 1024, (32, 96)),
        ((96, 128), None, (96, 128)),
    ],
)
def test_large_images_are_inferred_smaller_and_come_out_at_full_size(size, limit, work):
    engine = RecordingEngine()
    result = Predictor(engine, max_pixels=limit).predict(
        visible_image(*size), thermal_image(*size)
    )
    assert engine.calls[0][0].shape[:2] == work
    assert engine.calls[0][1].shape == work
    assert result.fused.shape == (*size, 3)
    assert result.labels.shape == size


def test_the_camera_may_be_mounted_upside_down():
    visible, thermal = visible_image(), thermal_image()
    engine = RecordingEngine()
    decoder = ThermalDecoder(load_camera().overridden(rotation=180))
    Predictor(engine, thermal_decoder=decoder).predict(visible, thermal)
    assert np.array_equal(engine.calls[0][1], thermal[::-1, ::-1])


def test_a_given_inference_size_wins_over_the_limit():
    engine = RecordingEngine()
    Predictor(engine, inference_size=(64, 96), max_pixels=2000).predict(visible_image(), None)
    assert engine.calls[0][0].shape == (64, 96, 3)
    with pytest.raises(ConfigError, match='inference pixels 10: expected at least 1024'):
        Predictor(engine, max_pixels=10)


def test_detail_above_the_inference_size_survives():
    visible = np.full((96, 128, 3), 100, np.uint8)
    visible[:, ::2] = 140  # finest stripes: gone at half size
    with Predictor.create('classical', device='cpu', inference_size=(48, 64)) as predictor:
        fused = predictor.predict(visible, np.full((96, 128), 120, np.uint8)).fused
    step = fused[:, 1::2].astype(int).mean() - fused[:, ::2].astype(int).mean()
    assert step == pytest.approx(-40, abs=2)


def test_thermal_detail_above_the_inference_size_survives_too():
    thermal = np.full((96, 128), 100, np.uint8)
    thermal[::2] = 160
    with Predictor.create('classical', device='cpu', inference_size=(48, 64)) as predictor:
        for visible in (np.full((96, 128, 3), 130, np.uint8), None):
            fused = predictor.predict(visible, thermal).fused.astype(int)
            assert fused[::2].mean() - fused[1::2].mean() == pytest.approx(60, abs=2)


def test_missing_cameras(classical):
    visible, thermal = visible_image(), thermal_image(dtype=np.uint16)
    only_visible = classical.predict(visible, None)
    assert only_visible.mode == 'visible_only'
    assert np.array_equal(only_visible.fused, visible)
    classical.reset()
    only_thermal = classical.predict(None, thermal)
    assert only_thermal.mode == 'thermal_only'
    assert only_thermal.fused.shape == (96, 128, 3)
    assert (np.ptp(only_thermal.fused, axis=-1) == 0).all()


def test_without_visible_the_last_visible_size_is_kept(classical):
    classical.predict(visible_image(192, 256), thermal_image())
    assert classical.predict(None, thermal_image()).fused.shape == (192, 256, 3)
    classical.reset()
    assert classical.predict(None, thermal_image()).fused.shape == (96, 128, 3)


def test_missing_modality_reaches_the_engine():
    engine = RecordingEngine()
    predictor = Predictor(engine)
    assert predictor.predict(visible_image(), None).mode == 'visible_only'
    assert predictor.predict(None, thermal_image()).mode == 'thermal_only'
    assert predictor.predict(visible_image(), thermal_image()).mode == 'fusion'
    assert [(v is None, t is None) for v, t, _ in engine.calls] == [
        (False, True),
        (True, False),
        (False, False),
    ]


@pytest.mark.parametrize(
    'wanted',
    [(True, False, False), (False, True, False), (False, False, True), (False, True, True)],
)
@pytest.mark.parametrize('inference_size', [None, (48, 64)])
def test_only_wanted_outputs(wanted, inference_size):
    for engine in (RecordingEngine(), Predictor.create('classical', device='cpu').engine):
        result = Predictor(engine, inference_size=inference_size).predict(
            visible_image(), thermal_image(), Outputs(*wanted)
        )
        assert (
            tuple(a is not None for a in (result.fused, result.labels, result.confidence))
            == wanted
        )


def test_deterministic_and_independent_of_earlier_8_bit_images(classical):
    pair = visible_image(), thermal_image()
    first = classical.predict(*pair)
    classical.predict(visible_image(), thermal_image())
    second = classical.predict(*pair)
    assert np.array_equal(first.fused, second.fused)


def test_results_belong_to_the_caller(classical):
    pair = visible_image(), thermal_image()
    first = classical.predict(*pair)
    kept = first.fused.copy()
    classical.predict(255 - pair[0], pair[1])
    assert np.array_equal(first.fused, kept)


def test_inputs_are_not_changed_and_may_be_read_only_or_strided(classical):
    visible, thermal = visible_image(), thermal_image()
    expected = classical.predict(visible, thermal).fused
    wide, wide_thermal = np.zeros((96, 150, 3), np.uint8), np.zeros((96, 150), np.uint8)
    wide[:, :128], wide_thermal[:, :128] = visible, thermal
    views = wide[:, :128], wide_thermal[:, :128]
    for view in views:
        view.flags.writeable = False
    assert np.array_equal(classical.predict(*views).fused, expected)
    assert np.array_equal(wide[:, :128], visible)


def test_registration_and_coverage():
    engine = RecordingEngine()
    shift = Registration([[1, 0, 30], [0, 1, 0], [0, 0, 1]])
    visible, thermal = visible_image(), thermal_image()
    Predictor(engine, registration=shift).predict(visible, thermal)
    given = engine.calls[0][1]
    assert np.array_equal(given[:, 30:], thermal[:, :-30])
    # Where the thermal camera does not look, the visible luminance stands in.
    assert np.array_equal(given[:, :30], cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)[:, :30])


def test_registration_holds_for_the_camera_size_when_the_output_is_smaller():
    engine = RecordingEngine()
    shift = Registration([[1, 0, 32], [0, 1, 0], [0, 0, 1]])
    thermal = np.zeros((96, 128), np.uint8)
    thermal[:, 40:60] = 200
    Predictor(engine, registration=shift, output_size=(48, 64)).predict(visible_image(), thermal)
    bright = np.flatnonzero(engine.calls[0][1][24, 20:] > 150) + 20
    assert (bright[0], bright[-1]) == (36, 45)  # (40 + 32) / 2 .. (60 + 32) / 2 - 1


def test_thermal_scaler_state_is_cleared_by_reset():
    engine = RecordingEngine()
    predictor = Predictor(engine, thermal_scaler=ThermalScaler(smoothing=0.99))
    cold = thermal_image(dtype=np.uint16)
    warm = cold + np.uint16(200)
    predictor.predict(visible_image(), cold)
    predictor.predict(visible_image(), warm)
    predictor.reset()
    predictor.predict(visible_image(), warm)
    drifted, fresh = engine.calls[1][1], engine.calls[2][1]
    assert drifted.mean() > fresh.mean() + 5


def test_warm_up_leaves_no_trace():
    engine = RecordingEngine()
    predictor = Predictor(engine)
    assert predictor.warm_up((96, 128), (60, 80)) >= 0
    assert len(engine.calls) == 2
    assert engine.calls[0][0].shape == (96, 128, 3)
    assert predictor.predict(None, thermal_image(60, 80)).fused.shape == (60, 80, 3)


def test_close_is_repeatable_and_final():
    engine = RecordingEngine()
    predictor = Predictor(engine)
    predictor.close()
    predictor.close()
    assert engine.closed == 1
    with pytest.raises(ConfigError, match='predictor is closed'):
        predictor.predict(visible_image(), None)


def test_one_definition_for_node_and_script():
    """Two predictors made like node and command line make them give identical arrays."""
    arguments = {'device': 'cpu', 'inference_size': (64, 96), 'output_size': (80, 120)}
    pair = visible_image(), thermal_image(60, 80, np.uint16)
    results = [Predictor.create('classical', **arguments).predict(*pair) for _ in range(2)]
    for name in ('fused', 'labels', 'confidence'):
        assert np.array_equal(getattr(results[0], name), getattr(results[1], name))


@pytest.mark.parametrize(
    ('visible', 'thermal', 'reason', 'message'),
    [
        (None, None, 'data', 'no image'),
        (np.zeros((40, 40), np.uint8), None, 'encoding', r'shape \(40, 40\), expected'),
        (np.zeros((40, 40, 3), np.float32), None, 'encoding', 'float32, expected uint8 RGB'),
        (np.zeros((0, 40, 3), np.uint8), None, 'size', '40x0, expected sides of 32 to 8192'),
        (np.zeros((31, 40, 3), np.uint8), None, 'size', '40x31'),
        (np.zeros((1, 9000, 3), np.uint8), None, 'size', '9000x1'),
        (np.zeros((40, 40, 3), np.uint8), np.zeros((7, 40), np.uint8), 'size', '40x7'),
        (None, np.zeros((24, 32), np.uint8), 'size', '32x24 and there is no visible'),
        (
            None,
            np.zeros((40, 40), np.int64),
            'encoding',
            'int64, expected uint8, uint16 or float32',
        ),
        (None, np.full((40, 40), np.nan, np.float32), 'nonfinite', 'no finite value'),
    ],
)
def test_refused_images_and_then_a_good_pair(classical, visible, thermal, reason, message):
    with pytest.raises(ImageError, match=message) as caught:
        classical.predict(visible, thermal)
    assert caught.value.reason == reason
    assert isinstance(classical.predict(visible_image(), thermal_image()), Prediction)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'device': 'gpu'}, ConfigError, "device 'gpu': expected auto, cpu, cuda or cuda:N"),
        ({'backend': 'caffe'}, ConfigError, "backend 'caffe': expected one of auto, torch"),
        ({'precision': 'int4'}, ConfigError, "precision 'int4': expected one of auto, fp32"),
        ({'inference_size': (16, 64)}, ConfigError, 'inference size 64x16: expected whole sides'),
        ({'output_size': 'big'}, ConfigError, "output size 'big': expected"),
        ({'output_size': (40.5, 50)}, ConfigError, 'output size 50x40: expected whole sides'),
        ({'threads': 0}, ConfigError, 'threads 0: expected a whole number'),
        ({'classes': 'cityscapes'}, ConfigError, "classes 'cityscapes': neither"),
        (
            {'weights': '/nowhere/w.safetensors'},
            CheckpointError,
            "'/nowhere/w.safetensors': no such",
        ),
    ],
)
def test_refused_settings(arguments, error, message):
    with pytest.raises(error) as caught:
        Predictor.create(**{'weights': 'classical', 'device': 'cpu', **arguments})
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('driver', [True, False])
def test_absent_gpu_is_refused_and_auto_falls_back(driver, monkeypatch, caplog, tmp_path):
    from mafs_model.runtime import device as module
    from mafs_model.runtime.device import resolve_device

    monkeypatch.setattr(module, '_count_gpus', lambda: 0)
    with pytest.raises(DeviceError, match="device 'cuda': no CUDA device found; use device auto"):
        Predictor.create('classical', device='cuda')
    monkeypatch.setattr(module, '_DRIVER_FILES', (str(tmp_path),) if driver else ())
    with caplog.at_level(logging.INFO, 'mafs_model'):
        device, notices = resolve_device('auto')
    assert device == 'cpu'
    (record,) = caplog.records
    assert 'no CUDA device found, using the CPU' in record.getMessage()
    # Where nobody expects a GPU the CPU is no news, on a robot's diagnostics either.
    assert record.levelno == (logging.WARNING if driver else logging.INFO)
    assert notices == ((record.getMessage(),) if driver else ())


def test_gpu_number_out_of_range(monkeypatch):
    from mafs_model.runtime import device as module
    from mafs_model.runtime.device import resolve_device

    monkeypatch.setattr(module, '_count_gpus', lambda: 2)
    assert resolve_device('cuda:1') == ('cuda:1', ())
    assert resolve_device('auto')[0] == 'cuda:0'
    with pytest.raises(DeviceError, match=r"device 'cuda:2': 2 CUDA device\(s\) found"):
        resolve_device('cuda:2')


def test_threads_are_set(monkeypatch):
    seen = []
    monkeypatch.setattr(cv2, 'setNumThreads', seen.append)
    Predictor.create('classical', device='cpu', threads=2)
    assert seen == [2]

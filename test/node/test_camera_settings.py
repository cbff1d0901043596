"""The thermal camera as the parameters describe it, without middleware."""

from __future__ import annotations

from typing import Any

from mafs_model.errors import ConfigError
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mafs_ros.msg')

from mafs_model.calibration.calibration import Calibration
from mafs_model.calibration.cameras import Camera, Extrinsics
from mafs_model.images.cameras import camera_names
from mafs_ros.inference import create_camera, Inference
from mafs_ros.parameters import Settings, SettingsBox

pytestmark = pytest.mark.ros


def settings(**values: Any) -> Settings:
    given = {name.replace('__', '.'): value for name, value in values.items()}
    return Settings.from_values({'weights': 'classical', **given})


@pytest.mark.parametrize('name', ['auto', *camera_names()])
def test_every_camera_of_the_package_configures(name: str) -> None:
    assert create_camera(settings(thermal__camera=name)).name == name


def test_parameters_override_the_camera(tmp_path: Any) -> None:
    camera = create_camera(settings(thermal__camera='optris'))
    assert (camera.unit, camera.rotation, camera.polarity) == ('decicelsius_100', 0, 'white_hot')
    camera = create_camera(
        settings(
            thermal__camera='optris',
            thermal__unit='decikelvin',
            thermal__rotation='270',
            thermal__mirror='vertical',
            thermal__polarity='black_hot',
            thermal__palette='jet',
            thermal__byte_order='big',
        )
    )
    assert (camera.unit, camera.rotation, camera.mirror) == ('decikelvin', 270, 'vertical')
    assert (camera.polarity, camera.palette, camera.byte_order) == ('black_hot', 'jet', 'big')
    own = tmp_path / 'own.yaml'
    own.write_text('rotation: 90')
    assert create_camera(settings(thermal__camera=str(own))).rotation == 90


def test_unknown_camera_names_the_parameter() -> None:
    with pytest.raises(ConfigError, match=r"thermal\.camera: camera 'kodak': expected auto"):
        create_camera(settings(thermal__camera='kodak'))


def test_unit_and_polarity_of_the_camera_reach_the_scaler() -> None:
    box = SettingsBox(
        settings(
            thermal__camera='optris',
            thermal__scaling='range',
            thermal__range_low=0.0,
            thermal__range_high=100.0,
            thermal__range_unit='celsius',
            thermal__polarity='black_hot',
        )
    )
    inference = Inference(box)
    scaler = inference.predictor.thermal_scaler
    warm = np.full((40, 50), 1000 + 250, np.uint16)  # 25 C
    warm[:20] = 1000 + 750
    scaled = scaler(inference.decode_thermal(warm))
    assert abs(int(scaled[30, 0]) - (255 - 64)) <= 1
    assert abs(int(scaled[0, 0]) - (255 - 191)) <= 1
    inference.close()


def test_telemetry_does_not_reach_the_network() -> None:
    inference = Inference(SettingsBox(settings()))
    picture = np.tile(np.arange(29_000, 29_160, dtype=np.uint16), (120, 1))
    telemetry = np.full((2, 160), 65_535, np.uint16)
    assert np.array_equal(inference.decode_thermal(np.vstack([picture, telemetry])), picture)
    inference.close()


@pytest.mark.parametrize('lenses', [False, True])
def test_a_calibration_of_other_proportions_than_usual_warms_up(
    tmp_path: Any, lenses: bool
) -> None:
    path = tmp_path / 'rig.yaml'
    matrix = np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 256.0], [0.0, 0.0, 1.0]])
    parts = {
        'thermal': Camera((512, 640), matrix, np.zeros(5)),
        'visible': Camera((720, 1280), 2 * matrix * [[1], [1], [0.5]], np.zeros(5)),
        'extrinsics': Extrinsics(np.eye(3), np.array([0.05, 0.0, 0.0])),
    }
    Calibration(
        (512, 640), (720, 1280), homography=np.diag([2.0, 2.0, 1.0]), **(parts if lenses else {})
    ).save(path)
    inference = Inference(SettingsBox(settings(calibration_file=str(path))))
    inference.warm_up()


def test_a_homography_file_of_other_proportions_warms_up(tmp_path: Any) -> None:
    path = tmp_path / 'homography.yaml'
    path.write_text(
        'homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\nthermal_size: [512, 640]\n'
        'visible_size: [720, 1280]\n',
        encoding='utf-8',
    )
    inference = Inference(SettingsBox(settings(thermal__homography_file=str(path))))
    inference.warm_up()

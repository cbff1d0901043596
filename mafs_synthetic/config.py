"""What a synthetic scene contains, as one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass

from mafs_model.errors import ConfigError
import numpy as np

_RANGES: dict[str, tuple[float, float]] = {
    'width': (64, 4096),
    'height': (64, 4096),
    'daylight': (0, 1),
    'lamp_power': (0, 3),
    'haze': (0, 1),
    'ambient_k': (250, 320),
    'speed_mps': (0, 30),
    'curvature': (0, 1),
    'cars': (0, 12),
    'parked_cars': (0, 16),
    'pedestrians': (0, 40),
    'crossing': (0, 8),
    'cyclists': (0, 12),
    'cones': (0, 24),
    'noise': (0, 5),
    'wet': (0, 1),
}


@dataclass(frozen=True)
class SceneConfig:
    """
    One drive along one street.

    Args:
        width: image width, px.
        height: image height, px.
        seed: chooses layout, actors, textures and noise.
        daylight: 0 is a moonless night, 1 is noon.
        lamp_power: brightness of the street lamps, 1 is usual, 0 a dark road.
        haze: 0 is clear air, 1 is fog.
        ambient_k: air temperature, K.
        speed_mps: speed of the camera, m/s.
        curvature: 0 is a straight road, 1 one that winds clearly.
        cars: moving cars within 140 m.
        parked_cars: parked cars within 140 m.
        pedestrians: people on the pavements within 140 m.
        crossing: people who cross the road within 140 m.
        cyclists: cyclists within 140 m.
        cones: traffic cones within 140 m.
        guardrail: whether a guardrail stands on the left.
        noise: scale of the sensor noise, 1 is usual.
        wet: 0 is a dry road, 1 one that mirrors every light.

    Raises:
        ConfigError: a value is out of range.

    """

    width: int = 640
    height: int = 480
    seed: int = 0
    daylight: float = 0.0
    lamp_power: float = 1.0
    haze: float = 0.1
    ambient_k: float = 284.0
    speed_mps: float = 8.0
    curvature: float = 0.5
    cars: int = 4
    parked_cars: int = 5
    pedestrians: int = 9
    crossing: int = 3
    cyclists: int = 3
    cones: int = 6
    guardrail: bool = True
    noise: float = 1.0
    wet: float = 0.3

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f'{name} is {value!r}, expected {low:g} to {high:g}')
        if self.seed < 0:
            raise ConfigError(f'seed is {self.seed!r}, expected 0 or more')


def random_scene(seed: int, width: int = 640, height: int = 480) -> SceneConfig:
    """
    Draw a scene: dark night to noon, empty road to busy street, cold to hot.

    Args:
        seed: equal seeds give equal scenes.
        width: image width, px.
        height: image height, px.

    Returns:
        A configuration; three of five are at night.

    """
    rng = np.random.default_rng([seed, 0x5CE7E])
    night = rng.random() < 0.6
    daylight = float(rng.uniform(0, 0.06) if night else rng.uniform(0.25, 1.0))
    return SceneConfig(
        width=width,
        height=height,
        seed=seed,
        daylight=daylight,
        lamp_power=float(rng.choice([0.0, 0.5, 1.0, 1.6], p=[0.2, 0.2, 0.4, 0.2])),
        haze=float(rng.beta(1.2, 5)),
        ambient_k=float(rng.uniform(272, 292) + 12 * daylight),
        speed_mps=float(rng.uniform(3, 14)),
        curvature=float(rng.random()),
        cars=int(rng.integers(1, 8)),
        parked_cars=int(rng.integers(0, 11)),
        pedestrians=int(rng.integers(2, 20)),
        crossing=int(rng.integers(0, 6)),
        cyclists=int(rng.integers(0, 6)),
        cones=int(rng.integers(0, 10)),
        guardrail=bool(rng.random() < 0.5),
        noise=float(rng.uniform(0.5, 1.8)),
        wet=float(max(0.0, rng.uniform(-1.0, 1.0))),
    )


CLASS_IDS = {
    'unlabelled': 0,
    'car': 1,
    'person': 2,
    'bike': 3,
    'curve': 4,
    'car_stop': 5,
    'guardrail': 6,
    'colour_cone': 7,
    'bump': 8,
}

"""Packages that not every installation has, and the extra of pip that brings each."""

from __future__ import annotations

from importlib.util import find_spec

from mafs_model.errors import DeviceError

# Package as it is imported -> extra of setup.py.
EXTRAS = {
    'torch': 'torch',
    'onnx': 'onnx',
    'onnxruntime': 'onnx',
    'openvino': 'openvino',
    'tensorrt': 'tensorrt',
    'nncf': 'quantise',
    'av': 'demo',
    'PIL': 'demo',
    'rosbags': 'demo',
    'lz4': 'demo',
    'mcap': 'demo',
    'jsonargparse': 'train',
    'kornia': 'train',
    'lightning': 'train',
    'tensorboard': 'train',
    'torchmetrics': 'train',
    'flyr': 'radiometric',
    'distributed': 'cluster',
}


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def how_to_install(module: str) -> str:
    """Return the end of an error message: that a package is missing, and what brings it."""
    package = module.partition('.')[0]
    extra = EXTRAS.get(package)
    advice = f', install mafs_ros[{extra}]' if extra else ''
    return f"package '{package}' is not installed{advice}"


def missing(what: str, package: str) -> DeviceError:
    """
    Return the error that something cannot be done without a package.

    Args:
        what: how the message begins, such as ``backend 'torch'``.
        package: as it is imported.

    """
    return DeviceError(f'{what}: {how_to_install(package)}')


def require(what: str, package: str) -> None:
    """Raise DeviceError, see :func:`missing`, where a package is not installed."""
    if not is_installed(package):
        raise missing(what, package)

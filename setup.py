"""Installation with pip: the Python packages, their data and their console scripts."""

from __future__ import annotations

from pathlib import Path
import re

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGES = ('mafs_ros', 'mafs_model', 'mafs_training', 'mafs_demo', 'mafs_synthetic')
DATA = ['py.typed', '**/*.yaml', '**/*.json', 'data/weights/*']


def read_version() -> str:
    """Return the version that mafs_model/version.py states."""
    text = (ROOT / 'mafs_model' / 'version.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE)
    if match is None:
        raise RuntimeError('mafs_model/version.py: no line __version__ = ... found')
    return match.group(1)


# Lower bounds are the oldest versions the code uses the interface of; requirements/ holds the
# exact versions that the tests ran with.
CORE = [
    'av>=12.0',
    'lz4>=4.0',
    'numpy>=1.23',
    'opencv-python-headless>=4.5',  # see requirements/core.txt for headless or not
    'pillow>=9.0',
    'pyyaml>=5.4',
    'rosbags>=0.10',
    'safetensors>=0.4',
    'torch>=2.1',
    'tqdm>=4.57',
]
TRAIN = [
    'jsonargparse[signatures]>=4.30',
    'kornia>=0.7',
    'lightning>=2.2',
    'tensorboard>=2.12',
    'torchmetrics>=1.2',
]
ONNX = [
    'nncf>=2.13',
    'onnx>=1.15',
    'onnxruntime>=1.17',
    'protobuf>=4.0',
]
OPENVINO = [
    'openvino>=2024.0',
]
TENSORRT = [
    'tensorrt>=10.0',  # not in requirements/: it must match the driver and CUDA of the machine
]
COMPLETION = [
    'argcomplete>=3.0',  # comes with colcon where ROS is
]
DEV = [
    'hypothesis>=6.80',
    'mypy>=1.8',
    'pre-commit>=3.5',
    'pytest>=7.4,<8.4',  # pytest 9 breaks with the plugin of launch_testing
    'pytest-timeout>=2.1',
    'ruff>=0.6',
]

setup(
    name='mafs_ros',
    version=read_version(),
    description='Real-time fusion of thermal and visible images with semantic labels for ROS 2',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8')
    if (ROOT / 'README.md').is_file()
    else '',
    long_description_content_type='text/markdown',
    author='The mafs_ros authors',
    maintainer='The mafs_ros authors',
    maintainer_email='maintainers@mafs-ros.example.org',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[f'{name}{tail}' for name in PACKAGES for tail in ('', '.*')]),
    package_data=dict.fromkeys(PACKAGES, DATA),
    install_requires=CORE,
    extras_require={
        'train': TRAIN,
        'onnx': ONNX,
        'openvino': OPENVINO,
        'tensorrt': TENSORRT,
        'completion': COMPLETION,
        'dev': DEV,
    },
    entry_points={
        'console_scripts': [
            'mafs = mafs_model.cli:main',
            'mafs-train = mafs_training.cli:main_train',
            'mafs-data = mafs_training.cli:main_data',
            'mafs-eval = mafs_training.evaluation.cli:main',
        ],
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
)

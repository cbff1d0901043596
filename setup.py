"""Installation with pip: the Python packages, their data and their console scripts."""

from __future__ import annotations

from pathlib import Path
import re

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGES = (
    'mafs_ros',
    'mafs_model',
    'mafs_training',
    'mafs_calibration',
    'mafs_demo',
    'mafs_synthetic',
)
EXTRAS = ('torch', 'openvino', 'demo', 'onnx', 'train', 'quantise', 'dev')
DATA = ['py.typed', '**/*.yaml', '**/*.json', '**/*.html', 'data/weights/*']


def read_version() -> str:
    """Return the version that mafs_model/version.py states."""
    text = (ROOT / 'mafs_model' / 'version.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE)
    if match is None:
        raise RuntimeError('mafs_model/version.py: no line __version__ = ... found')
    return match.group(1)


def requirements(*stages: str) -> list[str]:
    """Return what files in requirements/ ask for: the one place of names and ranges."""
    lines = [
        line.partition('#')[0].strip()
        for stage in stages
        for line in (ROOT / 'requirements' / f'{stage}.txt').read_text('utf-8').splitlines()
    ]
    return [line for line in lines if line]


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
    # Inference with the graphs beside the weights; PyTorch is most of a gigabyte, or of five.
    install_requires=requirements('core', 'openvino'),
    extras_require={
        **{name: requirements(name) for name in EXTRAS},
        # What makes graphs, and what they are trained and calibrated with, is torch.
        **{name: requirements(name, 'torch') for name in ('train', 'quantise')},
        # Not locked: it must match the driver and CUDA of the machine. Torch holds its memory.
        'tensorrt': ['tensorrt>=10.0', *requirements('torch')],
        # Reads radiometric JPEG of FLIR; a licence of its own (EUPL), so only where asked for.
        'radiometric': ['flyr>=5.0'],
        # Not locked: it must be the version of the scheduler and its workers.
        'cluster': ['distributed>=2024.1'],
        # Comes with colcon where ROS is.
        'completion': ['argcomplete>=3.0'],
    },
    entry_points={
        'console_scripts': [
            'mafs = mafs_model.cli:main',
            'mafs-train = mafs_training.cli:main_train',
            'mafs-data = mafs_training.cli:main_data',
            'mafs-eval = mafs_training.evaluation.cli:main',
            'mafs-calibrate = mafs_calibration.cli:main',
        ],
    },
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
)

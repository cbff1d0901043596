"""
Play the bag of the demo through the fusion node, over and over, and show the result in RViz.

    make demo    # once: makes out/demo/bag
    ros2 launch mafs_ros demo.launch.py
"""

import os
from pathlib import Path
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare
from mafs_ros import launching

SHARE = FindPackageShare('mafs_ros')
ARGUMENTS = {
    'bag': ('', 'bag to play; empty: the one that make demo makes'),
    'rate': ('1.0', 'speed of the replay'),
    'loop': ('true', 'start over at the end of the bag'),
    'rviz': ('auto', 'show the images in RViz: true, false, or auto: where it is installed'),
    'namespace': ('', 'namespace of the node'),
    'params_file': (
        PathJoinSubstitution([SHARE, 'config', 'mafs_fusion.yaml']),
        'parameters of the node',
    ),
    'log_level': ('info', ', '.join(launching.LOG_LEVELS)),
}


def start(context):
    """Return the replay of the demo's bag, once it is known to be there."""
    launching.check_names(
        launching.given_names([*sys.argv, *(context.argv or ())], Path(__file__).name), ARGUMENTS
    )
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if not values['bag']:
        values['bag'] = str(launching.demo_bag([Path.cwd(), os.environ.get('MAFS_ENV', '')]))
    replay = PathJoinSubstitution([SHARE, 'launch', 'replay.launch.py'])
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(replay), launch_arguments=values.items()
        )
    ]


def generate_launch_description():
    """Return the arguments, and what they are checked by before anything starts."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])

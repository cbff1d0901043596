"""
Start the fusion node for the topics of a RealSense and a FLIR camera: an example to copy.

The drivers are started apart, with the profile of docs/ros.md for large images:

    ros2 launch realsense2_camera rs_launch.py align_depth.enable:=true
    ros2 launch spinnaker_camera_driver driver_node.launch.py camera_type:=... serial:="'...'"
    ros2 launch mafs_ros realsense_flir.launch.py
"""

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
    # What realsense2_camera calls them with its default camera_name and camera_namespace.
    'rgb_topic': ('/camera/camera/color/image_raw', 'visible images of the RealSense'),
    'rgb_info_topic': ('/camera/camera/color/camera_info', 'calibration of the RealSense'),
    'depth_topic': (  # with align_depth.enable:=true
        '/camera/camera/aligned_depth_to_color/image_raw',
        'depth in the pixels of the visible images, for points',
    ),
    # What spinnaker_camera_driver calls them with its default camera_name.
    'thermal_topic': ('/flir_camera/image_raw', 'images of the FLIR camera'),
    'namespace': ('', 'namespace of the node'),
    'params_file': (
        PathJoinSubstitution([SHARE, 'config', 'mafs_fusion.yaml']),
        'parameters of the node; a copy with calibration_file of your rig',
    ),
    'autostart': ('true', 'configure and activate the node, once'),
    'log_level': ('info', ', '.join(launching.LOG_LEVELS)),
}


def start(context):
    """Return the node with the topics of the drivers."""
    launching.check_names(
        launching.given_names([*sys.argv, *(context.argv or ())], Path(__file__).name), ARGUMENTS
    )
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    fusion = PathJoinSubstitution([SHARE, 'launch', 'fusion.launch.py'])
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(fusion), launch_arguments=values.items()
        )
    ]


def generate_launch_description():
    """Return the arguments, and what they are checked by before anything starts."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])

"""
Start the fusion node, and take it to its active state unless `autostart:=false`.

    ros2 launch mafs_ros fusion.launch.py rgb_topic:=/camera/image_raw thermal_topic:=/ir/image_raw
"""

from pathlib import Path
import sys

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, OpaqueFunction
from launch.events import Shutdown
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare
from mafs_ros import launching

ARGUMENTS = {
    'namespace': ('', 'namespace of the node'),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('mafs_ros'), 'config', 'mafs_fusion.yaml']),
        'parameters of the node',
    ),
    'rgb_topic': ('rgb/image_raw', 'visible images, without the suffix of the transport'),
    'rgb_info_topic': ('rgb/camera_info', 'calibration of the visible camera'),
    'thermal_topic': ('thermal/image_raw', 'thermal images, without the suffix of the transport'),
    'depth_topic': ('depth_registered/image_rect', 'depth of the visible camera, for points'),
    'rgb_transport': ('', 'raw or compressed; empty: as params_file says'),
    'thermal_transport': ('', 'raw or compressed; empty: as params_file says'),
    'autostart': ('true', 'configure and activate the node, once'),
    'use_sim_time': ('false', 'take the time from /clock'),
    'log_level': ('info', ', '.join(launching.LOG_LEVELS)),
}


def environment():
    """Return variables that make image transport fast; what the user has set stays."""
    profile = PathJoinSubstitution([FindPackageShare('mafs_ros'), 'config', 'fastdds_shm.xml'])
    values = {
        # Keep freed image buffers instead of returning their pages to the system every time.
        'MALLOC_MMAP_THRESHOLD_': '67108864',
        'MALLOC_TRIM_THRESHOLD_': '134217728',
        # A shared-memory segment that holds images; the second spelling is that of Fast DDS 3.
        'FASTRTPS_DEFAULT_PROFILES_FILE': profile,
        'FASTDDS_DEFAULT_PROFILES_FILE': profile,
    }
    return {name: EnvironmentVariable(name, default_value=value) for name, value in values.items()}


def ended(event, context):
    """End the launch with the node; a node that failed is a launch that failed."""
    if context.is_shutdown:
        return []
    if event.returncode:
        raise RuntimeError(f'{launching.NODE} ended with code {event.returncode}')
    return [EmitEvent(event=Shutdown(reason=f'{launching.NODE} ended'))]


def start(context):
    """Return the node, once all arguments are what they should be."""
    launching.check_names(
        launching.given_names([*sys.argv, *(context.argv or ())], Path(__file__).name), ARGUMENTS
    )
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    topics = {name: value for name, value in values.items() if name.endswith('_topic')}
    launching.check_topics(topics, values['namespace'])
    launching.check_parameters(Path(values['params_file']), values['namespace'])
    parameters = {
        name: launching.check_switch(name, values[name]) for name in ('autostart', 'use_sim_time')
    }
    for camera in ('rgb', 'thermal'):
        if values[f'{camera}_transport']:
            parameters[f'{camera}.transport'] = launching.check_choice(
                f'{camera}_transport', values[f'{camera}_transport'], launching.TRANSPORTS
            )
    level = launching.check_choice('log_level', values['log_level'], launching.LOG_LEVELS)
    return [
        LifecycleNode(
            package='mafs_ros',
            executable='fusion_node',
            name=launching.NODE,
            namespace=values['namespace'],
            output='screen',
            parameters=[values['params_file'], parameters],
            remappings=[
                ('rgb/image_raw', values['rgb_topic']),
                ('rgb/camera_info', values['rgb_info_topic']),
                ('thermal/image_raw', values['thermal_topic']),
                ('depth_registered/image_rect', values['depth_topic']),
            ],
            arguments=['--ros-args', '--log-level', level],
            additional_env=environment(),
            on_exit=ended,
        )
    ]


def generate_launch_description():
    """Return the arguments, and what they are checked by before the node starts."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])

"""
Play the cameras of a bag through the fusion node, and show the result in RViz.

    ros2 launch mafs_ros replay.launch.py bag:=/path/to/bag
"""

from pathlib import Path
import sys

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
)
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import launch_config
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
from mafs_ros import launching

SHARE = FindPackageShare('mafs_ros')
ARGUMENTS = {
    'bag': (None, 'bag to play (folder or MCAP file)'),
    'rate': ('1.0', 'speed of the replay'),
    'loop': ('false', 'start over at the end of the bag'),
    'keep': ('false', 'let node and RViz run on after the bag'),
    'rviz': ('auto', 'show the images in RViz: true, false, or auto: where it is installed'),
    'namespace': ('', 'namespace of the node'),
    'rgb_topic': ('', 'visible images in the bag; empty: told by their name'),
    'rgb_info_topic': ('', 'calibration in the bag; empty: the one beside the visible images'),
    'thermal_topic': ('', 'thermal images in the bag; empty: told by their name'),
    'params_file': (
        PathJoinSubstitution([SHARE, 'config', 'mafs_fusion.yaml']),
        'parameters of the node',
    ),
    'log_level': ('info', ', '.join(launching.LOG_LEVELS)),
}


def player(bag, plan, rate, namespace, loop, keep):
    """Return the player; it is the publisher, so it needs the profile for large images."""
    profile = PathJoinSubstitution([SHARE, 'config', 'fastdds_shm.xml'])

    def ended(event, context):
        if context.is_shutdown:
            return []
        if event.returncode:
            raise RuntimeError(f'the player ended with code {event.returncode}')
        return [] if keep else [EmitEvent(event=Shutdown(reason='the bag has ended'))]

    return Node(
        package='mafs_ros',
        executable='play_bag',
        name='play_bag',
        namespace=namespace,
        output='screen',
        arguments=[
            '--node',
            launching.absolute(launching.NODE, namespace),
            '--rate',
            f'{rate:g}',
            *(['--loop'] if loop else []),
            bag,
            *plan.topics,
        ],
        additional_env={
            name: EnvironmentVariable(name, default_value=profile)
            for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
        },
        on_exit=ended,
    )


def rviz(wanted, plan, namespace):
    """Return RViz with a layout for these topics, or what is said where it is missing."""
    wanted = launching.check_choice('rviz', wanted, ('true', 'false', 'auto'))
    if wanted == 'false':
        return []
    try:
        get_package_share_directory('rviz2')
    except PackageNotFoundError:
        if wanted == 'true':
            raise RuntimeError('rviz: rviz2 is not installed, expected false or auto') from None
        return [LogInfo(msg='rviz2 is not installed: nothing is shown')]
    template = Path(get_package_share_directory('mafs_ros'), 'config', 'mafs.rviz')
    layout = Path(launch_config.log_dir, 'mafs.rviz')
    layout.write_text(
        launching.relocate_layout(
            template.read_text(encoding='utf-8'),
            namespace,
            {'rgb': plan.rgb_topic, 'thermal': plan.thermal_topic},
            {'rgb': plan.rgb_transport, 'thermal': plan.thermal_transport},
        ),
        encoding='utf-8',
    )
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            name='rviz',
            output='screen',
            arguments=['-d', str(layout)],
            parameters=[{'use_sim_time': True}],
        )
    ]


def start(context):
    """Return node, player and RViz, once the bag and all arguments are known to be good."""
    launching.check_names(
        launching.given_names([*sys.argv, *(context.argv or ())], Path(__file__).name), ARGUMENTS
    )
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    rate = launching.check_rate(values['rate'])
    loop, keep = (launching.check_switch(name, values[name]) for name in ('loop', 'keep'))
    plan = launching.plan_replay(
        Path(values['bag']), values['rgb_topic'], values['thermal_topic'], values['rgb_info_topic']
    )
    handed_over = {
        'rgb_topic': plan.rgb_topic,
        'rgb_info_topic': plan.rgb_info_topic,
        'thermal_topic': plan.thermal_topic,
        'rgb_transport': plan.rgb_transport,
        'thermal_transport': plan.thermal_transport,
        'use_sim_time': 'true',
        'autostart': 'true',
        **{name: values[name] for name in ('namespace', 'params_file', 'log_level')},
    }
    fusion = PathJoinSubstitution([SHARE, 'launch', 'fusion.launch.py'])
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(fusion), launch_arguments=handed_over.items()
        ),
        player(values['bag'], plan, rate, values['namespace'], loop, keep),
        *rviz(values['rviz'], plan, values['namespace']),
    ]


def generate_launch_description():
    """Return the arguments, and what they are checked by before anything starts."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])

"""
Play a bag through the fusion node and show the result in RViz.

    ros2 launch mafs_ros replay.launch.py bag:=/path/to/bag rgb_topic:=/rgb thermal_topic:=/ir
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('mafs_ros')
ARGUMENTS = {
    'bag': (None, 'bag to play (folder or MCAP file)'),
    'rate': ('1.0', 'speed of the replay'),
    'loop': ('false', 'start over at the end of the bag'),
    'rviz': ('true', 'show the images in RViz'),
    'rgb_topic': ('/rgb/image_raw', 'visible images in the bag'),
    'rgb_info_topic': ('/rgb/camera_info', 'calibration of the visible camera in the bag'),
    'thermal_topic': ('/thermal/image_raw', 'thermal images in the bag'),
    'params_file': (
        PathJoinSubstitution([SHARE, 'config', 'mafs_fusion.yaml']),
        'parameters of the node',
    ),
}


def play(condition, *options):
    """Return the player; it is the publisher, so it needs the profile for large images."""
    profile = PathJoinSubstitution([SHARE, 'config', 'fastdds_shm.xml'])
    return ExecuteProcess(
        cmd=[
            'ros2',
            'bag',
            'play',
            LaunchConfiguration('bag'),
            '--clock',
            '100',
            '--rate',
            LaunchConfiguration('rate'),
            *options,
        ],
        additional_env={
            name: EnvironmentVariable(name, default_value=profile)
            for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
        },
        output='screen',
        condition=condition,
    )


def generate_launch_description():
    """Return bag player, node and RViz."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    fusion = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, 'launch', 'fusion.launch.py'])),
        launch_arguments={
            'use_sim_time': 'true',
            **{
                name: LaunchConfiguration(name)
                for name in ('rgb_topic', 'rgb_info_topic', 'thermal_topic', 'params_file')
            },
        }.items(),
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        name='rviz',
        output='screen',
        arguments=['-d', PathJoinSubstitution([SHARE, 'config', 'mafs.rviz'])],
        parameters=[{'use_sim_time': True}],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    loop = LaunchConfiguration('loop')
    return LaunchDescription(
        [*arguments, fusion, rviz, play(IfCondition(loop), '--loop'), play(UnlessCondition(loop))]
    )

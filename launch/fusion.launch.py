"""
Start the fusion node, and take it to its active state unless `autostart:=false`.

    ros2 launch mafs_ros fusion.launch.py rgb_topic:=/camera/image_raw thermal_topic:=/ir/image_raw
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, RegisterEventHandler
from launch.conditions import IfCondition
from launch.events import matches_action
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

ARGUMENTS = {
    'namespace': ('', 'namespace of the node'),
    'params_file': (
        PathJoinSubstitution([FindPackageShare('mafs_ros'), 'config', 'mafs_fusion.yaml']),
        'parameters of the node',
    ),
    'rgb_topic': ('rgb/image_raw', 'visible images, without the suffix of the transport'),
    'rgb_info_topic': ('rgb/camera_info', 'calibration of the visible camera'),
    'thermal_topic': ('thermal/image_raw', 'thermal images, without the suffix of the transport'),
    'autostart': ('true', 'configure and activate the node'),
    'use_sim_time': ('false', 'take the time from /clock'),
    'log_level': ('info', 'debug, info, warn or error'),
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


def change_state(node, transition_id, **options):
    """Return the action that asks the node for a transition."""
    return EmitEvent(
        event=ChangeState(
            lifecycle_node_matcher=matches_action(node), transition_id=transition_id
        ),
        **options,
    )


def generate_launch_description():
    """Return the node with its arguments and transitions."""
    node = LifecycleNode(
        package='mafs_ros',
        executable='fusion_node',
        name='mafs_fusion',
        namespace=LaunchConfiguration('namespace'),
        output='screen',
        parameters=[
            LaunchConfiguration('params_file'),
            {'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)},
        ],
        remappings=[
            ('rgb/image_raw', LaunchConfiguration('rgb_topic')),
            ('rgb/camera_info', LaunchConfiguration('rgb_info_topic')),
            ('thermal/image_raw', LaunchConfiguration('thermal_topic')),
        ],
        arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
        additional_env=environment(),
    )
    autostart = IfCondition(LaunchConfiguration('autostart'))
    activate_once_configured = RegisterEventHandler(
        OnStateTransition(
            target_lifecycle_node=node,
            start_state='configuring',
            goal_state='inactive',
            entities=[change_state(node, Transition.TRANSITION_ACTIVATE)],
        ),
        condition=autostart,
    )
    configure = change_state(node, Transition.TRANSITION_CONFIGURE, condition=autostart)
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, activate_once_configured, node, configure])

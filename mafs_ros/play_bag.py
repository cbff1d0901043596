"""Playing the inputs of a bag, from the moment on at which the node listens."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import os
import sys
import time

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

# Weights are loaded and warmed up in seconds, on a slow board in a minute.
TIMEOUT_S = 120.0
_PERIOD_S = 0.2
# The node configures before it answers anybody: twice unconfigured is refused.
_ATTEMPTS = 5


def command(bag: str, topics: list[str], rate: float, loop: bool) -> list[str]:
    """Return the command line of the player: the inputs only, with a clock."""
    options = ['--clock', '100', '--rate', f'{rate:g}', *(['--loop'] if loop else [])]
    return ['ros2', 'bag', 'play', bag, *options, '--topics', *topics]


def wait_until_active(
    state_of: Callable[[], int | None],
    timeout_s: float = TIMEOUT_S,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """
    Wait for the node; return '' once it is active, else why it will not be.

    Args:
        state_of: returns the id of its lifecycle state, None while it does not answer.
        timeout_s: how long to wait.
        sleep: waits between two questions.

    """
    deadline_s = time.monotonic() + timeout_s
    unconfigured = 0
    while time.monotonic() < deadline_s:
        state = state_of()
        if state == State.PRIMARY_STATE_ACTIVE:
            return ''
        unconfigured = unconfigured + 1 if state == State.PRIMARY_STATE_UNCONFIGURED else 0
        if unconfigured >= _ATTEMPTS:
            return 'could not be configured, its own line says why'
        if state == State.PRIMARY_STATE_FINALIZED:
            return 'has been shut down'
        sleep(_PERIOD_S)
    return f'is not active after {timeout_s:g} s'


def main(args: list[str] | None = None) -> int:
    """Wait for the node, then become the player; return an exit code where that fails."""
    parser = argparse.ArgumentParser(prog='play_bag', description=__doc__)
    parser.add_argument('--node', required=True, help='name of the node, with its namespace')
    parser.add_argument('--rate', type=float, default=1.0, help='speed of the replay')
    parser.add_argument('--loop', action='store_true', help='start over at the end')
    parser.add_argument('bag', help='bag to play')
    parser.add_argument('topics', nargs='+', help='topics to play')
    options = parser.parse_args(remove_ros_args(sys.argv if args is None else args)[1:])
    rclpy.init(args=[])
    node = rclpy.create_node('play_bag')
    try:
        problem = wait_until_active(_state_reader(node, options.node))
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    if problem:
        print(f'{options.node} {problem}: nothing is played', file=sys.stderr)  # noqa: T201
        return 1
    words = command(options.bag, options.topics, options.rate, options.loop)
    try:
        os.execvp(words[0], words)
    except OSError as error:
        print(f'{words[0]} cannot be started: {error.strerror}', file=sys.stderr)  # noqa: T201
        return 1


def _state_reader(node: Node, name: str) -> Callable[[], int | None]:
    """Return the function that asks for the lifecycle state of the node of this name."""
    client = node.create_client(GetState, f'{name}/get_state')

    def state() -> int | None:
        if not client.service_is_ready():
            return None
        future = client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(node, future, timeout_sec=5.0)
        result = future.result() if future.done() else None
        return None if result is None else int(result.current_state.id)

    return state

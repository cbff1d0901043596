#!/usr/bin/env bash
# Runs a command with ROS and mafs_ros on its paths.
set -eo pipefail
# shellcheck source=/dev/null
source "/opt/ros/${ROS_DISTRO:?is set in the images of ROS}/setup.bash"
# shellcheck source=../scripts/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/env.sh"
exec "$@"

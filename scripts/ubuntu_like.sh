#!/usr/bin/env bash
# Tries the package as its first user meets it: a sourced ROS 2 Jazzy whose NumPy and OpenCV are
# those of a distribution, made of wheels in FOLDER/ros, and a fresh clone set up beside it.
#
#   scripts/ubuntu_like.sh FOLDER 24.04 [STEP...]     NumPy 1.26 and OpenCV 4.6, Python 3.12
#   scripts/ubuntu_like.sh FOLDER numpy2 [STEP...]    NumPy 2 and OpenCV 5, Python 3.12
#
# Steps, in this order if none is named: ros clone setup node demo test. Each ends with a line that
# says how long it took; the first that fails ends the script with its code.
# Settings: MAFS_PYTHON (a Python 3.12, or 3.11 where there is none).
set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STEPS=(ros clone setup node demo test)

die() {
    echo "ubuntu_like: $1" >&2
    exit 2
}

[[ $# -ge 2 ]] || die 'expected FOLDER and 24.04 or numpy2 (the head of this file explains)'
case $2 in
    24.04) numpy=1 MACHINE=(numpy==1.26.4 opencv-python-headless==4.6.0.66 pillow==10.2.0 pyyaml==6.0.1 tqdm==4.66.2) ;;
    numpy2) numpy=2 MACHINE=('numpy>=2' 'opencv-python-headless>=5' pillow pyyaml tqdm) ;;
    *) die "got '$2', expected 24.04 or numpy2" ;;
esac
mkdir -p "$1"
FOLDER=$(cd "$1" && pwd -P)
shift 2
for step in "$@"; do
    [[ " ${STEPS[*]} " == *" $step "* ]] || die "unknown step '$step', expected some of: ${STEPS[*]}"
done
(($#)) || set -- "${STEPS[@]}"
ROS=$FOLDER/ros
CLONE=$FOLDER/mafs_ros

make_ros() {
    # What `apt install ros-jazzy-ros-base python3-opencv` gives, as far as wheels have it.
    local python=${MAFS_PYTHON:-python3.12} version pin
    "$python" -m venv --clear "$ROS"
    version=$("$ROS/bin/python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')
    sed -nE 's/^([^ ]+)  #.* (colcon|ros)( .*)?$/\1/p' "$ROOT/requirements/locks/$version-numpy$numpy.txt" \
        | grep -vE '^numpy==' >"$FOLDER/ros.txt"
    "$ROS/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$FOLDER/ros.txt"
    "$ROS/bin/python" -m pip install --quiet --disable-pip-version-check "${MACHINE[@]}"
    # The OpenCV of a distribution is no package in pip's eyes.
    rm -rf "$ROS"/lib/python3.*/site-packages/opencv_python_headless-*.dist-info
    "$ROOT/scripts/relocate_ros.sh" "$ROS"
    cat >"$ROS/setup.bash" <<SETUP
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
export AMENT_PREFIX_PATH=$ROS CMAKE_PREFIX_PATH=$ROS RMW_IMPLEMENTATION=rmw_fastrtps_cpp
export PATH=$ROS/bin:\$PATH
export LD_LIBRARY_PATH=$ROS/lib:$(printf '%s:' "$ROS"/lib/python3.*/site-packages/ros_*.libs)
SETUP
    in_ros python -c 'import cv2, numpy, sys, rclpy
print("ubuntu_like: Python", sys.version.split()[0], "NumPy", numpy.__version__, "OpenCV", cv2.__version__)'
}

make_clone() {
    rm -rf "$CLONE"
    git clone --quiet "$ROOT" "$CLONE"
    # The tests of real data look for the folder beside the clone.
    [[ ! -e $ROOT/../shared ]] || ln -sfn "$(cd "$ROOT/../shared" && pwd -P)" "$FOLDER/shared"
}

in_ros() { (become_in_ros "$@"); }

become_in_ros() {
    # Becomes a command as in a new shell with ROS sourced.
    exec env -i HOME="$HOME" PATH=/usr/local/bin:/usr/bin:/bin $(env | grep -E '^(PIP_|SSL_|LANG=|OMP_)' | tr '\n' ' ') \
        bash -c ". '$ROS/setup.bash' && exec \"\$@\"" bash "$@"
}

run_node() {
    # Starts the node with the shipped weights, and ends it as Ctrl-C does once it is active.
    become_in_ros bash -c '. scripts/env.sh && exec install/mafs_ros/lib/mafs_ros/fusion_node --ros-args -p autostart:=true' \
        >"$FOLDER/node.log" 2>&1 &
    local node=$! waited=0 status=0
    until grep -q 'active: pairing' "$FOLDER/node.log"; do
        kill -0 $node && ((waited++ < 1200)) || { cat "$FOLDER/node.log"; kill $node; return 1; }
        sleep 0.5
    done
    kill -INT $node
    wait $node || status=$?
    cat "$FOLDER/node.log"
    return $status
}

for step in "$@"; do
    begun=$SECONDS
    case $step in
        ros) make_ros ;;
        clone) make_clone ;;
        setup) (cd "$CLONE" && in_ros make setup) ;;
        node) (cd "$CLONE" && run_node) ;;
        demo) (cd "$CLONE" && in_ros make demo) ;;
        test) (cd "$CLONE" && in_ros make test) ;;
    esac
    echo "ubuntu_like: $step done in $((SECONDS - begun)) s"
done

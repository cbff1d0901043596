#!/usr/bin/env bash
# The CMake files of the ROS wheels name the machine that built them; this points those of the
# virtual environment $1 at this one.
set -euo pipefail
venv=$1
include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
{ grep -rlIZ '/opt/python/cp' "$venv/share" "$venv/lib/cmake" 2>/dev/null || true; } | xargs -0 -r sed -i -E \
    -e "s#/opt/python/cp[0-9]+-cp[0-9]+/include/python3\.[0-9]+#$include#g" \
    -e "s#/opt/python/cp[0-9]+-cp[0-9]+/lib/python3\.[0-9]+/site-packages#$site#g" \
    -e "s#/opt/python/cp[0-9]+-cp[0-9]+#$venv#g"

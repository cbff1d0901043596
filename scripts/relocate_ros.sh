#!/usr/bin/env bash
# The CMake files of the ROS wheels name the machine that built them, and the place of NumPy 2's
# headers; this points those of the virtual environment $1 at what is here.
set -euo pipefail
venv=$1
value() { "$venv/bin/python" -c "$1"; }
include=$(value 'import sysconfig; print(sysconfig.get_path("include"))')
site=$(value 'import sysconfig; print(sysconfig.get_path("purelib"))')
numpy=$(value 'import numpy; print(numpy.get_include())')
{ grep -rlIZE '/opt/python/cp|numpy/(_core|core)/include' "$venv/share" "$venv/lib/cmake" 2>/dev/null || true; } \
    | xargs -0 -r sed -i -E \
        -e "s#/opt/python/cp[0-9]+-cp[0-9]+/include/python3\.[0-9]+#$include#g" \
        -e "s#/opt/python/cp[0-9]+-cp[0-9]+/lib/python3\.[0-9]+/site-packages#$site#g" \
        -e "s#/opt/python/cp[0-9]+-cp[0-9]+#$venv#g" \
        -e "s#$site/numpy/(_core|core)/include#$numpy#g"

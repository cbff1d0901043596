#!/usr/bin/env bash
# Renews constraints.txt: one resolution of everything for Python 3.10 to 3.13 on Linux.
# Needs uv (pip install uv).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
header='# Exact versions of everything bootstrap installs, for every supported Python. Written by lock.sh.'
# torch pins its own CUDA parts; OpenVINO works without the package that reports its use.
skip=(nvidia cuda triton openvino-telemetry)
uv pip compile --universal --python-version 3.10 --no-header --no-annotate --no-strip-extras \
    --constraint <(echo 'torch==2.13.0') "$@" torch.txt core.txt train.txt onnx.txt openvino.txt \
    dev.txt ros.txt \
    | grep -vE "^($(IFS='|'; echo "${skip[*]}"))|; sys_platform == 'win32'$" \
    | sed -E "s/ ; sys_platform (==|!=) '(linux|win32)'$//; s/\[[^]]*\]//" > constraints.tmp
{ echo "$header"; cat constraints.tmp; } > constraints.txt
rm constraints.tmp

#!/usr/bin/env bash
# The gpu preset compiles and links the device files, and recompiles nothing else. Ends in the cpu preset, as it began.
#   tests/launch/gpu_preset.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
launch/setup --gpu
back() { cmake --preset cpu > /dev/null; }
trap back EXIT
cmake --preset gpu > build/gpu-configure.log
cmake --build build --target device_link 2>&1 | tee build/gpu-build.log
grep -q 'CUDA object adamw' build/gpu-build.log || [ -f build/cuda/adamw.o ]
cmake --build build 2>&1 | tee -a build/gpu-build.log
others=$(grep -E 'Building (C|CXX) object' build/gpu-build.log | grep -vE 'nccl_communicator|device_link' || true)
[ -z "$others" ] || { echo "the gpu preset recompiled: $others"; exit 1; }
build/tests/bin/device_link
echo "gpu preset: device files compiled and linked, nothing else recompiled"

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
[ -f build/cuda/bf16_sum.o ]
cmake --build build 2>&1 | tee -a build/gpu-build.log
others=$(grep -E 'Building (C|CXX) object' build/gpu-build.log | grep -vE 'trireme_nccl.dir|device_link|nccl_gpu_test' || true)
[ -z "$others" ] || { echo "the gpu preset recompiled: $others"; exit 1; }
[ -f build/cuda/adamw.o ]
[ -x build/tests/bin/nccl_gpu_test ] # for machines with a GPU: ctest -L gpu
build/tests/bin/device_link
echo "gpu preset: device files compiled and linked, nothing else recompiled"

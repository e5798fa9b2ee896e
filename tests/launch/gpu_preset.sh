#!/usr/bin/env bash
# The gpu preset compiles and links the device files, and recompiles nothing else. Ends in the cpu preset, as it began.
#   tests/launch/gpu_preset.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
launch/setup --gpu
cmake --preset cpu > /dev/null
cmake --build build --target trireme trireme_test_support trireme_test_pch trireme_tiny_run write_tiny_run
back() { cmake --preset cpu > /dev/null; }
trap back EXIT
cmake --preset gpu > build/gpu-configure.log
rm -rf build/cuda build/tests/bin/device_link build/tests/bin/nccl_gpu_test
cmake --build build --target device_link nccl_gpu_test gpu_train_test trireme 2>&1 | tee build/gpu-build.log
others=$(grep -E 'Building (C|CXX) object' build/gpu-build.log | grep -vE 'trireme_nccl.dir|trireme_tensor_place.dir|device_link|nccl_gpu_test|gpu_train_test' || true)
[ -z "$others" ] || { echo "the gpu preset recompiled: $others"; exit 1; }
[ -f build/cuda/bf16_sum.o ] && [ -f build/cuda/fused.o ]
[ -x build/tests/bin/nccl_gpu_test ] && [ -x build/tests/bin/gpu_train_test ] # for machines with a GPU: ctest -L gpu
build/tests/bin/device_link
build/bin/trireme --version | grep 'GPU build'
# If there is no GPU, or the libraries that libtorch needs there are missing, a run is refused before it makes anything.
folder=$(mktemp -d)
if nvidia-smi > /dev/null 2>&1; then
  echo "a GPU is here: run ctest -L gpu"
else
  status=0
  text=$(build/bin/trireme train "$(build/tests/bin/write_tiny_run "$folder")" --set parallel.device=cuda 2>&1) || status=$?
  echo "$text"
  [ $status = 2 ] && grep -qE '^trireme: parallel.device: cuda: (no GPU is visible|libtorch.s CUDA code cannot be loaded)' <<< "$text"
  [ ! -e "$folder/run" ]
fi
rm -r "$folder"
echo "gpu preset: device files compiled and linked, nothing else recompiled"

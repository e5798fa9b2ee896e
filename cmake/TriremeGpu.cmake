# The device side: one archive that the CPU build does not have. Nothing here changes how any other file is compiled, so
# that switching between the presets `cpu` and `gpu` compiles device files and links, and no more.
set(TRIREME_CUDA_ARCHITECTURES "80;90;100" CACHE STRING "compute capabilities to compile kernels for")

# Lists the code that includes CUDA's or NCCL's headers, and what is built on it. Tests compile the same files against a stand-in.
set(TRIREME_DEVICE_SOURCES cluster/device.cpp cluster/copy_ahead.cpp cluster/copy_back.cpp cluster/nccl_communicator.cpp
  cluster/nccl_group.cpp cluster/nccl_watch.cpp cluster/nccl_world.cpp)

if(NOT TRIREME_GPU)
  trireme_library(nccl SOURCES ${CMAKE_SOURCE_DIR}/cluster/no_nccl.cpp ${CMAKE_SOURCE_DIR}/cluster/no_device.cpp
    ${CMAKE_SOURCE_DIR}/cluster/copy_ahead.cpp ${CMAKE_SOURCE_DIR}/cluster/copy_back.cpp LIBS trireme::cluster)
  trireme_library(tensor_place TORCH SOURCES ${CMAKE_SOURCE_DIR}/parallel/no_cuda_place.cpp LIBS trireme::cluster)
  trireme_library(device_kernels SOURCES ${CMAKE_SOURCE_DIR}/framework/kernels/cuda/no_fused.cpp)
  return()
endif()

# CUDA and NCCL of the site (CUDA_HOME, NCCL_HOME), or the wheels that launch/setup --gpu installs.
file(GLOB wheels "${TRIREME_VENV}/lib/python3*/site-packages/nvidia")
find_program(NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" "${wheels}/cu13/bin" REQUIRED)
find_path(CUDA_INCLUDE cuda_runtime.h HINTS "$ENV{CUDA_HOME}/include" "${wheels}/cu13/include" REQUIRED)
find_library(CUDART NAMES cudart libcudart.so.13 HINTS "$ENV{CUDA_HOME}/lib64" "${wheels}/cu13/lib" REQUIRED)
find_path(NCCL_INCLUDE nccl.h HINTS "$ENV{NCCL_HOME}/include" "${wheels}/nccl/include" REQUIRED)
find_library(NCCL NAMES nccl libnccl.so.2 HINTS "$ENV{NCCL_HOME}/lib" "${wheels}/nccl/lib" REQUIRED)

set(flags "")
foreach(arch IN LISTS TRIREME_CUDA_ARCHITECTURES)
  list(APPEND flags -gencode "arch=compute_${arch},code=sm_${arch}")
endforeach()
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/cuda")
# --threads 0: one architecture on each core. -fmad=false: the updates of the CPU fuse no multiply-adds either.
function(trireme_cuda_object result source)
  get_filename_component(name "${source}" NAME_WE)
  set(object "${CMAKE_BINARY_DIR}/cuda/${name}.o")
  add_custom_command(OUTPUT "${object}"
    COMMAND ${NVCC} --threads 0 -std=c++17 -O3 -fmad=false -Xcompiler=-fPIC ${flags} -I${CMAKE_SOURCE_DIR} -I${CUDA_INCLUDE} -MD -MF ${object}.d
            -c ${CMAKE_SOURCE_DIR}/${source} -o ${object}
    DEPENDS "${CMAKE_SOURCE_DIR}/${source}" DEPFILE "${object}.d" COMMENT "Building CUDA object ${name}.o" VERBATIM)
  set(${result} "${object}" PARENT_SCOPE)
endfunction()
trireme_cuda_object(bf16_sum cluster/bf16_sum.cu)
trireme_cuda_object(fused framework/kernels/cuda/fused.cu)

set(device_sources ${TRIREME_DEVICE_SOURCES})
list(TRANSFORM device_sources PREPEND "${CMAKE_SOURCE_DIR}/")
trireme_library(nccl SOURCES ${device_sources} ${bf16_sum} LIBS trireme::cluster)
target_include_directories(trireme_nccl SYSTEM PRIVATE "${CUDA_INCLUDE}" "${NCCL_INCLUDE}")
get_filename_component(nccl_folder "${NCCL}" DIRECTORY)
get_filename_component(cudart_folder "${CUDART}" DIRECTORY)
target_link_libraries(trireme_nccl PUBLIC "${NCCL}" "${CUDART}")
target_link_options(trireme_nccl PUBLIC "-Wl,-rpath,${nccl_folder}:${cudart_folder}")

# The streams of libtorch's CUDA tensors.
trireme_library(tensor_place TORCH SOURCES ${CMAKE_SOURCE_DIR}/parallel/cuda_place.cpp LIBS trireme::cluster)
target_include_directories(trireme_tensor_place SYSTEM PRIVATE "${CUDA_INCLUDE}")
target_link_libraries(trireme_tensor_place PUBLIC "${TRIREME_TORCH_ROOT}/lib/libc10_cuda.so" "${CUDART}" ${CMAKE_DL_LIBS})

add_library(trireme_device_kernels STATIC ${fused})
add_library(trireme::device_kernels ALIAS trireme_device_kernels)
set_target_properties(trireme_device_kernels PROPERTIES LINKER_LANGUAGE CXX)
target_link_libraries(trireme_device_kernels PUBLIC "${CUDART}")

# Links every device symbol we use into one program, and starts without a driver.
trireme_add_test_executable(device_link FALSE optimised ${CMAKE_SOURCE_DIR}/tests/cluster/device_link.cpp)
target_link_libraries(device_link PRIVATE trireme::nccl trireme::device_kernels)
add_test(NAME device_link COMMAND device_link)

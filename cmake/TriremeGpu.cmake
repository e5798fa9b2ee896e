# The device side: one archive that the CPU build does not have. Nothing here changes how any other file is compiled, so
# that switching between the presets `cpu` and `gpu` compiles device files and links, and no more.
set(TRIREME_CUDA_ARCHITECTURES "80;90" CACHE STRING "compute capabilities to compile kernels for")

if(NOT TRIREME_GPU)
  trireme_library(nccl SOURCES ${CMAKE_SOURCE_DIR}/cluster/no_nccl.cpp LIBS trireme::cluster)
  return()
endif()

# CUDA and NCCL of the site (CUDA_HOME, NCCL_HOME), or the wheels that launch/setup --gpu installs.
file(GLOB wheels "${TRIREME_VENV}/lib/python3*/site-packages/nvidia")
find_program(NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" "${wheels}/cu13/bin" REQUIRED)
find_path(CUDA_INCLUDE cuda_runtime.h HINTS "$ENV{CUDA_HOME}/include" "${wheels}/cu13/include" REQUIRED)
find_library(CUDART NAMES cudart libcudart.so.13 HINTS "$ENV{CUDA_HOME}/lib64" "${wheels}/cu13/lib" REQUIRED)
find_path(NCCL_INCLUDE nccl.h HINTS "$ENV{NCCL_HOME}/include" "${wheels}/nccl/include" REQUIRED)
find_library(NCCL NAMES nccl libnccl.so.2 HINTS "$ENV{NCCL_HOME}/lib" "${wheels}/nccl/lib" REQUIRED)

trireme_library(nccl SOURCES ${CMAKE_SOURCE_DIR}/cluster/nccl_communicator.cpp LIBS trireme::cluster)
target_include_directories(trireme_nccl SYSTEM PRIVATE "${CUDA_INCLUDE}" "${NCCL_INCLUDE}")
get_filename_component(nccl_folder "${NCCL}" DIRECTORY)
get_filename_component(cudart_folder "${CUDART}" DIRECTORY)
target_link_libraries(trireme_nccl PUBLIC "${NCCL}" "${CUDART}")
target_link_options(trireme_nccl PUBLIC "-Wl,-rpath,${nccl_folder}:${cudart_folder}")

set(flags "")
foreach(arch IN LISTS TRIREME_CUDA_ARCHITECTURES)
  list(APPEND flags -gencode "arch=compute_${arch},code=sm_${arch}")
endforeach()
set(objects "")
foreach(kernel adamw)
  set(source "${CMAKE_SOURCE_DIR}/framework/kernels/cuda/${kernel}.cu")
  set(object "${CMAKE_BINARY_DIR}/cuda/${kernel}.o")
  add_custom_command(OUTPUT "${object}"
    COMMAND ${NVCC} -std=c++17 -O3 -fmad=false -Xcompiler=-fPIC ${flags} -I${CMAKE_SOURCE_DIR} -I${CUDA_INCLUDE} -c ${source} -o ${object}
    DEPENDS "${source}" "${CMAKE_SOURCE_DIR}/framework/kernels/cuda/${kernel}.hpp" "${CMAKE_SOURCE_DIR}/framework/kernels/adamw.hpp"
    COMMENT "Building CUDA object ${kernel}.o" VERBATIM)
  list(APPEND objects "${object}")
endforeach()
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/cuda")
add_library(trireme_device STATIC ${objects})
set_target_properties(trireme_device PROPERTIES LINKER_LANGUAGE CXX)
target_link_libraries(trireme_device PUBLIC "${CUDART}")

# Links every device symbol we use into one program, and starts without a driver.
trireme_add_test_executable(device_link FALSE ${CMAKE_SOURCE_DIR}/tests/cluster/device_link.cpp)
target_link_libraries(device_link PRIVATE trireme::nccl trireme_device)
add_test(NAME device_link COMMAND device_link)

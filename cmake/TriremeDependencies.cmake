# Every library we stand on, as an imported target. Each one missing is named with the way to get it.
set(TRIREME_SETUP_HINT "run launch/setup, or load it as a module, or: spack env activate cluster/")
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
target_compile_definitions(MPI::MPI_C INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
set(HDF5_PREFER_PARALLEL ON)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(yaml-cpp REQUIRED)
find_package(Boost REQUIRED COMPONENTS program_options)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# Parallel HDF5 drags mpi.h into hdf5.h, so its users compile against MPI too.
add_library(trireme_hdf5 INTERFACE)
add_library(trireme::hdf5 ALIAS trireme_hdf5)
target_include_directories(trireme_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(trireme_hdf5 INTERFACE ${HDF5_C_LIBRARIES} MPI::MPI_C)
add_library(trireme_yaml INTERFACE)
add_library(trireme::yaml ALIAS trireme_yaml)
target_link_libraries(trireme_yaml INTERFACE ${YAML_CPP_LIBRARIES} yaml-cpp)

# libtorch out of the wheel in .venv; find_package(Torch) would insist on probing nvcc.
set(TRIREME_VENV "${CMAKE_SOURCE_DIR}/.venv" CACHE PATH "virtual environment that holds the torch wheel")
file(GLOB TRIREME_TORCH_ROOT "${TRIREME_VENV}/lib/python3*/site-packages/torch")
if(NOT EXISTS "${TRIREME_TORCH_ROOT}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "libtorch: no torch wheel in ${TRIREME_VENV}; ${TRIREME_SETUP_HINT}")
endif()
add_library(trireme_torch INTERFACE)
add_library(trireme::torch ALIAS trireme_torch)
# The wheel brings headers of an fmt of its own version and no library of it. They would hide the compiled fmt, and cost each
# source six seconds: a folder with nothing but that one's headers comes before them.
get_target_property(TRIREME_FMT_INCLUDES fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
find_path(TRIREME_FMT_INCLUDE fmt/format.h HINTS ${TRIREME_FMT_INCLUDES} REQUIRED)
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/fmt")
file(CREATE_LINK "${TRIREME_FMT_INCLUDE}/fmt" "${CMAKE_BINARY_DIR}/fmt/fmt" SYMBOLIC)
target_include_directories(trireme_torch SYSTEM INTERFACE "${CMAKE_BINARY_DIR}/fmt"
  "${TRIREME_TORCH_ROOT}/include" "${TRIREME_TORCH_ROOT}/include/torch/csrc/api/include")
target_link_libraries(trireme_torch INTERFACE
  "${TRIREME_TORCH_ROOT}/lib/libtorch_cpu.so" "${TRIREME_TORCH_ROOT}/lib/libc10.so")
target_link_options(trireme_torch INTERFACE "-Wl,-rpath,${TRIREME_TORCH_ROOT}/lib"
  "-Wl,--allow-shlib-undefined")
# trireme_precompiled(NAME header...): an object library whose precompiled header others take with REUSE_FROM.
function(trireme_precompiled name)
  set(source "${CMAKE_BINARY_DIR}/pch/${name}.cpp")
  if(NOT EXISTS "${source}") # written once: a new time would compile it again
    file(WRITE "${source}" "")
  endif()
  add_library(${name} OBJECT "${source}")
  target_link_libraries(${name} PRIVATE trireme::options)
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()
set(TRIREME_PLAIN_HEADERS <fmt/format.h> <nlohmann/json.hpp> <algorithm> <array> <chrono> <cmath> <filesystem> <fstream>
  <functional> <map> <random> <set> <sstream> <thread>)
trireme_precompiled(trireme_pch ${TRIREME_PLAIN_HEADERS})
# Each source instantiates what the inline functions of a precompiled header call, whether it uses them or not: seconds for
# headers of torch. Those of autograd, which few sources need, would double it.
trireme_precompiled(trireme_torch_pch <ATen/ATen.h> ${TRIREME_PLAIN_HEADERS})
target_link_libraries(trireme_pch PRIVATE nlohmann_json::nlohmann_json)
target_link_libraries(trireme_torch_pch PRIVATE trireme::torch nlohmann_json::nlohmann_json)

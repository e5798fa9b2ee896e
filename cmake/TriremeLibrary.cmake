# trireme_library(NAME [TORCH] SOURCES a.cpp ... LIBS x y): the static library of a folder, alias trireme::NAME.
#   Most of ours waits for files, other programs, kernels and libtorch: it is compiled with -O1, in two thirds of the time
#   (docs/decisions/0006-files-compiled-together.md has what was measured). A folder whose own loops take long sets
#   TRIREME_COMPUTES first. Of functions that both kinds instantiate from templates the linker keeps one.
# trireme_test(NAME [TORCH] [OPTIMISED] SOURCES ... LIBS ... [LABELS long] [TIMEOUT s]): a GoogleTest in one process.
# trireme_mpi_test(NAME RANKS 1 2 4 [TORCH] SOURCES ... LIBS ... [LABELS ..] [TIMEOUT s]): one ctest per rank count.
# TORCH puts the shared precompiled ATen header in front: a file that includes torch costs 18 s without it. Sources of a
# test share precompiled headers with GoogleTest in them and are not optimised, which halves their time and more. What they
# test has the flags of the product all the same, but for functions that both instantiate from templates, where the linker
# keeps the test's: OPTIMISED is for tests that compute for seconds in their own process.
include(GoogleTest)
set_property(GLOBAL PROPERTY TRIREME_TORCH_FILES 0)
# More ranks than cores: one thread each, and idle ranks and threads give their core away (of `attribute_test` the spinning
# of threads was a third of the processor time). mpirun is quiet, and waits no longer than by default before it kills,
# whatever launch/environment set: a test of what it does then sets its own time. Ranks of one machine need no fabric, for
# which Open MPI would search for 0.2 s at every start. Freed memory stays, as in a run (framework/parallelize): pages that
# the system has to clear again were half of the time of `nccl_standin_test`.
set(TRIREME_TEST_ENVIRONMENT "MALLOC_MMAP_THRESHOLD_=33554432;MALLOC_TRIM_THRESHOLD_=1073741824;OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive;OMPI_MCA_pml=ob1;OMPI_MCA_mpi_yield_when_idle=1;OMPI_MCA_rmaps_base_oversubscribe=1;OMPI_MCA_hwloc_base_binding_policy=none;OMPI_MCA_orte_execute_quiet=1;OMPI_MCA_odls_base_sigkill_timeout=1;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")

trireme_precompiled(trireme_test_pch <gtest/gtest.h> ${TRIREME_PLAIN_HEADERS})
trireme_precompiled(trireme_torch_test_pch <gtest/gtest.h> <ATen/ATen.h> ${TRIREME_PLAIN_HEADERS})
target_link_libraries(trireme_torch_test_pch PRIVATE trireme::torch)
foreach(pch trireme_test_pch trireme_torch_test_pch)
  target_link_libraries(${pch} PRIVATE GTest::gtest nlohmann_json::nlohmann_json)
  target_compile_options(${pch} PRIVATE -O0)
endforeach()

# Links what every target of ours needs. `kind` is `product`, `test` (not optimised) or `optimised` (a test that is).
function(trireme_target name torch kind)
  target_link_libraries(${name} PRIVATE trireme::options)
  if(kind STREQUAL "test")
    target_compile_options(${name} PRIVATE -O0)
  elseif(kind STREQUAL "product" AND NOT TRIREME_COMPUTES)
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  if(NOT torch)
    if(kind STREQUAL "test")
      target_precompile_headers(${name} REUSE_FROM trireme_test_pch)
    elseif(kind STREQUAL "product" AND CMAKE_UNITY_BUILD) # file by file, each says that it includes what it needs
      target_precompile_headers(${name} REUSE_FROM trireme_pch)
      if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
        # False alarms inside std::string, which come with the precompiled header alone.
        target_compile_options(${name} PRIVATE -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds)
      endif()
    endif()
  else()
    target_link_libraries(${name} PRIVATE trireme::torch) # who includes its headers says TORCH too
    if(kind STREQUAL "test")
      target_precompile_headers(${name} REUSE_FROM trireme_torch_test_pch)
    else()
      target_precompile_headers(${name} REUSE_FROM trireme_torch_pch)
    endif()
    get_target_property(sources ${name} SOURCES)
    list(LENGTH sources n)
    get_property(total GLOBAL PROPERTY TRIREME_TORCH_FILES)
    math(EXPR total "${total} + ${n}")
    set_property(GLOBAL PROPERTY TRIREME_TORCH_FILES ${total})
  endif()
endfunction()

function(trireme_library name)
  cmake_parse_arguments(A "TORCH" "" "SOURCES;LIBS" ${ARGN})
  add_library(trireme_${name} STATIC ${A_SOURCES})
  add_library(trireme::${name} ALIAS trireme_${name})
  target_include_directories(trireme_${name} PUBLIC "${CMAKE_SOURCE_DIR}")
  target_link_libraries(trireme_${name} PUBLIC ${A_LIBS})
  trireme_target(trireme_${name} "${A_TORCH}" product)
endfunction()

function(trireme_add_test_executable name torch kind)
  add_executable(${name} ${ARGN})
  trireme_target(${name} "${torch}" ${kind})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/bin")
endfunction()

function(trireme_test name)
  cmake_parse_arguments(A "TORCH;OPTIMISED" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  set(kind test)
  if(A_OPTIMISED)
    set(kind optimised)
  endif()
  trireme_add_test_executable(${name} "${A_TORCH}" ${kind} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LIBS} GTest::gtest_main)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 1200) # only what hangs takes as long, however slow the machine
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}" ENVIRONMENT "${TRIREME_TEST_ENVIRONMENT}")
endfunction()

function(trireme_mpi_test name)
  cmake_parse_arguments(A "TORCH" "TIMEOUT" "RANKS;SOURCES;LIBS;LABELS" ${ARGN})
  trireme_add_test_executable(${name} "${A_TORCH}" test ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LIBS} trireme::test_support)
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 1200)
  endif()
  foreach(n IN LISTS A_RANKS)
    add_test(NAME ${name}.${n} COMMAND ${MPIEXEC_EXECUTABLE} -n ${n} --oversubscribe $<TARGET_FILE:${name}>)
    set(places 1)
    if(n GREATER 2) # fill two cores; two ranks ask for one place, since ctest leaves what asks for two until all else is done
      set(places 2)
    endif()
    set_tests_properties(${name}.${n} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}" PROCESSORS ${places}
      ENVIRONMENT "${TRIREME_TEST_ENVIRONMENT}")
  endforeach()
endfunction()

# Tests of `name` that begin with Long are no part of it and make NAME_long_test, which only launch/check --long runs.
function(trireme_long_part name)
  set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "GTEST_FILTER=-*.Long*")
  string(REGEX REPLACE "_test$" "_long_test" long ${name})
  add_test(NAME ${long} COMMAND ${name} --gtest_filter=*.Long*)
  set_tests_properties(${long} PROPERTIES LABELS long TIMEOUT 3600 ENVIRONMENT "${TRIREME_TEST_ENVIRONMENT}")
endfunction()

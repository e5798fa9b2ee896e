# trireme::options carries the language level, warnings and sanitizers of our own code, and of nothing else.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(TRIREME_SANITIZE "" CACHE STRING "comma-separated sanitizers for every target")
find_program(CCACHE ccache)
if(CCACHE)
  # Precompiled headers hash equal across checkouts only with these (ccache manual, "Precompiled headers").
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

add_library(trireme_options INTERFACE)
add_library(trireme::options ALIAS trireme_options)
target_include_directories(trireme_options INTERFACE "${CMAKE_SOURCE_DIR}")
# Compiled: as a library of headers it takes a third of the time of a source.
target_link_libraries(trireme_options INTERFACE fmt::fmt)
target_compile_options(trireme_options INTERFACE -fPIC -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-qual -Wdouble-promotion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(trireme_options INTERFACE -Wno-restrict) # false alarms on "text" + std::string (GCC bug 105651)
endif()
if(CMAKE_UNITY_BUILD)
  # Files compiled together see each other's names, of which GCC warns; a build file by file has these warnings.
  target_compile_options(trireme_options INTERFACE -Wno-shadow -Wno-subobject-linkage)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC looks for garbage whenever it has 128 MB, and walks through the half gigabyte of a precompiled header each time.
  target_compile_options(trireme_options INTERFACE --param=ggc-min-heapsize=1000000)
endif()
# Gold links a program with libtorch in a third of the time of the linker that compilers take by default. Whoever named a
# linker has that one.
include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=gold TRIREME_HAS_GOLD)
if(TRIREME_HAS_GOLD AND NOT "${CMAKE_EXE_LINKER_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fuse-ld=")
  target_link_options(trireme_options INTERFACE -fuse-ld=gold)
endif()
if(TRIREME_WERROR)
  target_compile_options(trireme_options INTERFACE -Werror)
endif()
if(TRIREME_SANITIZE)
  target_compile_options(trireme_options INTERFACE -fsanitize=${TRIREME_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(trireme_options INTERFACE -fsanitize=${TRIREME_SANITIZE})
endif()

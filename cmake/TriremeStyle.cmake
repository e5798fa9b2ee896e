# Checks of the sources themselves, as tests.

# Includes go one way only.
add_test(NAME layers COMMAND "${TRIREME_VENV}/bin/python3" "${CMAKE_SOURCE_DIR}/cmake/check_layers.py" "${CMAKE_SOURCE_DIR}")

# Functions, files and lines have budgets.
add_test(NAME budgets COMMAND "${TRIREME_VENV}/bin/python3" "${CMAKE_SOURCE_DIR}/cmake/check_budgets.py" "${CMAKE_SOURCE_DIR}")

# .clang-format is the law of layout.
find_program(CLANG_FORMAT clang-format)
if(CLANG_FORMAT)
  add_test(NAME clang-format
    COMMAND bash -c "git ls-files '*.cpp' '*.hpp' | xargs ${CLANG_FORMAT} --dry-run -Werror" WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
endif()

# Every header compiles alone. Where the source of the same name includes it first, compiling that source shows it; each
# other header gets a file that includes nothing else. Headers with torch in them share the precompiled one, or this would
# cost 18 s each; the others do without it, since it takes longer to load than they take to compile.
function(trireme_filter_first_included out)
  set(rest "")
  foreach(header IN LISTS ARGN)
    string(REGEX REPLACE "\\.hpp$" ".cpp" source "${header}")
    set(first "")
    if(EXISTS "${CMAKE_SOURCE_DIR}/${source}")
      file(STRINGS "${CMAKE_SOURCE_DIR}/${source}" first REGEX "^#include" LIMIT_COUNT 1)
    endif()
    if(NOT first STREQUAL "#include \"${header}\"")
      list(APPEND rest "${header}")
    endif()
  endforeach()
  set(${out} ${rest} PARENT_SCOPE)
endfunction()

# Says whether a header, or one that it includes, includes torch.
function(trireme_includes_torch out header)
  get_property(known GLOBAL PROPERTY "TRIREME_INCLUDES_TORCH:${header}")
  if("${known}" STREQUAL "")
    set(known FALSE)
    set_property(GLOBAL PROPERTY "TRIREME_INCLUDES_TORCH:${header}" FALSE) # two that include each other
    file(STRINGS "${CMAKE_SOURCE_DIR}/${header}" includes REGEX "^#include")
    foreach(include IN LISTS includes)
      string(REGEX REPLACE "^#include [\"<]([^\">]+).*" "\\1" file "${include}")
      if(include MATCHES "<(ATen|c10|torch)/")
        set(known TRUE)
      elseif(NOT known AND EXISTS "${CMAKE_SOURCE_DIR}/${file}")
        trireme_includes_torch(known "${file}")
      endif()
    endforeach()
    set_property(GLOBAL PROPERTY "TRIREME_INCLUDES_TORCH:${header}" ${known})
  endif()
  set(${out} ${known} PARENT_SCOPE)
endfunction()

function(trireme_headers_alone name torch)
  set(sources "")
  trireme_filter_first_included(alone ${ARGN})
  foreach(header IN LISTS alone)
    string(MAKE_C_IDENTIFIER "${header}" id)
    set(source "${CMAKE_BINARY_DIR}/headers/${id}.cpp")
    set(text "#include \"${header}\"\n")
    set(old "")
    if(EXISTS "${source}")
      file(READ "${source}" old)
    endif()
    if(NOT old STREQUAL text)
      file(WRITE "${source}" "${text}")
    endif()
    list(APPEND sources "${source}")
  endforeach()
  add_library(${name} OBJECT ${sources})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF) # a header after another is not alone
  target_link_libraries(${name} PRIVATE trireme::options)
  if(torch)
    target_link_libraries(${name} PRIVATE trireme::torch)
    target_precompile_headers(${name} REUSE_FROM trireme_torch_pch)
  endif()
endfunction()

file(GLOB_RECURSE headers RELATIVE "${CMAKE_SOURCE_DIR}" CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/cluster/*.hpp" "${CMAKE_SOURCE_DIR}/data/*.hpp"
  "${CMAKE_SOURCE_DIR}/parallel/*.hpp" "${CMAKE_SOURCE_DIR}/framework/*.hpp" "${CMAKE_SOURCE_DIR}/launch/*.hpp")
list(FILTER headers EXCLUDE REGEX "nccl|cluster/cuda|kernels/cuda")
foreach(header IN LISTS headers)
  set(kind plain)
  if(header MATCHES "^launch/text/")
    set(kind text)
  elseif(header MATCHES "^(parallel|framework)/")
    trireme_includes_torch(torch "${header}")
    if(torch)
      set(kind torch)
    endif()
  endif()
  list(APPEND ${kind}_headers "${header}")
endforeach()
trireme_headers_alone(trireme_plain_headers FALSE ${plain_headers})
target_link_libraries(trireme_plain_headers PRIVATE trireme::cluster trireme::config trireme::data trireme::kernels)
trireme_headers_alone(trireme_text_headers FALSE ${text_headers})
target_link_libraries(trireme_text_headers PRIVATE trireme::text)
target_compile_options(trireme_text_headers PRIVATE -fvisibility=hidden) # as pybind11's own symbols are
trireme_headers_alone(trireme_torch_headers TRUE ${torch_headers})
target_link_libraries(trireme_torch_headers PRIVATE trireme::framework)

get_property(torch_files GLOBAL PROPERTY TRIREME_TORCH_FILES)
set(TRIREME_TORCH_BUDGET 140 CACHE STRING "files that may include torch: each takes 8 s with the precompiled header, 18 s without")
message(STATUS "files that include torch: ${torch_files} of a budget of ${TRIREME_TORCH_BUDGET}")
if(torch_files GREATER TRIREME_TORCH_BUDGET)
  message(FATAL_ERROR "too many files include torch: move what does not need it, or raise TRIREME_TORCH_BUDGET")
endif()

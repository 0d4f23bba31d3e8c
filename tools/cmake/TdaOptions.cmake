# Flags that every target of this tree gets: tda::options.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

set(TDA_SANITIZE "" CACHE STRING "address,undefined | thread | empty")
option(TDA_WERROR "Warnings are errors" OFF)
option(TDA_COVERAGE "Count lines" OFF)
option(TDA_FUZZERS "Link fuzz targets with libFuzzer (clang) instead of the replay main" OFF)

add_library(tda_options INTERFACE)
add_library(tda::options ALIAS tda_options)
target_compile_definitions(tda_options INTERFACE _GNU_SOURCE)
target_compile_options(tda_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -fno-strict-overflow
  -fno-delete-null-pointer-checks -fvisibility=hidden
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual>
  $<$<C_COMPILER_ID:Clang>:-Wno-gnu-zero-variadic-macro-arguments>
  $<$<BOOL:${TDA_WERROR}>:-Werror>)

# Not for Criterion files: its macros do not survive it.
add_library(tda_strict INTERFACE)
add_library(tda::strict ALIAS tda_strict)
target_link_libraries(tda_strict INTERFACE tda::options)
target_compile_options(tda_strict INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wconversion>)

if(TDA_SANITIZE)
  target_compile_options(tda_options INTERFACE -fsanitize=${TDA_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(tda_options INTERFACE -fsanitize=${TDA_SANITIZE})
  if(TDA_SANITIZE MATCHES "undefined")
    target_compile_options(tda_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
else()
  # What a compiler knows of these it gets; tests/package/test_hardening.py looks at what came of it.
  include(CheckCCompilerFlag)
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -ftrivial-auto-var-init=zero
               "-ffile-prefix-map=${CMAKE_SOURCE_DIR}=.")
    string(MAKE_C_IDENTIFIER "TDA_HAS${flag}" known)
    check_c_compiler_flag("${flag}" ${known})
    if(${known} AND CMAKE_BUILD_TYPE MATCHES "Rel")
      target_compile_options(tda_options INTERFACE "${flag}")
    endif()
  endforeach()
  if(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(tda_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  target_link_options(tda_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed)
endif()
if(TDA_FUZZERS) # without it libFuzzer sees the target's own file only, and nothing of what is under test
  target_compile_options(tda_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(TDA_COVERAGE)
  target_compile_options(tda_options INTERFACE --coverage -O0)
  target_link_options(tda_options INTERFACE --coverage)
endif()
include(CheckPIESupported)
check_pie_supported(LANGUAGES C CXX)

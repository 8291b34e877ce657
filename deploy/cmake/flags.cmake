# How our own code is compiled and linked. Nothing global: each target asks for it.
include(CheckIPOSupported)

add_library(syncgate_flags INTERFACE)
target_compile_features(syncgate_flags INTERFACE c_std_17)
target_compile_definitions(syncgate_flags INTERFACE _GNU_SOURCE)
target_include_directories(syncgate_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(syncgate_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wstrict-prototypes
    -fno-omit-frame-pointer -fstack-protector-strong
    -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= # a failed assertion names gateway/net/conn.c, wherever that was compiled
    $<$<BOOL:${SYNCGATE_WERROR}>:-Werror>)
target_link_options(syncgate_flags INTERFACE -Wl,--as-needed -Wl,-z,relro -Wl,-z,now)

if(SYNCGATE_SANITIZE)
    target_compile_options(syncgate_flags INTERFACE
        -fsanitize=${SYNCGATE_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(syncgate_flags INTERFACE -fsanitize=${SYNCGATE_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "^Rel")
    # Fortified calls need optimization, and the sanitizers watch the same calls better.
    target_compile_options(syncgate_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(SYNCGATE_FUZZ)
    target_compile_options(syncgate_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SYNCGATE_COVERAGE)
    target_compile_options(syncgate_flags INTERFACE --coverage -fprofile-abs-path)
    target_link_options(syncgate_flags INTERFACE --coverage)
endif()
if(SYNCGATE_LTO)
    check_ipo_supported(RESULT lto_works OUTPUT lto_why LANGUAGES C)
    if(NOT lto_works)
        message(STATUS "no link time optimization: ${lto_why}")
    endif()
endif()

function(syncgate_target target)
    target_link_libraries(${target} PRIVATE syncgate_flags)
    set_target_properties(${target} PROPERTIES C_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
    if(SYNCGATE_LTO AND lto_works)
        set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
    endif()
endfunction()

function(syncgate_library target)
    add_library(${target} STATIC ${ARGN})
    syncgate_target(${target})
endfunction()

function(syncgate_executable target)
    add_executable(${target} ${ARGN})
    syncgate_target(${target})
    target_link_options(${target} PRIVATE -pie)
endfunction()

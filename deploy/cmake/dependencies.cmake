# The libraries syncgate is built on, as PkgConfig:: targets. What the system has too old was built into build/deps.
find_package(PkgConfig REQUIRED)

set(own_libraries ${PROJECT_SOURCE_DIR}/build/deps/lib/pkgconfig)
if(EXISTS ${own_libraries})
    set(ENV{PKG_CONFIG_PATH} "${own_libraries}:$ENV{PKG_CONFIG_PATH}")
endif()

# dependency(TARGET module least-version)
function(dependency target module least)
    pkg_check_modules(${target} QUIET IMPORTED_TARGET GLOBAL "${module}>=${least}")
    if(NOT ${target}_FOUND)
        pkg_check_modules(present QUIET ${module})
        if(present_VERSION)
            set(state "only ${present_VERSION} is here")
        else()
            set(state "not found")
        endif()
        message(FATAL_ERROR "${module} >= ${least} is needed: ${state}.\n"
            "Run deploy/install-deps.sh (with --tests for the tests).")
    endif()
    message(STATUS "${module} ${${target}_VERSION}")
endfunction()

dependency(libwebsockets libwebsockets 4.3.3)
dependency(hiredis hiredis 1.2)
dependency(libevent libevent 2.1.12)
dependency(json_c json-c 0.16)
dependency(cyaml libcyaml 1.3)
dependency(yaml yaml-0.1 0.2)
dependency(openssl openssl 3.0)
dependency(zlib zlib 1.2)
dependency(libcap libcap 2.0)
if(SYNCGATE_TESTS)
    dependency(cunit cunit 2.1)
endif()

# A static library does not bring its own libraries along; a shared one is content with more.
target_link_libraries(PkgConfig::libwebsockets INTERFACE
    PkgConfig::openssl PkgConfig::zlib PkgConfig::libcap
    ssl crypto) # by name too: CMake puts the target before us when somebody else uses it, and there nobody needs it yet

# Run by `cmake --install`, in the scope of the install script: what depends on where things come to lie, which --prefix and
# packages decide as late as that. SOURCE_DIR is deploy/; BINDIR, SYSCONFDIR are GNUInstallDirs' answers, relative or not.

# below(VARIABLE PREFIX FOLDER): the folder as an absolute path
function(below variable prefix folder)
    cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY ${prefix} NORMALIZE OUTPUT_VARIABLE path)
    set(${variable} ${path} PARENT_SCOPE)
endfunction()

set(units ${CMAKE_INSTALL_PREFIX}/lib/systemd/system)
below(bin ${CMAKE_INSTALL_PREFIX} ${BINDIR})
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" AND SYSCONFDIR STREQUAL "etc")
    set(etc /etc)
else()
    below(etc ${CMAKE_INSTALL_PREFIX} ${SYSCONFDIR})
endif()

# The units name the program and the configuration as they lie in a package.
foreach(unit syncgate@.service syncgate@.socket)
    file(READ ${SOURCE_DIR}/systemd/${unit} text)
    string(REPLACE "/usr/bin/syncgate" "${bin}/syncgate" text "${text}")
    string(REPLACE "/etc/syncgate" "${etc}/syncgate" text "${text}")
    file(WRITE "$ENV{DESTDIR}${units}/${unit}" "${text}")
    message(STATUS "Installing: $ENV{DESTDIR}${units}/${unit}")
endforeach()

# A configuration that is there already is its owner's.
set(config "$ENV{DESTDIR}${etc}/syncgate/syncgate.yaml")
if(EXISTS "${config}")
    message(STATUS "Kept: ${config}")
else()
    file(INSTALL ${SOURCE_DIR}/systemd/syncgate.yaml DESTINATION ${etc}/syncgate
        PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
endif()

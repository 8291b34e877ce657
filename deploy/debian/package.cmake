# The Debian package: `cpack -G DEB` in a release build, or deploy/package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME syncgate)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR syncgate)
set(CPACK_PACKAGE_CONTACT "The syncgate authors <syncgate@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "sync gateway: live variables, lists and calls over WebSocket")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CHECKSUM SHA256)
# /etc is no part of the prefix, so the package is made below a DESTDIR.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish.cmake)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Any number of gateways hold the WebSocket connections of browsers, devices
and services and speak a small JSON protocol about named variables, lists and
functions. The state lives in Redis, and Redis pub/sub carries every change
to every gateway.
.
Without a Redis elsewhere, a gateway runs a redis-server of its own.")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "redis-server (>= 5:7.0)")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/postinst ${CMAKE_CURRENT_LIST_DIR}/prerm
    ${CMAKE_CURRENT_LIST_DIR}/postrm ${CMAKE_CURRENT_LIST_DIR}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

include(CPack)

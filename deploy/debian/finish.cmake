# Run by CPack on the staged files, for what Debian asks of them: compressed manual pages and changelog, a copyright file,
# folders that anybody may enter.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(doc ${root}/usr/share/doc/syncgate)

file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/copyright ${doc}/copyright)
file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/changelog ${doc}/changelog.Debian)
file(MAKE_DIRECTORY ${root}/usr/share/lintian/overrides)
file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/lintian-overrides ${root}/usr/share/lintian/overrides/syncgate)
file(GLOB compressed ${root}/usr/share/man/man*/*.[0-9] ${doc}/changelog.Debian)
foreach(file IN LISTS compressed)
    execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

execute_process(COMMAND find ${root} -type d -exec chmod 755 {} + COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND find ${root} -type f ! -path "*/etc/*" ! -path "*/bin/*" -exec chmod 644 {} +
    COMMAND_ERROR_IS_FATAL ANY)

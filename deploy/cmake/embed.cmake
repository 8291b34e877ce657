# Files that become part of the program. The work is done at build time by embed-script.cmake, with CMake alone.
set(embed_script ${CMAKE_CURRENT_LIST_DIR}/embed-script.cmake)

# embed_text(OUT.c HEADER SYMBOL FILE): const char SYMBOL[] (NUL-terminated) and const size_t SYMBOL_len
function(embed_text out header symbol file)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -D OUT=${out} -D HEADER=${header} -D SYMBOL=${symbol} -D FILE=${file}
            -P ${embed_script}
        DEPENDS ${file} ${embed_script}
        COMMENT "Embedding ${symbol}" VERBATIM)
endfunction()

# embed_assets(OUT.c FOLDER FILES…): the table sg_assets of gateway/admin/assets.h
function(embed_assets out folder)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -D OUT=${out} -D HEADER=gateway/admin/assets.h -D FOLDER=${folder} -D "FILES=${ARGN}"
            -D DOCS=${SYNCGATE_DOCS} -P ${embed_script}
        DEPENDS ${ARGN} ${embed_script}
        COMMENT "Embedding the page" VERBATIM)
endfunction()

# embed_docs(OUT.c): the table sg_docs, of which nothing is there without SYNCGATE_DOCS
function(embed_docs out)
    set(site ${CMAKE_CURRENT_BINARY_DIR}/docs-site)
    set(make_site ${CMAKE_COMMAND} -E make_directory ${site})
    set(documents)
    if(SYNCGATE_DOCS)
        find_program(MKDOCS mkdocs REQUIRED)
        set(make_site ${MKDOCS} build --quiet --clean --config-file ${PROJECT_SOURCE_DIR}/deploy/docs-site/mkdocs.yml --site-dir ${site})
        file(GLOB_RECURSE documents CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*)
        file(GLOB_RECURSE theme CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/deploy/docs-site/*)
        list(APPEND documents ${theme})
    endif()
    add_custom_command(OUTPUT ${out}
        COMMAND ${make_site}
        COMMAND ${CMAKE_COMMAND} -D OUT=${out} -D HEADER=gateway/admin/assets.h -D SITE=${site} -P ${embed_script}
        DEPENDS ${documents} ${embed_script}
        COMMENT "Embedding the documents" VERBATIM)
endfunction()

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
            -P ${embed_script}
        DEPENDS ${ARGN} ${embed_script}
        COMMENT "Embedding the page" VERBATIM)
endfunction()

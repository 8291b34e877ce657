# Run at build time: makes a manual page from its template, with what the program itself says about its options.
# cmake -D PROGRAM= -D VERSION= -D IN= -D OUT= -P man.cmake
cmake_minimum_required(VERSION 3.25)

file(READ ${IN} page)
foreach(part FLAGS KEYS ACTIONS)
    if(page MATCHES "@${part}@")
        string(TOLOWER ${part} flag)
        execute_process(COMMAND ${PROGRAM} --print-man-${flag} OUTPUT_VARIABLE ${part}
            OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    endif()
endforeach()
string(TIMESTAMP DATE "%Y-%m-%d" UTC) # SOURCE_DATE_EPOCH counts, where it is set
# Not through string(CONFIGURE) or a regular expression: both would take backslashes of the text for theirs.
foreach(name FLAGS KEYS ACTIONS DATE VERSION)
    string(REPLACE "@${name}@" "${${name}}" page "${page}")
endforeach()
file(WRITE ${OUT} "${page}")

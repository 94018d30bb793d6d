# us_embed_lua(target): functions/*.lua, in the order of their names, become the string
# store_functions_lua of a generated C source of target. Also a script of its own:
# cmake -DOUT=file.c -DLUA_DIR=dir -P embed.cmake

if(CMAKE_SCRIPT_MODE_FILE)
    file(GLOB sources ${LUA_DIR}/*.lua)
    list(SORT sources)
    set(text "")
    foreach(source IN LISTS sources)
        file(READ ${source} part)
        string(REPLACE "\\" "\\\\" part "${part}")
        string(REPLACE "\"" "\\\"" part "${part}")
        string(REPLACE "\n" "\\n\"\n\"" part "${part}")
        string(APPEND text "\"${part}\"\n")
    endforeach()
    file(WRITE ${OUT} "/* Made from functions/; do not edit. */\n"
         "#include \"store/library.h\"\n\n"
         "const char *const store_functions_lua =\n${text};\n")
    return()
endif()

set(US_EMBED_DIR ${CMAKE_CURRENT_LIST_DIR})

function(us_embed_lua target)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/store_functions_lua.c)
    file(GLOB sources CONFIGURE_DEPENDS ${US_EMBED_DIR}/functions/*.lua)
    add_custom_command(
        OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DLUA_DIR=${US_EMBED_DIR}/functions
                -P ${US_EMBED_DIR}/embed.cmake
        DEPENDS ${sources} ${US_EMBED_DIR}/embed.cmake
        VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()

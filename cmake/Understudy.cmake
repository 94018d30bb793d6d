# Flags and small functions that every folder uses.

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wformat=2 -Wshadow -Wstrict-prototypes
                    -Wmissing-prototypes -Wpointer-arith -Wundef -fno-strict-aliasing)
if(US_WERROR)
    add_compile_options(-Werror)
endif()
if(US_SANITIZER STREQUAL "address")
    add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                        -fno-omit-frame-pointer)
    add_link_options(-fsanitize=address,undefined)
elseif(US_SANITIZER STREQUAL "thread")
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
    add_link_options(-fsanitize=thread)
endif()

if(US_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# us_package(NAME specs…): the first of specs that pkg-config knows becomes PkgConfig::NAME.
function(us_package name)
    pkg_search_module(${name} REQUIRED IMPORTED_TARGET ${ARGN})
    us_move_isystem_folders(PkgConfig::${name})
    us_complete_folders(PkgConfig::${name} "${${name}_PREFIX}")
endfunction()

# From a second configuration on CMake (3.25) leaves -isystem DIR among the options of target,
# and everything would be compiled anew: DIR goes to the folders, where the first configuration
# puts it.
function(us_move_isystem_folders target)
    get_target_property(options ${target} INTERFACE_COMPILE_OPTIONS)
    if(NOT options)
        return()
    endif()
    list(FIND options -isystem at)
    while(NOT at EQUAL -1)
        list(REMOVE_AT options ${at})
        list(GET options ${at} folder)
        list(REMOVE_AT options ${at})
        set_property(TARGET ${target} APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${folder})
        list(FIND options -isystem at)
    endwhile()
    set_property(TARGET ${target} PROPERTY INTERFACE_COMPILE_OPTIONS ${options})
endfunction()

# Debian 13's msgpack-c.pc names its include folder relative to its prefix. CMake refuses a
# relative folder, so it is completed here.
function(us_complete_folders target prefix)
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(folders)
        list(TRANSFORM folders PREPEND ${prefix}/ REGEX "^[^/]")
        set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES ${folders})
    endif()
endfunction()

# us_static_library(name SOURCES… LINK libraries…): an internal library; folders above
# include as "folder/file.h" from its own root.
function(us_static_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# us_unit_tests(folder library): every tests/unit/FOLDER/test_*.c is a program of its own,
# linked with library.
function(us_unit_tests folder library)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/test_*.c)
    foreach(source ${sources})
        get_filename_component(test ${source} NAME_WE)
        set(target ${folder}_${test})
        add_executable(${target} ${source})
        set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                              ${CMAKE_BINARY_DIR}/tests)
        target_link_libraries(${target} PRIVATE ${library} PkgConfig::CMOCKA)
        target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
        target_compile_definitions(${target} PRIVATE
            US_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/data"
            US_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
        add_test(NAME ${folder}/${test} COMMAND ${target})
        set_tests_properties(${folder}/${test} PROPERTIES LABELS unit TIMEOUT 300)
    endforeach()
endfunction()

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

# us_package(NAME spec): what pkg-config says, as PkgConfig::NAME. From a second configuration
# on CMake (3.25) leaves -isystem DIR among the options, and all would be compiled anew: it
# goes to the folders, where the first one puts it.
function(us_package name spec)
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${spec})
    get_target_property(options PkgConfig::${name} INTERFACE_COMPILE_OPTIONS)
    if(NOT options)
        return()
    endif()
    set(rest ${options})
    list(FIND rest -isystem at)
    while(NOT at EQUAL -1)
        list(REMOVE_AT rest ${at})
        list(GET rest ${at} folder)
        list(REMOVE_AT rest ${at})
        set_property(TARGET PkgConfig::${name} APPEND PROPERTY
                     INTERFACE_INCLUDE_DIRECTORIES ${folder})
        list(FIND rest -isystem at)
    endwhile()
    set_property(TARGET PkgConfig::${name} PROPERTY INTERFACE_COMPILE_OPTIONS ${rest})
endfunction()

# us_static_library(name SOURCES… LINK libraries…): an internal library; folders above
# include as "folder/file.h" from its own root.
function(us_static_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC ${ARG_LINK})
endfunction()

# Every tests/unit/FOLDER/test_*.c is a program of its own, linked with library.
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

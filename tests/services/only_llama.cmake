# llama-common is for tools that the package does not ship: it takes half of the build.
macro(install)
    if(NOT "${ARGV1}" STREQUAL "llama-common")
        _install(${ARGV})
    endif()
endmacro()

# penstock_add_plugin(name [BACKEND] sources...): builds the plugin library of that name.
#
# The file is penstock_<name>.so; with BACKEND penstock_backend_<name>.so, which the host loads only when
# a deployment asks for the backend <name>. It exports the entry symbol alone. `cmake --install` puts it
# where an installed host looks, unless PENSTOCK_PLUGIN_INSTALL is OFF. PENSTOCK_PLUGIN_OUTPUT_DIRECTORY
# says where it is built, if not in the current binary directory.
include_guard(GLOBAL)

set(PENSTOCK_PLUGIN_EXPORTS_MAP "" CACHE INTERNAL "Linker script of what a plugin exports")
foreach(_penstock_map "${CMAKE_CURRENT_LIST_DIR}/exports.map" "${CMAKE_CURRENT_LIST_DIR}/../exports.map")
  if(EXISTS "${_penstock_map}")
    set(PENSTOCK_PLUGIN_EXPORTS_MAP "${_penstock_map}" CACHE INTERNAL
        "Linker script of what a plugin exports")
    break()
  endif()
endforeach()
unset(_penstock_map)

function(penstock_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "BACKEND" "" "")
  if(NOT name MATCHES "^[a-z][a-z0-9_]*$")
    message(FATAL_ERROR "penstock_add_plugin: the name '${name}' must be lower-case letters, digits and _")
  endif()
  if(arg_BACKEND)
    set(target penstock_backend_${name})
  else()
    set(target penstock_${name})
  endif()
  add_library(${target} MODULE ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${target} PRIVATE Penstock::sdk)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("CXX" IN_LIST languages)
    target_compile_features(${target} PRIVATE cxx_std_17)  # for the C++ layer; the C header takes any
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX ".so" OUTPUT_NAME ${target} POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_options(${target} PRIVATE "LINKER:--version-script=${PENSTOCK_PLUGIN_EXPORTS_MAP}")
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${PENSTOCK_PLUGIN_EXPORTS_MAP}")
  if(PENSTOCK_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY "${PENSTOCK_PLUGIN_OUTPUT_DIRECTORY}")
  endif()
  if(NOT DEFINED PENSTOCK_PLUGIN_INSTALL OR PENSTOCK_PLUGIN_INSTALL)
    include(GNUInstallDirs)
    install(TARGETS ${target} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/penstock/plugins")
  endif()
endfunction()

# tda_add_plugin(NAME SOURCES...): a module NAME.so with only the entry symbol exported. Installed with the CMake package, for plugins of others.
set(_tda_plugin_map "${CMAKE_CURRENT_LIST_DIR}/tda-plugin.map")
function(tda_add_plugin name)
  add_library(tda_plugin_${name} MODULE ${ARGN})
  set_target_properties(tda_plugin_${name} PROPERTIES PREFIX "" OUTPUT_NAME "${name}" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
    LINK_DEPENDS "${_tda_plugin_map}" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
  target_link_libraries(tda_plugin_${name} PRIVATE tda::sdk)
  target_link_options(tda_plugin_${name} PRIVATE -Wl,-z,now,-z,relro,-z,nodelete,--version-script=${_tda_plugin_map})
  if(NOT TDA_SANITIZE)
    target_link_options(tda_plugin_${name} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

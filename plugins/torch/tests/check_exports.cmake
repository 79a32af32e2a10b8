# Fails unless the entry is the one symbol that the plugin exports.
execute_process(COMMAND ${NM} -D --defined-only ${PLUGIN} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(STRIP "${symbols}" symbols)
if(NOT symbols MATCHES "^[0-9a-f]+ T penstock_plugin_v1$")
  message(FATAL_ERROR "exports more or less than penstock_plugin_v1:\n${symbols}")
endif()

# Before the packages are made: what Debian wants compressed. The same bytes at each build.
file(GLOB_RECURSE pages "${CPACK_TEMPORARY_DIRECTORY}/*")
list(FILTER pages INCLUDE REGEX "/share/man/man[1-8]/[^/]*[1-8]$|/changelog.Debian$")
foreach(page ${pages})
  execute_process(COMMAND gzip -9nf "${page}" COMMAND_ERROR_IS_FATAL ANY)
endforeach()

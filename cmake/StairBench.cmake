# One program a file of bench/.
file(GLOB bench_files CONFIGURE_DEPENDS bench/*.cpp)
foreach(file ${bench_files})
  get_filename_component(stem ${file} NAME_WE)
  add_executable(${stem} ${file})
  target_link_libraries(${stem} PRIVATE stair_qat)
endforeach()

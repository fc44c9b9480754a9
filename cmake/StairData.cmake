# Image loading and the programs: everything that needs more than a compiler, oneTBB and GoogleTest.
find_package(PkgConfig REQUIRED)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg libjpeg)
find_package(OpenCV REQUIRED COMPONENTS core imgproc imgcodecs)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(Protobuf REQUIRED)
find_package(ONNX REQUIRED)
pkg_check_modules(ZIP REQUIRED IMPORTED_TARGET libzip)

stair_library(data LINK stair_core PkgConfig::TURBOJPEG opencv_core opencv_imgproc opencv_imgcodecs)

# apps/program, apps/train, apps/weights, apps/onnx and apps/bench are the library behind the programs; each apps/*.cpp is one program.
file(GLOB app_sources CONFIGURE_DEPENDS apps/program/*.cpp apps/train/*.cpp apps/weights/*.cpp
     apps/onnx/*.cpp apps/bench/*.cpp)
add_library(stair_apps STATIC ${app_sources})
stair_precompile(stair_apps)
target_link_libraries(stair_apps PUBLIC stair_qat stair_data CLI11::CLI11 tomlplusplus::tomlplusplus onnx_proto PkgConfig::ZIP)
string(STRIP "${CMAKE_BUILD_TYPE} ${STAIR_SANITIZE}" build_name)
target_compile_definitions(stair_apps PRIVATE STAIR_VERSION="${PROJECT_VERSION}" STAIR_BUILD="${build_name}")
file(GLOB app_mains CONFIGURE_DEPENDS apps/*.cpp)
foreach(file ${app_mains})
  get_filename_component(stem ${file} NAME_WE)
  add_executable(${stem} ${file})
  target_link_libraries(${stem} PRIVATE stair_apps)
endforeach()

# One static library a top-level folder. Files are the registry: the tables of kernels, operations, models and quantizers are
# written into the build folder from the names of the files found, so that adding one edits nothing.

set(STAIR_GENERATED ${CMAKE_BINARY_DIR}/generated)

add_library(stair_options INTERFACE)
target_include_directories(stair_options INTERFACE ${CMAKE_SOURCE_DIR} ${STAIR_GENERATED})
target_compile_options(stair_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Werror;-ffp-contract=off>")
if(STAIR_SANITIZE)
  # Addresses are checked by AddressSanitizer alone: checking them twice takes a third of the time of a file.
  target_compile_options(stair_options INTERFACE -fsanitize=${STAIR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    -fno-sanitize=null,object-size,pointer-overflow
    -Wno-maybe-uninitialized -Wno-uninitialized)  # GCC warns of its own instrumentation and intrinsics
  target_link_options(stair_options INTERFACE -fsanitize=${STAIR_SANITIZE})
endif()

# Flags of an instruction set follow from the suffix of the file name. Kernels are optimised in every build type, less
# under sanitizers, whose checks make -O3 compile for minutes and -O1 half as long again as -Og. Checks of addresses are calls
# there: written out they take as long again. Vectors are read and written unaligned on purpose, by instructions for that.
set(STAIR_ISA_FAST -O3 -fno-math-errno -fno-trapping-math)
if(STAIR_SANITIZE)
  list(APPEND STAIR_ISA_FAST -Og -fno-sanitize=alignment --param=asan-instrumentation-with-call-threshold=0)
endif()
set(STAIR_ISA_avx2 ${STAIR_ISA_FAST} -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(STAIR_ISA_avx512 ${STAIR_ISA_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mprefer-vector-width=512)
set(STAIR_ISA_vnni ${STAIR_ISA_avx512} -mavx512vnni)
set(STAIR_ISA_avx512bf16 ${STAIR_ISA_vnni} -mavx512bf16)
set(STAIR_ISA_amx ${STAIR_ISA_avx512bf16} -mamx-tile -mamx-int8 -mamx-bf16)
set(STAIR_ISA_ref -O2)

# Writes MACRO(stem) for each file into generated/<table>.inc.
function(stair_table table macro)
  set(lines "")
  foreach(file ${ARGN})
    get_filename_component(stem ${file} NAME_WE)
    string(APPEND lines "${macro}(${stem})\n")
  endforeach()
  file(CONFIGURE OUTPUT ${STAIR_GENERATED}/${table}.inc CONTENT "${lines}" @ONLY)
endfunction()

# A quarter of the time of a file. Other builds see whether each file includes what it uses.
function(stair_precompile target)
  if(STAIR_SANITIZE)
    target_precompile_headers(${target} PRIVATE <algorithm> <cmath> <functional> <map> <memory> <set> <span> <string> <vector>)
  endif()
endfunction()

function(stair_library folder)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  add_library(stair_${folder} STATIC ${sources})
  target_link_libraries(stair_${folder} PUBLIC stair_options ${ARG_LINK})
  stair_precompile(stair_${folder})
  foreach(isa ref avx2 avx512 vnni avx512bf16 amx)
    set(found ${sources})
    list(FILTER found INCLUDE REGEX "_${isa}\\.cpp$")
    set_source_files_properties(${found} PROPERTIES COMPILE_OPTIONS "${STAIR_ISA_${isa}}" SKIP_PRECOMPILE_HEADERS ON)
  endforeach()
endfunction()

file(GLOB kernel_files CONFIGURE_DEPENDS
  kernels/*/*_ref.cpp kernels/*/*_avx2.cpp kernels/*/*_avx512.cpp kernels/*/*_vnni.cpp
  kernels/*/*_avx512bf16.cpp kernels/*/*_amx.cpp)
stair_table(kernel_files STAIR_KERNEL_FILE ${kernel_files})
file(GLOB op_files CONFIGURE_DEPENDS autograd/ops/*.cpp)
stair_table(op_files STAIR_OP_FILE ${op_files})
file(GLOB model_files CONFIGURE_DEPENDS nn/models/*.cpp)
stair_table(model_files STAIR_MODEL_FILE ${model_files})
file(GLOB quantizer_files CONFIGURE_DEPENDS qat/quantizers/*.cpp)
stair_table(quantizer_files STAIR_QUANTIZER_FILE ${quantizer_files})
file(GLOB observer_files CONFIGURE_DEPENDS qat/observers/*.cpp)
stair_table(observer_files STAIR_OBSERVER_FILE ${observer_files})
# The rules run over whole tensors.
set_source_files_properties(${quantizer_files} PROPERTIES COMPILE_OPTIONS "${STAIR_ISA_FAST}" SKIP_PRECOMPILE_HEADERS ON)

// The table of operations, by name, for running a captured graph. Each autograd/ops/<op>.cpp
// defines `const OpDef op_<op>`; the build lists the files.
#pragma once

#include <span>
#include <string>

#include "autograd/variable.h"

namespace stair::autograd {

struct OpDef {
  const char* name;
  // Repeats the operation from what it recorded: its inputs (undefined where absent) and its
  // attributes.
  Variable (*apply)(std::span<const Variable> inputs, const Attributes& attributes);
};

#define STAIR_OP_FILE(stem) extern const OpDef op_##stem;
#include "op_files.inc"
#undef STAIR_OP_FILE

// The operation called `name`. Throws ConfigError when there is none.
const OpDef& find_op(const std::string& name);

// Calls f.template operator()<T>() with the element type of a float tensor. Throws DTypeError for
// other types.
template <class F>
auto with_real(DType dtype, const char* op, const F& f) {
  if (dtype == DType::f32) return f.template operator()<float>();
  if (dtype == DType::f64) return f.template operator()<double>();
  throw DTypeError(str(op, ": element type ", dtype, ", expected f32 or f64"));
}

}  // namespace stair::autograd

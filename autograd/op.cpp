#include "autograd/op.h"

#include <map>

namespace stair::autograd {

const OpDef& find_op(const std::string& name) {
  static const std::map<std::string, const OpDef*> table = {
#define STAIR_OP_FILE(stem) {op_##stem.name, &op_##stem},
#include "op_files.inc"
#undef STAIR_OP_FILE
  };
  const auto it = table.find(name);
  if (it == table.end()) throw ConfigError(str("no operation is called '", name, "'"));
  return *it->second;
}

}  // namespace stair::autograd

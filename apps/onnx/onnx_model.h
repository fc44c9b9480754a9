// Builds an ONNX model: names, constants, operations, facts; then the bytes of the file.
#pragma once

#include <onnx/onnx_pb.h>

#include <set>
#include <string>
#include <vector>

#include "core/attributes.h"
#include "core/tensor.h"

namespace stair::apps {

// The operator set that per-channel scales need: `axis` of DequantizeLinear starts there.
inline constexpr int64_t kLeastOpset = 13;
inline constexpr int64_t kMostOpset = 21;
inline constexpr int64_t kInt4Opset = 21;  // the first with INT4

class OnnxModel {
 public:
  // Throws ConfigError for an operator set outside [kLeastOpset, kMostOpset].
  explicit OnnxModel(int64_t opset);

  // `name` made printable and different from all names so far.
  std::string free_name(const std::string& name);

  // Each adds a constant and returns its name. A tensor has the shape it is given and any type but
  // b1.
  std::string constant(const std::string& name, const Tensor& value);
  // s8 codes of [-8, 7] as INT4, two a byte, the first in the low half.
  std::string int4_constant(const std::string& name, const Tensor& codes);
  template <class T>
  std::string scalar(const std::string& name, T value) {
    return constant(name, Tensor::from<T>({value}, {}));
  }

  // Adds an operation with one result and returns the result's name: `result`, made free. Numbers
  // of the attributes become int, ints, float or string; an empty input is an absent one.
  std::string add(const std::string& op, const std::string& result,
                  const std::vector<std::string>& inputs, const Attributes& attributes = {});

  // A dimension is a number or, negative, a symbol: "N" first, then "H" and "W".
  void set_input(const std::string& name, const std::vector<int64_t>& nchw);
  // Renames the value and makes it the result of the model. A negative dimension is a symbol.
  void set_output(const std::string& value, const std::string& name,
                  const std::vector<int64_t>& shape);
  void add_fact(const std::string& key, const std::string& value);

  // Throws FormatError when it would be larger than `most_bytes`, which is protobuf's limit.
  std::string bytes(size_t most_bytes = 0x7FFFFFFF) const;

 private:
  onnx::ModelProto model_;
  std::set<std::string> names_;
};

}  // namespace stair::apps

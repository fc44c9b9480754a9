// The deployed network: a list of integer operations. It is self-contained: weights, quantization
// parameters, how pictures are prepared, and the names of the classes.
#pragma once

#include <string>
#include <vector>

#include "core/attributes.h"
#include "core/tensor.h"

namespace stair::qat {

// What a node yields: codes u8 or s8 with one scale, or real numbers f32.
struct Int8Format {
  bool real = false;
  bool is_signed = false;
  float scale = 1;           // float a step
  int32_t zero_point = 0;    // steps
  int32_t lo = 0, hi = 255;  // codes after a fused ReLU or ReLU6
  bool operator==(const Int8Format&) const = default;
};
// Both codes, and one code means one real number: copying needs no rounding.
bool same_grid(const Int8Format& a, const Int8Format& b);
// The element type of values of this format; the parameters of codes.
inline DType code_type(const Int8Format& f) {
  return f.real ? DType::f32 : f.is_signed ? DType::s8 : DType::u8;
}
inline QParams qparams_of(const Int8Format& f) {
  return {{f.scale}, {f.zero_point}, -1, f.lo, f.hi};
}

// Operations, their inputs and attributes (numerics.md has the arithmetic):
//   input                          f32 [N,H,W,C]
//   quantize      real or code -> code
//   conv          code -> code or real; weight s8 [O,KH,KW,I] or packed (see store_weight),
//                 weight_scale f32 [1] or [O], bias f32 [O] or undefined, bias_scale where it
//                 holds s8 codes times that; stride, padding,
//                 dilation, groups; a linear layer is a conv with linear = true on [N,C]
//   add           code, code -> code
//   mul           code, code -> code; the second of the first's shape, or [N,1,1,C]
//   concat        codes, at least one -> code; axis. Inputs of another format are requantized.
//   table         code -> code; function, a name of autograd/op.h, and its attributes: hardswish,
//                 hardsigmoid, sigmoid, tanh, silu, gelu, leaky_relu (slope)
//   max_pool      code -> code, the same format; kernel, stride, padding
//   avg_pool      code -> code; kernel, stride, padding, count_include_pad; an empty kernel is the
//                 whole picture
//   pad_channels  code -> code, the same format; before, after
//   flatten       code -> code, the same format
//   float         any -> real; operation, a name of autograd/op.h, its attributes, and sources:
//                 what each of its inputs is (FloatSource). group_linear of codes is a linear layer
//                 of integers: its weights s8 [O*I/g, g] have a scale a row
//   dynamic_linear  real -> real; a linear layer whose input is quantized with the range of its own
//                 values (qat/int8/float_node.h)

// An entry of a float node's attribute `sources`: the place of one of its inputs, or
struct FloatSource {
  static constexpr int64_t kAbsent = -1;       // nothing
  static constexpr int64_t kWeight = -2;       // weight, codes that weight_scale makes real
  static constexpr int64_t kFirstTensor = -3;  // tensors[0]; -4: tensors[1] ...
};

struct Int8Node {
  std::string op;
  std::string name;
  std::vector<int> inputs;  // indices of earlier nodes
  Attributes attributes;
  Int8Format format;
  Tensor weight, weight_scale, bias;
  std::vector<Tensor> tensors;  // f32, of float nodes

  // Takes s8 codes in [qmin, qmax]. Where 2 or 4 bits hold the range, `weight` becomes u8 [O, bytes
  // of a channel] as pack_codes writes it, and the attributes weight_bits and weight_shape say so.
  void store_weight(const Tensor& codes, int32_t qmin, int32_t qmax);
  // The same with the codes' QParams, whose scales become weight_scale.
  void store_weight(const Tensor& codes);
  // 8, 4 or 2; the shape of the codes; the codes, s8.
  int weight_bits() const;
  Shape weight_shape() const;
  Tensor weight_codes() const;
};

// Whether operation `name` of autograd/op.h is a function of one number that a table can hold.
bool is_table_function(const std::string& name);

struct Int8Graph {
  std::vector<Int8Node>
      nodes;  // in order of execution; the first is the input, the last the output
  std::vector<std::string> class_names;
  // Free-form facts that travel with the file: model, preprocessing (resize, crop, mean, std),
  // training figures.
  Attributes metadata;

  // Throws FormatError naming the node: unknown operation, an input that is not an earlier node,
  // shapes of weights and scales that do not fit, a scale that is not positive and finite, zero
  // points or limits outside the type.
  void validate() const;
};

// One line a node: name, op, inputs, format.
std::string to_string(const Int8Graph& graph);

// Exact file form (magic STAIRI8G, version 1, checksummed sections). Throws IoError, FormatError.
void save_int8_graph(const Int8Graph& graph, const std::string& path);
Int8Graph load_int8_graph(const std::string& path);
inline constexpr char kInt8GraphMagic[] = "STAIRI8G";

}  // namespace stair::qat

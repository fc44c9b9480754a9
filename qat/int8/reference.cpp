#include "qat/int8/reference.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "autograd/op.h"
#include "qat/int8/float_node.h"
#include "qat/int8/plan.h"

namespace stair::qat {
namespace {

using List = std::vector<int64_t>;

// Codes or real numbers.
struct Value {
  Shape shape;
  std::vector<int32_t> q;
  std::vector<float> real;
};

// clamp(rne(y / scale) + zero_point), the division as a product with the rounded inverse.
int32_t to_code(float y, const Int8Format& f) {
  const float steps = y * (1.0F / f.scale);
  if (std::isnan(steps)) return f.zero_point;
  const double q = static_cast<double>(std::nearbyint(steps)) + f.zero_point;
  return static_cast<int32_t>(std::clamp(q, static_cast<double>(f.lo), static_cast<double>(f.hi)));
}

// A window's places along one dimension.
struct Window {
  int64_t kernel, stride = 1, pad = 0, dilation = 1;
  int64_t at(int64_t output, int64_t k) const { return output * stride - pad + k * dilation; }
};
struct Windows {
  Window down, right;
};

Windows windows_of(const Int8Node& node, int64_t kh, int64_t kw, bool dilated) {
  Windows w{{kh}, {kw}};
  const List &stride = node.attributes.get<List>("stride"),
             &pad = node.attributes.get<List>("padding");
  w.down.stride = stride[0], w.right.stride = stride[1];
  w.down.pad = pad[0], w.right.pad = pad[1];
  if (!dilated) return w;
  const List& dilation = node.attributes.get<List>("dilation");
  w.down.dilation = dilation[0], w.right.dilation = dilation[1];
  return w;
}

class Reference {
 public:
  Reference(const Int8Graph& graph, const Tensor& x)
      : graph_(graph), shapes_(make_plan(graph, x.shape()).shapes) {
    for (size_t i = 0; i < graph.nodes.size(); ++i) values_.push_back({shapes_[i], {}, {}});
    values_[0].real.assign(x.data<float>(), x.data<float>() + x.numel());
  }

  Tensor run() {
    for (size_t i = 1; i < graph_.nodes.size(); ++i) compute(graph_.nodes[i], values_[i]);
    const Value& last = values_.back();
    Tensor y = Tensor::empty(last.shape, DType::f32);
    std::copy(last.real.begin(), last.real.end(), y.data<float>());
    return y;
  }

 private:
  const Value& input(const Int8Node& n, size_t i = 0) const {
    return values_[static_cast<size_t>(n.inputs[i])];
  }
  const Int8Format& format(const Int8Node& n, size_t i = 0) const {
    return graph_.nodes[static_cast<size_t>(n.inputs[i])].format;
  }

  void compute(const Int8Node& n, Value& y) {
    if (n.op == "quantize") {
      for (const float x : reals(n)) y.q.push_back(to_code(x, n.format));
    } else if (n.op == "float") {
      compute_real(n, y);
    } else if (n.op == kDynamicLinear) {
      multiply_dynamically(n, y);
    } else if (n.op == "conv") {
      convolve(n, y);
    } else if (n.op == "add") {
      add(n, y);
    } else if (n.op == "mul") {
      mul(n, y);
    } else if (n.op == "concat") {
      concat(n, y);
    } else if (n.op == "table") {
      look_up(n, y);
    } else if (n.op == "max_pool" || n.op == "avg_pool") {
      pool(n, y);
    } else if (n.op == "pad_channels") {
      pad_channels(n, y);
    } else {
      y.q = input(n).q;  // flatten
    }
  }

  static void put(const Int8Node& n, Value& y, float real) {
    if (n.format.real)
      y.real.push_back(real);
    else
      y.q.push_back(to_code(real, n.format));
  }

  void convolve(const Int8Node& n, Value& y) const {
    const Value& x = input(n);
    const Int8Format& f = format(n);
    const Tensor codes = n.weight_codes();
    const Shape w = n.weight_shape();
    const bool linear = n.attributes.get<bool>("linear");
    const int64_t kh = linear ? 1 : w[1], kw = linear ? 1 : w[2], in = w[w.rank() - 1];
    const int64_t height = linear ? 1 : x.shape[1], width = linear ? 1 : x.shape[2];
    const int64_t oh = linear ? 1 : y.shape[1], ow = linear ? 1 : y.shape[2];
    const int64_t groups = linear ? 1 : n.attributes.get<int64_t>("groups");
    const int64_t channels = in * groups, outputs = w[0];
    const Windows window = linear ? Windows{{1}, {1}} : windows_of(n, kh, kw, true);
    for (int64_t row = 0; row < x.shape[0] * oh * ow; ++row)
      for (int64_t o = 0; o < outputs; ++o) {
        const int64_t first = o / (outputs / groups) * in;
        int32_t acc = 0;
        for (int64_t k = 0; k < kh * kw; ++k) {
          const int64_t iy = window.down.at(row / ow % oh, k / kw);
          const int64_t ix = window.right.at(row % ow, k % kw);
          if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
          const int64_t pixel = (row / (oh * ow) * height + iy) * width + ix;
          for (int64_t i = 0; i < in; ++i)
            acc += (x.q[static_cast<size_t>(pixel * channels + first + i)] - f.zero_point) *
                   codes.data<int8_t>()[(o * kh * kw + k) * in + i];
        }
        put(n, y, rescaled(n, o, acc, f.scale));
      }
  }

  static float rescaled(const Int8Node& n, int64_t o, int32_t acc, float x_scale) {
    const float multiplier =
        x_scale * n.weight_scale.data<float>()[n.weight_scale.numel() > 1 ? o : 0];
    const float sum = static_cast<float>(acc);
    return n.bias.defined() ? std::fmaf(sum, multiplier, n.bias.data<float>()[o])
                            : sum * multiplier;
  }

  static float to_real(int32_t q, const Int8Format& f) {
    return static_cast<float>(q - f.zero_point) * f.scale;
  }

  // What the first input stands for.
  std::vector<float> reals(const Int8Node& n) const {
    std::vector<float> values = input(n).real;
    for (const int32_t q : input(n).q) values.push_back(to_real(q, format(n)));
    return values;
  }

  void compute_real(const Int8Node& n, Value& y) const {
    if (n.attributes.get<std::string>("operation") == "group_linear" && !format(n).real)
      return multiply_groups(n, y);
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < n.inputs.size(); ++i) {
      const Value& x = input(n, i);
      const Int8Format& f = format(n, i);
      Tensor t = Tensor::empty(x.shape, code_type(f));
      if (f.real)
        std::copy(x.real.begin(), x.real.end(), t.data<float>());
      else
        for (size_t k = 0; k < x.q.size(); ++k) t.raw()[k] = static_cast<std::byte>(x.q[k]);
      inputs.push_back(f.real ? t : t.with_qparams(qparams_of(f)));
    }
    const Tensor result = run_float(n, inputs);
    y.real.assign(result.data<float>(), result.data<float>() + result.numel());
  }

  // y = ((bias + p_0) + p_1) + ...: an accumulator and a scale for each group of inputs.
  void multiply_groups(const Int8Node& n, Value& y) const {
    const Value& x = input(n);
    const Int8Format& f = format(n);
    const Tensor codes = n.weight_codes();
    const int64_t features = x.shape[1], group = codes.size(1), groups = features / group;
    for (int64_t row = 0; row < x.shape[0]; ++row)
      for (int64_t o = 0; o < codes.size(0) / groups; ++o) {
        float sum = n.tensors.empty() ? 0.0F : n.tensors[0].data<float>()[o];
        for (int64_t j = o * groups; j < (o + 1) * groups; ++j) {
          const int64_t first = row * features + (j - o * groups) * group;
          int32_t acc = 0;
          for (int64_t i = 0; i < group; ++i)
            acc += (x.q[static_cast<size_t>(first + i)] - f.zero_point) *
                   codes.data<int8_t>()[j * group + i];
          const float product =
              static_cast<float>(acc) * (f.scale * n.weight_scale.data<float>()[j]);
          sum += product;
        }
        y.real.push_back(sum);
      }
  }

  void multiply_dynamically(const Int8Node& n, Value& y) const {
    const Value& x = input(n);
    const QParams p = dynamic_qparams(Tensor::from<float>(x.real, x.shape));
    const Int8Format f{.scale = p.scale[0], .zero_point = p.zero_point[0]};
    const Tensor codes = n.weight_codes();
    const int64_t features = codes.size(1);
    for (int64_t row = 0; row < x.shape[0]; ++row)
      for (int64_t o = 0; o < codes.size(0); ++o) {
        int32_t acc = 0;
        for (int64_t i = 0; i < features; ++i)
          acc += (to_code(x.real[static_cast<size_t>(row * features + i)], f) - f.zero_point) *
                 codes.data<int8_t>()[o * features + i];
        y.real.push_back(rescaled(n, o, acc, f.scale));
      }
  }

  void add(const Int8Node& n, Value& y) const {
    for (size_t i = 0; i < input(n).q.size(); ++i)
      put(n, y, to_real(input(n).q[i], format(n)) + to_real(input(n, 1).q[i], format(n, 1)));
  }

  // The second operand has the first one's shape or is [N,1,1,C].
  void mul(const Int8Node& n, Value& y) const {
    const Value &a = input(n), &b = input(n, 1);
    const Int8Format &fa = format(n), &fb = format(n, 1);
    const size_t channels = static_cast<size_t>(a.shape[a.shape.rank() - 1]);
    const size_t picture = a.q.size() / static_cast<size_t>(a.shape[0]);
    for (size_t i = 0; i < a.q.size(); ++i) {
      const size_t j = b.q.size() == a.q.size() ? i : i / picture * channels + i % channels;
      const int32_t product = (a.q[i] - fa.zero_point) * (b.q[j] - fb.zero_point);
      put(n, y, static_cast<float>(product) * (fa.scale * fb.scale));
    }
  }

  void concat(const Int8Node& n, Value& y) const {
    const int64_t axis = n.attributes.get<int64_t>("axis");
    size_t rows = 1;
    for (int i = 0; i < axis; ++i) rows *= static_cast<size_t>(y.shape[i]);
    for (size_t row = 0; row < rows; ++row)
      for (size_t k = 0; k < n.inputs.size(); ++k) {
        const Int8Format& f = format(n, k);
        const bool same = same_grid(f, n.format);
        const size_t width = input(n, k).q.size() / rows;
        for (size_t i = row * width; i < (row + 1) * width; ++i) {
          const int32_t q = input(n, k).q[i];
          y.q.push_back(same ? q : to_code(to_real(q, f), n.format));
        }
      }
  }

  // The function of every code that may come.
  void look_up(const Int8Node& n, Value& y) const {
    const Int8Format& f = format(n);
    Tensor x = Tensor::empty({256}, f.is_signed ? DType::s8 : DType::u8);
    const int32_t low = f.is_signed ? -128 : 0;
    for (int32_t i = 0; i < 256; ++i)
      reinterpret_cast<uint8_t*>(x.raw())[i] = static_cast<uint8_t>(low + i);
    x = x.with_qparams({{f.scale}, {f.zero_point}, -1, low, low + 255});
    const std::array inputs = {autograd::Variable(x)};
    const Tensor values = autograd::find_op(n.attributes.get<std::string>("function"))
                              .apply(inputs, n.attributes)
                              .value();
    for (const int32_t q : input(n).q) put(n, y, values.data<float>()[q - low]);
  }

  void pool(const Int8Node& n, Value& y) const {
    const Value& x = input(n);
    const Int8Format& f = format(n);
    const int64_t height = x.shape[1], width = x.shape[2], channels = x.shape[3];
    const List& kernel = n.attributes.get<List>("kernel");
    const bool whole = kernel.empty(), max = n.op == "max_pool";
    const int64_t kh = whole ? height : kernel[0], kw = whole ? width : kernel[1];
    const Windows window = whole ? Windows{{kh}, {kw}} : windows_of(n, kh, kw, false);
    const bool all =
        n.attributes.has("count_include_pad") && n.attributes.get<bool>("count_include_pad");
    for (int64_t row = 0; row < y.shape[0] * y.shape[1] * y.shape[2]; ++row)
      for (int64_t c = 0; c < channels; ++c) {
        int32_t sum = 0, best = INT32_MIN, count = 0;
        for (int64_t k = 0; k < kh * kw; ++k) {
          const int64_t iy = window.down.at(row / y.shape[2] % y.shape[1], k / kw);
          const int64_t ix = window.right.at(row % y.shape[2], k % kw);
          if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
          const int64_t picture = row / (y.shape[1] * y.shape[2]);
          const int32_t q =
              x.q[static_cast<size_t>(((picture * height + iy) * width + ix) * channels + c)];
          best = std::max(best, q);
          sum += q - f.zero_point;
          ++count;
        }
        if (max) {
          y.q.push_back(best);
          continue;
        }
        const auto divisor = static_cast<float>(all ? kh * kw : int64_t{count});
        put(n, y, static_cast<float>(sum) * (f.scale / divisor));
      }
  }

  void pad_channels(const Int8Node& n, Value& y) const {
    const Value& x = input(n);
    const int64_t before = n.attributes.get<int64_t>("before"), channels = x.shape[3];
    const int64_t wide = y.shape[3];
    for (int64_t i = 0; i < y.shape.numel(); ++i) {
      const int64_t c = i % wide - before;
      const bool inside = c >= 0 && c < channels;
      y.q.push_back(inside ? x.q[static_cast<size_t>(i / wide * channels + c)]
                           : n.format.zero_point);
    }
  }

  const Int8Graph& graph_;
  std::vector<Shape> shapes_;
  std::vector<Value> values_;
};

}  // namespace

Tensor run_reference(const Int8Graph& graph, const Tensor& x) {
  if (x.dtype() != DType::f32) throw DTypeError(str("reference: x is ", x, ", expected f32"));
  return Reference(graph, x).run();
}

}  // namespace stair::qat

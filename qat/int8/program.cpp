#include "qat/int8/program.h"

#include <cstring>

#include "autograd/op.h"
#include "core/parallel.h"
#include "core/pixels.h"
#include "kernels/pool/pool.h"
#include "kernels/quantize/quantize.h"
#include "qat/int8/float_node.h"

namespace stair::qat {
namespace {

using List = std::vector<int64_t>;

kernels::Requant requant_to(const Int8Format& f) {
  return {1.0F / f.scale, f.zero_point, f.lo, f.hi, f.is_signed};
}

// Of the node's weights for a picture of this shape; an empty shape: the smallest picture.
kernels::ConvShape conv_shape(const Int8Node& node, const Shape& x) {
  const Shape w = node.weight_shape();
  if (node.attributes.get<bool>("linear"))
    return {.n = x.rank() > 0 ? x[0] : 1, .c = w[1], .o = w[0]};
  kernels::ConvShape s{.o = w[0], .kh = w[1], .kw = w[2]};
  const List& stride = node.attributes.get<List>("stride");
  const List& pad = node.attributes.get<List>("padding");
  const List& dilation = node.attributes.get<List>("dilation");
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.pad_top = pad[0], s.pad_left = pad[1], s.pad_bottom = pad[2], s.pad_right = pad[3];
  s.dilation_h = dilation[0], s.dilation_w = dilation[1];
  s.groups = node.attributes.get<int64_t>("groups");
  s.c = w[3] * s.groups;
  s.h = s.dilation_h * (s.kh - 1) + 1, s.w = s.dilation_w * (s.kw - 1) + 1;
  if (x.rank() > 0) s.n = x[0], s.h = x[1], s.w = x[2];
  return s;
}

kernels::PoolShape pool_shape(const Int8Node& node, const Shape& x) {
  kernels::PoolShape s{.n = x[0], .h = x[1], .w = x[2], .c = x[3]};
  const List& kernel = node.attributes.get<List>("kernel");
  if (kernel.empty()) {
    s.kh = s.h, s.kw = s.w;
    return s;
  }
  const List& stride = node.attributes.get<List>("stride");
  const List& pad = node.attributes.get<List>("padding");
  s.kh = kernel[0], s.kw = kernel[1];
  s.stride_h = stride[0], s.stride_w = stride[1];
  s.pad_top = pad[0], s.pad_left = pad[1], s.pad_bottom = pad[2], s.pad_right = pad[3];
  if (node.attributes.has("count_include_pad"))
    s.count_include_pad = node.attributes.get<bool>("count_include_pad");
  return s;
}

Int8Conv prepare_conv(const Int8Graph& graph, const Int8Node& n) {
  // A dynamic layer learns scale and zero point with each batch.
  const Int8Format& x = graph.nodes[static_cast<size_t>(n.inputs[0])].format;
  const int64_t o = n.weight_shape()[0];
  const float* ws = n.weight_scale.data<float>();
  const QParams xp{{x.scale}, {x.zero_point}, -1, 0, 255};
  const QParams wp{
      {ws, ws + n.weight_scale.numel()}, {}, n.weight_scale.numel() == o ? 0 : -1, -128, 127};
  Int8Conv c{autograd::conv_multiplier(xp, wp, o), {}, nullptr};
  c.args.s = conv_shape(n, {});
  c.args.w = reinterpret_cast<const int8_t*>(n.weight.raw());
  c.args.w_bits = n.weight_bits();
  c.args.x_signed = x.is_signed;
  c.args.x_zero_point = x.zero_point;
  c.args.output = n.format.real ? kernels::ConvOutput::real : kernels::ConvOutput::code;
  c.args.multiplier = c.multiplier.data();
  c.args.bias = n.bias.defined() ? n.bias.data<float>() : nullptr;
  if (!n.format.real) c.args.requant = requant_to(n.format);
  c.packed = std::make_unique<kernels::PackedConvInt8>(c.args);
  return c;
}

bool reads_input(const Int8Node& n) {
  return n.op == "quantize" && n.inputs[0] == 0;
}

void quantize(const Int8Format& f, const float* x, int64_t count, std::byte* q) {
  kernels::run<kernels::Quantize<float>>({{1, 1, count},
                                          x,
                                          &f.scale,
                                          &f.zero_point,
                                          f.lo,
                                          f.hi,
                                          false,
                                          f.is_signed ? DType::s8 : DType::u8,
                                          q,
                                          nullptr});
}

}  // namespace

std::vector<Int8Conv> prepare_convs(const Int8Graph& graph) {
  std::vector<Int8Conv> convs(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].op == "conv" || graph.nodes[i].op == kDynamicLinear)
      convs[i] = prepare_conv(graph, graph.nodes[i]);
  return convs;
}

Tensor reals_of_pixels(const Int8Graph& graph, int64_t channels) {
  if (!graph.metadata.has("mean_0"))
    throw ConfigError("int8 graph: u8 pixels came, but it does not say how they are normalised",
                      "pass f32 pictures, or set its metadata mean_0, std_0, mean_1, ...");
  std::vector<float> mean, deviation;
  for (int64_t c = 0; c < channels; ++c) {
    mean.push_back(static_cast<float>(graph.metadata.get<double>(str("mean_", c))));
    deviation.push_back(static_cast<float>(graph.metadata.get<double>(str("std_", c))));
  }
  return values_of_bytes(mean, deviation);
}

std::vector<uint8_t> codes_of_pixels(const Int8Graph& graph, const Tensor& reals) {
  const auto count = static_cast<size_t>(reals.numel());
  std::vector<uint8_t> codes;
  for (const Int8Node& n : graph.nodes) {
    if (!reads_input(n)) continue;
    codes.resize(codes.size() + count);
    quantize(n.format, reals.data<float>(), reals.numel(),
             reinterpret_cast<std::byte*>(codes.data() + codes.size() - count));
  }
  return codes;
}

Int8Program::Int8Program(const Int8Graph& graph, const std::vector<Int8Conv>& convs,
                         const Shape& input, const PlanOptions& options)
    : graph_(graph),
      convs_(convs),
      plan_(make_plan(graph, input, options)),
      block_(allocate(plan_.bytes)) {
  for (const Int8Step& step : plan_.steps) steps_.push_back(bind(step));
}

Int8Program::Step Int8Program::bind_conv(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const Int8Conv& c = convs_[static_cast<size_t>(step.node)];
  kernels::ConvInt8::Args args = c.args;
  args.s = conv_shape(n, shape(n.inputs[0]));
  args.x = place(n.inputs[0]);
  args.y = place(step.output);
  if (step.residual >= 0) {
    const Int8Format& other = node(step.residual).format;
    args.residual = {place(step.residual), other.is_signed, other.scale,
                     other.zero_point,     n.format.scale,  requant_to(node(step.output).format)};
  }
  return [call = c.packed->bind(args)](const Int8Input&) { call(); };
}

Int8Program::Step Int8Program::bind_quantize(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const int in = n.inputs[0];
  const int64_t count = shape(in).numel();
  std::byte* q = place(step.node);
  if (!node(in).format.real)
    return [args = kernels::RequantizeInt8::Args{count, codes(in), requant_to(n.format), q}](
               const Int8Input&) { kernels::run<kernels::RequantizeInt8>(args); };
  if (in != 0)
    return [&f = n.format, x = place(in), count, q](const Int8Input&) {
      quantize(f, reinterpret_cast<const float*>(x), count, q);
    };
  int64_t table = 0;
  for (int i = 0; i < step.node; ++i) table += reads_input(node(i)) ? 1 : 0;
  const int64_t channels = shape(0)[3];
  return [&f = n.format, count, q, channels, table](const Int8Input& input) {
    if (input.codes_of_pixels == nullptr)
      quantize(f, reinterpret_cast<const float*>(input.data), count, q);
    else
      look_up_bytes(reinterpret_cast<const uint8_t*>(input.data), count / channels, channels,
                    input.codes_of_pixels + table * 256 * channels, reinterpret_cast<uint8_t*>(q));
  };
}

Int8Program::Step Int8Program::bind_max_pool(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const kernels::PoolShape s = pool_shape(n, shape(n.inputs[0]));
  const auto call = [&]<class T>(T) -> Step {
    return [args = typename kernels::MaxPool<T>::Args{
                s, reinterpret_cast<const T*>(place(n.inputs[0])),
                reinterpret_cast<T*>(place(step.node)), nullptr}](const Int8Input&) {
      kernels::run<kernels::MaxPool<T>>(args);
    };
  };
  return n.format.is_signed ? call(int8_t{}) : call(uint8_t{});
}

Int8Program::Step Int8Program::bind_pad(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const int64_t channels = shape(n.inputs[0])[3], wide = shape(step.node)[3],
                before = n.attributes.get<int64_t>("before"),
                pixels = shape(n.inputs[0]).numel() / channels;
  return [=, zero_point = n.format.zero_point, from = place(n.inputs[0]),
          to = place(step.node)](const Int8Input&) {
    parallel_for(pixels, 4096, [&](int64_t begin, int64_t end) {
      std::memset(to + begin * wide, zero_point, static_cast<size_t>((end - begin) * wide));
      for (int64_t i = begin; i < end; ++i)
        std::memcpy(to + i * wide + before, from + i * channels, static_cast<size_t>(channels));
    });
  };
}

kernels::CodeInput Int8Program::codes(int i) const {
  const Int8Format& from = node(i).format;
  return {place(i), from.is_signed, from.scale, from.zero_point};
}

Int8Program::Step Int8Program::bind_mul(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const Shape& x = shape(n.inputs[0]);
  kernels::MulInt8::Args args{x.numel(), codes(n.inputs[0]), codes(n.inputs[1]),
                              requant_to(n.format), place(step.node)};
  if (shape(n.inputs[1]) != x) args.pixels = x[1] * x[2], args.channels = x[3];
  return [args](const Int8Input&) { kernels::run<kernels::MulInt8>(args); };
}

// Inputs of another format are requantized into memory of their own.
Int8Program::Step Int8Program::bind_concat(const Int8Step& step) const {
  struct Part {
    kernels::RequantizeInt8::Args requantize;
    std::shared_ptr<std::byte> own;
    const std::byte* from;
    int64_t bytes;  // of a row
  };
  const Int8Node& n = node(step.node);
  const auto axis = static_cast<int>(n.attributes.get<int64_t>("axis"));
  int64_t rows = 1;
  for (int i = 0; i < axis; ++i) rows *= shape(step.node)[i];
  std::vector<Part> parts;
  for (int input : n.inputs) {
    const int64_t count = shape(input).numel();
    Part part{{}, nullptr, place(input), rows == 0 ? 0 : count / rows};
    if (!same_grid(node(input).format, n.format)) {
      part.own = allocate(static_cast<size_t>(count) + kReadSlack);
      part.from = part.own.get();
      part.requantize = {count, codes(input), requant_to(n.format), part.own.get()};
    }
    parts.push_back(std::move(part));
  }
  return [parts, rows, to = place(step.node)](const Int8Input&) {
    int64_t row_bytes = 0;
    for (const Part& part : parts) {
      if (part.own) kernels::run<kernels::RequantizeInt8>(part.requantize);
      row_bytes += part.bytes;
    }
    parallel_for(rows, 1 + (1 << 16) / (row_bytes + 1), [&](int64_t begin, int64_t end) {
      std::byte* y = to + begin * row_bytes;
      for (int64_t row = begin; row < end; ++row)
        for (const Part& part : parts) {
          std::memcpy(y, part.from + row * part.bytes, static_cast<size_t>(part.bytes));
          y += part.bytes;
        }
    });
  };
}

// The real numbers of the input, in the block.
Int8Program::Step Int8Program::bind_input() const {
  return [to = reinterpret_cast<float*>(place(0)), count = shape(0).numel(),
          channels = shape(0)[3]](const Int8Input& input) {
    if (input.reals_of_pixels == nullptr) {
      std::memcpy(to, input.data, static_cast<size_t>(count) * sizeof(float));
      return;
    }
    look_up_bytes(reinterpret_cast<const uint8_t*>(input.data), count / channels, channels,
                  input.reals_of_pixels, to);
  };
}

// The value of a node, in the block.
Tensor Int8Program::tensor(int i) const {
  const Int8Format& f = node(i).format;
  const Tensor x =
      Tensor::view(block_, plan_.offsets[static_cast<size_t>(i)], shape(i), code_type(f));
  return f.real ? x : x.with_qparams(qparams_of(f));
}

Int8Program::Step Int8Program::bind_float(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  std::vector<Tensor> inputs;
  for (int input : n.inputs) inputs.push_back(tensor(input));
  return [&n, inputs, to = place(step.node)](const Int8Input&) {
    const Tensor y = run_float(n, inputs);
    std::memcpy(to, y.raw(), y.bytes());
  };
}

Int8Program::Step Int8Program::bind_dynamic(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const Int8Conv& c = convs_[static_cast<size_t>(step.node)];
  kernels::ConvInt8::Args args = c.args;
  args.s = conv_shape(n, shape(n.inputs[0]));
  args.y = place(step.node);
  return [&n, args, x = tensor(n.inputs[0]), packed = c.packed.get()](const Int8Input&) {
    const QParams p = dynamic_qparams(x);
    const Tensor q = Tensor::empty(x.shape(), DType::u8);
    quantize({.scale = p.scale[0], .zero_point = p.zero_point[0]}, x.data<float>(), x.numel(),
             q.raw());
    const float* ws = n.weight_scale.data<float>();
    const int64_t o = args.s.o, scales = n.weight_scale.numel();
    const QParams wp{{ws, ws + scales}, {}, scales == o ? 0 : -1, -128, 127};
    const std::vector<float> multiplier = autograd::conv_multiplier(p, wp, o);
    kernels::ConvInt8::Args now = args;
    now.x = q.raw();
    now.x_zero_point = p.zero_point[0];
    now.multiplier = multiplier.data();
    packed->run(now);
  };
}

std::array<uint8_t, 256> table_of(const Int8Node& node, const Int8Format& input) {
  Tensor x = Tensor::empty({256}, input.is_signed ? DType::s8 : DType::u8);
  for (int i = 0; i < 256; ++i) reinterpret_cast<uint8_t*>(x.raw())[i] = static_cast<uint8_t>(i);
  const int32_t lowest = input.is_signed ? -128 : 0;
  x = x.with_qparams({{input.scale}, {input.zero_point}, -1, lowest, lowest + 255});
  const autograd::NoGrad no_grad;
  const std::array inputs = {autograd::Variable(x)};
  const Tensor y = autograd::find_op(node.attributes.get<std::string>("function"))
                       .apply(inputs, node.attributes)
                       .value();
  std::array<uint8_t, 256> table;
  quantize(node.format, y.data<float>(), 256, reinterpret_cast<std::byte*>(table.data()));
  return table;
}

Int8Program::Step Int8Program::bind_table(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  const std::array<uint8_t, 256> table = table_of(n, node(n.inputs[0]).format);
  return [table, count = shape(n.inputs[0]).numel(), from = place(n.inputs[0]),
          to = place(step.node)](const Int8Input&) {
    kernels::run<kernels::LookUpInt8>({count, from, table.data(), to});
  };
}

Int8Program::Step Int8Program::bind(const Int8Step& step) const {
  const Int8Node& n = node(step.node);
  if (n.op == "input") return bind_input();
  const Int8Format& f = n.format;
  const int in = n.inputs[0];
  if (n.op == "float") return bind_float(step);
  if (n.op == kDynamicLinear) return bind_dynamic(step);
  if (n.op == "conv") return bind_conv(step);
  if (n.op == "quantize") return bind_quantize(step);
  if (n.op == "max_pool") return bind_max_pool(step);
  if (n.op == "pad_channels") return bind_pad(step);
  if (n.op == "mul") return bind_mul(step);
  if (n.op == "concat") return bind_concat(step);
  if (n.op == "table") return bind_table(step);
  if (n.op == "add")
    return [args = kernels::AddInt8::Args{shape(in).numel(), codes(in), codes(n.inputs[1]),
                                          requant_to(f), place(step.node)}](const Int8Input&) {
      kernels::run<kernels::AddInt8>(args);
    };
  return [args = kernels::AvgPoolInt8::Args{pool_shape(n, shape(in)), codes(in), requant_to(f),
                                            place(step.node)}](const Int8Input&) {
    kernels::run<kernels::AvgPoolInt8>(args);
  };
}

}  // namespace stair::qat

#include "autograd/ops/cross_entropy.h"

#include "autograd/broadcast.h"
#include "autograd/op.h"
#include "autograd/operands.h"
#include "autograd/sum_all.h"
#include "kernels/loss/loss.h"

namespace stair::autograd {
namespace {

// Checks the inputs and counts the rows that are not ignored.
int64_t check(const Variable& x, const Tensor& target, const CrossEntropyOptions& p) {
  const auto received = [&] {
    return str("; got x ", x.value(), " [N,C], target ", target, " [N]");
  };
  if (x.shape().rank() != 2) throw ShapeError("cross_entropy: x needs 2 dimensions" + received());
  if (target.dtype() != DType::s64)
    throw DTypeError("cross_entropy: target needs to be s64" + received());
  if (target.shape() != Shape{x.size(0)})
    throw ShapeError(
        str("cross_entropy: target has shape ", target.shape(), ", expected [", x.size(0), "]") +
        received());
  if (!(p.label_smoothing >= 0 && p.label_smoothing <= 1))
    throw ConfigError(
        str("cross_entropy: label_smoothing ", p.label_smoothing, ", expected 0 to 1"));
  int64_t counted = 0;
  for (int64_t r = 0; r < target.numel(); ++r) {
    const int64_t value = target.data<int64_t>()[r];
    if (value == p.ignore_index) continue;
    if (value < 0 || value >= x.size(1))
      throw DataError(str("cross_entropy: target of row ", r, " is ", value, ", expected 0 to ",
                          x.size(1) - 1) +
                          received(),
                      "the classifier needs as many outputs as the data set has classes");
    ++counted;
  }
  return counted;
}

// gx[r,c] = gradient[r,c] * gy[r]
Tensor by_row(const Tensor& gradient, const Tensor& gy) {
  return broadcast_binary(kernels::BinaryFn::mul, gradient, gy.reshape({gy.numel(), 1}),
                          gradient.shape());
}

Attributes attributes(const CrossEntropyOptions& p) {
  return {{"label_smoothing", p.label_smoothing},
          {"ignore_index", p.ignore_index},
          {"reduction", static_cast<int64_t>(p.reduction)}};
}

Variable apply(std::span<const Variable> in, const Attributes& a) {
  return cross_entropy(in[0], in[1].value(),
                       {a.get<double>("label_smoothing"), a.get<int64_t>("ignore_index"),
                        static_cast<Reduction>(a.get<int64_t>("reduction"))});
}

}  // namespace

Variable cross_entropy(const Variable& x, const Tensor& target,
                       const CrossEntropyOptions& options) {
  const int64_t counted = check(x, target, options);
  const Tensor xv = real_operand("cross_entropy", "x", x);
  const Tensor loss = Tensor::empty({x.size(0)}, xv.dtype());
  const Tensor gradient = wants_grad(x) ? Tensor::empty(xv.shape(), xv.dtype()) : Tensor();
  with_real(xv.dtype(), "cross_entropy", [&]<class T>() {
    kernels::run<kernels::SoftmaxCrossEntropy<T>>(
        {x.size(0), x.size(1), xv.data<T>(), target.data<int64_t>(),
         static_cast<T>(options.label_smoothing), options.ignore_index, loss.data<T>(),
         gradient.defined() ? gradient.data<T>() : nullptr});
  });
  const Attributes recorded = tracing() ? attributes(options) : Attributes{};
  const std::vector<Variable> inputs = {x, Variable(target)};
  if (options.reduction == Reduction::none)
    return record(
        "cross_entropy", inputs, loss,
        [gradient](const Tensor& gy) {
          return std::vector<Tensor>{by_row(gradient, gy), Tensor()};
        },
        recorded);
  const double factor =
      options.reduction == Reduction::mean ? 1 / static_cast<double>(counted) : 1.0;
  // With no row counted the mean is 0 * infinity, NaN.
  return record(
      "cross_entropy", inputs, sum_all(loss, factor),
      [gradient, factor](const Tensor& gy) {
        return std::vector<Tensor>{scaled(gradient, scalar_of(gy) * factor), Tensor()};
      },
      recorded);
}

const OpDef op_cross_entropy{"cross_entropy", apply};

}  // namespace stair::autograd

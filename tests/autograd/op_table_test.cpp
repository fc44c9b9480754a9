// Every operation, repeated from what it recorded, gives the same result.
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "autograd/op.h"
#include "autograd/ops/add.h"
#include "autograd/ops/avg_pool2d.h"
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/bfloat16.h"
#include "autograd/ops/clamp.h"
#include "autograd/ops/concat.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/dequantize.h"
#include "autograd/ops/div.h"
#include "autograd/ops/dropout.h"
#include "autograd/ops/fake_quantize.h"
#include "autograd/ops/flatten.h"
#include "autograd/ops/gelu.h"
#include "autograd/ops/global_avg_pool.h"
#include "autograd/ops/group_linear.h"
#include "autograd/ops/hardsigmoid.h"
#include "autograd/ops/hardswish.h"
#include "autograd/ops/leaky_relu.h"
#include "autograd/ops/learnable_fake_quantize.h"
#include "autograd/ops/linear.h"
#include "autograd/ops/log_softmax.h"
#include "autograd/ops/max_pool2d.h"
#include "autograd/ops/mean.h"
#include "autograd/ops/mse_loss.h"
#include "autograd/ops/mul.h"
#include "autograd/ops/pad_channels.h"
#include "autograd/ops/quant_stub.h"
#include "autograd/ops/quantize.h"
#include "autograd/ops/relu.h"
#include "autograd/ops/relu6.h"
#include "autograd/ops/reshape.h"
#include "autograd/ops/sigmoid.h"
#include "autograd/ops/silu.h"
#include "autograd/ops/softmax.h"
#include "autograd/ops/sub.h"
#include "autograd/ops/sum.h"
#include "autograd/ops/tanh.h"

namespace stair::autograd {
namespace {

// Repeats each operation it sees.
class Repeater : public Tracer {
 public:
  void operation(const char* op, const std::vector<Variable>& inputs, const Attributes& attributes,
                 const Variable& y) override {
    SCOPED_TRACE(op);
    seen_.insert(op);
    const TraceScope off(nullptr);
    default_random() = Random(1);
    const Variable again = find_op(op).apply(inputs, attributes);
    ASSERT_EQ(again.shape(), y.shape());
    ASSERT_EQ(again.dtype(), y.dtype());
    ASSERT_EQ(again.quantized(), y.quantized());
    if (y.quantized()) {
      EXPECT_EQ(again.value().qparams(), y.value().qparams());
    }
    EXPECT_EQ(std::memcmp(again.value().raw(), y.value().raw(), y.value().bytes()), 0);
  }
  const std::set<std::string>& seen() const { return seen_; }

 private:
  std::set<std::string> seen_;
};

Variable random(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f32);
  Random stream(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = stream.uniform(0.1F, 9);
  return Variable(t);
}

// Each operation with options that are not the default ones.
void run_all() {
  const Variable x = random({2, 5, 5, 4}, 1), c = random({4}, 2), d = random({4}, 3);
  for (const auto f :
       {relu, relu6, sigmoid, stair::autograd::tanh, hardsigmoid, hardswish, silu, gelu, softmax,
        log_softmax, mean, bfloat16, stair::autograd::sum, flatten, global_avg_pool, quant_stub,
        static_cast<Variable (*)(const Variable&)>(dequantize)})
    f(x);
  for (const auto f : {add, sub, mul, stair::autograd::div}) f(x, c);
  leaky_relu(sub(x, c), 0.3);
  clamp(x, 0.5, 2);
  conv2d(x, random({6, 3, 2, 2}, 4), Variable(),
         {.stride = {2, 1}, .padding = {1, 0, 2, 1}, .dilation = {1, 2}, .groups = 2});
  linear(x, random({3, 4}, 5), random({3}, 6));
  group_linear(x, random({6, 2}, 5), random({3}, 6));
  batch_norm(x, c, d, c, d, {.training = false, .momentum = 0.3, .eps = 0.1});
  concat({x, x}, 2);
  const Pool2dOptions pool{{3, 2}, {2, 1}, {1, 0, 2, 1}, false};
  max_pool2d(x, pool);
  avg_pool2d(x, pool);
  reshape(x, {10, -1});
  pad_channels(x, 1, 2);
  default_random() = Random(1);
  dropout(x, 0.3, true);
  cross_entropy(random({3, 4}, 7), Tensor::from<int64_t>({1, 7, 0}, {3}),
                {0.1, 7, Reduction::none});
  mse_loss(x, mul(x, x));
  const QParams channels{{0.1F, 0.2F, 0.3F, 0.4F}, {1, 2, 3, 4}, 3, 0, 15};
  quantize(x, channels, DType::s32, true);
  fake_quantize(x, channels);
  learnable_fake_quantize(x, c, d, 0, 15, 3, 0.5);
}

}  // namespace

TEST(OpTable, RecordsAreEnoughToRepeatEveryOperation) {
  Repeater repeater;
  {
    const TraceScope scope(&repeater);
    run_all();
  }
  for (const char* name : {
#define STAIR_OP_FILE(stem) #stem,
#include "op_files.inc"
#undef STAIR_OP_FILE
       })
    EXPECT_TRUE(repeater.seen().contains(name)) << name << " was not run; add it to run_all";
}

}  // namespace stair::autograd

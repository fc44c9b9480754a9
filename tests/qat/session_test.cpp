// Int8Session beside its exactness: pixels, slices, shapes that alternate, memory, threads.
#include "qat/int8/session.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "core/cpu.h"
#include "core/parallel.h"
#include "core/random.h"
#include "nn/graph/capture.h"
#include "nn/graph/graph_module.h"
#include "nn/model.h"
#include "qat/convert.h"
#include "qat/prepare.h"

namespace {

std::atomic<int64_t> allocations{0};

}  // namespace

// Every `new` of the program is counted.
void* operator new(size_t bytes) {
  ++allocations;
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes);
}
void operator delete(void* block) noexcept {
  std::free(block);
}
void operator delete(void* block, size_t) noexcept {
  std::free(block);
}

namespace stair::qat {
namespace {

constexpr float kMean[] = {0.485F, 0.456F, 0.406F}, kStd[] = {0.229F, 0.224F, 0.225F};

Tensor pixels(int64_t n, int64_t size, uint64_t seed) {
  Tensor x = Tensor::empty({n, size, size, 3}, DType::u8);
  Random random(seed);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<uint8_t>()[i] = static_cast<uint8_t>(random.bits());
  return x;
}

Tensor normalised(const Tensor& x) {
  Tensor y = Tensor::empty(x.shape(), DType::f32);
  for (int64_t i = 0; i < x.numel(); ++i)
    y.data<float>()[i] =
        (static_cast<float>(x.data<uint8_t>()[i]) / 255.0F - kMean[i % 3]) / kStd[i % 3];
  return y;
}

// A calibrated network with the preprocessing of kMean and kStd.
Int8Graph graph_of(const std::string& model, double width, int64_t size) {
  nn::ModelOptions options;
  options.num_classes = 3;
  options.width = width;
  options.seed = 1;
  const auto net = nn::find_model(model).build(options);
  const Tensor x = normalised(pixels(2, size, 1));
  const nn::Graph graph = nn::capture(*net, Variable(x));
  nn::GraphModule qat(prepare_qat(graph, x86_config()).graph);
  {
    const autograd::NoGrad no_grad;
    (void)qat(Variable(x));
  }
  Int8Graph result = convert(qat.graph());
  for (size_t c = 0; c < 3; ++c) {
    result.metadata.set(str("mean_", c), double{kMean[c]});
    result.metadata.set(str("std_", c), double{kStd[c]});
  }
  return result;
}

void expect_equal(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  for (int64_t i = 0; i < a.numel(); ++i)
    ASSERT_EQ(a.data<float>()[i], b.data<float>()[i]) << what << ", element " << i;
}

TEST(Int8SessionExact, PixelsGiveTheLogitsOfTheirRealNumbers) {
  for (const auto& [model, width] : {std::pair{"resnet20", 1.0}, {"mobilenet_v2", 0.25}}) {
    const Int8Graph graph = graph_of(model, width, 32);
    const Tensor x = pixels(3, 32, 2);
    for (Isa isa : available_isas()) {
      const IsaScope scope(isa);
      Int8Session session(graph);
      expect_equal(session.run(x), session.run(normalised(x)), str(model, ' ', isa));
    }
  }
}

TEST(Int8SessionExact, SlicesOfABatchGiveTheLogitsOfTheWhole) {
  const Int8Graph graph = graph_of("resnet20", 1, 32);
  const Tensor x = pixels(11, 32, 3);
  const Tensor whole = Int8Session(graph).run(x);
  for (const size_t bytes : {size_t{1}, size_t{100} << 10, size_t{300} << 10}) {
    Int8Session session(graph, {.slice_bytes = bytes});
    expect_equal(session.run(x), whole, str(bytes, " bytes"));
  }
}

TEST(Int8Session, SlicesSpareMemory) {
  const Int8Graph graph = graph_of("resnet20", 1, 32);
  const Tensor x = pixels(24, 32, 3);
  const auto live_bytes = [&](size_t slice_bytes) {
    Int8Session session(graph, {.slice_bytes = slice_bytes});
    (void)session.run(x);
    return memory_stats().live_bytes;
  };
  EXPECT_LT(live_bytes(1) + (100 << 10), live_bytes(16 << 20));
}

TEST(Int8SessionExact, PicturesOneByOneGiveTheLogitsOfWholeLayers) {
  const int before = num_threads();
  for (const auto& [model, width] : {std::pair{"resnet20", 1.0}, {"mobilenet_v2", 0.25}}) {
    const Int8Graph graph = graph_of(model, width, 32);
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      for (int64_t n : {1, 4, 5, 24, 25}) {
        const Tensor x = pixels(n, 32, static_cast<uint64_t>(n));
        Int8Session session(graph);
        expect_equal(session.run(x), session.node_value(x, graph.nodes.back().name),
                     str(model, ", ", threads, " threads, ", n, " pictures"));
      }
    }
  }
  set_num_threads(before);
}

TEST(Int8SessionExact, ShapesMayAlternate) {
  const Int8Graph graph = graph_of("resnet20", 1, 32);
  Int8Session session(graph);
  for (int round = 0; round < 2; ++round)
    for (int64_t n : {1, 2, 3, 4, 5, 6}) {
      const Tensor x = pixels(n, n % 2 == 0 ? 32 : 20, static_cast<uint64_t>(n));
      expect_equal(session.run(x), Int8Session(graph).run(x), str(n, " pictures"));
    }
}

TEST(Int8SessionExact, SeveralSessionsRunAtOnce) {
  const Int8Graph graph = graph_of("mobilenet_v2", 0.25, 32);
  const Tensor x = pixels(2, 32, 4);
  const Tensor expected = Int8Session(graph).run(x);
  std::vector<Tensor> results(4);
  std::vector<std::thread> callers;
  for (Tensor& result : results)
    callers.emplace_back([&] {
      Int8Session session(graph);
      for (int call = 0; call < 5; ++call) session.run(x, result);
    });
  for (std::thread& caller : callers) caller.join();
  for (const Tensor& result : results) expect_equal(result, expected, "beside other sessions");
}

TEST(Int8Session, ACallOfAKnownShapeAllocatesNothing) {
  for (const auto& [model, width] : {std::pair{"resnet20", 1.0}, {"mobilenet_v2", 0.25}}) {
    Int8Session session(graph_of(model, width, 32), {.slice_bytes = 1});
    for (const Tensor& x : {pixels(2, 32, 5), normalised(pixels(2, 32, 5))}) {
      Tensor y;
      // Which thread takes which task is a matter of chance: some calls until each has its scratch.
      for (int call = 0; call < 20; ++call) session.run(x, y);
      const std::byte* place = y.raw();
      int64_t least = INT64_MAX;
      for (int call = 0; call < 10; ++call) {
        const int64_t before = allocations;
        session.run(x, y);
        least = std::min<int64_t>(least, allocations - before);
      }
      EXPECT_EQ(least, 0) << model << ' ' << x.dtype();
      EXPECT_EQ(y.raw(), place);
    }
  }
}

TEST(Int8SessionFault, WrongInputsAreNamed) {
  Int8Graph graph = graph_of("resnet20", 1, 32);
  graph.metadata = {};
  Int8Session session(graph);
  try {
    (void)session.run(pixels(1, 32, 1));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(error.hint().find("mean_0"), std::string::npos) << error.hint();
  }
  EXPECT_THROW((void)session.run(Tensor::empty({1, 32, 32, 3}, DType::s32)), ShapeError);
  EXPECT_THROW((void)session.run(Tensor::empty({32, 32, 3}, DType::f32)), ShapeError);
  EXPECT_THROW((void)session.run(Tensor::empty({1, 32, 32, 4}, DType::f32)), ShapeError);
}

}  // namespace
}  // namespace stair::qat

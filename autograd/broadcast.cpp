#include "autograd/broadcast.h"

#include <algorithm>

#include "autograd/op.h"
#include "autograd/operands.h"
#include "core/parallel.h"
#include "kernels/reduce/reduce.h"

namespace stair::autograd {
namespace {

constexpr int64_t kGrain = 16384;  // elements a task

// Dimension i of `shape` seen as one of `rank` dimensions, filled up with 1 in front.
int64_t aligned(const Shape& shape, int i, int rank) {
  const int own = i - (rank - shape.rank());
  return own < 0 ? 1 : shape[own];
}

// A run of neighbouring dimensions that a and b both walk through or both keep still.
struct Run {
  int64_t size;
  bool a_moves, b_moves;
};

// The dimensions of y, as few runs as possible; sizes of 1 are left out.
std::vector<Run> runs_of(const Shape& a, const Shape& b, const Shape& y) {
  std::vector<Run> runs;
  for (int i = 0; i < y.rank(); ++i) {
    if (y[i] == 1) continue;
    const bool a_moves = aligned(a, i, y.rank()) != 1, b_moves = aligned(b, i, y.rank()) != 1;
    if (!runs.empty() && runs.back().a_moves == a_moves && runs.back().b_moves == b_moves)
      runs.back().size *= y[i];
    else
      runs.push_back({y[i], a_moves, b_moves});
  }
  if (runs.empty()) runs.push_back({1, true, true});
  return runs;
}

// Where a row of the innermost run starts in a and b.
struct Offsets {
  int64_t a = 0, b = 0;
};
Offsets offsets(const std::vector<Run>& runs, int64_t row) {
  Offsets at;
  int64_t a_stride = runs.back().a_moves ? runs.back().size : 1;
  int64_t b_stride = runs.back().b_moves ? runs.back().size : 1;
  for (size_t i = runs.size() - 1; i-- > 0;) {
    const int64_t index = row % runs[i].size;
    row /= runs[i].size;
    if (runs[i].a_moves) at.a += index * a_stride, a_stride *= runs[i].size;
    if (runs[i].b_moves) at.b += index * b_stride, b_stride *= runs[i].size;
  }
  return at;
}

template <class T, class F>
void row(const Run& run, int64_t n, const T* a, const T* b, T* y, const F& f) {
  if (run.a_moves && run.b_moves)
    for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], b[i]);
  else if (run.a_moves)
    for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], *b);
  else
    for (int64_t i = 0; i < n; ++i) y[i] = f(*a, b[i]);
}

template <class T, class F>
void walk(const std::vector<Run>& runs, const T* a, const T* b, T* y, int64_t numel, const F& f) {
  const Run& inner = runs.back();
  if (runs.size() == 1) {
    parallel_for(numel, kGrain, [&](int64_t begin, int64_t end) {
      row(inner, end - begin, inner.a_moves ? a + begin : a, inner.b_moves ? b + begin : b,
          y + begin, f);
    });
    return;
  }
  const int64_t rows = numel / inner.size;
  parallel_for(rows, std::max<int64_t>(1, kGrain / inner.size), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const Offsets at = offsets(runs, r);
      row(inner, inner.size, a + at.a, b + at.b, y + r * inner.size, f);
    }
  });
}

// Sums [outer, reduced, inner] over the middle.
template <class T>
Tensor sum_middle(const T* g, int64_t outer, int64_t reduced, int64_t inner) {
  Tensor sum = Tensor::empty({outer * inner}, dtype_of<T>);
  if (inner == 1) {
    kernels::run<kernels::SumChannels<T>>({{1, outer, reduced}, g, sum.data<T>()});
    return sum;
  }
  for (int64_t o = 0; o < outer; ++o)
    kernels::run<kernels::SumChannels<T>>(
        {{reduced, inner, 1}, g + o * reduced * inner, sum.data<T>() + o * inner});
  return sum;
}

}  // namespace

Shape broadcast_shape(const char* op, const Tensor& a, const Tensor& b) {
  const int rank = std::max(a.shape().rank(), b.shape().rank());
  std::vector<int64_t> y(static_cast<size_t>(rank));
  for (int i = 0; i < rank; ++i) {
    const int64_t da = aligned(a.shape(), i, rank), db = aligned(b.shape(), i, rank);
    if (da != db && da != 1 && db != 1)
      throw ShapeError(str(op, ": sizes ", da, " and ", db, " of dimension ", i,
                           " differ and neither is 1; got a ", a, ", b ", b),
                       "shapes are aligned at their last dimension");
    y[static_cast<size_t>(i)] = da == 1 ? db : da;
  }
  return Shape(std::move(y));
}

BinaryOperands binary_operands(const char* op, const Variable& a, const Variable& b) {
  BinaryOperands in{real_operand(op, "a", a), real_operand(op, "b", b), {}};
  if (in.a.dtype() != in.b.dtype())
    throw DTypeError(str(op, ": a and b differ in element type; got a ", in.a, ", b ", in.b));
  in.y = broadcast_shape(op, in.a, in.b);
  return in;
}

Tensor broadcast_binary(kernels::BinaryFn fn, const Tensor& a, const Tensor& b, const Shape& y) {
  Tensor result = Tensor::empty(y, a.dtype());
  if (result.numel() == 0) return result;
  with_real(a.dtype(), "broadcast", [&]<class T>() {
    if (a.shape() == b.shape()) {
      kernels::run<kernels::Binary<T>>(
          {fn, result.numel(), a.data<T>(), b.data<T>(), result.data<T>()});
      return;
    }
    const std::vector<Run> runs = runs_of(a.shape(), b.shape(), y);
    const auto apply = [&](const auto& f) {
      walk(runs, a.data<T>(), b.data<T>(), result.data<T>(), result.numel(), f);
    };
    if (fn == kernels::BinaryFn::add) apply([](T u, T v) { return u + v; });
    if (fn == kernels::BinaryFn::sub) apply([](T u, T v) { return u - v; });
    if (fn == kernels::BinaryFn::mul) apply([](T u, T v) { return u * v; });
    if (fn == kernels::BinaryFn::div) apply([](T u, T v) { return u / v; });
  });
  return result;
}

Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  if (g.numel() == 0) return Tensor::zeros(shape, g.dtype());
  Tensor sum = g;
  // One run of stretched dimensions after the other, the last first; `inner` counts what is kept
  // behind it.
  const std::vector<Run> runs = runs_of(shape, g.shape(), g.shape());
  int64_t inner = 1;
  for (size_t i = runs.size(); i-- > 0;) {
    if (runs[i].a_moves) {
      inner *= runs[i].size;
      continue;
    }
    const int64_t outer = sum.numel() / (runs[i].size * inner);
    with_real(g.dtype(), "sum_to",
              [&]<class T>() { sum = sum_middle(sum.data<T>(), outer, runs[i].size, inner); });
  }
  return sum.reshape(shape);
}

Tensor scaled(const Tensor& x, double factor) {
  Tensor y = Tensor::empty(x.shape(), x.dtype());
  with_real(x.dtype(), "scaled", [&]<class T>() {
    const T f = static_cast<T>(factor);
    const T* from = x.data<T>();
    T* to = y.data<T>();
    parallel_for(x.numel(), kGrain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = from[i] * f;
    });
  });
  return y;
}

}  // namespace stair::autograd

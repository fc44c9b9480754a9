#include "autograd/optimizer_step.h"

#include "autograd/op.h"
#include "kernels/optimizer/optimizer.h"

namespace stair::autograd {
namespace {

void require_like(const char* op, const Tensor& p, const char* what, const Tensor& t) {
  if (!t.defined() || t.shape() != p.shape())
    throw ShapeError(str(op, ": ", what, " is ", t, ", expected the shape of the parameter ", p));
  if (t.dtype() != p.dtype())
    throw DTypeError(str(op, ": ", what, " is ", t, ", expected the type of the parameter ", p));
}

}  // namespace

void sgd_step(const Tensor& p, const Tensor& g, const Tensor& v, bool first, const SgdOptions& o) {
  require_like("sgd_step", p, "the gradient", g);
  if (o.momentum != 0) require_like("sgd_step", p, "the momentum", v);
  with_real(p.dtype(), "sgd_step", [&]<class T>() {
    kernels::run<kernels::Sgd<T>>({p.numel(), o.lr, o.momentum, o.dampening, o.weight_decay,
                                   o.nesterov, first, g.data<T>(),
                                   o.momentum != 0 ? v.data<T>() : nullptr, p.data<T>()});
  });
}

void adam_step(const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v, int64_t t,
               const AdamOptions& o) {
  require_like("adam_step", p, "the gradient", g);
  require_like("adam_step", p, "the first moment", m);
  require_like("adam_step", p, "the second moment", v);
  with_real(p.dtype(), "adam_step", [&]<class T>() {
    kernels::run<kernels::Adam<T>>({p.numel(), o.lr, o.beta1, o.beta2, o.eps, o.weight_decay,
                                    o.decoupled, t, g.data<T>(), m.data<T>(), v.data<T>(),
                                    p.data<T>()});
  });
}

}  // namespace stair::autograd

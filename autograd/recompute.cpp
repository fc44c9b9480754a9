#include "autograd/recompute.h"

namespace stair::autograd {
namespace {

thread_local bool on = false;

}  // namespace

Recompute::Recompute(bool enable) : before_(on) {
  on = enable;
}
Recompute::~Recompute() {
  on = before_;
}
bool recompute_enabled() {
  return on && grad_enabled();
}

Kept::Kept(const Variable& x) : remake_(x.remake()), shape_(x.shape()) {
  if (!remake_) value_ = x.value();
}

}  // namespace stair::autograd

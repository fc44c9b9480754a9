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

Kept::Kept(const Variable& x) : shape_(x.shape()) {
  if (x.remake())
    remake_ = x.remake();
  else
    value_ = x.deferred();
}

}  // namespace stair::autograd

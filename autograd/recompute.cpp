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
  if (x.deferred().in_pieces() || !x.remake())
    value_ = x.deferred();
  else
    remake_ = x.remake();
}

}  // namespace stair::autograd

#include "autograd/profile.h"

namespace stair::autograd {
namespace {

thread_local Profile* active = nullptr;

}  // namespace

Profile::Profile(size_t layers) : layers_(layers), before_(active) {
  active = this;
}
Profile::~Profile() {
  active = before_;
}

int Profile::layer() {
  return active == nullptr ? -1 : active->current_;
}

void Profile::count_bytes(size_t bytes) {
  active->layers_[static_cast<size_t>(active->current_)].bytes += bytes;
}

LayerScope::LayerScope(int layer, Pass pass) : profile_(layer < 0 ? nullptr : active), pass_(pass) {
  if (profile_ == nullptr) return;
  before_ = profile_->current_;
  layer_ = profile_->current_ = layer;
  start_ = std::chrono::steady_clock::now();
}

LayerScope::~LayerScope() {
  if (profile_ == nullptr) return;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  profile_->current_ = before_;
  const auto add = [&](int layer, double s) {
    Profile::Layer& to = profile_->layers_[static_cast<size_t>(layer)];
    (pass_ == Pass::forward ? to.forward_s : to.backward_s) += s;
  };
  add(layer_, seconds);
  if (before_ >= 0) add(before_, -seconds);
}

}  // namespace stair::autograd

#include "kernels/conv_int8/conv_int8.h"

namespace stair::kernels {

PackedConvInt8::PackedConvInt8(const ConvInt8::Args& args) {
  select<ConvInt8>([&](const Entry& entry, const ConvInt8::Impl& impl) {
    if (impl.supports != nullptr && !impl.supports(args)) return false;
    impl_ = &impl;
    name_ = entry.name;
    return true;
  });
  if (impl_->pack != nullptr) {
    packed_ = allocate(impl_->packed_bytes(args));
    impl_->pack(args, packed_.get());
  }
}

std::function<void()> PackedConvInt8::bind(ConvInt8::Args args) const {
  args.packed = packed_.get();
  return impl_->bind(args);
}

void conv_int8(const ConvInt8::Args& args) {
  PackedConvInt8(args).run(args);
}

}  // namespace stair::kernels

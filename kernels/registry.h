// How operations find their kernels.
//
// An operation is a struct with `Args` (plain pointers and sizes), `kName`, and `Impl` (what a
// kernel provides, by default one function). Each file kernels/<family>/<stem>_<isa>.cpp defines
// `void register_<stem>_<isa>(Registry&)`; the build lists the files, so adding a kernel edits
// nothing. The best kernel that the active instruction set allows and that supports the arguments
// runs; the reference supports everything.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/cpu.h"
#include "core/error.h"

namespace stair::kernels {

struct Entry {
  const char* op;
  const char* name;  // <op>_<types>_<detail>_<isa>, as shown by benchmarks and qat_env
  Isa isa;
  const void* impl;  // an Op::Impl
};

class Registry {
 public:
  void add(const char* op, const char* name, Isa isa, const void* impl);
  // Kernels of one operation, best instruction set first.
  std::span<const Entry> candidates(const std::string& op) const;
  const std::vector<Entry>& all() const { return entries_; }

 private:
  friend const Registry& registry();
  void sort();
  std::vector<Entry> entries_;
};

// Every kernel of the build.
const Registry& registry();

// What a kernel of an ordinary operation provides. `supports` may be null: everything.
template <class Args>
struct Function {
  void (*run)(const Args&);
  bool (*supports)(const Args&) = nullptr;
};

// Calls accept(entry, impl) from the best kernel to the reference until it returns true.
template <class Op, class Accept>
void select(const Accept& accept) {
  static const std::span<const Entry> list = registry().candidates(Op::kName);
  for (const Entry& entry : list)
    if (entry.isa <= active_isa() &&
        accept(entry, *static_cast<const typename Op::Impl*>(entry.impl)))
      return;
  throw Error(
      str("no kernel for operation '", Op::kName, "' under instruction set '", active_isa(), "'"));
}

// Runs the best kernel of an ordinary operation.
template <class Op>
void run(const typename Op::Args& args) {
  select<Op>([&](const Entry&, const typename Op::Impl& impl) {
    if (impl.supports != nullptr && !impl.supports(args)) return false;
    impl.run(args);
    return true;
  });
}

// The name of operation `base` for element type T, e.g. relu_f32.
#define STAIR_KERNEL_NAME(base) (sizeof(T) == 4 ? base "_f32" : base "_f64")

}  // namespace stair::kernels

// Where the time of a step goes, by layer. Costs a look at a thread's variable an operation while
// no profile is on.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace stair::autograd {

enum class Pass { forward, backward };

// While one lives, this thread's time inside a LayerScope counts for that layer, and so does that
// of the backward functions of the operations that ran in it.
class Profile {
 public:
  struct Layer {
    double forward_s = 0, backward_s = 0;
    size_t bytes = 0;  // that the forward operations read and wrote
  };

  // Layers are numbered from 0.
  explicit Profile(size_t layers);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  const std::vector<Layer>& layers() const { return layers_; }

  // The layer that runs on this thread; -1: none, or no profile is on.
  static int layer();
  static void count_bytes(size_t bytes);

 private:
  friend class LayerScope;
  std::vector<Layer> layers_;
  int current_ = -1;
  Profile* before_;
};

// The time while one lives is that of a layer; of an inner scope, its own. Nothing for layer -1.
class LayerScope {
 public:
  explicit LayerScope(int layer, Pass pass = Pass::forward);
  ~LayerScope();
  LayerScope(const LayerScope&) = delete;
  LayerScope& operator=(const LayerScope&) = delete;

 private:
  Profile* profile_;
  int before_ = -1, layer_ = -1;
  Pass pass_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace stair::autograd

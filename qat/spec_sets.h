// The tensors of an annotated graph that get one quantizer together.
#pragma once

#include "qat/annotation.h"

namespace stair::qat {

class SpecSets {
 public:
  // Throws ConfigError when an annotation names what is not there, or shares in a circle.
  SpecSets(const nn::Graph& graph, const Annotations& annotations);

  struct Set {
    QuantizationSpec spec;
    const DerivedQuantizationSpec* derived = nullptr;
    std::vector<EdgeOrNode> members;
  };
  // Null where the edge or node has no annotation.
  const Set* find(const EdgeOrNode& place) const;

 private:
  void collect();
  void join_shared();
  void join_equal();
  void require_place(const EdgeOrNode& place, const EdgeOrNode& named_by) const;
  int root(int i) const;
  void join(int a, int b);
  std::string text(const EdgeOrNode& place) const;
  // The specification of a set that sharing made: that of its only member that names no other.
  void settle(Set& set) const;

  const nn::Graph& graph_;
  const Annotations& annotations_;
  std::map<EdgeOrNode, int> index_;
  std::vector<const QuantizationSpecBase*> specs_;
  std::vector<EdgeOrNode> places_;
  mutable std::vector<int> parent_;
  std::map<int, Set> sets_;  // by root
};

}  // namespace stair::qat

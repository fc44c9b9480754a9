// Histograms of values and weights by layer, for a file.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "core/json.h"
#include "qat/observer.h"

namespace stair::apps {

// Codes are counted one by one, real numbers in 128 bins over their range. Memory does not grow
// with the number of batches.
class Histograms {
 public:
  // All tensors of one path have one form: f32, or codes of one type.
  void add(const std::string& network, const std::string& kind, const std::string& layer,
           const Tensor& value);
  // {network: {kind: {layer: {"first_code", "scale", "zero_point", "counts"} or {"min", "max",
  // "counts"}}}}
  Json to_json() const;

 private:
  struct Entry {
    std::vector<double> counts;               // of codes
    QParams qparams;                          // of codes
    int32_t first = 0;                        // the code that counts[0] is of
    std::unique_ptr<qat::Observer> observer;  // of real numbers
  };
  static Json to_json(const Entry& entry);

  std::map<std::string, std::map<std::string, std::map<std::string, Entry>>> entries_;
};

}  // namespace stair::apps

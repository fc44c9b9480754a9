#include "apps/train/histograms.h"

#include "apps/program/report.h"
#include "qat/histogram.h"

namespace stair::apps {
namespace {

constexpr int64_t kBins = 128;

Json list_of(const auto& numbers) {
  Json list = Json::array();
  for (const auto number : numbers) list.push_back(number);
  return list;
}

}  // namespace

void Histograms::add(const std::string& network, const std::string& kind, const std::string& layer,
                     const Tensor& value) {
  Entry& entry = entries_[network][kind][layer];
  if (value.quantized()) {
    const bool is_signed = value.dtype() == DType::s8;
    entry.counts.resize(256);
    entry.first = is_signed ? -128 : 0;
    entry.qparams = value.qparams();
    for (int64_t i = 0; i < value.numel(); ++i)
      ++entry.counts[static_cast<size_t>(is_signed ? value.data<int8_t>()[i] + 128
                                                   : value.data<uint8_t>()[i])];
    return;
  }
  if (!entry.observer) {
    qat::QuantizationSpec spec;
    spec.observer = "histogram";
    entry.observer = qat::make_observer(spec, 1);
  }
  const qat::Range range = qat::range_of(value, -1);
  entry.observer->observe({range, value});
}

Json Histograms::to_json(const Entry& entry) {
  Json j = Json::object();
  if (!entry.observer) {
    j.set("first_code", entry.first);
    j.set("scale", list_of(entry.qparams.scale));
    j.set("zero_point", list_of(entry.qparams.zero_point));
    j.set("counts", list_of(entry.counts));
    return j;
  }
  std::vector<double> counts(kBins);
  for (const nn::NamedVariable& state : entry.observer->state())
    if (state.name == "histogram")
      for (int64_t i = 0; i < state.variable.value().numel(); ++i)
        counts[static_cast<size_t>(i * kBins / qat::HistogramObserver::kBins)] +=
            state.variable.value().data<double>()[i];
  j.set("min", json_number(entry.observer->min_val().value().data<float>()[0]));
  j.set("max", json_number(entry.observer->max_val().value().data<float>()[0]));
  j.set("counts", list_of(counts));
  return j;
}

Json Histograms::to_json() const {
  Json j = Json::object();
  for (const auto& [network, kinds] : entries_) {
    Json of_network = Json::object();
    for (const auto& [kind, layers] : kinds) {
      Json of_kind = Json::object();
      for (const auto& [layer, entry] : layers) of_kind.set(layer, to_json(entry));
      of_network.set(kind, std::move(of_kind));
    }
    j.set(network, std::move(of_network));
  }
  return j;
}

}  // namespace stair::apps

#include "core/text.h"

#include <algorithm>
#include <cstdint>

namespace stair {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";
constexpr size_t kLongestCompared = 100;  // bounds the time a hostile name can take
constexpr size_t kMostListed = 20;
constexpr size_t kLongestPath = 1000;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Characters that change the terminal or the order in which letters are shown.
bool acts_on_terminal(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

std::string escaped(char32_t c) {
  if (c == '\n') return "\\n";
  if (c == '\t') return "\\t";
  if (c == '\r') return "\\r";
  if (c < 0x100) return {'\\', 'x', kHexDigits[c >> 4], kHexDigits[c & 15]};
  std::string digits;
  for (; c != 0; c >>= 4) digits.insert(digits.begin(), kHexDigits[c & 15]);
  return "\\u{" + digits + "}";
}

}  // namespace

std::optional<char32_t> decode_utf8(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  if (position >= text.size()) return std::nullopt;
  const unsigned char lead = byte(0);
  const size_t length = lead < 0x80 ? 1 : lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 0 || lead > 0xF4 || length > text.size() - position) return std::nullopt;
  char32_t c = length == 1 ? lead : lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    c = c << 6 | (byte(i) & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[length] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return std::nullopt;
  position += length;
  return c;
}

std::string printable(std::string_view name, size_t limit) {
  std::string out;
  size_t position = 0;
  for (size_t count = 0; position < name.size(); ++count) {
    if (count == limit) return out + "...(" + std::to_string(name.size()) + " bytes)";
    const size_t before = position;
    const std::optional<char32_t> c = decode_utf8(name, position);
    if (!c)
      out += escaped(static_cast<unsigned char>(name[position++]));
    else if (acts_on_terminal(*c))
      out += escaped(*c);
    else
      out += name.substr(before, position - before);
  }
  return out;
}

std::string in_quotes(std::string_view name) {
  return '\'' + printable(name) + '\'';
}

std::string path_in_quotes(std::string_view path) {
  return '\'' + printable(path, kLongestPath) + '\'';
}

std::string join(std::span<const std::string> items, std::string_view separator, size_t limit) {
  std::string out;
  const size_t shown = std::min(items.size(), limit);
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += separator;
    out += printable(items[i]);
  }
  if (shown < items.size()) out += " ... and " + std::to_string(items.size() - shown) + " more";
  return out;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1]))
        next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row[b.size()];
}

std::string nearest(std::string_view name, std::span<const std::string> candidates) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const std::string& candidate : candidates) {
    if (std::max(name.size(), candidate.size()) > kLongestCompared) continue;
    const size_t distance = edit_distance(name, candidate);
    const size_t allowed = std::max<size_t>(1, std::max(name.size(), candidate.size()) / 3);
    if (distance > allowed || distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  if (candidates.empty()) return "";
  const std::string near = nearest(name, candidates);
  return near.empty() ? "known: " + join(candidates, ", ", kMostListed)
                      : "did you mean " + in_quotes(near) + "?";
}

}  // namespace stair

// Text for people: names from files made safe to print, near spellings, lists.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stair {

// Reads the UTF-8 character at `position` and moves past it. Nothing is read (and `position` stays)
// when the bytes are no well-formed character: cut, overlong, a surrogate, above U+10FFFF.
std::optional<char32_t> decode_utf8(std::string_view text, size_t& position);

// `name` without anything that could act on a terminal or fill a screen: control characters, broken
// UTF-8 and characters that change the writing direction become \n, \x1b or \u{202e}; after `limit`
// characters "...(N bytes)" follows.
std::string printable(std::string_view name, size_t limit = 80);

// The name made printable, in single quotes; a path is shortened much later.
std::string in_quotes(std::string_view name);
std::string path_in_quotes(std::string_view path);

// The items with `separator` between them, each made printable. After `limit` items "... and N
// more" follows.
std::string join(std::span<const std::string> items, std::string_view separator = ", ",
                 size_t limit = SIZE_MAX);

// Insertions, deletions, replacements and swaps of neighbours that lead from one text to the other;
// case is ignored.
size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `name`, the first of equals; empty when none is near enough to be meant
// (a third of its letters).
std::string nearest(std::string_view name, std::span<const std::string> candidates);

// "did you mean 'epochs'?", or "known: a, b, c" when nothing is near; empty without candidates. A
// hint for an error.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

}  // namespace stair

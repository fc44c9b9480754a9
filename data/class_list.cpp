#include "data/class_list.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace stair::data {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_synset(std::string_view text) {
  return text.size() == 9 && text[0] == 'n' && is_digits(text.substr(1));
}

std::vector<std::string> columns_of(const std::string& line) {
  std::vector<std::string> columns;
  size_t begin = 0;
  for (size_t tab; (tab = line.find('\t', begin)) != std::string::npos; begin = tab + 1)
    columns.push_back(line.substr(begin, tab - begin));
  columns.push_back(line.substr(begin));
  if (columns.size() == 1 && line.size() > 9 && line[9] == ' ' && is_synset(line.substr(0, 9)))
    return {line.substr(0, 9), line.substr(10)};
  return columns;
}

void check_unique(const std::string& path, const std::vector<std::string>& ids) {
  constexpr size_t kMostNamed = 10;
  std::set<std::string> seen, repeated;
  for (const std::string& id : ids)
    if (!seen.insert(id).second) repeated.insert(id);
  if (!repeated.empty())
    throw DataError(
        str("class list '", printable(path), "': more than one line for ",
            join(std::vector<std::string>(repeated.begin(), repeated.end()), ", ", kMostNamed)),
        "key the list by folder names (ImageNet: synsets such as n01440764), not by names of "
        "things");
}

}  // namespace

ClassList read_class_list(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw DataError(str("class list '", printable(path), "': ", std::strerror(errno)));
  ClassList list;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> columns = columns_of(line);
    if (columns.size() > 1 && is_digits(columns[0])) {
      if (columns[0] != std::to_string(list.ids.size()))
        throw DataError(str("class list '", printable(path), "' line ", number, ": label ",
                            printable(columns[0], 20), ", expected ", list.ids.size()),
                        "labels count up from 0, one line a class");
      columns.erase(columns.begin());
    }
    if (columns[0].empty())
      throw DataError(str("class list '", printable(path), "' line ", number, ": no identifier"));
    list.ids.push_back(columns[0]);
    list.names.push_back(columns.size() > 1 ? columns[1] : columns[0]);
  }
  if (list.ids.empty()) throw DataError(str("class list '", printable(path), "': no classes"));
  check_unique(path, list.ids);
  return list;
}

}  // namespace stair::data

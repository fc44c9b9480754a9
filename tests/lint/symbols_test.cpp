// What the objects of kernels and quantizers export. Code that is compiled for an instruction set,
// or that every variant repeats under the same names, must not be merged by the linker with code of
// the same name elsewhere.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <regex>
#include <sstream>

#include "core/error.h"
#include "tests/lint/source_tree.h"

namespace stair::lint {
namespace {

struct Symbol {
  char kind;  // as nm shows it
  std::string name;
};

bool is_weak(const Symbol& symbol) {
  return symbol.kind == 'W' || symbol.kind == 'V' || symbol.kind == 'u';
}

// Lines "address kind name"; undefined symbols have no address.
std::vector<Symbol> read_symbols(const std::string& output) {
  std::vector<Symbol> symbols;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) {
    const size_t space = line.find(' ');
    if (space != 16 || line.size() < space + 4 || line[space + 2] != ' ') continue;
    symbols.push_back({line[space + 1], line.substr(space + 3)});
  }
  return symbols;
}

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (pipe == nullptr) throw Error("cannot run " + command);
  std::string output;
  std::array<char, 4096> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe.get()))
    output.append(buffer.data(), count);
  return output;
}

// An object for an instruction set exports its registration and nothing weak.
Complaints isa_complaints(const std::string& object, const std::vector<Symbol>& symbols) {
  Complaints complaints;
  for (const Symbol& symbol : symbols)
    if (is_weak(symbol)) complaints.push_back(object + ": weak " + symbol.name);
  return complaints;
}

// A quantizer's object exports one thing, its definition. Weak code of shared headers is the same
// everywhere; weak code of a class or function that the file itself defines is not.
Complaints quantizer_complaints(const std::string& object, const std::vector<Symbol>& symbols,
                                const std::string& text) {
  Complaints complaints;
  size_t strong = 0;
  for (const Symbol& symbol : symbols) {
    strong += symbol.kind == 'T' || symbol.kind == 'D' || symbol.kind == 'B' || symbol.kind == 'R';
    static const std::regex kOurs("stair::qat::([A-Za-z_0-9]+)");
    std::smatch match;
    if (!is_weak(symbol) || !std::regex_search(symbol.name, match, kOurs)) continue;
    const std::string name = match[1];
    if (std::regex_search(text, std::regex("(class|struct)\\s+" + name + "\\b[^;]*\\{")) ||
        std::regex_search(text, std::regex("(^|\n)[A-Za-z][^\n;=]*\\b" + name + "\\([^;]*\\{")))
      complaints.push_back(object + ": weak " + symbol.name +
                           " of its own; it belongs into an anonymous namespace");
  }
  if (strong != 1)
    complaints.push_back(str(object, ": ", strong, " exported definitions, expected 1"));
  return complaints;
}

bool is_isa_object(const std::string& name) {
  static const std::regex kIsa("_(avx2|avx512|vnni|avx512bf16|amx)\\.cpp\\.o$");
  return std::regex_search(name, kIsa);
}

// The source of an object by its path in the build folder:
// .../stair_qat.dir/qat/quantizers/lsq.cpp.o
std::string source_text(const std::string& object) {
  for (const SourceFile& file : project())
    if (file.folder() != "tests" && object.ends_with(".dir/" + file.path + ".o")) {
      std::string text;
      for (const std::string& line : file.lines) text += line + "\n";
      return text;
    }
  return "";
}

// Sanitizers add weak code of their own, and without optimisation inline functions are emitted.
bool objects_are_plain() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
  return false;
#else
  return true;
#endif
}

TEST(Symbols, OfKernelsAndQuantizersAreNotShared) {
  if (!objects_are_plain()) GTEST_SKIP() << "needs an optimised build without sanitizers";
  namespace fs = std::filesystem;
  Complaints complaints;
  size_t checked = 0;
  for (const fs::directory_entry& entry :
       fs::recursive_directory_iterator(fs::path(STAIR_BINARY_DIR) / "CMakeFiles")) {
    const std::string object = entry.path().string();
    if (!object.ends_with(".cpp.o")) continue;
    const bool quantizer = object.find(".dir/qat/quantizers/") != std::string::npos;
    if ((!quantizer && !is_isa_object(object)) || object.find(".dir/tests/") != std::string::npos)
      continue;
    const std::string text = source_text(object);
    if (text.empty()) continue;  // left over from a source that is gone
    const std::vector<Symbol> symbols = read_symbols(output_of("nm -C '" + object + "'"));
    EXPECT_FALSE(symbols.empty()) << object;
    const Complaints found =
        quantizer ? quantizer_complaints(object, symbols, text) : isa_complaints(object, symbols);
    complaints.insert(complaints.end(), found.begin(), found.end());
    ++checked;
  }
  EXPECT_GT(checked, 0U);
  EXPECT_EQ(text_of(complaints), "");
}

TEST(Symbols, AWeakSymbolOfAKernelIsFound) {
  const std::vector<Symbol> symbols = read_symbols(
      "                 U memcpy\n0000000000000000 T stair::kernels::register_a_avx2\n"
      "0000000000000000 W std::vector<int>::push_back\n0000000000000010 t stair::(anonymous "
      "namespace)::f\n");
  EXPECT_EQ(symbols.size(), 3U);
  EXPECT_EQ(text_of(isa_complaints("a_avx2.cpp.o", symbols)),
            "a_avx2.cpp.o: weak std::vector<int>::push_back\n");
}

TEST(Symbols, AQuantizersOwnSharedCodeIsFound) {
  const std::string text =
      "namespace stair::qat {\nclass Step : public Quantizer {\n};\nint half(int x) {\n";
  const auto complaints = [&](const std::string& symbols) {
    return quantizer_complaints(
               "a.cpp.o", read_symbols("0000000000000000 D stair::qat::quantizer_a\n" + symbols),
               text)
        .size();
  };
  EXPECT_EQ(complaints(""), 0U);
  EXPECT_EQ(complaints("0000000000000000 W stair::qat::Quantizer::~Quantizer()\n"), 0U);
  EXPECT_EQ(complaints("0000000000000000 W stair::qat::Step::forward()\n"), 1U);
  EXPECT_EQ(complaints("0000000000000000 V vtable for stair::qat::Step\n"), 1U);
  EXPECT_EQ(complaints("0000000000000000 W int stair::qat::half<int>(int)\n"), 1U);
  EXPECT_EQ(complaints("0000000000000000 T stair::qat::half(int)\n"), 1U);
}

}  // namespace
}  // namespace stair::lint

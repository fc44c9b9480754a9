#include "apps/weights/zip_archive.h"

#include <zip.h>

#include "core/file.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr uint64_t kMostRatio = 1000;
constexpr uint64_t kLocalHeaderBytes = 30;

struct CloseRecord {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const {
  zip_discard(archive);
}

void ZipArchive::fail(const std::string& reason, const std::string& hint) const {
  throw FormatError(str("cannot read ", path_in_quotes(path_), ": ", reason), hint);
}

ZipArchive::ZipArchive(const std::string& path) : path_(path) {
  file_size_ = InputFile(path, FileUse::model).size();
  int code = 0;
  zip_.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code));
  if (!zip_) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = str("zip: ", code == ZIP_ER_EXISTS ? "two records have the same name"
                                                                  : zip_error_strerror(&error));
    zip_error_fini(&error);
    fail(reason, kDamagedHint);
  }
  list_records();
}

void ZipArchive::list_records() {
  uint64_t packed = 0;
  const zip_int64_t count = zip_get_num_entries(zip_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    const auto index = static_cast<zip_uint64_t>(i);
    const char* text = zip_get_name(zip_.get(), index, ZIP_FL_ENC_RAW);
    if (text == nullptr || zip_stat_index(zip_.get(), index, ZIP_FL_ENC_RAW, &stat) != 0)
      fail(str("zip: ", zip_strerror(zip_.get())), kDamagedHint);
    const std::string name = text;
    if (stat.encryption_method != ZIP_EM_NONE)
      fail(str("record ", in_quotes(name), " is encrypted"), "torch.save writes none of that kind");
    if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
      fail(str("record ", in_quotes(name), " is packed by method ", stat.comp_method),
           "stored and deflated records can be read");
    const bool stored = stat.comp_method == ZIP_CM_STORE;
    if (stored ? stat.size != stat.comp_size : stat.size / kMostRatio > stat.comp_size)
      fail(str("record ", in_quotes(name), " of ", stat.comp_size, " bytes would unpack to ",
               stat.size),
           kDamagedHint);
    if (__builtin_add_overflow(packed, stat.comp_size, &packed) ||
        __builtin_add_overflow(packed, kLocalHeaderBytes + name.size(), &packed) ||
        packed > file_size_)
      fail(str("its records have more bytes than the file, which has ", file_size_), kDamagedHint);
    sizes_.emplace(name, stat.size);
  }
}

void ZipArchive::read(const std::string& name, std::span<std::byte> out) const {
  const auto check = [&](bool good, const char* reason) {
    if (!good) fail(str("record ", in_quotes(name), ": ", reason), kDamagedHint);
  };
  const std::unique_ptr<zip_file_t, CloseRecord> file(
      zip_fopen(zip_.get(), name.c_str(), ZIP_FL_ENC_RAW));
  check(file != nullptr, zip_strerror(zip_.get()));
  size_t done = 0;
  while (done < out.size()) {
    const zip_int64_t n = zip_fread(file.get(), out.data() + done, out.size() - done);
    check(n >= 0, zip_file_strerror(file.get()));
    check(n > 0, "it ends early");
    done += static_cast<size_t>(n);
  }
  // The checksum is compared when the end is met.
  std::byte more;
  const zip_int64_t end = zip_fread(file.get(), &more, 1);
  check(end >= 0, zip_file_strerror(file.get()));
  check(end == 0, "it goes on behind its size");
}

}  // namespace stair::apps

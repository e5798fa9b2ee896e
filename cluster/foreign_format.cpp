#include "cluster/foreign_format.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "cluster/error.hpp"

namespace trireme::cluster {

namespace {

using namespace std::string_view_literals;

struct Signature {
    std::string_view bytes; ///< at the beginning of the file
    char const* name;
    char const* way_on;
};

constexpr char const* kUnpacked = "the file that was packed";
constexpr char const* kTable = "the table saved as CSV in UTF-8";
constexpr char const* kRows = "its rows as JSON Lines or CSV, which pandas or datasets write";
constexpr char const* kEncoded = "a file saved as UTF-8: iconv -f UTF-16 -t UTF-8";

/// Signatures as in the specifications of the formats.
constexpr std::array kSignatures{
    Signature{"\x1f\x8b"sv, "packed by gzip", kUnpacked},
    Signature{"BZh91AY&SY"sv, "packed by bzip2", kUnpacked},
    Signature{"\xfd\x37zXZ\0"sv, "packed by xz", kUnpacked},
    Signature{"\x28\xb5\x2f\xfd"sv, "packed by zstd", kUnpacked},
    Signature{"PK\x03\x04"sv, "a zip archive, as files of a spreadsheet are (.xlsx, .ods)", kTable},
    Signature{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, "a file of an older spreadsheet (.xls)",
              kTable},
    Signature{"PAR1\x15"sv, "a Parquet file", kRows},
    Signature{"ARROW1\0"sv, "an Arrow file", kRows},
    Signature{"\xff\xff\xff\xff"sv, "an Arrow stream", kRows},
    Signature{"\x89HDF\r\n\x1a\n"sv, "an HDF5 file", kRows},
    Signature{"SQLite format 3\0"sv, "an SQLite database", kRows},
    Signature{"%PDF-"sv, "a PDF", "a file of rows"},
    Signature{"\xff\xfe"sv, "text in UTF-16", kEncoded},
    Signature{"\xfe\xff"sv, "text in UTF-16", kEncoded},
};

} // namespace

std::string first_bytes(std::string const& file) {
    std::error_code none;
    if (!std::filesystem::is_regular_file(file, none)) return "";
    std::string bytes(16, '\0');
    std::ifstream in(file, std::ios::binary);
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    return bytes;
}

void refuse_foreign_format(std::string const& file) {
    refuse_foreign_bytes(file, first_bytes(file));
}

void refuse_foreign_bytes(std::string const& file, std::string_view bytes) {
    for (auto const& known : kSignatures)
        if (bytes.starts_with(known.bytes))
            throw InputError(fmt::format("{}: {}; legal: {}", file, known.name, known.way_on));
}

} // namespace trireme::cluster

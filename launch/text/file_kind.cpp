#include "launch/text/file_kind.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/algorithm/string/predicate.hpp>
#include <utility>

#include "cluster/error.hpp"
#include "cluster/foreign_format.hpp"

namespace trireme::launch::text {

namespace {

using namespace std::string_view_literals;

constexpr std::array<std::pair<char const*, FileKind>, 7> kKinds{{{".jsonl", FileKind::jsonl},
                                                                  {".csv", FileKind::csv},
                                                                  {".tsv", FileKind::tsv},
                                                                  {".txt", FileKind::text},
                                                                  {".parquet", FileKind::parquet},
                                                                  {".arrow", FileKind::arrow},
                                                                  {".feather", FileKind::arrow}}};

struct Packer {
    char const *ending, *name;
    Packing packing;
    std::string_view magic;
};
constexpr std::array kPackers{Packer{".gz", "gzip", Packing::gzip, "\x1f\x8b"sv},
                              Packer{".zst", "zstd", Packing::zstd, "\x28\xb5\x2f\xfd"sv}};

/// Frames that readers of zstd skip begin with 0x50 to 0x5f.
bool begins_as(std::string const& bytes, Packer const& packer) {
    if (bytes.starts_with(packer.magic)) return true;
    return packer.packing == Packing::zstd && bytes.size() > 3 &&
           (static_cast<unsigned char>(bytes[0]) & 0xf0U) == 0x50 &&
           bytes.substr(1, 3) == "\x2a\x4d\x18";
}

/// Columns lie in a binary file, whose reader says what is wrong with it.
bool is_columnar(FileKind kind) {
    return kind == FileKind::parquet || kind == FileKind::arrow;
}

} // namespace

std::optional<NamedKind> kind_of_name(std::string const& file) {
    std::string name = file;
    Packing packing = Packing::none;
    for (auto const& packer : kPackers)
        if (packing == Packing::none && boost::algorithm::iends_with(name, packer.ending)) {
            packing = packer.packing;
            name.resize(name.size() - std::string_view(packer.ending).size());
        }
    for (auto const& [ending, kind] : kKinds)
        if (boost::algorithm::iends_with(name, ending)) return NamedKind{kind, packing};
    return {};
}

NamedKind kind_of_file(std::string const& file) {
    auto const named = kind_of_name(file);
    std::string const bytes = cluster::first_bytes(file);
    if (!named) {
        cluster::refuse_foreign_bytes(file, bytes);
        throw cluster::InputError(
            fmt::format("{}: unknown kind of file; legal: {}", file, kLegalNames));
    }
    for (auto const& packer : kPackers)
        if (packer.packing == named->packing && !bytes.empty() && !begins_as(bytes, packer))
            throw cluster::InputError(
                fmt::format("{}: not packed by {}; legal: what {} wrote, or a name without {}",
                            file, packer.name, packer.name, packer.ending));
    if (named->packing == Packing::none && !is_columnar(named->kind))
        cluster::refuse_foreign_bytes(file, bytes);
    return *named;
}

bool has_ending(std::string const& file, char const* ending) {
    return boost::algorithm::iends_with(file, ending);
}

bool is_named(std::string const& file, FileKind kind) {
    auto const named = kind_of_name(file);
    return named && named->kind == kind;
}

} // namespace trireme::launch::text

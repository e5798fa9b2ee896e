#include "launch/text/text_lines.hpp"

#include <fmt/format.h>
#include <pybind11/embed.h>

#include "cluster/error.hpp"
#include "cluster/foreign_format.hpp"

namespace trireme::launch::text {

namespace py = pybind11;

namespace {

/// Text shrinks to a tenth, and to a hundredth where it repeats itself; what grows a thousandfold
/// and does not end was made to fill memory and disk.
constexpr char const* kUnpack = R"(
import gzip, io, os, zlib

class Bomb(Exception):
    pass

class Unpacked(io.RawIOBase):
    def __init__(self, path, zstd):
        self.file = open(path, "rb")
        self.most = max(1 << 30, 1000 * os.fstat(self.file.fileno()).st_size)
        self.given = 0
        if zstd:
            import pyarrow
            pyarrow.set_memory_pool(pyarrow.system_memory_pool())
            self.stream = pyarrow.CompressedInputStream(pyarrow.PythonFile(self.file), "zstd")
        else:
            self.stream = gzip.GzipFile(fileobj=self.file)

    def readable(self):
        return True

    def readinto(self, buffer):
        try:
            data = self.stream.read(len(buffer))
        except (OSError, EOFError, zlib.error, ValueError, MemoryError) as error:
            raise Damaged(error)
        self.given += len(data)
        if self.given > self.most:
            raise Damaged(Bomb())
        buffer[:len(data)] = data
        return len(data)

class Damaged(Exception):
    def __init__(self, cause):
        super().__init__(str(cause) or type(cause).__name__)
        self.short = isinstance(cause, EOFError) or "runcated" in str(cause)
        self.bomb = isinstance(cause, Bomb)

def open_bytes(path, packing):
    raw = open(path, "rb", buffering=0) if packing == "" else Unpacked(path, packing == "zstd")
    return io.BufferedReader(raw, 1 << 18)
)";

/// The module of the classes, which is made once.
py::object unpackers() {
    py::dict const modules = py::module_::import("sys").attr("modules");
    if (modules.contains("trireme_unpack")) return modules["trireme_unpack"];
    py::object const made = py::module_::import("types").attr("ModuleType")("trireme_unpack");
    py::exec(kUnpack, made.attr("__dict__"));
    modules["trireme_unpack"] = made;
    return made;
}

char const* name_of_packing(Packing packing) {
    return packing == Packing::gzip ? "gzip" : packing == Packing::zstd ? "zstd" : "";
}

} // namespace

py::object open_bytes(std::string const& file, Packing packing) {
    return unpackers().attr("open_bytes")(py::bytes(file), name_of_packing(packing));
}

bool is_of_packing(py::error_already_set const& error) {
    return error.matches(unpackers().attr("Damaged"));
}

void refuse_packed(std::string const& file, Packing packing, py::error_already_set const& error) {
    char const* const packer = name_of_packing(packing);
    if (!is_of_packing(error))
        throw cluster::InputError(
            fmt::format("{}: {}", file, cluster::one_line(std::string(py::str(error.value())))));
    if (error.value().attr("short").cast<bool>())
        throw cluster::InputError(fmt::format(
            "{}: cut short, since what {} packed has an end; legal: the whole file", file, packer));
    if (error.value().attr("bomb").cast<bool>())
        throw cluster::InputError(
            fmt::format("{}: unpacks to more than 1 GiB and 1000 times its size; legal: text, "
                        "which does not; unpack it where it is meant",
                        file));
    throw cluster::InputError(fmt::format("{}: cannot be unpacked: {}; legal: what {} wrote", file,
                                          cluster::one_line(std::string(py::str(error.value()))),
                                          packer));
}

void refuse_foreign_content(std::string const& file, py::object const& bytes) {
    auto const begin = bytes.attr("peek")(16).cast<std::string>();
    cluster::refuse_foreign_bytes(file, std::string_view(begin).substr(0, 16));
}

TextLines::TextLines(std::string const& file, Packing packing) : file_(file), packing_(packing) {
    if (packing == Packing::none) {
        plain_ = std::make_unique<cluster::LineReader>(file);
        return;
    }
    try {
        packed_ = open_bytes(file, packing);
        refuse_foreign_content(file, packed_);
    } catch (py::error_already_set const& error) {
        refuse_packed(file, packing, error);
    }
}

bool TextLines::next_packed(std::string& line) {
    try {
        // as the buffer's own bytes: a copy less
        py::bytes const read = packed_.attr("readline")(cluster::LineReader::kLongest + 1);
        std::string_view text = read;
        if (text.empty()) return false;
        ++number_;
        if (text.back() == '\n')
            text.remove_suffix(1);
        else if (text.size() > cluster::LineReader::kLongest)
            throw cluster::InputError(
                fmt::format("{}:{}: a line of more than {} bytes; legal: a shorter one", file_,
                            number_, cluster::LineReader::kLongest));
        line = text;
        return true;
    } catch (py::error_already_set const& error) {
        refuse_packed(file_, packing_, error);
    }
}

bool TextLines::next(std::string& line) {
    if (!(plain_ ? plain_->next(line) : next_packed(line))) return false;
    if (number() == 1 && line.starts_with("\xef\xbb\xbf")) {
        line.erase(0, 3);
        marked_ = true;
    }
    return true;
}

void refuse_encoding(std::string const& file, std::int64_t line) {
    throw cluster::InputError(
        fmt::format("{}:{}: not UTF-8; legal: a file saved as UTF-8; `iconv -f WINDOWS-1252 -t "
                    "UTF-8` converts a Western one",
                    file, line));
}

void refuse_zeros(std::string const& text, std::string const& file, std::int64_t line) {
    if (text.find('\0') == std::string::npos) return;
    throw cluster::InputError(
        fmt::format("{}:{}: a byte of zero in \"{}\"; legal: text in UTF-8 (UTF-16 becomes it by "
                    "iconv -f UTF-16LE -t UTF-8)",
                    file, line, cluster::one_line(text)));
}

} // namespace trireme::launch::text

// Numbers, texts and lists as bytes for another rank of the same program.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/error.hpp"

namespace trireme::launch::text {

/// Packs values one behind the other.
class Parcel {
  public:
    void number(std::int64_t value) { put(&value, sizeof value); }
    void text(std::string_view value) {
        number(static_cast<std::int64_t>(value.size()));
        put(value.data(), value.size());
    }
    template <typename T>
    void list(std::vector<T> const& values) {
        text({reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T)});
    }
    template <typename T>
    void lists(std::map<std::string, std::vector<T>> const& named) {
        number(static_cast<std::int64_t>(named.size()));
        for (auto const& [name, values] : named) {
            text(name);
            list(values);
        }
    }
    std::string take() { return std::exchange(bytes_, {}); }

  private:
    void put(void const* data, std::size_t size) {
        if (size) bytes_.append(static_cast<char const*>(data), size);
    }
    std::string bytes_;
};

/// Unpacks them in the same order; `bytes` must outlive it. Throws JobError for bytes that end too
/// early.
class OpenedParcel {
  public:
    explicit OpenedParcel(std::string_view bytes) : rest_(bytes) {}
    bool empty() const { return rest_.empty(); }
    std::int64_t number() {
        std::int64_t value = 0;
        std::memcpy(&value, piece(sizeof value).data(), sizeof value);
        return value;
    }
    std::string text() { return std::string(piece(static_cast<std::size_t>(number()))); }
    template <typename T>
    std::vector<T> list() {
        std::string_view const bytes = piece(static_cast<std::size_t>(number()));
        std::vector<T> values(bytes.size() / sizeof(T));
        if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    template <typename T>
    std::map<std::string, std::vector<T>> lists() {
        std::map<std::string, std::vector<T>> named;
        for (auto left = number(); left > 0; --left) {
            std::string const name = text();
            named[name] = list<T>();
        }
        return named;
    }

  private:
    std::string_view piece(std::size_t size) {
        if (size > rest_.size()) throw cluster::JobError("a rank sent less than it said");
        std::string_view const bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return bytes;
    }
    std::string_view rest_;
};

} // namespace trireme::launch::text

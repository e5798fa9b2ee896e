// A packed micro-batch in host memory. No meshes, no devices, no libtorch here.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "data/task.hpp"

namespace trireme::data {

/// Label value that is not trained and not counted.
inline constexpr std::int32_t kIgnoredLabel = -100;
/// Real value that is not trained and not counted.
inline constexpr float kIgnoredValue = std::numeric_limits<float>::quiet_NaN();

inline bool counts(std::int32_t label) {
    return label != kIgnoredLabel;
}
inline bool counts(float value) {
    return !std::isnan(value);
}
template <typename T>
constexpr T kIgnored = kIgnoredLabel;
template <>
inline constexpr float kIgnored<float> = kIgnoredValue;

/// Values of one column of a micro-batch, entry after entry.
template <typename T>
struct Column {
    std::string name;
    Per per = Per::sample;
    std::int64_t width = 1; ///< values of an entry
    std::vector<T> values;  ///< [T, width] or [n, width]
    bool learned = true;    ///< as in TaskColumn
};

/// Holds what a task's samples have beside tokens, by name. Few columns: looked for one by one.
class Columns {
  public:
    std::vector<Column<std::int32_t>> labels; ///< int32 columns, in the order of the task
    std::vector<Column<float>> reals;         ///< float32 columns, likewise

    /// Values of an int32 column, or of a float32 one; empty if it is not there.
    std::vector<std::int32_t> const& labels_of(TaskColumn const& column) const {
        return values_of(labels, column);
    }
    std::vector<float> const& reals_of(TaskColumn const& column) const {
        return values_of(reals, column);
    }
    /// Entries of a column; -1 if it is not there.
    std::int64_t entries_of(TaskColumn const& asked) const {
        std::int64_t found = -1;
        each([&](auto const& column) {
            if (column.name == asked.name) found = std::ssize(column.values) / column.width;
        });
        return found;
    }
    /// Appends to a column, which is made if it is not there.
    void append(TaskColumn const& column, std::int64_t width,
                std::vector<std::int32_t> const& more) {
        append_to(labels, column, width, more);
    }
    void append(TaskColumn const& column, std::int64_t width, std::vector<float> const& more) {
        append_to(reals, column, width, more);
    }
    /// Calls f(column) for each, those of labels first.
    template <typename F>
    void each(F const& f) {
        for (auto& column : labels) f(column);
        for (auto& column : reals) f(column);
    }
    template <typename F>
    void each(F const& f) const {
        for (auto const& column : labels) f(column);
        for (auto const& column : reals) f(column);
    }
    /// Values that count in the loss.
    std::int64_t counted() const {
        std::int64_t sum = 0;
        each([&](auto const& column) {
            if (column.learned)
                sum += std::ranges::count_if(column.values, [](auto v) { return counts(v); });
        });
        return sum;
    }

  private:
    template <typename T>
    static std::vector<T> const& values_of(std::vector<Column<T>> const& all,
                                           TaskColumn const& column) {
        static std::vector<T> const none;
        auto const found = std::ranges::find(all, column.name, &Column<T>::name);
        return found == all.end() ? none : found->values;
    }
    template <typename T>
    static void append_to(std::vector<Column<T>>& all, TaskColumn const& column, std::int64_t width,
                          std::vector<T> const& more) {
        auto found = std::ranges::find(all, column.name, &Column<T>::name);
        if (found == all.end())
            found = all.insert(all.end(),
                               Column<T>{column.name, column.per, width, {}, column.learned});
        found->values.insert(found->values.end(), more.begin(), more.end());
    }
};

/// n samples end to end, T tokens, nothing padded. If T must be a multiple (tensor parallelism), a
/// last segment of its own with token 0, positions from 0 and ignored values fills it; it has
/// sample id -1.
struct MicroBatch {
    std::vector<std::int32_t> tokens;    ///< [T]
    std::vector<std::int32_t> positions; ///< [T], from 0 in each sample
    std::vector<std::int32_t> segments;  ///< [T], token types (BERT); zeros if the shard has none
    /// [n + 1], sample i is tokens[offsets[i], offsets[i + 1])
    std::vector<std::int64_t> offsets;
    std::vector<std::int64_t> sample_ids; ///< [n], index of the sample in its data set
    Columns columns;                      ///< columns of the task; none: a prompt to read

    std::int64_t token_count() const { return static_cast<std::int64_t>(tokens.size()); }
    std::int64_t sample_count() const { return static_cast<std::int64_t>(sample_ids.size()); }
};

} // namespace trireme::data

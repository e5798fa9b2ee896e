// Holds what `trireme calibrate` measured of a machine's kernels and collectives, and prices work
// by it. Seconds are those of one rank while all ranks of its node work, since they share memory.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/communicator.hpp"

namespace trireme::framework::planning {

/// Says how the operands of a product lie in memory, t: transposed. nt is a forward pass, whose
/// weights are [out, in], nn the gradient of its input, tn that of its weights.
enum class ProductForm : std::uint8_t { nn, nt, tn };
constexpr auto names_of(ProductForm) {
    return std::array{"nn", "nt", "tn"};
}

/// rows x inner by inner x columns.
struct ProductShape {
    ProductForm form = ProductForm::nn;
    std::int64_t rows = 0, inner = 0, columns = 0;
};

struct ProductTime {
    std::string dtype; ///< fp32, bf16 or fp64
    ProductShape shape;
    double seconds = 0;
};

/// One pass of attention over samples of `sequence` tokens, with heads of `size` numbers.
struct AttentionKind {
    bool backward = false, causal = true, dropout = false;
    std::int64_t sequence = 0, size = 0;
};

struct AttentionTime {
    AttentionKind kind;
    double seconds = 0; ///< of one token and head
};

/// Any other kernel: by the bytes that it reads and writes.
struct OperationTime {
    std::string name, dtype; ///< name: of libtorch or ours; kOther: of those that are not listed
    double bytes = 0, seconds = 0;
};
inline constexpr std::string_view kOther = "other", kAnyType = "any";

/// Calls of a group of `ranks` on `nodes` nodes while all such groups call: latency + bytes times
/// per_byte, where bytes are those of the whole array (in all ranks together what is gathered or
/// scattered; of exchange, of one message).
struct CollectiveFit {
    cluster::Collective op = cluster::Collective::all_reduce;
    std::int64_t ranks = 2, nodes = 1;
    double latency = 0, per_byte = 0;
    double residual = 0; ///< median of |fitted / measured - 1|
};

/// One measured size of such a call.
struct CollectiveTime {
    cluster::Collective op = cluster::Collective::all_reduce;
    std::int64_t ranks = 2, nodes = 1;
    double bytes = 0, seconds = 0;
};

struct Calibration {
    std::string source;       ///< host, date, command
    std::int64_t threads = 1; ///< of a rank
    double launch = 0;        ///< s of the host between two kernels
    double together = 1;      ///< a step's kernels in their order, over the sum of each by itself:
                              ///< each finds the caches as another one left them
    double overlap = 0; ///< of compute at the same time, which hides a collective; 0: it only waits
    std::vector<ProductTime> products;
    std::vector<AttentionTime> attention;
    std::vector<OperationTime> operations;
    std::vector<CollectiveFit> fits;
    std::vector<CollectiveTime> collectives;
};

/// Prices kernels, by interpolation between the logarithms of measured sizes; beyond the largest,
/// seconds grow as work does, below the smallest they stay. Each throws InputError naming what the
/// calibration lacks. Local, pure.
double product_seconds(Calibration const& c, std::string_view dtype, ProductShape const& shape);
double attention_seconds(Calibration const& c, AttentionKind const& kind, double token_heads);
double operation_seconds(Calibration const& c, std::string_view name, std::string_view dtype,
                         double bytes);
/// Prices one call: between measured sizes of such a group, else by the fit of the group with as
/// many ranks, or the most like it. nullopt where no such call was measured on as many nodes.
std::optional<double> collective_seconds(Calibration const& c, CollectiveTime const& call);

} // namespace trireme::framework::planning

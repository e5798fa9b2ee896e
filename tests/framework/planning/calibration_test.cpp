// What a machine's calibration says: prices between measured sizes, lines through calls of known
// cost, and the file that holds it all.
#include "framework/planning/calibration.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <functional>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "framework/planning/collective_fit.hpp"
#include "framework/planning/launch_price.hpp"
#include "framework/planning/machine_file.hpp"
#include "framework/planning/storage_times.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework::planning {
namespace {

using cluster::Collective;

/// Products that run at 1e9 FLOP/s x (columns / 64) ^ 0.5: a power of each size.
double planted(std::int64_t rows, std::int64_t inner, std::int64_t columns) {
    double const flops =
        2.0 * static_cast<double>(rows) * static_cast<double>(inner) * static_cast<double>(columns);
    return flops / (1e9 * std::sqrt(static_cast<double>(columns) / 64));
}

Calibration planted_products() {
    Calibration c;
    for (std::int64_t const rows : {16, 64, 256})
        for (std::int64_t const inner : {64, 256})
            for (std::int64_t const columns : {64, 512})
                if (rows * inner * columns <= 256 * 256 * 64)
                    c.products.push_back({"fp32",
                                          {ProductForm::nt, rows, inner, columns},
                                          planted(rows, inner, columns)});
    return c;
}

TEST(Calibration, ProductsBetweenMeasuredSizesFollowThePowersThatTheyHave) {
    Calibration const c = planted_products();
    auto const seconds = [&](std::int64_t rows, std::int64_t inner, std::int64_t columns) {
        return product_seconds(c, "fp32", {ProductForm::nt, rows, inner, columns});
    };
    EXPECT_NEAR(seconds(64, 256, 64) / planted(64, 256, 64), 1, 1e-9) << "measured";
    EXPECT_NEAR(seconds(100, 128, 64) / planted(100, 128, 64), 1, 1e-9);
    EXPECT_NEAR(seconds(40, 64, 200) / planted(40, 64, 200), 1, 1e-9);
    EXPECT_NEAR(seconds(1024, 64, 64) / planted(1024, 64, 64), 1, 1e-9) << "as work grows";
    // Left out for its size: as the product with half the columns, which was not measured either,
    // and so on down to what was.
    EXPECT_NEAR(seconds(256, 256, 512) / (8 * planted(256, 256, 64)), 1, 1e-9);
    EXPECT_NEAR(seconds(16, 64, 2) / planted(16, 64, 64), 1, 1e-9) << "no less than the least";
}

TEST(Calibration, WhatWasNotMeasuredIsNamed) {
    Calibration c = planted_products();
    c.operations = {{"aten::add", "fp32", 1000, 1e-6}, {"other", "any", 1000, 3e-6}};
    EXPECT_DOUBLE_EQ(operation_seconds(c, "aten::add", "fp32", 4000), 4e-6);
    EXPECT_DOUBLE_EQ(operation_seconds(c, "aten::new", "fp32", 2000), 6e-6);
    try {
        product_seconds(c, "bf16", {ProductForm::nt, 1, 1, 1});
        FAIL();
    } catch (cluster::InputError const& error) {
        EXPECT_STREQ(error.what(),
                     "calibration: no measured products in bf16: legal: a machine's file of "
                     "`trireme calibrate` with that compute type");
    }
    EXPECT_EQ(collective_seconds(c, {Collective::all_reduce, 2, 1, 100, 0}), std::nullopt);
    c.fits = {{Collective::all_reduce, 2, 1, 1e-5, 1e-9, 0},
              {Collective::all_reduce, 8, 1, 4e-5, 2e-9, 0}};
    EXPECT_DOUBLE_EQ(*collective_seconds(c, {Collective::all_reduce, 2, 1, 1e4, 0}), 2e-5);
    EXPECT_DOUBLE_EQ(*collective_seconds(c, {Collective::all_reduce, 16, 1, 1e4, 0}), 6e-5);
    EXPECT_EQ(collective_seconds(c, {Collective::all_reduce, 2, 2, 1e4, 0}), std::nullopt)
        << "over nodes";
}

/// A product of 16 x 64 x 64, attention of 10 tokens and 2 heads, and an addition of 4,000 bytes.
std::vector<Launch> three_kernels() {
    Launch product, attention, add;
    product.name = "aten::mm", product.dtype = "fp32";
    product.product = {ProductForm::nt, 16, 64, 64};
    attention.name = "attention backward";
    attention.tokens = 10, attention.heads = 2, attention.head_size = 64;
    add.name = "aten::add", add.dtype = "fp32", add.bytes = 4000;
    return {product, attention, add};
}

TEST(Calibration, AKernelCostsWhatItsKindWasMeasuredToTake) {
    Calibration c = planted_products();
    c.launch = 1e-6;
    c.operations = {{"aten::add", "fp32", 1000, 1e-6}};
    for (bool const backward : {false, true})
        for (bool const dropout : {false, true})
            c.attention.push_back(
                {{backward, true, dropout, 128, 64}, (backward ? 1e-5 : 3e-6) * (dropout ? 2 : 1)});
    auto const kernels = three_kernels();
    AttentionKind const causal{.causal = true, .sequence = 128};
    EXPECT_DOUBLE_EQ(launch_seconds(c, kernels[0], causal), 1e-6 + planted(16, 64, 64));
    EXPECT_DOUBLE_EQ(launch_seconds(c, kernels[1], causal), 1e-6 + 20 * 1e-5);
    EXPECT_DOUBLE_EQ(launch_seconds(c, kernels[1], {.dropout = true, .sequence = 128}),
                     1e-6 + 20 * 2e-5);
    EXPECT_DOUBLE_EQ(launch_seconds(c, kernels[2], causal), 4e-6);
}

// The shortest steps are left out, because work that a step does once is a large part of their
// time.
TEST(Calibration, StepsSayWhatKernelsCostTogether) {
    Calibration c = planted_products();
    c.operations = {{"aten::add", "fp32", 1000, 1e-6}};
    c.attention = {{{true, true, false, 128, 64}, 1e-5}};
    double const each = planted(16, 64, 64) + 2e-4 + 4e-6;
    auto const step = [&](std::int64_t tokens, double ratio) {
        return TimedStep{"", tokens, {.sequence = 128}, three_kernels(), ratio * each};
    };
    std::vector<TimedStep> const steps{step(128, 3),   step(128, 3),    step(128, 3),
                                       step(512, 1.1), step(2048, 1.2), step(8192, 1.4)};
    EXPECT_DOUBLE_EQ(measured_together(c, steps), 1.2);
    EXPECT_DOUBLE_EQ(measured_together(c, std::span(steps).first(3)), 3) << "no other ones";
}

TEST(CollectiveFit, ALineIsFoundThroughPointsSomeOfWhichAreFarOff) {
    std::vector<SizeTime> points;
    for (int power = 8; power <= 26; ++power) {
        double const bytes = std::ldexp(1, power), ripple = power % 2 == 0 ? 1.01 : 0.99;
        points.push_back({bytes, ripple * (5e-6 + 2e-10 * bytes)});
    }
    points[3].seconds *= 20, points[11].seconds *= 7;
    LineFit const fit = fit_line(points);
    EXPECT_NEAR(fit.latency / 5e-6, 1, 0.03);
    EXPECT_NEAR(fit.per_byte / 2e-10, 1, 0.03);
    EXPECT_NEAR(fit.residual, 0.01, 0.005);
    EXPECT_THROW(fit_line({points.data(), 1}), std::invalid_argument);
}

/// A group of two whose calls take latency + bytes x per_byte by its own clock, and do nothing.
class Delayed : public cluster::Communicator {
  public:
    Delayed() : Communicator(0, 2, "delayed", {}) {}
    static constexpr double kLatency = 1e-3, kPerByte = 2e-9;
    Clock::time_point now() const { return now_; }

  private:
    std::unique_ptr<cluster::Operation> do_collective(cluster::Call const& call) override {
        if (call.op == Collective::barrier || call.in.dtype == cluster::DType::f64) return nullptr;
        std::size_t bytes = std::max(call.in.bytes(), call.out.bytes());
        if (call.op == Collective::exchange) bytes = call.messages[0].buffer.bytes();
        now_ += std::chrono::duration_cast<Clock::duration>(
            std::chrono::duration<double>(kLatency + kPerByte * static_cast<double>(bytes)));
        return nullptr;
    }
    std::unique_ptr<cluster::Communicator> do_split(int, int, std::string,
                                                    cluster::CommunicatorOptions) override {
        return nullptr;
    }
    void do_abort(int) override { std::abort(); }

    Clock::time_point now_;
};

TEST(CollectiveFit, PlantedDelaysAreFound) {
    Delayed group;
    auto const times = time_collectives(
        group, 1, {.bytes = {1 << 12, 1 << 18, 1 << 20, 1 << 22}, .repeats = 5, .now = [&] {
                       return group.now();
                   }});
    EXPECT_EQ(times.size(), 4 * 6);
    auto const fits = fit_collectives(times);
    ASSERT_EQ(fits.size(), 6);
    for (auto const& fit : fits) {
        EXPECT_NEAR(fit.latency / Delayed::kLatency, 1, 1e-5) << cluster::name_of(fit.op);
        EXPECT_NEAR(fit.per_byte / Delayed::kPerByte, 1, 1e-5) << cluster::name_of(fit.op);
        EXPECT_EQ(fit.ranks, 2);
    }
}

class CalibrationFile : public testing::Test {
  protected:
    static MachineFile machine() {
        MachineFile m = read_machine("dgx-h100", TRIREME_MACHINES);
        Calibration c = planted_products();
        c.source = "measured: on a rainy day";
        c.threads = 3, c.launch = 2.5e-6, c.overlap = 0.25, c.together = 1.25;
        c.attention = {{{true, false, true, 128, 64}, 3e-7}};
        c.operations = {{"aten::copy_/strided", "fp32", 4096, 1.5e-6}};
        c.fits = {{Collective::reduce_scatter, 4, 1, 2e-6, 3e-10, 0.05}};
        c.collectives = {{Collective::exchange, 2, 1, 65536, 7e-5}};
        m.machine.calibration = std::make_shared<Calibration const>(c);
        return m;
    }
    std::string refusal_of(std::string text, std::string const& from, std::string const& to) {
        auto const at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        std::string const file = folder_.path() + "/m.yaml";
        cluster::write_file(file, text.replace(at, from.size(), to));
        try {
            read_machine(file, "");
        } catch (cluster::InputError const& error) {
            std::string const what = error.what();
            return what.substr(what.find("calibration"));
        }
        return "";
    }
    test::TemporaryFolder folder_;
};

TEST_F(CalibrationFile, IsReadAsItWasWritten) {
    MachineFile const m = machine();
    std::string const file = folder_.path() + "/m.yaml";
    cluster::write_file(file, to_yaml(m));
    MachineFile const again = read_machine(file, "");
    ASSERT_TRUE(again.machine.calibration);
    Calibration const &a = *m.machine.calibration, &b = *again.machine.calibration;
    EXPECT_EQ(to_yaml(again), to_yaml(m));
    EXPECT_EQ(b.source, a.source);
    EXPECT_NEAR(b.launch, a.launch, 1e-12);
    EXPECT_EQ(b.together, 1.25);
    EXPECT_TRUE(b.attention.at(0).kind.backward && !b.attention.at(0).kind.causal);
    EXPECT_EQ(b.fits.at(0).op, Collective::reduce_scatter);
    EXPECT_EQ(b.products.at(1).shape.form, ProductForm::nt);
    EXPECT_NEAR(b.products.at(1).seconds / a.products.at(1).seconds, 1, 1e-5);
}

TEST_F(CalibrationFile, MistakesAreNamedWithTheirPlace) {
    std::string const text = to_yaml(machine());
    EXPECT_EQ(refusal_of(text, "fp32 nt 16 64 64", "fp32 xt 16 64 64"),
              "calibration.products: fp32 xt 16 64 64 131.072: legal: fp32, bf16 or fp64; nn, nt "
              "or tn; rows, inner, columns; microseconds");
    EXPECT_EQ(refusal_of(text, "exchange 2 1 65536 70", "exchange 2 1 65536 -70"),
              "calibration.collectives: exchange 2 1 65536 -70: legal: call, ranks, nodes, bytes, "
              "microseconds");
    EXPECT_EQ(refusal_of(text, "exchange 2 1 65536 70", "exchange 2 1 65536 70 1"),
              "calibration.collectives: exchange 2 1 65536 70 1: legal: call, ranks, nodes, bytes, "
              "microseconds");
    EXPECT_EQ(refusal_of(text, "  attention:", "  attenshun:").substr(0, 45),
              "calibration.attention: missing: legal: forwar");
    EXPECT_EQ(refusal_of(text, "  threads: 3", "  threads: 0"),
              "calibration.threads: 0: legal: a whole number >= 1");
    EXPECT_EQ(refusal_of(text, "  together: 1.25", "  together: 0"),
              "calibration.together: 0: legal: a number > 0");
    EXPECT_EQ(refusal_of(text, "  together: 1.25", "  "),
              "calibration.together: missing; legal: a number > 0");
    EXPECT_EQ(refusal_of(text, "  threads: 3", "  thraeds: 3").substr(0, 33),
              "calibration.thraeds; did you mean");
}

} // namespace
} // namespace trireme::framework::planning

#include "framework/planning/machine_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme::framework::planning {
namespace {

std::string dgx() {
    return cluster::read_file(TRIREME_MACHINES "/dgx-h100.yaml");
}

std::string replaced(std::string text, std::string const& from, std::string const& to) {
    auto const at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

std::string refusal(std::function<void()> const& f) {
    try {
        f();
    } catch (cluster::InputError const& error) {
        return error.what();
    }
    return "";
}

class MachineFiles : public testing::Test {
  protected:
    std::string refusal_of(std::string const& text) {
        std::string const file = folder_.path() + "/m.yaml";
        cluster::write_file(file, text);
        std::string const message = refusal([&] { read_machine(file, ""); });
        return message.starts_with(file) ? message.substr(file.size()) : message;
    }
    test::TemporaryFolder folder_;
};

TEST_F(MachineFiles, EveryFileOfTheProjectIsRead) {
    int files = 0;
    for (auto const& entry : std::filesystem::directory_iterator(TRIREME_MACHINES)) {
        MachineFile const m = read_machine(entry.path().stem(), TRIREME_MACHINES);
        EXPECT_EQ(m.name, entry.path().stem());
        EXPECT_GT(m.machine.gpu.matrix_flops, 1e12) << m.name;
        EXPECT_GT(m.machine.gpu.memory_bytes, 16e9) << m.name;
        EXPECT_LT(m.machine.gpu.memory_bandwidth, 1e13) << m.name;
        EXPECT_GT(m.machine.network.bandwidth, 1e9) << m.name;
        EXPECT_LE(m.machine.network.bandwidth,
                  m.machine.node_link.bandwidth * static_cast<double>(m.machine.gpus_per_node))
            << m.name;
        ++files;
    }
    EXPECT_GE(files, 15);
}

TEST_F(MachineFiles, ValuesHaveBaseUnits) {
    MachineFile const m = read_machine("dgx-h100", TRIREME_MACHINES);
    EXPECT_DOUBLE_EQ(m.machine.gpu.matrix_flops, 989e12);
    EXPECT_DOUBLE_EQ(m.machine.gpu.memory_bytes, 80e9);
    EXPECT_DOUBLE_EQ(m.machine.gpu.memory_bandwidth, 3.35e12);
    EXPECT_DOUBLE_EQ(m.machine.node_link.bandwidth, 450e9);
    EXPECT_DOUBLE_EQ(m.machine.network.bandwidth, 400e9) << "8 rails of 400 Gb/s";
    EXPECT_DOUBLE_EQ(m.machine.network.latency, 14e-6);
    EXPECT_EQ(m.machine.gpus_per_node, 8);
}

TEST_F(MachineFiles, WhatIsWrittenIsReadAgain) {
    for (char const* name : {"dgx-h100", "frontier", "llama3-h100"}) {
        MachineFile const m = read_machine(name, TRIREME_MACHINES);
        std::string const file = folder_.path() + "/again.yaml";
        cluster::write_file(file, to_yaml(m, {"a comment"}));
        MachineFile const again = read_machine(file, "");
        EXPECT_EQ(to_yaml(again), to_yaml(m));
        EXPECT_DOUBLE_EQ(again.machine.network.bandwidth, m.machine.network.bandwidth);
    }
}

TEST_F(MachineFiles, MistakesAreNamedWithTheirPlace) {
    EXPECT_EQ(refusal_of(replaced(dgx(), "rails: 8", "rails: 0")),
              ":23: network.rails: 0: legal: a whole number >= 1");
    EXPECT_NE(refusal_of(replaced(dgx(), "watts: 700", "wats: 700")).find("gpu.watts"),
              std::string::npos);
    EXPECT_NE(refusal_of(replaced(dgx(), "latency_us: 14", "latency_us: -1"))
                  .find("network.latency_us: -1: legal: a number >= 0"),
              std::string::npos);
    EXPECT_NE(refusal_of(replaced(dgx(), "  memory_GB: 80", "  # memory_GB: 80"))
                  .find("gpu.memory_GB: missing"),
              std::string::npos);
    EXPECT_NE(refusal_of(replaced(dgx(), "matrix_efficiency: 0.803", "matrix_efficiency: 80.3"))
                  .find("gpu.matrix_efficiency: 80.3: legal"),
              std::string::npos);
    EXPECT_NE(refusal_of("[1, 2]").find("legal: a mapping"), std::string::npos);
    EXPECT_NE(refusal([] {
                  read_machine("no-such", TRIREME_MACHINES);
              }).find("--machine: no-such: legal: alps, "),
              std::string::npos);
}

} // namespace
} // namespace trireme::framework::planning

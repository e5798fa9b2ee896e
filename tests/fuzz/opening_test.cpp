// Every reader refuses, before it reads, what is not a file of its kind: folders, pipes that nobody
// writes to, devices without an end, pointers of Git LFS, and files of a terabyte that hold
// nothing.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cluster/file.hpp"
#include "cluster/flight_record.hpp"
#include "cluster/report.hpp"
#include "data/chat_templates.hpp"
#include "data/loader.hpp"
#include "data/tokenizer_files.hpp"
#include "framework/checkpoint/reader.hpp"
#include "framework/checkpoint/writer.hpp"
#include "framework/config/config.hpp"
#include "framework/generation/stop_tokens.hpp"
#include "framework/log/append_file.hpp"
#include "framework/parity/certificate_file.hpp"
#include "framework/pretrained/hf_config.hpp"
#include "framework/pretrained/run_source.hpp"
#include "framework/pretrained/safetensors.hpp"
#include "framework/run/job_history.hpp"
#include "framework/run/status.hpp"
#include "framework/verify/fingerprint_file.hpp"
#include "framework/verify/token_file.hpp"
#include "launch/prompts.hpp"
#include "launch/site.hpp"
#include "tests/data/small_dataset.hpp"
#include "tests/support/fuzz.hpp"
#include "tests/support/temporary_folder.hpp"

namespace trireme {
namespace {

namespace fs = std::filesystem;

struct Reader {
    char const* file;                             ///< in the folder
    std::function<void(std::string const&)> read; ///< the folder
    /// opened to append to it: a large file is none of its business
    bool writes = false;
};

std::vector<Reader> readers() {
    using Folder = std::string const&;
    return {
        {"model.safetensors", [](Folder d) { framework::pretrained::find_tensors(d); }},
        {"model.safetensors.index.json", [](Folder d) { framework::pretrained::find_tensors(d); }},
        {"config.json", [](Folder d) { framework::pretrained::read_hf_config(d); }},
        {"tokenizer_config.json", [](Folder d) { data::pad_token_of(d); }},
        {"tokenizer.json",
         [](Folder d) {
             cluster::write_file(d + "/tokenizer_config.json", R"({"pad_token": "a"})");
             data::pad_token_of(d);
         }},
        {"chat_template.jinja", [](Folder d) { data::check_chat_templates({d}); }},
        {"tokenizer_config.json", [](Folder d) { data::check_chat_templates({d}); }},
        {"tokenizer.json", [](Folder d) { data::check_same_tokenizer("/nowhere", "ab", d); }},
        {"tokenizer.model",
         [](Folder d) {
             test::TemporaryFolder const to;
             data::copy_tokenizer_files(d, to.path());
         }},
        {"generation_config.json", [](Folder d) { framework::generation::stop_tokens(d); }},
        {"tokens.json", [](Folder d) { framework::verify::read_token_file(d + "/tokens.json"); }},
        {"trireme_fingerprint.json", [](Folder d) { framework::verify::read_fingerprint(d); }},
        {"manifest.json", [](Folder d) { data::read_manifest(d); }},
        {"manifest.json", [](Folder d) { data::verify_manifest(d); }},
        {"manifest.json", [](Folder d) { framework::checkpoint::read_manifest(d); }},
        {"data/train-00001.h5",
         [](Folder d) {
             fs::rename(d + "/data/train-00001.h5", d + "/kept");
             data::make_dataset(d + "/data");
             fs::remove(d + "/data/train-00001.h5");
             fs::rename(d + "/kept", d + "/data/train-00001.h5");
             data::open_dataset(d + "/data", "train")->verify(0, 1);
         }},
        {"saved/r.h5",
         [](Folder d) {
             framework::checkpoint::Manifest manifest;
             manifest.tensors = {{"weight", "m", "f32", {1}, {{"r.h5", "/m/0", {{0}, {1}}, 0}}}};
             manifest.files = {{"r.h5", 100, "a", {"b"}}};
             framework::checkpoint::write_manifest(d + "/saved", manifest);
             framework::checkpoint::Reader(d + "/saved").verify();
         }},
        {"run.yaml", [](Folder d) { framework::config::read_config(d + "/run.yaml", {}); }},
        {"site.yaml", [](Folder d) { launch::read_site(d + "/site.yaml", "/none"); }},
        {"metrics.jsonl", [](Folder d) { framework::run::read_status(d); }},
        {"metrics.jsonl", [](Folder d) { framework::run::read_job_history(d); }},
        {"metrics.jsonl", [](Folder d) { framework::log::AppendFile(d + "/metrics.jsonl"); }, true},
        {"log.txt", [](Folder d) { framework::log::AppendFile(d + "/log.txt"); }, true},
        {"flight/rank-00000", [](Folder d) { cluster::read_flights(d); }},
        {"flight/verdict", [](Folder d) { cluster::read_verdict(d); }},
        {"parity.json",
         [](Folder d) { framework::parity::read_certificate(d + "/parity.json", {}); }},
        {"source/source.json", [](Folder d) { framework::pretrained::read_run_source(d); }},
        {"prompts.jsonl",
         [](Folder d) { launch::read_prompts(d + "/prompts.jsonl", "prompt", "completion"); }},
    };
}

struct Thing {
    char const* name;
    std::function<void(std::string const& path)> make;
    bool may_be_appended_to = false;
};

std::vector<Thing> const kThings{
    {"folder", [](std::string const& path) { fs::create_directory(path); }},
    {"pipe", [](std::string const& path) { ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); }},
    {"device", [](std::string const& path) { fs::create_symlink("/dev/zero", path); }},
    {"pointer of Git LFS",
     [](std::string const& path) {
         std::ofstream(path)
             << "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
     },
     true},
    {"terabyte of nothing",
     [](std::string const& path) {
         std::ofstream(path).close();
         fs::resize_file(path, std::uintmax_t{1} << 40);
     },
     true},
};

TEST(Opening, WhatIsNoFileIsRefusedBeforeItIsRead) {
    for (auto const& reader : readers())
        for (auto const& thing : kThings) {
            if (reader.writes && thing.may_be_appended_to) continue;
            test::TemporaryFolder const folder;
            std::string const path = folder.path() + "/" + reader.file;
            fs::create_directories(fs::path(path).parent_path());
            thing.make(path);
            alarm(60); // a pipe is waited for for ever
            double const start = test::processor_seconds();
            try {
                reader.read(folder.path());
                ADD_FAILURE() << "a " << thing.name << " was read as " << reader.file;
            } catch (cluster::InputError const& error) {
                std::string const line = cluster::line_of(error);
                EXPECT_NE(line.find(path), std::string::npos)
                    << reader.file << ", a " << thing.name << ": " << line;
            } catch (std::exception const& error) {
                ADD_FAILURE() << reader.file << ", a " << thing.name << ": " << error.what();
            }
            EXPECT_LT(test::processor_seconds() - start, 1) << reader.file << ", a " << thing.name;
        }
    alarm(0);
}

TEST(Opening, ALineThatFillsTheMemoryIsRefused) {
    test::TemporaryFolder const folder;
    std::string const path = folder.path() + "/metrics.jsonl";
    cluster::write_file(path, "{\"kind\": \"end\", \"time\": 1}\n");
    fs::resize_file(path, std::uintmax_t{1} << 33);
    try {
        framework::run::read_job_history(folder.path());
        FAIL() << "8 GiB of nothing were read";
    } catch (cluster::InputError const& error) {
        EXPECT_EQ(std::string(error.what()),
                  path + ":2: a line of more than 268435456 bytes; legal: a shorter one");
    }
}

} // namespace
} // namespace trireme

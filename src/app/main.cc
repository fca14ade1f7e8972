// ringway: the program. `run` is the gateway in the foreground, `check` judges a configuration without touching a port,
// `version` says which build this is.
//
// Exit status: 0 done (also after a drain), 1 the configuration is bad or the gateway could not start, others by CLI11
// for a wrong command line.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "control/compile/compile.h"
#include "control/config/load.h"
#include "control/registry/registry.h"
#include "src/app/crash.h"
#include "src/app/lifecycle.h"

namespace {

using ringway::config::Config;
using ringway::config::Problem;

// The file checked as far as it can be without a port: read, and compiled with its routes. Prints what is wrong.
std::optional<Config> load(const std::string& file) {
  auto config = ringway::config::load_file(file);
  std::vector<Problem> problems;
  if (!config.has_value()) {
    problems = config.error();
  } else {
    for (const Problem& warning : config->warnings)
      std::fprintf(stderr, "%s (warning)\n", ringway::config::to_string(warning).c_str());
    ringway::registry::Registry registry;
    const auto plan = ringway::compile::compile(*config, registry, {});
    if (!plan.has_value()) problems = plan.error();
  }
  for (const Problem& problem : problems) std::fprintf(stderr, "%s\n", ringway::config::to_string(problem).c_str());
  if (!problems.empty()) return std::nullopt;
  return std::move(*config);
}

int check(const std::string& file) {
  const auto config = load(file);
  if (!config) return 1;
  std::size_t endpoints = 0;
  for (const auto& service : config->services) endpoints += service.endpoints.size();
  std::printf("%s: good, %zu services, %zu endpoints, %zu listeners\n", file.c_str(), config->services.size(), endpoints,
              config->listeners.size());
  return 0;
}

int run(const std::string& file) {
  ringway::app::print_backtrace_on_crash();
  ringway::app::block_signals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("ringway"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::flush_on(spdlog::level::info);
  auto config = load(file);
  if (!config) return 1;
  return ringway::app::Lifecycle(std::move(*config)).run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Ringway: a gateway for HTTP between services, on DPDK"};
  app.require_subcommand(1);
  std::string file;
  CLI::App* run_command = app.add_subcommand("run", "Run the gateway in the foreground");
  run_command->add_option("-c,--config", file, "Configuration file")->required();
  CLI::App* check_command = app.add_subcommand("check", "Check a configuration; touches no port");
  check_command->add_option("-c,--config", file, "Configuration file")->required();
  app.add_subcommand("version", "Print the version");
  CLI11_PARSE(app, argc, argv);
  if (run_command->parsed()) return run(file);
  if (check_command->parsed()) return check(file);
  std::printf("ringway %s\n", RINGWAY_VERSION);
  return 0;
}

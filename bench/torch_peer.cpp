#include "bench/torch_peer.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace m2::bench {

TorchPeer& TorchPeer::get() {
  static TorchPeer peer;
  return peer;
}

TorchPeer::TorchPeer() {
  description_ = "python3 is not there";
  int in[2], out[2];
  if (pipe(in) != 0 || pipe(out) != 0) return;
  std::signal(SIGPIPE, SIG_IGN);  // a process that ended is noticed by its missing answer
  process_ = fork();
  if (process_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    for (const int end : {in[0], in[1], out[0], out[1]}) close(end);
    for (const char* threads : {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"}) setenv(threads, "1", 1);
    execlp("python3", "python3", M2_BENCH_TORCH_SCRIPT, static_cast<char*>(nullptr));
    _exit(127);
  }
  close(in[0]), close(out[1]);
  to_ = fdopen(in[1], "w"), from_ = fdopen(out[0], "r");
  const std::string greeting = ask("hello");
  char text[256];
  if (std::sscanf(greeting.c_str(), "{\"ready\": \"%255[^\"]\"}", text) == 1) {
    description_ = text;
    return;
  }
  if (std::sscanf(greeting.c_str(), "{\"missing\": \"%255[^\"]\"}", text) == 1) description_ = text;
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

TorchPeer::~TorchPeer() {
  if (to_ != nullptr) std::fclose(to_);
  if (from_ != nullptr) std::fclose(from_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
}

/// One line there, one line of JSON back; empty if the process has ended.
std::string TorchPeer::ask(const std::string& question) {
  if (to_ == nullptr || from_ == nullptr) return "";
  std::fprintf(to_, "%s\n", question.c_str());
  std::fflush(to_);
  char line[512];
  return std::fgets(line, sizeof(line), from_) == nullptr ? "" : line;
}

Contestant TorchPeer::contestant(Index n, Index batch, Layout layout) {
  if (!available()) return {};
  const std::string answer = ask("case " + std::to_string(n) + " " + std::to_string(batch) + " " + name_of(layout));
  if (answer.rfind("{\"right\": true", 0) != 0) return {};
  return [this](long calls) {
    WholeCore::get().bring(process_);
    double seconds = not_a_number;
    std::sscanf(ask("run " + std::to_string(calls)).c_str(), "{\"seconds\": %lf}", &seconds);
    return seconds;
  };
}

}  // namespace m2::bench

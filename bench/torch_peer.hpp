#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>

#include "bench/measure.hpp"
#include "bench/report.hpp"

namespace m2::bench {

/// The reference arithmetic in PyTorch: bench/torch_peer.py in a process of its own on one thread, which computes when
/// it is told to, so that it takes turns with us.
class TorchPeer {
 public:
  static TorchPeer& get();
  TorchPeer(const TorchPeer&) = delete;
  TorchPeer& operator=(const TorchPeer&) = delete;
  ~TorchPeer();

  bool available() const { return process_ > 0; }
  /// Which version it is, or why there is none.
  const std::string& description() const { return description_; }

  /// Makes the process ready for one product; empty when there is no PyTorch or it says that its result is wrong.
  Contestant contestant(Index n, Index batch, Layout layout);

 private:
  TorchPeer();
  std::string ask(const std::string& question);

  pid_t process_ = -1;
  std::FILE *to_ = nullptr, *from_ = nullptr;
  std::string description_;
};

}  // namespace m2::bench

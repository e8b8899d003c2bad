// quill, a logger for C++, under the same four workloads as the other rows. The bench compiles this file against the
// headers that `--quill` names, starts it for every measurement as it starts itself for a crate, and reads the numbers
// that it prints. What is timed, and between what, is as in `latency.rs`, `throughput.rs` and `kill.rs`.
//
// quill as its documentation sets it up, with all that a call goes through at its default:
// - Front end: `QueueType::UnboundedBlocking`. Each thread has a queue of its own in private memory, 128 KiB at first.
//   The call that finds it full makes one twice as large, up to 2 GiB, and zeroes it; beyond that a call waits. A burst
//   of 1,000 takes 68 KB, so no call of the latency workload does this. Arguments are copied, not formatted.
// - Clock: `ClockSourceType::Tsc`, the processor's counter, which the backend converts.
// - Backend: one thread, which formats; it sleeps for 100 us when it finds no work, moves up to 65,536 records a thread
//   to a buffer of its own, and takes up no record younger than 5 us, to write the threads' records in order.
// - `FileSink`: stdio with a buffer of 64 KiB, flushed when there is nothing to format, but every 200 ms at most; no
//   fsync.
// - Pattern: date, milliseconds, thread and level, which is what lastwords and `write` put before a message. The
//   default one makes lines longer by a half, with the place in the source and the logger's name in columns, and took
//   1.4 to 2.2 times as long to the last line.
//
// Neither the queues nor these buffers outlive the process: a SIGKILL loses every record that was not written. quill's
// signal handler, which flushes at other signals, cannot catch that one.

#include "quill/Backend.h"
#include "quill/Frontend.h"
#include "quill/LogMacros.h"
#include "quill/Logger.h"
#include "quill/sinks/FileSink.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
  #include <x86intrin.h>
#endif

namespace
{
using Clock = std::chrono::steady_clock;

// Its length is known to the compiler, as that of the crates' string is.
constexpr std::string_view DEVICE{"NVIDIA RTX 4090x"};
constexpr uint64_t BURST = 1000;
// Bursts that are not counted.
constexpr uint64_t WARM_UP = 3;

double ms(uint64_t frame) { return static_cast<double>(frame) * 0.25; }

// Keeps the compiler from knowing the value.
uint64_t black_box(uint64_t value)
{
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

double seconds_since(Clock::time_point start)
{
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t ticks()
{
#if defined(__x86_64__)
  return __rdtsc();
#else
  return static_cast<uint64_t>(Clock::now().time_since_epoch().count());
#endif
}

double nanoseconds_a_tick()
{
  auto const start = Clock::now();
  uint64_t const first = ticks();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  uint64_t const last = ticks();
  return seconds_since(start) * 1e9 / static_cast<double>(last - first);
}

// The first two cores that this process may use; where there is only one, all share it.
class Cores
{
public:
  Cores()
  {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    {
      throw std::runtime_error("this process's affinity is unknown");
    }
    for (int core = 0; core < CPU_SETSIZE && _count < 2; ++core)
    {
      if (CPU_ISSET(core, &allowed))
      {
        _cores[_count++] = core;
      }
    }
    if (_count == 1)
    {
      _cores[1] = _cores[0];
    }
  }

  void take_first() const { bind(_cores[0], _cores[0]); }
  void take_second() const { bind(_cores[1], _cores[1]); }
  void take_both() const { bind(_cores[0], _cores[1]); }

private:
  static void bind(int one, int other)
  {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(one, &set);
    CPU_SET(other, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
    {
      throw std::runtime_error("a core of this process's affinity was refused");
    }
  }

  int _cores[2] = {0, 0};
  int _count = 0;
};

class Quill
{
public:
  explicit Quill(std::string const& folder) : _file(folder + "/bench.log")
  {
    quill::BackendOptions options;
    // It guards against two copies of the library in a process, and a killed process would leave its file in /tmp.
    options.check_backend_singleton_instance = false;
    quill::Backend::start(options);
    quill::FileSinkConfig config;
    config.set_open_mode('w');
    auto sink = quill::Frontend::create_or_get_sink<quill::FileSink>(_file, config);
    quill::PatternFormatterOptions const pattern{"%(time) [%(thread_id)] [%(log_level)] %(message)",
                                                 "%Y-%m-%d %H:%M:%S.%Qms"};
    _logger = quill::Frontend::create_or_get_logger("bench", std::move(sink), pattern);
  }

  // Makes the calling thread's queue, as the documentation recommends.
  void warm_up() const { quill::Frontend::preallocate(); }

  void text() const { LOG_INFO(_logger, "Host process starting up, all is in line"); }

  void frame(uint64_t number) const
  {
    LOG_INFO(_logger, "frame {} took {} ms on {}", number, ms(number), DEVICE);
  }

  // Flushes, and waits until the file has not grown for 3 ms, but 2 s at most.
  void wait_until_quiet() const
  {
    _logger->flush_log();
    auto const start = Clock::now();
    auto since = start;
    off_t size = 0;
    while (seconds_since(since) < 0.003 && seconds_since(start) < 2.0)
    {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      struct stat status;
      if (stat(_file.c_str(), &status) != 0)
      {
        throw std::runtime_error("no log file");
      }
      if (status.st_size != size)
      {
        size = status.st_size;
        since = Clock::now();
      }
    }
  }

  // Returns when the last line is in the file.
  void finish() const { quill::Backend::stop(); }

private:
  std::string _file;
  quill::Logger* _logger = nullptr;
};

// Calls of one message that are being timed.
class Timing
{
public:
  template <typename Call>
  void burst(Quill const& quill, Call call)
  {
    auto const start = Clock::now();
    for (uint64_t n = 0; n < BURST; ++n)
    {
      call(black_box(n));
    }
    _bursts.push_back(seconds_since(start) * 1e9 / static_cast<double>(BURST));
    quill.wait_until_quiet();
    for (uint64_t n = 0; n < BURST; ++n)
    {
      uint64_t const before = ticks();
      call(black_box(n));
      _singles.push_back(ticks() - before);
    }
    quill.wait_until_quiet();
  }

  void print()
  {
    _bursts.erase(_bursts.begin(), _bursts.begin() + WARM_UP);
    _singles.erase(_singles.begin(), _singles.begin() + WARM_UP * BURST);
    std::sort(_bursts.begin(), _bursts.end());
    std::sort(_singles.begin(), _singles.end());
    uint64_t const overhead = clock_ticks();
    double const nanoseconds = nanoseconds_a_tick();
    std::printf("%f ", _bursts[_bursts.size() / 2]);
    for (double part : {0.5, 0.99, 0.999, 1.0})
    {
      uint64_t const single = _singles[static_cast<size_t>(static_cast<double>(_singles.size() - 1) * part)];
      std::printf("%f ", single > overhead ? static_cast<double>(single - overhead) * nanoseconds : 0.0);
    }
  }

private:
  // Ticks between two readings of the clock with nothing in between.
  static uint64_t clock_ticks()
  {
    std::vector<uint64_t> empty(10000);
    for (uint64_t& elapsed : empty)
    {
      uint64_t const before = ticks();
      elapsed = ticks() - before;
    }
    std::sort(empty.begin(), empty.end());
    return empty[empty.size() / 2];
  }

  std::vector<double> _bursts;
  std::vector<uint64_t> _singles;
};

void latency(uint64_t bursts, std::string const& folder)
{
  Cores const cores;
  // The backend's thread inherits the second core.
  cores.take_second();
  Quill const quill(folder);
  cores.take_first();
  quill.warm_up();
  Timing text;
  Timing frame;
  for (uint64_t n = 0; n < WARM_UP + bursts; ++n)
  {
    text.burst(quill, [&quill](uint64_t) { quill.text(); });
    frame.burst(quill, [&quill](uint64_t number) { quill.frame(number); });
  }
  quill.finish();
  text.print();
  frame.print();
}

void throughput(uint64_t threads, uint64_t lines, std::string const& folder)
{
  Cores{}.take_both();
  Quill const quill(folder);
  auto const start = Clock::now();
  std::vector<std::thread> running;
  for (uint64_t thread = 0; thread < threads; ++thread)
  {
    running.emplace_back(
      [&quill, first = lines * thread / threads, end = lines * (thread + 1) / threads]()
      {
        quill.warm_up();
        for (uint64_t n = first; n < end; ++n)
        {
          quill.frame(n);
        }
      });
  }
  for (std::thread& thread : running)
  {
    thread.join();
  }
  quill.finish();
  std::printf("%f", seconds_since(start));
}

// Logs flat out, and stores in the page how many calls have returned, until it is killed.
[[noreturn]] void victim(std::string const& page, std::string const& folder)
{
  Cores{}.take_both();
  int const file = open(page.c_str(), O_RDWR | O_CLOEXEC);
  void* const mapping = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file < 0 || mapping == MAP_FAILED)
  {
    throw std::runtime_error("the page of acknowledgements cannot be mapped");
  }
  auto& calls = *static_cast<std::atomic<uint64_t>*>(mapping);
  Quill const quill(folder);
  quill.warm_up();
  for (uint64_t n = 0;; ++n)
  {
    quill.frame(n);
    calls.store(n + 1, std::memory_order_release);
  }
}
} // namespace

int main(int count, char** arguments)
{
  // A child that is there to be killed would fill the disk if its parent were gone first.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<std::string> const words(arguments + 1, arguments + count);
  auto const is = [&words](char const* workload, size_t length)
  { return words.size() == length && words[0] == workload; };
  try
  {
    if (is("version", 1))
    {
      std::printf("%u.%u.%u", quill::VersionMajor, quill::VersionMinor, quill::VersionPatch);
    }
    else if (is("latency", 3))
    {
      latency(std::stoull(words[1]), words[2]);
    }
    else if (is("throughput", 4))
    {
      throughput(std::stoull(words[1]), std::stoull(words[2]), words[3]);
    }
    else if (is("kill", 3))
    {
      victim(words[1], words[2]);
    }
    else
    {
      throw std::runtime_error("no such workload");
    }
  }
  catch (std::exception const& error)
  {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
  std::printf("\n");
  return EXIT_SUCCESS;
}

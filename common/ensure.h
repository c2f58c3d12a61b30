// ENSURE(condition, format, args...): a programmer's mistake, on in every build. Prints the
// values and aborts the process; never used for bad input, peers or disks.
#pragma once

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>

#define ENSURE(condition, ...)                                                                 \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      const auto ensure_text = ::fmt::format("" __VA_ARGS__);                                  \
      ::std::fprintf(stderr, "%s:%d: ENSURE(%s) failed: %s\n", __FILE__, __LINE__, #condition, \
                     ensure_text.c_str());                                                     \
      ::std::abort();                                                                          \
    }                                                                                          \
  } while (false)

// libfuse's low-level API, in the one version that this project uses.
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_LINUX_PTRACE_H
#define PIDINFOD_LINUX_PTRACE_H

#include <asm/ptrace.h>

#endif

/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_UAPI_LINUX_PTRACE_H
#define PIDINFOD_UAPI_LINUX_PTRACE_H

#include <asm/ptrace.h>

#endif

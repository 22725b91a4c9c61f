/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_LINUX_BPF_COMMON_H
#define PIDINFOD_LINUX_BPF_COMMON_H

#include <linux/types.h>

#endif
